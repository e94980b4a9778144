from __future__ import annotations

import pytest

from made_results import updated, verdict_of
from swarmrace.recording.records import Load, Usage
from swarmrace.verdict import load, render


def beside(busy, *, seconds=2.0, cpus=4, only="", own=0.5):
    """Return a change that gives each peer `own` CPU seconds on a machine busy for `busy`."""

    def change(result):
        quiet = only and result.run_id != only
        busy_there = 4 * own if quiet else busy
        return result.model_copy(
            update={
                "usage": Usage(cpu_seconds=own - 0.1, peak_memory_bytes=1, runner_cpu_seconds=0.1),
                "load": Load(seconds=seconds, cpus=cpus, busy_cpu_seconds=busy_there),
            }
        )

    return change


def flagged(found):
    return [flag.text for flag in found.flags if "other work used" in flag.text]


def test_work_of_the_peers_is_not_other_work(tmp_path):
    found = verdict_of(tmp_path, peer=beside(2.05))
    assert [run.foreign_cpu_share for run in found.runs] == [0.0, 0.0, 0.0]
    assert flagged(found) == []


def test_other_work_during_a_run_is_flagged_by_run(tmp_path):
    found = verdict_of(tmp_path, peer=beside(5.0, only="001-x"))
    assert [run.foreign_cpu_share for run in found.runs] == pytest.approx([0.0, 3 / 8, 0.0])
    (text,) = flagged(found)
    assert text.startswith(
        "other work used more than 10 % of a machine's CPUs in 1 of 3 runs (001-x;"
    )
    assert "maximum 38 %, 001-x" in text


def test_a_relay_is_part_of_the_race(tmp_path):
    """Its counts include its CPU time, and carrying the race's network is not other work."""
    counted = updated(relay={"frames": 1, "cpu_microseconds": 2_950_000})
    found = verdict_of(tmp_path, peer=beside(5.0), run=counted)
    assert [run.foreign_cpu_share for run in found.runs] == [0.0, 0.0, 0.0]
    assert flagged(found) == []


def test_machines_are_judged_separately(tmp_path):
    found = verdict_of(
        tmp_path, peer=beside(1.9), nodes=lambda _, peer: "one" if peer < 2 else "two"
    )
    assert [run.foreign_cpu_share for run in found.runs] == pytest.approx([0.9 / 8] * 3)
    assert len(flagged(found)) == 1


def test_an_unmeasured_load_is_not_shown(tmp_path):
    found = verdict_of(tmp_path, peer=updated(load=None))
    assert [run.foreign_cpu_share for run in found.runs] == [None] * 3
    assert flagged(found) == []


@pytest.mark.parametrize(
    ("network", "said"), [({}, True), ({"upload": "10MB"}, False), ({"download": "10MB"}, False)]
)
def test_one_machine_without_rates_notes_what_it_measured(tmp_path, network, said):
    found = verdict_of(tmp_path, race={"network": network})
    assert found.head_notes == ([load.ONE_MACHINE] if said else [])
    assert ("mostly CPU times" in render.text(found)) == said
