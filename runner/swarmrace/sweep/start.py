"""Begins a sweep or goes on with one: its folder, its plan, its lock, its first words."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from swarmrace.errors import SweepError
from swarmrace.host import leftovers
from swarmrace.plan.plan import Cell, expand
from swarmrace.scenario.scenario import Scenario
from swarmrace.sweep import book, lock, state, text
from swarmrace.sweep.book import Sweep
from swarmrace.sweep.driver import Driver, Limits, Racer, refuse_other_pins
from swarmrace.sweep.lock import Holder, Lock
from swarmrace.sweep.order import Order
from swarmrace.sweep.pins import Pins
from swarmrace.sweep.watching import SweepMetrics


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asks of a sweep.

    Args:
        scenario: with or without a matrix.
        name: of a new sweep.
        folder: the sweep's; made if it isn't there.
        order: of a new sweep; `shuffled` when absent.
        seed: of a new sweep's order; the scenario's when absent.
        repetitions: blocks that every cell, or each of `cells`, shall have in total.
        cells: names or ids of the only cells to race.
        limits: when to stop.
        metrics: what the sweep exports.
    """

    scenario: Scenario
    name: str
    folder: Path
    order: Order | None = None
    seed: int | None = None
    repetitions: int | None = None
    cells: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    metrics: SweepMetrics = field(default_factory=SweepMetrics)


@dataclass(frozen=True, slots=True)
class Started:
    """A sweep whose lock is held."""

    request: Request
    cells: dict[str, Cell]
    """Scenarios by cell id."""
    limits: Limits
    lock: Lock
    console: Console

    def drive(self, racer: Racer) -> int:
        """Race what is missing by `racer`; return the exit code, and raise, as `Driver.run`."""
        return Driver(
            self.request.folder,
            self.cells,
            racer,
            self.limits,
            self.lock,
            self.console,
            self.request.metrics.update,
        ).run()


def default_folder(results: Path, stem: str, attempt: int) -> Path:
    """Return where the sweep of a scenario file is unless another folder is given."""
    again = f"-attempt-{attempt}" if attempt > 1 else ""
    return results / f"{stem}-sweep{again}"


@contextlib.contextmanager
def started(
    request: Request,
    driver: str,
    work_dir: Path,
    pins: Callable[[], Pins],
    expect: Callable[[Scenario], float],
    console: Console,
) -> Iterator[Started]:
    """Hold the sweep's lock within the block, and say what there is to do.

    What a driver that was killed left in its work folder is removed first. Versions may change as
    long as nothing counts yet.

    Args:
        request: what is asked for.
        driver: who races: `local`, `kubernetes`.
        work_dir: where its races put their payloads.
        pins: returns the versions that it would race with.
        expect: returns about how many seconds a scenario takes.
        console: for people.

    Raises:
        SweepError: the folder is another sweep's, began with other versions, or is being driven.
        ResultsError: its plan can't be read.
    """
    request.folder.mkdir(parents=True, exist_ok=True)
    with lock.held(request.folder, driver, work_dir) as (held, before):
        if before is not None:
            _clean_up(before, console)
        held.note()
        cells = {cell.scenario.cell_id(): cell for cell in expand(request.scenario)}
        sweep = _sweep(request, list(cells.values()), pins(), expect, console)
        limits = request.limits
        if request.cells:
            limits = replace(limits, cells=tuple(sweep.cell(each).id for each in request.cells))
        if request.repetitions is not None:
            sweep = _grown(request, sweep, limits, console)
        found = state.look(request.folder)
        console.print(f"sweep {sweep.name}: {text.summary(found)}", soft_wrap=True)
        console.print(f"sweep's folder: {request.folder}", soft_wrap=True)
        yield Started(request, cells, limits, held, console)


def _sweep(
    request: Request,
    cells: Sequence[Cell],
    pins: Pins,
    expect: Callable[[Scenario], float],
    console: Console,
) -> Sweep:
    """Return the sweep in the folder, or begin it."""
    if book.exists(request.folder):
        return _again(request, pins, console)
    if any(path.name != lock.FILE for path in request.folder.iterdir()):
        raise SweepError(
            f"{request.folder}: expected a sweep's folder or an empty one, found other files; give "
            "another --folder"
        )
    sweep = book.plan_sweep(
        request.scenario,
        request.name,
        order=request.order or "shuffled",
        seed=request.seed,
        pins=pins,
        expected=[expect(cell.scenario) for cell in cells],
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    book.write(request.folder, sweep)
    return sweep


def _again(request: Request, pins: Pins, console: Console) -> Sweep:
    sweep = book.read(request.folder)
    book.refuse_another(request.folder, sweep, request.scenario)
    for key, wanted, began in (
        ("--order", request.order, sweep.order),
        ("--seed", request.seed, sweep.seed),
    ):
        if wanted is not None and wanted != began:
            raise SweepError(
                f"{key}: found {wanted}, but this sweep began with {began}; leave it out, or begin "
                "another sweep by --folder"
            )
    found = state.look(request.folder)
    if any(True for _ in found.counted) or sweep.pins == pins:
        refuse_other_pins(request.folder, found, pins)
        return sweep
    console.print(
        "nothing counts yet: the sweep takes the versions of today instead of those it began with",
        soft_wrap=True,
    )
    sweep = sweep.model_copy(update={"pins": pins})
    book.write(request.folder, sweep)
    return sweep


def _grown(request: Request, sweep: Sweep, limits: Limits, console: Console) -> Sweep:
    assert request.repetitions is not None
    sweep, grown = book.with_repetitions(sweep, request.repetitions, limits.cells)
    if grown:
        book.write(request.folder, sweep)
        console.print(
            f"{grown} cells get further blocks, up to {request.repetitions}", soft_wrap=True
        )
    return sweep


def _clean_up(before: Holder, console: Console) -> None:
    """Remove what the driver before left when it and its janitor were killed, or at a reboot."""
    parent = Path(before.work_dir)
    for left in leftovers.find(parent) if parent.is_dir() else []:
        if left.folder.name.startswith(f"swarmrace-{before.pid}-"):
            gone = "removed" if leftovers.remove(left) else "could not be removed"
            console.print(f"{gone}: {left.describe()}, left by process {before.pid}")
