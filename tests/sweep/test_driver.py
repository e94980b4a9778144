"""What is raced next, how often, and when a sweep ends. The racer only writes results."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from made_sweeps import PINS, attempt, begin, finish
from swarmrace.errors import Exit, SweepError
from swarmrace.sweep import book, driver, lock, state
from swarmrace.sweep.driver import Driver, SweepLimits

STOPPED = {"status": "stopped", "stopped_by": "/work: no space left", "runs": 1}


class WritingRacer:
    """Writes the results of an attempt instead of racing it.

    Args:
        folder: the sweep's folder.
        ends: how the attempts of each cell end, in order; the last one is repeated.
    """

    def __init__(self, folder: Path, ends=None, pins=PINS) -> None:
        self.folder, self.ends, self.now = folder, ends or {}, pins
        self.raced: list[tuple[str, int]] = []

    def pins(self):
        return self.now

    def disk_bytes(self, scenario):
        return 1_000_000

    def race(self, cell, folder, known):
        number = int(folder.name.partition("-")[2])
        count = sum(name == cell.name for name, _ in self.raced)
        self.raced.append((cell.name, number))
        how = self.ends.get(cell.name, [{}])
        how = how[min(count, len(how) - 1)]
        if how == "interrupted":
            return Exit.INTERRUPTED
        part = 0 if cell.scenario.race.continues is None else 1
        attempt(self.folder, cell.name, number, part=part, **how)
        assert cell.scenario.race.attempt == number
        return Exit.OK


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(driver, "_PAUSE_SECONDS", (0.0,))


@pytest.fixture
def folder(tmp_path):
    begin(tmp_path / "sweep", order="cheapest-first")
    return tmp_path / "sweep"


def run(folder, racer, **limits):
    """Drive the sweep once; return its exit code and its output."""
    output = io.StringIO()
    console = Console(file=output, width=1000)
    with lock.held(folder, "local", folder) as (held, _):
        cells = book.read(folder).expanded()
        code = Driver(folder, cells, racer, SweepLimits(**limits), held, console).run()
    return code, output.getvalue()


def test_every_cell_is_raced_once_in_the_sweeps_order(folder):
    racer = WritingRacer(folder)
    code, output = run(folder, racer)
    assert code != Exit.INFRASTRUCTURE
    assert racer.raced == [(cell.name, 1) for cell in book.read(folder).ordered()]
    assert not state.read(folder).missing
    assert "3 of 4 cells done" in output
    run(folder, racer)
    assert len(racer.raced) == 4, "nothing is left to race"


def test_an_attempt_that_the_infrastructure_ended_is_retried_at_once(folder):
    racer = WritingRacer(folder, {"2x1-1kB": [STOPPED, {}]})
    run(folder, racer)
    assert racer.raced[:3] == [("2x1-1kB", 1), ("2x1-1kB", 2), ("2x1-2kB", 1)]
    assert not state.read(folder).missing


def test_a_cell_without_retries_left_is_raced_at_the_next_start(folder):
    racer = WritingRacer(folder, {"2x1-2kB": [STOPPED]})
    code, output = run(folder, racer, retries=1)
    assert code == Exit.INFRASTRUCTURE
    assert [n for name, n in racer.raced if name == "2x1-2kB"] == [1, 2]
    assert [part.cell.name for part in state.read(folder).missing] == ["2x1-2kB"]
    assert "given up for now after 2 attempts" in output
    assert "stopped by the infrastructure: /work: no space left" in output
    racer.ends = {}
    run(folder, racer, retries=1)
    assert racer.raced[-1] == ("2x1-2kB", 3)
    assert not state.read(folder).missing


def test_two_cells_given_up_in_a_row_end_the_sweep(folder):
    names = [cell.name for cell in book.read(folder).ordered()]
    racer = WritingRacer(folder, {name: [STOPPED] for name in names[1:]})
    code, output = run(folder, racer, retries=0)
    assert code == Exit.INFRASTRUCTURE
    assert racer.raced == [(name, 1) for name in names[:3]]
    assert "2 cells in a row were given up" in output


def test_an_interruption_ends_the_sweep(folder):
    racer = WritingRacer(folder, {"2x1-1kB": ["interrupted"]})
    code, _ = run(folder, racer)
    assert code == Exit.INTERRUPTED
    assert len(racer.raced) == 1


def test_only_the_requested_cells_are_raced(folder):
    cell = book.read(folder).cell("3x1-1kB")
    racer = WritingRacer(folder)
    run(folder, racer, cells=(cell.id,))
    assert racer.raced == [("3x1-1kB", 1)]


def test_further_blocks_are_raced_after_the_first_blocks_of_all_cells(folder):
    finish(folder, but=("2x1-1kB",))
    book.write(folder, book.with_repetitions(book.read(folder), 3)[0])
    racer = WritingRacer(folder, {"2x1-1kB": [STOPPED]})
    code, _ = run(folder, racer, retries=0)
    assert code == Exit.INFRASTRUCTURE
    assert [name for name, _ in racer.raced] == ["2x1-1kB", "2x1-2kB", "3x1-1kB", "3x1-2kB"]
    racer.ends = {}
    run(folder, racer)
    assert racer.raced[4:] == [("2x1-1kB", 2), ("2x1-1kB", 1)], "its first blocks come first"
    found = state.read(folder)
    assert not found.missing
    cell = next(each for each in found.cells if each.cell.name == "2x1-1kB")
    assert cell.results().runs[-1].run.repetition == 2


def test_blocks_that_continue_an_attempt_that_no_longer_counts_are_raced_again(folder):
    finish(folder)
    book.write(folder, book.with_repetitions(book.read(folder), 3)[0])
    run(folder, WritingRacer(folder))
    cell = next(each for each in state.read(folder).cells if each.cell.name == "2x1-1kB")
    where = cell.parts[0].counted.folder
    next(where.glob("runs/*/run.json")).unlink()  # damaged: another attempt will count
    racer = WritingRacer(folder)
    run(folder, racer)
    assert racer.raced == [("2x1-1kB", 2), ("2x1-1kB", 2)]
    cell = next(each for each in state.read(folder).cells if each.cell.name == "2x1-1kB")
    assert [part.counted.number for part in cell.parts] == [2, 2]
    assert cell.parts[1].failed[0].why == "continues attempt 1, but attempt 2 counts"


def test_a_version_that_changes_between_two_cells_ends_the_sweep(folder):
    racer = WritingRacer(folder)
    racer.now = PINS.model_copy(update={"programs": {"bt": "libtorrent 9"}})
    with pytest.raises(SweepError, match=r"began with libtorrent 2\.1\.1, found libtorrent 9"):
        run(folder, racer)
    assert racer.raced == []


@pytest.mark.parametrize(
    ("limits", "raced"),
    [({"budget_seconds": 5}, 0), ({"budget_seconds": 15}, 1), ({"disk_bytes": 999_999}, 0)],
)
def test_a_limit_ends_the_sweep_before_the_cell_that_would_exceed_it(
    folder, limits, raced, monkeypatch
):
    """The cells are planned to take 10, 20 … seconds; the first took 8 s plus the start."""
    monkeypatch.setattr(driver.time, "monotonic", lambda: 1000.0)
    racer = WritingRacer(folder)
    code, output = run(folder, racer, **limits)
    assert code == Exit.SWEEP_INCOMPLETE
    assert len(racer.raced) == raced
    assert "stopped before cell " in output
