"""A whole race of Codex test doubles, from the command line to the verdict."""

from __future__ import annotations

import json
import re

from codex_double.testing import program

import racing


def test_a_node_that_falls_silent_is_a_stall_in_run_and_verdict(tmp_path):
    """It answers 200, delivers its first block and then nothing. The other entrants continue."""
    mute = {"silent_from_bytes": 1, "time_scale": 100}
    entrants = {
        "good": {"kind": "codex", "program": str(program(tmp_path / "good"))},
        "newest": {
            "kind": "codex",
            "program": str(program(tmp_path / "newest", "storage-2026")),
            "download": "background",
            "pollSeconds": 0.02,
        },
        "mute": {"kind": "codex", "program": str(program(tmp_path / "mute", **mute))},
    }
    scenario = racing.scenario_file(tmp_path, entrants, timeouts={"stallSeconds": 20})
    with racing.race(tmp_path, scenario) as race:
        assert race.end() == 10, race.output()  # transfers failed
        race.wait_until_nothing_is_left()
        runs = {path.name[4:]: path.name for path in (race.folder / "runs").iterdir()}
        assert set(runs) == set(entrants)
        for name, run_id in runs.items():
            assert race.record(run_id)["status"] == "raced"
            peers = [race.record(run_id, f"{name}-{peer}") for peer in range(3)]
            (seeder,) = [peer for peer in peers if peer["role"] == "seeder"]
            assert seeder["outcome"] == "completed"
            assert seeder["publish"]["seconds"] > 0
            for leecher in (peer for peer in peers if peer["role"] == "leecher"):
                settings = leecher["system"]["settings"]
                assert settings["command"][0] == entrants[name]["program"]
                assert "double" in leecher["system"]["version"]
                if name == "mute":
                    assert leecher["outcome"] == "failed"
                    assert leecher["failure"]["reason"] == "stall"
                    detail = leecher["failure"]["detail"]
                    assert re.search(r"own counter has been \d+ for 20 s; 65536 of 1000000", detail)
                    assert leecher["transfer"]["stallJudgedBy"] == "counter"
                else:
                    assert leecher["outcome"] == "completed"
                    assert leecher["transfer"]["verified"] is True
        verdict = race.output()
        assert re.search(r"failure: stall in race +0 +2 +0\b", verdict)
        assert "the node's own counter has been" in verdict
        assert "a test double was raced" in verdict
        head = json.loads((race.folder / "race.json").read_text())
        assert head["backend"] == "local with network namespaces"
        assert head["testDoubles"] == sorted(entrants)
        for name in (head["name"], race.folder.name, verdict.splitlines()[-1]):
            assert "scenario (test double)" in name
        judged = json.loads((race.folder / "verdict.json").read_text())
        assert all("(test double)" in line for line in judged["headline"])
