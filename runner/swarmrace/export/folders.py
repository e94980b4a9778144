"""Which results folders are meant, read without their npz, each on a process of its own."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from swarmrace.errors import ResultsError
from swarmrace.export.cells import cell_key, cell_name
from swarmrace.integrity.verify import require_records
from swarmrace.results import folder as results
from swarmrace.results.folder import Results
from swarmrace.verdict import Verdict, compute
from swarmrace.verdict.compute import Accepted

_BLOCKS = re.compile(r"blocks-(\d+)-(\d+)")
_DEPTH = 4
"""Of results folders below one that is given: of a sweep's, in cells/CELL/BLOCKS/ATTEMPT."""
S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Race:
    """One results folder, read and judged."""

    results: Results
    verdict: Verdict
    cell: str
    """Name of its cell."""
    key: str
    """See `cell_key`."""

    @property
    def attempt(self) -> int:
        """The scenario's attempt, from 1."""
        return self.results.scenario.race.attempt


def find(given: Sequence[Path]) -> list[Path]:
    """Return the results folders meant by `given`: each itself, or those below it (a sweep).

    Raises:
        ResultsError: one of them holds none.
    """
    found: dict[Path, None] = {}
    for path in given:
        below = list(_below(path, _DEPTH))
        if not below:
            raise ResultsError(
                f"{path}: expected a results folder or a folder of them, found no race.json in "
                "it; give a folder that `swarmrace run` or `swarmrace sweep` named"
            )
        found.update(dict.fromkeys(each.resolve() for each in below))
    return list(found)


def _below(path: Path, depth: int) -> Iterator[Path]:
    if (path / "race.json").is_file():
        yield path
        return
    if depth and path.is_dir():
        for each in sorted(path.iterdir()):
            if each.is_dir() and not each.name.startswith("."):
                yield from _below(each, depth - 1)


def grouped(folders: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Return the folders, those together of which each holds further blocks of the one before.

    A sweep keeps them in CELL/blocks-FIRST-LAST/attempt-N: of each part the first attempt that ran
    to its end counts, and parts are joined as long as none is missing between them.
    """
    parts: dict[Path, dict[range, Path]] = {}
    for folder in sorted(folders, key=_attempt):
        blocks = _BLOCKS.fullmatch(folder.parent.name)
        if blocks and _finished(folder):
            span = range(int(blocks[1]) - 1, int(blocks[2]))
            parts.setdefault(folder.parent.parent, {}).setdefault(span, folder)
    joined: dict[Path, tuple[Path, ...]] = {}
    for found in parts.values():
        chain: list[Path] = []
        end = 0
        for span in sorted(found, key=lambda each: each.start):
            if span.start == end:
                chain.append(found[span])
                end = span.stop
        if len(chain) > 1:
            joined |= dict.fromkeys(chain, tuple(chain))
    return list(dict.fromkeys(joined.get(folder, (folder,)) for folder in folders))


def _attempt(folder: Path) -> int:
    number = re.match(r"attempt-(\d+)", folder.name)
    return int(number[1]) if number else 0


def _finished(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / "race.json").read_bytes())["status"] == "finished")
    except (OSError, ValueError, KeyError, TypeError):
        return False  # which reading it will tell


def read(folder: Path, *, curves: bool = False) -> Race:
    """Read and judge one results folder; npz are not opened, unless they are asked for.

    Raises:
        ResultsError: it can't be read, or was edited after its race.
    """
    require_records(folder)
    return judged(results.load(folder, curves=curves))


def judged(loaded: Results, accepted: Accepted = lambda _: None) -> Race:
    """Return a results folder with its verdict.

    Args:
        loaded: the folder.
        accepted: see `verdict.compute.compute`.
    """
    verdict = compute(loaded, accepted)
    return Race(loaded, verdict, cell_name(loaded.scenario), cell_key(loaded.scenario))


def each(work: Callable[[S], T], folders: Iterable[S]) -> Iterator[T]:
    """Yield what `work` returns for each folder, in their order, on all CPUs.

    Args:
        work: a function of a module, so that another process finds it; what it returns is pickled.
        folders: results folders.
    """
    folders = list(folders)
    cpus = min(len(os.sched_getaffinity(0)), len(folders))
    # A process with threads isn't forked: a lock that another thread holds would never be free.
    if cpus < 2 or threading.active_count() > 1:
        yield from map(work, folders)
        return
    with warnings.catch_warnings():
        # Of numpy's own idle threads, which Python 3.12 counts too.
        warnings.simplefilter("ignore", DeprecationWarning)
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(cpus, context, _ignore_interrupts) as pool:
            yield from pool.map(work, folders)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
