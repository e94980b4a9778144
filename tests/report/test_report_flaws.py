"""A report shows every flaw of its results: wrong labels, clocks, bytes, files and duplicates."""

from __future__ import annotations

import json
import shutil

import pytest

from made_matrices import cell, report_of, times
from made_results import updated
from swarmrace.errors import ResultsError
from swarmrace.report.judging import judge_matrix


def test_swapped_labels_reverse_the_answer(tmp_path):
    cell(tmp_path / "r", {"a": times(2), "b": times(1)})
    cell(tmp_path / "s", {"a": times(1), "b": times(2)})
    right, swapped = report_of(tmp_path / "r"), report_of(tmp_path / "s")
    assert "took 2.00 × b's" in right.answer[0]
    assert "took 0.500 × b's" in swapped.answer[0]
    _, [met] = judge_matrix([tmp_path / "s"], ["1.2"])
    _, [missed] = judge_matrix([tmp_path / "r"], ["1.2"])
    assert (met.verdict, missed.verdict) == ("met", "missed")


def test_a_file_of_the_other_entrant_is_left_out(tmp_path):
    """Labels are swapped on disk: a record under another entrant's name is left out."""
    folder = cell(tmp_path / "r", {"a": times(2), "b": times(1)})
    run = next(iter(sorted((folder / "runs").glob("*-a"))))
    other = next(iter(sorted((folder / "runs").glob("*-b"))))
    path = next(p for p in run.glob("a-*.json") if json.loads(p.read_text())["role"] == "leecher")
    path.write_bytes((other / path.name.replace("a-", "b-")).read_bytes())
    report = report_of(folder)
    assert any("broken, missing or foreign file" in line.text for line in report.warnings)
    assert sum(r.status == "missing" for r in report.cells[0].facts.verdict.runs) == 1


def test_a_clock_offset_is_flagged(tmp_path):
    """Leechers of one side begin 80 ms late, as with a wrong clock."""

    def late(result):
        if result.transfer is None or result.entrant != "a":
            return result
        return updated(transfer=updated(start_lag_seconds=0.08)(result.transfer))(result)

    cell(tmp_path / "r", {"a": times(1), "b": times(1)}, peer=late)
    texts = [line.text for line in report_of(tmp_path / "r").warnings]
    assert any("a: start lag p99 of 80 ms" in text for text in texts)


def test_lost_blocks_are_flagged(tmp_path):
    def lossy(result):
        if result.transfer is None or result.entrant != "a":
            return result
        lost = {"records_complete": False, "received_bytes": 9_000_000}
        return updated(transfer=updated(**lost)(result.transfer))(result)

    cell(tmp_path / "r", {"a": times(1), "b": times(1)}, peer=lossy)
    texts = [line.text for line in report_of(tmp_path / "r").warnings]
    assert any("a: 18 transfers without a record of every byte" in text for text in texts)


def test_wrong_bytes_void_the_time(tmp_path):
    def wrong(result):
        if result.transfer is None or result.entrant != "a":
            return result
        return updated(transfer=updated(verified=False)(result.transfer))(result)

    cell(tmp_path / "r", {"a": times(1), "b": times(1)}, peer=wrong)
    report = report_of(tmp_path / "r", accept=("furps",))
    assert report.completed[0].startswith("a: 0 of 18 transfers completed (wrong bytes in verify")
    assert report.acceptance[0].verdict == "missed"


def test_one_stall_is_shown_in_the_run_and_in_the_flags(tmp_path):
    """One run of six takes 2.5 times as long because a leecher stalled."""
    stalled = [*times(1)[:5], 2.5]

    def stall(result):
        if result.transfer is None or result.transfer.done_seconds != 2.5:
            return result
        return updated(transfer=updated(longest_stall_seconds=1.5)(result.transfer))(result)

    cell(tmp_path / "r", {"a": stalled, "b": times(1)}, peer=stall)
    report = report_of(tmp_path / "r")
    stability = next(table for table in report.tables if table.slug == "stability")
    row = next(row for row in stability.rows if row[1].text == "a")
    assert "–1500)" in row[stability.head.index("longest stall")].text
    assert row[stability.head.index("slow runs, share")].value == pytest.approx(1 / 6)
    assert any("runs vary widely" in line.text for line in report.warnings)
    assert any("fall into two groups" in line.text for line in report.warnings)


def test_a_late_start_of_one_side_is_flagged(tmp_path):
    def late(result):
        if result.transfer is None or result.entrant != "b" or result.peer != 1:
            return result
        return updated(transfer=updated(start_lag_seconds=0.5)(result.transfer))(result)

    cell(tmp_path / "r", {"a": times(1), "b": times(1)}, peer=late)
    texts = [line.text for line in report_of(tmp_path / "r").warnings]
    assert any("b: start lag" in text and "did not start together" in text for text in texts)


def test_a_duplicate_run_is_left_out(tmp_path):
    folder = cell(tmp_path / "r" / "one", {"a": times(2), "b": times(1)})
    run = next(iter(sorted((folder / "runs").glob("*-a"))))
    shutil.copytree(run, run.with_name("099-a"))
    report = report_of(folder)
    assert len(report.cells[0].facts.verdict.runs) == 12
    assert any("runs/099-a: not a run of this race" in line.text for line in report.warnings)


def test_a_run_under_the_name_of_another_is_left_out(tmp_path):
    """The files of a fast run, renamed to those of a slow one: it doesn't count twice."""
    folder = cell(tmp_path / "r", {"a": [1.0, 5.0, 5.0], "b": times(1, 3)})
    fast, slow, *_ = sorted(
        (folder / "runs").glob("*-a"),
        key=lambda run: json.loads((run / "run.json").read_text())["repetition"],
    )
    for path in slow.glob("*.json"):
        text = (fast / path.name).read_text()
        if path.name != "run.json":
            path.write_text(text.replace(f'"{fast.name}"', f'"{slow.name}"'))
    report = report_of(folder)
    assert any("found repetition 0, expected 1" in line.text for line in report.warnings)
    statuses = {run.run_id: run.status for run in report.cells[0].facts.verdict.runs}
    assert statuses[slow.name] == "missing"


def test_a_race_whose_labels_are_swapped_in_its_scenario_is_refused(tmp_path):
    """race.json says that b raced another kind; the hashes show that it was edited."""
    from racing_peers import raced, scenario

    loaded, _ = raced(scenario(), tmp_path)
    path = loaded.folder / "race.json"
    data = json.loads(path.read_text())
    data["scenario"]["global"]["entrants"]["b"] = {"kind": "bittorrent"}
    path.write_text(json.dumps(data))
    with pytest.raises(ResultsError, match=r"race\.json: changed after the race"):
        report_of(loaded.folder)


def test_a_duplicate_race_is_left_out(tmp_path):
    folder = cell(tmp_path / "r" / "one", {"a": times(2), "b": times(1)})
    shutil.copytree(folder, tmp_path / "r" / "two")
    report = report_of(tmp_path / "r")
    assert len(report.cells) == 1
    assert len(report.left_out) == 1
    assert "two: left out: it holds race" in report.left_out[0]
