"""The scenario in race.json: what was raced, without defaults that only a cluster reads."""

from __future__ import annotations

from racing_peers import raced, scenario
from swarmrace.results import folder as results
from swarmrace.verdict import compute


def test_unused_cluster_defaults_are_not_recorded(tmp_path):
    made = scenario(repetitions=1)
    found, _ = raced(made, tmp_path, backend="kubernetes")
    (top,) = found.info.scenario
    assert top == "global"
    assert set(found.info.scenario["global"]) == {"race", "entrants"}
    assert found.scenario.race == made.race
    assert found.scenario.entrants == made.entrants
    assert {info.machine["limits_source"] for info in found.info.peers} <= {"cgroup", "unknown"}
    (line,) = compute(results.load(tmp_path / "race")).pods
    assert "unknown" in line


def test_a_race_on_one_machine_has_no_pods(tmp_path):
    found, _ = raced(scenario(repetitions=1), tmp_path, backend="local")
    assert compute(found).pods == []
