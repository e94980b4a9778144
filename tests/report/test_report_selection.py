"""Which folders a report counts: attempts, running and empty races, parts of a sweep."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from made_matrices import RIVALS, SIX, cell, report_of, times
from made_results import build, scenario_of
from swarmrace.cli.main import main
from swarmrace.errors import Exit, ResultsError
from swarmrace.export.folders import group_parts
from swarmrace.report.command import make_report
from swarmrace.report.judging import judge_matrix
from swarmrace.sweep import state


def test_the_first_finished_attempt_counts_and_others_are_listed(tmp_path):
    for attempt, factor, status in (
        (1, 9.0, "stopped"),
        (2, 2.0, "finished"),
        (3, 1.0, "finished"),
    ):
        folder = tmp_path / "r" / str(attempt)
        cell(folder, {"a": times(factor), "b": times(1)}, attempt=attempt)
        text = (folder / "race.json").read_text()
        (folder / "race.json").write_text(
            text.replace('"status": "finished"', f'"status": "{status}"')
        )
    report = report_of(tmp_path / "r")
    [only] = report.cells
    assert (only.facts.attempt, len(only.attempts)) == (2, 2)
    assert "took 2.00 × b's" in report.answer[0]
    assert "stopped" in only.attempts[0]
    assert any(line.text.startswith("raced more than once") for line in report.warnings)


def test_a_running_race_is_reported_as_running(tmp_path):
    folder = cell(tmp_path / "r", {"a": [1.0, 1.1, None], "b": [1.0, None, None]})
    text = (folder / "race.json").read_text()
    (folder / "race.json").write_text(text.replace('"status": "finished"', '"status": "running"'))
    report = report_of(folder)
    assert report.state == ("4x1-10MB: 3 of 6 runs raced, running",)
    assert any(line.text == "race didn't run to its end" for line in report.warnings)


def test_a_race_without_any_run_is_reported(tmp_path):
    report = report_of(cell(tmp_path / "r", {"a": [None] * 3, "b": [None] * 3}))
    assert report.cells[0].facts.raced == 0
    assert "nothing to compare" in report.answer[0]
    with pytest.raises(ResultsError, match=r"no race\.json"):
        make_report([tmp_path / "nothing"])


def sweep_part(folder: Path, first: int, blocks: int, factor: float, attempt: int = 1) -> Path:
    """Write one part of a sweep's cell, where `swarmrace sweep` would write it."""
    last = first + blocks - 1
    planned = SimpleNamespace(folder_name="4x1-10MB-0123456789")
    made_ = state.part_folder(folder, planned, range(first - 1, last))
    race: dict = {"attempt": attempt}
    if first > 1:
        race["continues"] = {"blocks": first - 1, "attempt": 1}
        race["repetitions"] = last
    keys = {"swarmSize": 4, "seeders": 1, "fileSize": "10MB", "repetitions": last} | race
    scenario = scenario_of(RIVALS, **keys)
    each = [[factor * SIX[n % 6]] * 3 for n in range(last)]
    ones = [[SIX[n % 6]] * 3 for n in range(last)]
    return build(made_ / f"attempt-{attempt}", scenario, {"a": each, "b": ones})


def test_further_blocks_of_a_sweep_are_one_cell_with_all_of_them(tmp_path):
    sweep_part(tmp_path / "s", 1, 3, 2.0)
    sweep_part(tmp_path / "s", 4, 3, 2.0)
    report = report_of(tmp_path / "s")
    [only] = report.cells
    assert len(only.facts.verdict.runs) == 12
    assert "over 6 blocks" in report.answer[0]
    assert only.attempts == ()
    _, [found] = judge_matrix([tmp_path / "s"], ["5"])
    assert found.named("met") == ["4x1-10MB"]


def test_cells_with_the_same_axes_are_compared_each_with_its_pair(tmp_path):
    """Two scenarios of one size in one folder, with other entrants."""
    others = {"c": {"kind": "synthetic"}, "d": {"kind": "bittorrent"}}
    for size in (4, 8):
        cell(tmp_path / "r" / f"one{size}", {"a": times(2), "b": times(1)}, swarmSize=size)
        cell(
            tmp_path / "r" / f"two{size}", {"c": times(3), "d": times(1)},
            entrants=others, swarmSize=size,
        )  # fmt: skip
    report = report_of(tmp_path / "r")
    assert len(report.cells) == len({each.anchor for each in report.cells}) == 4
    shown = {
        row.pair: [square.text for panel in row.panels for square in panel.squares]
        for row in report.panels
        if row.key == "t100"
    }
    assert shown == {"a / b": ["2.00 ×", "2.00 ×"], "c / d": ["3.00 ×", "3.00 ×"]}
    [growth] = report.growth
    assert [series.entrant for series in growth.series] == ["a", "b", "c", "d"]
    assert any(line.text.startswith("same axes as another cell") for line in report.warnings)


def plan(folder: Path, **axes: list) -> None:
    """Write the `sweep.json` of a sweep over these axes."""
    race = {"swarmSize": 4, "seeders": 1, "fileSize": "10MB", "repetitions": 3, "matrix": axes}
    folder.mkdir(parents=True, exist_ok=True)
    scenario = {"global": {"race": race, "entrants": RIVALS}}
    (folder / "sweep.json").write_text(json.dumps({"scenario": scenario}))


def test_sweeps_are_found_below_the_folder_of_all_results(tmp_path):
    """`make report` reads results/, in which a sweep has a folder of its own."""
    sweep_part(tmp_path / "results" / "one-sweep", 1, 3, 2.0)
    plan(tmp_path / "results" / "one-sweep", swarmSize=[4, 8, 16])
    cell(tmp_path / "results" / "single", {"a": times(1), "b": times(1)}, swarmSize=32)
    report = report_of(tmp_path / "results")
    assert [each.name for each in report.cells] == ["4x1-10MB", "32x1-10MB"]
    assert report.missing == ("8x1-10MB", "16x1-10MB")
    assert report.state[0] == "Not finished: 2 of 4 cells have results."


def test_a_sweep_without_any_result_is_reported(tmp_path):
    plan(tmp_path / "s", swarmSize=[4, 8])
    ran = CliRunner().invoke(main, ["report", str(tmp_path / "s"), "-o", str(tmp_path / "out")])
    assert ran.exit_code == 0, ran.output
    assert "Not finished: 0 of 2 cells have results." in ran.stderr
    for name in ("report.html", "report.md"):
        text = (tmp_path / "out" / name).read_text()
        assert "No cell has results yet." in text
        assert "4x1-10MB" in text
    ran = CliRunner().invoke(main, ["report", str(tmp_path / "s"), "--summary"])
    assert "No cell has results yet." in ran.stdout
    ran = CliRunner().invoke(main, ["verdict", str(tmp_path / "s"), "--accept", "furps"])
    assert ran.exit_code == Exit.RACE
    assert "No results: 4x1-10MB, 8x1-10MB" in ran.stdout
    ran = CliRunner().invoke(main, ["export", str(tmp_path / "s"), "-o", str(tmp_path / "tables")])
    assert ran.exit_code == 0, ran.output
    ran = CliRunner().invoke(main, ["compare", str(tmp_path / "s"), str(tmp_path / "s")])
    assert ran.exit_code == Exit.RESULTS
    assert "no common cell" in ran.stderr


def test_a_matrix_with_missing_cells_is_not_met(tmp_path):
    """Each cell with results meets it; exit code 6, as for a race that is undecided."""
    sweep_part(tmp_path / "s", 1, 6, 1.0)
    plan(tmp_path / "s", swarmSize=[4, 8])
    ran = CliRunner().invoke(main, ["verdict", str(tmp_path / "s"), "--accept", "furps"])
    assert ran.exit_code == Exit.ACCEPTANCE_UNDECIDED
    assert "individually 1 met, 1 missing" in ran.stdout


def test_further_blocks_join_only_the_attempt_that_they_continue(tmp_path):
    """The first attempt at the first part was cut off, so the sweep continued the second one."""
    cut = sweep_part(tmp_path / "s", 1, 3, 9.0, attempt=1)
    _edit(cut, status="stopped")
    first = sweep_part(tmp_path / "s", 1, 3, 2.0, attempt=2)
    orphan = sweep_part(tmp_path / "s", 4, 3, 2.0)
    assert group_parts([cut, first, orphan]) == [(cut,), (first,), (orphan,)]
    race = json.loads((orphan / "race.json").read_text())
    race["scenario"]["global"]["race"]["continues"]["attempt"] = 2
    _edit(orphan, **race)
    assert group_parts([cut, first, orphan]) == [(cut,), (first, orphan)]


def test_a_part_whose_earlier_blocks_are_missing_is_not_joined(tmp_path):
    first, later = sweep_part(tmp_path / "s", 1, 3, 2.0), sweep_part(tmp_path / "s", 7, 3, 2.0)
    assert group_parts([first, later]) == [(first,), (later,)]
    [only] = report_of(tmp_path / "s").cells
    assert len(only.attempts) == 1


def test_a_broken_folder_costs_a_sweep_one_cell_and_is_named(tmp_path):
    whole = cell(tmp_path / "s" / "whole", {"a": times(2), "b": times(1)})
    torn = cell(tmp_path / "s" / "torn", {"a": times(2), "b": times(1)}, swarmSize=8)
    (torn / "race.json").write_text("{")
    report = report_of(tmp_path / "s")
    assert [each.facts.folder for each in report.cells] == [whole.name]
    assert report.left_out[0].startswith("torn: left out: ")
    with pytest.raises(ResultsError):
        report_of(torn)


def test_folders_that_are_all_left_out_are_not_called_future_results(tmp_path):
    torn = cell(tmp_path / "s" / "torn", {"a": times(2), "b": times(1)})
    (torn / "race.json").write_text("{")
    report = report_of(tmp_path / "s")
    assert (report.title, report.answer) == ("No usable results", ("No cell has usable results.",))
    assert len(report.left_out) == 1


def test_missing_runs_are_warned_about(tmp_path):
    cell(tmp_path / "r" / "1", {"a": [None] * 3, "b": [1.0, None, 1.0]})
    cell(tmp_path / "r" / "2", {"a": [2.0] * 3, "b": [None, None, 1.0]}, swarmSize=8)
    running = cell(tmp_path / "r" / "3", {"a": [2.0, None], "b": [None] * 2}, swarmSize=16)
    _edit(running, status="running")
    found = {line.text: line.cells for line in report_of(tmp_path / "r").warnings}
    lost = {text: cells for text, cells in found.items() if text[:3] in ("a: ", "b: ")}
    assert lost == {
        "a: every run is missing, so nothing is known about it": ("4x1-10MB",),
        "b: 3 runs missing, in no figure": ("4x1-10MB", "8x1-10MB"),
    }


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        ({"format": 2}, "cells with 2 different results formats: 2; 3"),
        ({"definitions": "0a"}, "cells with 2 different versions of the definitions: 0a; not"),
        ({"backend": "kubernetes"}, "cells with 2 different backends: kubernetes; local"),
    ],
)
def test_what_differs_between_cells_is_warned_about(tmp_path, edit, text):
    for name, size in (("1", 4), ("2", 8)):
        folder = cell(tmp_path / "r" / name, {"a": times(1), "b": times(1)}, swarmSize=size)
        if name == "1":
            _edit(folder, **edit)
    texts = [line.text for line in report_of(tmp_path / "r").warnings]
    assert [found for found in texts if found.startswith(text)]


def test_an_entrant_with_other_settings_in_another_cell_is_warned_about(tmp_path):
    cell(tmp_path / "r" / "1", {"a": times(1), "b": times(1)})
    others = {"a": {"kind": "bittorrent"}, "b": {"kind": "bittorrent", "profile": "tuned"}}
    cell(tmp_path / "r" / "2", {"a": times(1), "b": times(1)}, swarmSize=8, entrants=others)
    texts = [line.text for line in report_of(tmp_path / "r").warnings]
    assert "a raced with 2 different settings: synthetic, stock; bittorrent, stock" in texts
    assert "b raced with 2 different settings: bittorrent, stock; bittorrent, tuned" in texts


def _edit(folder: Path, **fields: object) -> None:
    path = folder / "race.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_of_two_copies_of_a_race_the_finished_one_counts(tmp_path):
    """A race that was fetched while it ran, and again at its end."""
    early = cell(tmp_path / "r" / "early", {"a": [1.0, None], "b": [1.0, None]})
    _edit(early, status="running")
    cell(tmp_path / "r" / "late", {"a": [1.0, 3.0], "b": [1.0, 1.0]})
    report = report_of(tmp_path / "r")
    assert [each.facts.folder for each in report.cells] == ["late"]
    assert report.state == ()
    [line] = report.left_out
    assert line.startswith(f"{early}: left out: it holds race ")
    assert "late already holds" in line


def test_a_race_that_was_raced_again_counts_once_and_is_named(tmp_path):
    """The same scenario raced twice without raising `attempt`: the first one counts."""
    for name, day in (("a-second", 24), ("b-first", 23)):
        folder = cell(tmp_path / "r" / name, {"a": times(1), "b": times(1)})
        _edit(folder, createdUtc=f"2026-11-{day}T18:00:00Z")
    report = report_of(tmp_path / "r")
    assert [each.facts.folder for each in report.cells] == ["b-first"]
    assert "a-second: left out: it holds race" in report.left_out[0]
    assert "(raced again at 2026-11-24T18:00:00Z: raise race.attempt)" in report.left_out[0]


def test_different_machines_are_warned_about(tmp_path):
    for name, size in (("1", 4), ("2", 8)):
        folder = cell(tmp_path / "r" / name, {"a": times(1), "b": times(1)}, swarmSize=size)
        text = (folder / "race.json").read_text()
        (folder / "race.json").write_text(text.replace("a CPU", f"CPU {name}"))
    texts = [line.text for line in report_of(tmp_path / "r").warnings]
    assert any(text.startswith("cells with 2 different machines") for text in texts)


def test_a_race_is_reported_while_it_is_raced(tmp_path):
    """A real race: at no moment a report, a verdict or an export fails."""
    curve = {"kind": "synthetic", "curve": [[0, 0], [1.5, 1]]}
    race = {"swarmSize": 3, "fileSize": "1MB", "repetitions": 3}
    file = tmp_path / "race.yaml"
    file.write_text(json.dumps({"global": {"race": race, "entrants": {"a": curve, "b": curve}}}))
    given, out = str(tmp_path / "r"), str(tmp_path / "out")
    command = [sys.executable, "-m", "swarmrace", "run", str(file), "--results", given]
    states = set()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        over = False
        while not over:
            over = process.poll() is not None
            if not list((tmp_path / "r").glob("*/race.json")):
                time.sleep(0.05)
                continue
            for arguments in (["report", given, "-o", out], ["export", given, "-o", out]):
                ran = CliRunner().invoke(main, arguments)
                assert ran.exit_code == 0, ran.output
                states |= {line.rpartition(", ")[2] for line in ran.stderr.splitlines()}
            ran = CliRunner().invoke(main, ["verdict", given, "--accept", "furps"])
            assert ran.exit_code in (Exit.OK, Exit.ACCEPTANCE_UNDECIDED), ran.output
        assert process.returncode == 0, process.stdout.read()
    assert states == {"running"}
    assert "running" not in (tmp_path / "out" / "report.md").read_text()
