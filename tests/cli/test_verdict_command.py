"""Printing and storing a folder's verdict."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from made_results import build, scenario_of
from swarmrace.cli import verdict_command as command
from swarmrace.errors import Exit, ResultsError
from swarmrace.results import folder as results
from swarmrace.verdict import Verdict, compute, render, short

HTTP = {"kind": "http"}


@pytest.fixture
def folder(tmp_path):
    scenario = scenario_of(
        {"x": HTTP, "y": HTTP}, acceptance=[{"entrant": "x", "within": 1.5, "of": "y"}]
    )
    times = {"x": [[2, 2, 2], [2.1, 2.1, 2], [2, 2, 2]], "y": [[1, 1, 1]] * 3}
    return build(tmp_path / "results", scenario, times)


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_show_writes_nothing_to_the_folder(folder, capsys):
    before = files(folder)
    for as_json in (False, True):
        assert command.show(folder, as_json=as_json) == Exit.ACCEPTANCE_MISSED
    assert files(folder) == before


def test_show_always_prints_the_stored_verdict(folder, capsys):
    command.store(folder)
    assert command.show(folder) == Exit.ACCEPTANCE_MISSED
    first = capsys.readouterr().out
    written = (folder / "verdict.txt").read_bytes(), (folder / "verdict.json").read_bytes()
    assert command.show(folder) == Exit.ACCEPTANCE_MISSED
    assert capsys.readouterr().out == first
    assert (folder / "verdict.txt").read_bytes() == written[0]
    assert (folder / "verdict.json").read_bytes() == written[1]
    assert [line.rstrip() for line in first.splitlines()] == written[0].decode().splitlines()


def test_json_on_standard_output(folder, capsys):
    command.store(folder)
    command.show(folder, as_json=True)
    out = capsys.readouterr().out
    assert out == (folder / "verdict.json").read_text()
    found = Verdict.model_validate_json(out)
    assert found.acceptance[0].verdict == "missed"
    assert json.loads(out)["raceId"] == found.race_id
    assert render.text(found) == (folder / "verdict.txt").read_text()


def test_show_prints_to_a_console_and_writes_a_picture(folder, tmp_path):
    console = Console(file=io.StringIO(), width=100)
    command.show(folder, console=console, svg=tmp_path / "pictures" / "verdict.svg")
    assert "took 2.03 ×" in console.file.getvalue()
    assert (tmp_path / "pictures" / "verdict.svg").read_text().startswith("<svg")


def test_a_folder_that_cannot_be_written_is_still_shown(folder, capsys, monkeypatch):
    def refuse(path, data):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("swarmrace.atomic.write_bytes", refuse)
    assert command.show(folder) == Exit.ACCEPTANCE_MISSED
    assert "took 2.03 ×" in capsys.readouterr().out
    with pytest.raises(ResultsError, match=r"v\.svg: can't be written: Permission denied"):
        command.show(folder, svg=folder / "v.svg")


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(ResultsError, match="expected a results folder"):
        command.show(tmp_path)


def test_show_prints_the_short_or_the_full_verdict(folder, capsys):
    for full, page in ((False, short.text), (True, render.text)):
        command.show(folder, full=full)
        out = capsys.readouterr().out
        assert [line.rstrip() for line in out.splitlines()] == page(
            compute(results.load(folder))
        ).splitlines()
