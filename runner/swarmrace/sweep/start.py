"""Starts or resumes a sweep: takes its lock, writes or reads its plan, and prints its progress."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from swarmrace import atomic
from swarmrace.errors import SweepError
from swarmrace.host import leftovers
from swarmrace.plan.plan import Cell, expand
from swarmrace.scenario.scenario import Scenario
from swarmrace.sweep import book, lock, state, text
from swarmrace.sweep.book import Sweep
from swarmrace.sweep.driver import Driver, Racer, SweepLimits, refuse_other_pins
from swarmrace.sweep.lock import Holder, Lock
from swarmrace.sweep.order import Order
from swarmrace.sweep.pins import Pins
from swarmrace.sweep.state import SweepState
from swarmrace.sweep.watching import SweepMetrics


@dataclass(frozen=True, slots=True)
class Request:
    """The user's request.

    Args:
        scenario: with or without a matrix.
        name: name of a new sweep.
        folder: the sweep's folder; created if missing.
        order: order of a new sweep; None for `shuffled`.
        seed: seed of a new sweep's order; None for the scenario's.
        repetitions: total number of blocks for all cells, or only for `cells`.
        cells: names or ids of the cells to race; empty for all.
        limits: when to stop.
        metrics: the metrics that the sweep exports.
    """

    scenario: Scenario
    name: str
    folder: Path
    order: Order | None = None
    seed: int | None = None
    repetitions: int | None = None
    cells: tuple[str, ...] = ()
    limits: SweepLimits = field(default_factory=SweepLimits)
    metrics: SweepMetrics = field(default_factory=SweepMetrics)


@dataclass(frozen=True, slots=True)
class Started:
    """A sweep whose lock is held."""

    request: Request
    cells: dict[str, Cell]
    """Scenarios by cell id."""
    limits: SweepLimits
    lock: Lock
    console: Console

    def drive(self, racer: Racer, *shown: Callable[[SweepState, str, int], object]) -> int:
        """Race the missing cells with `racer`. Returns and raises as `Driver.run`.

        Each of `shown` is called as `Driver`'s `watch`.
        """

        def watch(found: SweepState, cell: str, attempt: int) -> None:
            for each in (self.request.metrics.update, *shown):
                each(found, cell, attempt)

        return Driver(
            self.request.folder,
            self.cells,
            racer,
            self.limits,
            self.lock,
            self.console,
            watch,
        ).run()


def default_folder(results: Path, stem: str, attempt: int) -> Path:
    """Return the default folder of a sweep.

    Args:
        results: the folder for results.
        stem: name of the scenario file without its extension.
        attempt: `attempt` of the scenario.
    """
    suffix = f"-attempt-{attempt}" if attempt > 1 else ""
    return results / f"{stem}-sweep{suffix}"


@contextlib.contextmanager
def started(
    request: Request,
    driver: str,
    work_dir: Path,
    pins: Callable[[], Pins],
    expect: Callable[[Scenario], float],
    console: Console,
    patience_seconds: float = lock.PATIENCE_SECONDS,
) -> Iterator[Started]:
    """Hold the sweep's lock within the block, and print what remains to be raced.

    First the leftovers of a killed driver are removed from its work folder. Versions may change as
    long as no attempt counts.

    Args:
        request: the user's request.
        driver: what races it: `local`, `kubernetes` or `argocd`.
        work_dir: where its races write their payloads.
        pins: returns the versions that a race would use.
        expect: returns the expected seconds of a scenario.
        console: for progress.
        patience_seconds: how long to wait for the folder's lock.

    Raises:
        SweepError: the folder belongs to another sweep or began with other versions, or another
            driver holds its lock.
        ResultsError: its plan can't be read.
        InfrastructureError: the folder can't be written.
    """
    request.folder.mkdir(parents=True, exist_ok=True)
    with lock.held(request.folder, driver, work_dir, patience_seconds) as (held, before):
        if before is not None:
            _remove_leftovers(before, console)
        _remove_unfinished(request.folder)
        held.note()
        cells = {cell.scenario.cell_id(): cell for cell in expand(request.scenario)}
        sweep = _begin_or_resume(request, list(cells.values()), pins(), expect, console)
        limits = request.limits
        if request.cells:
            limits = replace(limits, cells=tuple(sweep.cell(each).id for each in request.cells))
        if request.repetitions is not None:
            sweep = _add_blocks(request, sweep, limits, console)
        found = state.read(request.folder)
        console.print(f"sweep {sweep.name}: {text.summary(found)}", soft_wrap=True)
        console.print(f"sweep folder: {request.folder}", soft_wrap=True)
        yield Started(request, cells, limits, held, console)


def _begin_or_resume(
    request: Request,
    cells: Sequence[Cell],
    pins: Pins,
    expect: Callable[[Scenario], float],
    console: Console,
) -> Sweep:
    """Return the sweep in the folder, or begin a new one."""
    if book.exists(request.folder):
        return _resume(request, pins, console)
    names = [path.name for path in request.folder.iterdir()]
    if any(name != lock.FILE and not name.startswith(atomic.PROBE_PREFIX) for name in names):
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


def _resume(request: Request, pins: Pins, console: Console) -> Sweep:
    sweep = book.read(request.folder)
    book.refuse_other_scenario(request.folder, sweep, request.scenario)
    for key, wanted, began in (
        ("--order", request.order, sweep.order),
        ("--seed", request.seed, sweep.seed),
    ):
        if wanted is not None and wanted != began:
            raise SweepError(
                f"{key}: found {wanted}, expected {began}, which this sweep began with; leave the "
                "option out, or begin another sweep with --folder"
            )
    found = state.read(request.folder)
    if any(True for _ in found.counted) or sweep.pins == pins:
        refuse_other_pins(request.folder, found, pins)
        return sweep
    console.print(
        "no attempt counts yet: the sweep now uses the current versions instead of those it began "
        "with",
        soft_wrap=True,
    )
    sweep = sweep.model_copy(update={"pins": pins})
    book.write(request.folder, sweep)
    return sweep


def _add_blocks(request: Request, sweep: Sweep, limits: SweepLimits, console: Console) -> Sweep:
    assert request.repetitions is not None
    sweep, grown = book.with_repetitions(sweep, request.repetitions, limits.cells)
    if grown:
        book.write(request.folder, sweep)
        console.print(
            f"blocks added, up to {request.repetitions} each: {grown} cells", soft_wrap=True
        )
    return sweep


def _remove_unfinished(folder: Path) -> None:
    """Remove files that a killed driver left half-written: of the plan, and of fetched results."""
    for path in folder.glob(f"{atomic.TEMPORARY_PREFIX}*"):
        path.unlink(missing_ok=True)
    for path in folder.glob(f"{atomic.PROBE_PREFIX}*"):
        with contextlib.suppress(OSError):
            path.rmdir()
    for path in (folder / state.CELLS).glob("*/blocks-*/.attempt-*"):
        shutil.rmtree(path, ignore_errors=True)


def _remove_leftovers(before: Holder, console: Console) -> None:
    """Remove what the previous driver left if it and its janitor were killed, or at a reboot."""
    parent = Path(before.work_dir)
    for left in leftovers.find(parent) if parent.is_dir() else []:
        if left.folder.name.startswith(f"swarmrace-{before.pid}-"):
            outcome = "removed" if leftovers.remove(left) else "could not be removed"
            console.print(f"{outcome}: {left.describe()}, left by process {before.pid}")
