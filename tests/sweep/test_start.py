"""How a sweep starts in a folder that a killed driver left."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from made_sweeps import PINS, attempt, begin, scenario
from swarmrace.errors import SweepError
from swarmrace.sweep import book, state
from swarmrace.sweep.start import Request, started


def start(folder):
    """Start the sweep and end it at once; return what it printed."""
    output = io.StringIO()
    request = Request(scenario(), "made", folder)
    console = Console(file=output, width=1000)
    with started(request, "local", folder, lambda: PINS, lambda cell: 1.0, console):
        pass
    return output.getvalue()


def test_a_plan_that_was_never_finished_is_written_again(tmp_path):
    """The driver was killed while it wrote the first sweep.json, or probed the folder."""
    (tmp_path / ".part-abc").write_text("{")
    (tmp_path / ".swarmrace-def").mkdir()
    (tmp_path / "sweep.lock").touch()
    assert "0 of 4 cells done" in start(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sweep.json", "sweep.lock"]


def test_results_that_were_being_fetched_are_removed(tmp_path):
    begin(tmp_path)
    done = attempt(tmp_path, "2x1-1kB")
    unfinished = done.with_name(".attempt-2-abc") / "results"
    unfinished.mkdir(parents=True)
    (unfinished / "race.json").write_text("{}")
    start(tmp_path)
    assert [path.name for path in done.parent.iterdir()] == ["attempt-1"]
    assert len(state.read(tmp_path).missing) == 3


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SweepError, match="found other files; give another --folder"):
        start(tmp_path)
    assert not book.exists(tmp_path)
