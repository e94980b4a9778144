"""`swarmrace report`: reads results, builds the report and writes it."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from swarmrace import atomic
from swarmrace.errors import ResultsError, UnavailableError
from swarmrace.export import writers
from swarmrace.export.command import one_of_each
from swarmrace.export.folders import find_results, group_parts, map_folders
from swarmrace.report.build import build
from swarmrace.report.facts import Facts, gather
from swarmrace.report.figures import Figures
from swarmrace.report.markdown import cell_page, page, short
from swarmrace.report.model import Report
from swarmrace.report.page import page as html_page
from swarmrace.report.selection import plan_of


def make_report(
    given: Sequence[Path],
    *,
    accept: Sequence[str] = (),
    title: str = "",
    curves: bool = False,
) -> tuple[Report, list[Facts]]:
    """Return the report on results folders, and the facts from which it is made.

    Args:
        given: results folders, or folders that hold some (a sweep).
        accept: acceptances that replace the scenarios' (`facts.accepted`).
        title: title of the page.
        curves: whether to check every npz too.

    Raises:
        ResultsError: a folder can't be read, was edited, or holds no results.
        UsageError: an acceptance doesn't fit the races.
    """
    folders, left_out = one_of_each(find_results(given))
    read = partial(
        gather_or_skip,
        given=tuple(path.resolve() for path in given),
        accept=tuple(accept),
        curves=curves,
    )
    facts: list[Facts] = []
    for each in map_folders(read, group_parts(folders)):
        if isinstance(each, str):
            left_out.append(each)
        else:
            facts.append(each)
    report = build(facts, title=title, planned=plan_of(given), left_out=left_out)
    return report, facts


def gather_or_skip(
    folders: tuple[Path, ...], given: Sequence[Path], accept: Sequence[str], curves: bool
) -> Facts | str:
    """Return the facts of a race, or why it is left out.

    A folder that can't be read is left out if it is below a given folder. So a broken folder costs
    a sweep's report only one cell.

    Raises:
        ResultsError: a given folder can't be read.
    """
    try:
        return gather(folders, accept, curves=curves)
    except ResultsError as error:
        if set(folders) & set(given):
            raise
        return f"{folders[0].name}: left out: {error}"


def write(report: Report, facts: Sequence[Facts], output: Path) -> list[Path]:
    """Write the whole report to a folder; return the files that people open first.

    Pages and figures of other cells that an earlier report left are removed.

    Raises:
        ResultsError: a file can't be written.
        UnavailableError: Jinja2 isn't installed.
    """
    figures = Figures(report)
    first = [output / "report.html", output / "report.md"]
    try:
        data = partial(_write_data, facts, output / "data")
        cells = partial(_write_cells, report, figures, output)
        with _in_parallel(data), _in_parallel(cells):
            for path, text in zip(first, (html_page(report, figures), page(report)), strict=True):
                atomic.write_bytes(path, text.encode())
    except OSError as error:
        raise ResultsError(
            f"{error.filename2 or error.filename}: can't be written: {error.strerror}"
        ) from error
    return first


def _write_cells(report: Report, figures: Figures, output: Path) -> None:
    """Write every figure and the cells' pages, and remove those of cells that an earlier report
    had."""
    written = set()
    for drawing in figures.every():
        path = output / "figures" / f"{drawing.slug}.svg"
        atomic.write_bytes(path, drawing.file().encode())
        written.add(path)
    for cell in report.cells:
        path = output / "cells" / f"{cell.anchor}.md"
        atomic.write_bytes(path, cell_page(report, cell, figures).encode())
        written.add(path)
    for path in {*(output / "cells").glob("*.md"), *(output / "figures").glob("*.svg")}:
        if path not in written and _is_of_a_report(path):
            path.unlink()


def _is_of_a_report(path: Path) -> bool:
    """Return whether a report wrote a file: a user's own may be in a folder of the same name."""
    mark = 'class="fig"' if path.suffix == ".svg" else "[Whole report](../report.md)"
    with path.open(errors="replace") as file:
        return mark in file.read(4096)


def _write_data(facts: Sequence[Facts], folder: Path) -> None:
    writers.write_csv(folder, [each.csv for each in facts])
    found = [each.parquet for each in facts if each.parquet is not None]
    if len(found) == len(facts):
        with contextlib.suppress(UnavailableError):  # CSV holds the same data
            writers.write_parquet(folder, found)


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Collect no garbage while the block runs: it makes millions of objects, but no cycles."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def _in_parallel(work: Callable[[], None]) -> Iterator[None]:
    """Do `work` in another process while the block runs; if that fails, do it in this one."""
    process = None
    # Never fork a process with threads: a lock that another thread holds would stay locked.
    if len(os.sched_getaffinity(0)) > 1 and threading.active_count() == 1:
        with warnings.catch_warnings():
            # Python 3.12 warns of numpy's idle threads too.
            warnings.simplefilter("ignore", DeprecationWarning)
            fork = multiprocessing.get_context("fork")
            process = fork.Process(target=_silently, args=(work,), daemon=True)
            process.start()
    try:
        yield
    finally:
        if process is not None:
            process.join()
    if process is None or process.exitcode:
        work()


def _silently(work: Callable[[], None]) -> None:
    """Do `work`; if it fails, exit without a traceback, because the parent does it again."""
    try:
        work()
    except Exception:
        sys.exit(1)


def report(
    given: Sequence[Path],
    output: Path,
    *,
    accept: Sequence[str] = (),
    title: str = "",
    curves: bool = False,
    summary: bool = False,
    warn: Callable[[str], None] = lambda _: None,
) -> str:
    """Make a report and return the text to print: the names of its files, or the short form.

    Args:
        given: see `make_report`.
        output: the folder to write to.
        accept: see `make_report`.
        title: title of the page.
        curves: whether to check every npz too.
        summary: whether to return the short form and write nothing.
        warn: called with each further line that the user must know.

    Raises:
        see `make_report` and `write`.
    """
    with _without_collection():
        found, facts = make_report(given, accept=accept, title=title, curves=curves)
        for line in (*found.left_out, *found.state):
            warn(line)
        if summary:
            return short(found)
        return "\n".join(map(str, write(found, facts, output)))
