"""Finds results folders and reads them in parallel, without their npz."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from swarmrace.errors import ResultsError, ScenarioError
from swarmrace.export.cells import cell_name
from swarmrace.integrity.verify import require_records
from swarmrace.recording.records import RaceInfo
from swarmrace.results import folder as results
from swarmrace.results import formats
from swarmrace.results.folder import Results
from swarmrace.results.manifest import FILE
from swarmrace.results.parts import merge
from swarmrace.scenario import loading as scenarios
from swarmrace.verdict import Verdict, compute
from swarmrace.verdict.compute import Accepted

SWEEP_FILE = "sweep.json"
_DEPTH = 6
"""Maximum depth of results folders below a given one. A sweep's are in
SWEEP/cells/CELL/BLOCKS/ATTEMPT, and a folder may hold several sweeps."""
_SWEEP_DEPTH = 2
"""Maximum depth of a sweep's folder below a given one."""
S = TypeVar("S")
T = TypeVar("T")


class JudgedAttempt(Protocol):
    """An attempt at a cell, with its verdict."""

    @property
    def attempt(self) -> int:
        """The scenario's attempt, from 1."""

    @property
    def verdict(self) -> Verdict:
        """Its verdict."""


A = TypeVar("A", bound=JudgedAttempt)


@dataclass(frozen=True, slots=True)
class JudgedRace:
    """One results folder, read and judged."""

    results: Results
    verdict: Verdict
    cell: str
    """Name of its cell."""
    key: str
    """Its cell's id (`Scenario.cell_id`)."""

    @property
    def attempt(self) -> int:
        """The scenario's attempt, from 1."""
        return self.results.scenario.race.attempt


def find_results(given: Sequence[Path]) -> list[Path]:
    """Return the results folders among `given` and those below them (of a sweep).

    Raises:
        ResultsError: one of the given folders holds no results and isn't a sweep, which may have
            none yet.
    """
    found: dict[Path, None] = {}
    for path in given:
        below = list(_below(path, _DEPTH))
        if not below and not find_sweeps([path]):
            raise ResultsError(
                f"{path}: expected a results folder or a folder of them, found no race.json in "
                "it; give a folder that `swarmrace run` or `swarmrace sweep` printed"
            )
        found.update(dict.fromkeys(each.resolve() for each in below))
    return list(found)


def find_sweeps(given: Sequence[Path]) -> list[Path]:
    """Return the folders of sweeps among `given` and those below them."""
    found = (each for path in given for each in _below(path, _SWEEP_DEPTH, SWEEP_FILE))
    return list(dict.fromkeys(each.resolve() for each in found))


def _below(path: Path, depth: int, name: str = "race.json") -> Iterator[Path]:
    if (path / name).is_file():
        yield path
        return
    if depth and path.is_dir():
        for each in sorted(path.iterdir()):
            if each.is_dir() and not each.name.startswith("."):
                yield from _below(each, depth - 1, name)


def group_parts(folders: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Return the folders in groups: a folder with further blocks of another race joins its group.

    A sweep that gets further repetitions races them as such parts (`race.continues`). Of each part
    the first attempt that ran to its end counts; a later part joins only the attempt that it
    continues, so parts are joined up to the first gap.
    """
    parts: dict[str, list[_RacePart]] = {}
    for folder in folders:
        if (part := _part(folder)) is not None:
            parts.setdefault(part.cell, []).append(part)
    joined: dict[Path, tuple[Path, ...]] = {}
    for found in parts.values():
        chain: list[_RacePart] = []
        for part in sorted(found, key=lambda each: (each.blocks.start, each.attempt)):
            end, attempt = (chain[-1].blocks.stop, chain[-1].attempt) if chain else (0, 0)
            if (part.blocks.start, part.continues) == (end, attempt):
                chain.append(part)
        if len(chain) > 1:
            together = tuple(part.folder for part in chain)
            joined |= dict.fromkeys(together, together)
    return list(dict.fromkeys(joined.get(folder, (folder,)) for folder in folders))


@dataclass(frozen=True, slots=True)
class _RacePart:
    """A race that ran to its end: all blocks of its cell, or only further ones."""

    folder: Path
    cell: str
    """Its cell's id."""
    blocks: range
    attempt: int
    continues: int
    """Attempt of the race that it continues; 0 if it continues none."""


def _part(folder: Path) -> _RacePart | None:
    path = folder / "race.json"
    try:
        info = formats.read(path, RaceInfo, "race")
        scenario = scenarios.parse(info.scenario, str(path), stored=True)
    except (ResultsError, ScenarioError):
        return None  # the error is reported when the folder is read
    if info.status != "finished":
        return None
    race = scenario.race
    first, attempt = (race.continues.blocks, race.continues.attempt) if race.continues else (0, 0)
    blocks = range(first, race.repetitions)
    return _RacePart(folder, scenario.cell_id(), blocks, race.attempt, attempt)


def read(*folders: Path) -> JudgedRace:
    """Read and judge one race without its npz.

    Args:
        folders: its results folders; each holds further blocks of the one before (`group_parts`).

    Raises:
        ResultsError: a folder can't be read, or was edited after its race.
    """
    return judge(merge([read_records(each) for each in folders]))


def read_records(folder: Path) -> Results:
    """Read one results folder without its npz.

    Raises:
        ResultsError: the folder can't be read, or was edited after its race.
    """
    require_records(folder)
    return results.load(folder, curves=False)


def judge(loaded: Results, accepted: Accepted = lambda _: None) -> JudgedRace:
    """Return a results folder with its verdict.

    Args:
        loaded: the results folder.
        accepted: see `verdict.compute.compute`.
    """
    verdict = compute(loaded, accepted)
    return JudgedRace(loaded, verdict, cell_name(loaded.scenario), loaded.scenario.cell_id())


def counted(tries: Sequence[A]) -> tuple[A, list[A]]:
    """Return the attempt that counts for a cell, and the others in order.

    It is the first one that ran to its end, or the one with the most runs if none did.

    Args:
        tries: all attempts at one cell, at least one.
    """
    ordered = sorted(tries, key=lambda each: (each.attempt, each.verdict.created_utc))
    ended = [each for each in ordered if each.verdict.status == "finished"]
    best = ended[0] if ended else max(ordered, key=lambda each: _raced(each.verdict))
    return best, [each for each in ordered if each is not best]


def _raced(verdict: Verdict) -> int:
    return sum(run.status != "missing" for run in verdict.runs)


def map_folders(work: Callable[[S], T], folders: Iterable[S]) -> Iterator[T]:
    """Apply `work` to each folder on all CPUs, and yield the results in order.

    The largest folders come first, so that all processes end at about the same time.

    Args:
        work: a module-level function, so that another process finds it. Its result is pickled.
        folders: results folders.
    """
    folders = list(folders)
    cpus = min(len(os.sched_getaffinity(0)), len(folders))
    # Never fork a process with threads: a lock that another thread holds would stay locked.
    if cpus < 2 or threading.active_count() > 1:
        yield from map(work, folders)
        return
    with warnings.catch_warnings():
        # Python 3.12 warns of numpy's idle threads too.
        warnings.simplefilter("ignore", DeprecationWarning)
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(cpus, context, _begin_worker) as pool:
            largest_first = sorted(range(len(folders)), key=lambda at: -_weight(folders[at]))
            found = {at: pool.submit(work, folders[at]) for at in largest_first}
            try:
                for at in range(len(folders)):
                    yield found.pop(at).result()
            finally:
                for unwanted in found.values():
                    unwanted.cancel()


def _weight(folders: object) -> int:
    """Return how much there is to read in a race's folders: the size of their lists of files."""
    weight = 0
    for folder in folders if isinstance(folders, tuple) else (folders,):
        with contextlib.suppress(OSError):
            weight += (folder / FILE).stat().st_size
    return weight


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # it ends soon, and what it reads has no cycles
