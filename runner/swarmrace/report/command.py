"""`swarmrace report`: read, build, write."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from swarmrace import atomic
from swarmrace.errors import ResultsError, UnavailableError
from swarmrace.export import writers
from swarmrace.export.command import once, twice
from swarmrace.export.folders import each, find, grouped
from swarmrace.report.build import build
from swarmrace.report.facts import Facts, gather
from swarmrace.report.figures import Figures
from swarmrace.report.markdown import cell_page, page, short
from swarmrace.report.model import Report
from swarmrace.report.page import page as html_page
from swarmrace.report.selection import plan_of


def made(
    given: Sequence[Path],
    *,
    accept: Sequence[str] = (),
    title: str = "",
    curves: bool = False,
) -> tuple[Report, list[Facts]]:
    """Return the report of results folders, or of folders that hold some, and what it is made of.

    Args:
        given: the folders.
        accept: acceptances that take the place of the scenarios' (`facts.accepted`).
        title: of the page.
        curves: read every npz too.

    Raises:
        ResultsError: a folder can't be read or was edited, or none holds results.
        UsageError: an acceptance doesn't fit the races.
    """
    found = find(given)
    read = partial(
        tried, given=tuple(path.resolve() for path in given), accept=tuple(accept), curves=curves
    )
    facts: list[Facts] = []
    left_out = twice(found)
    for each_ in each(read, grouped(once(found))):
        if isinstance(each_, str):
            left_out.append(each_)
        else:
            facts.append(each_)
    report = build(facts, title=title, planned=plan_of(given), left_out=left_out)
    return report, facts


def tried(
    folders: tuple[Path, ...], given: Sequence[Path], accept: Sequence[str], curves: bool
) -> Facts | str:
    """Return what is read of a race, or why it is left out: it lies below a folder that is given,
    and can't be read. So one torn folder costs a sweep one cell and no report.

    Raises:
        ResultsError: a folder that was itself given can't be read.
    """
    try:
        return gather(folders, accept, curves=curves)
    except ResultsError as error:
        if set(folders) & set(given):
            raise
        return f"{folders[0].name}: left out: {error}"


def write(report: Report, facts: Sequence[Facts], output: Path) -> list[Path]:
    """Write the whole report into a folder; return the files that people open first.

    Pages and figures of cells that an earlier report left there are removed.

    Raises:
        ResultsError: a file can't be written.
        UnavailableError: Jinja2 isn't installed.
    """
    figures = Figures(report)
    try:
        written = set()
        for drawing in figures.every():
            path = output / "figures" / f"{drawing.slug}.svg"
            atomic.write_bytes(path, drawing.file().encode())
            written.add(path)
        for cell in report.cells:
            text = cell_page(report, cell, figures)
            path = output / "cells" / f"{cell.anchor}.md"
            atomic.write_bytes(path, text.encode())
            written.add(path)
        # What an earlier report has left of cells that this one doesn't have.
        for path in {*(output / "cells").glob("*.md"), *(output / "figures").glob("*.svg")}:
            if path not in written:
                path.unlink()
        first = [output / "report.html", output / "report.md"]
        with _meanwhile(partial(_write_data, facts, output / "data")):
            for path, text in zip(first, (html_page(report, figures), page(report)), strict=True):
                atomic.write_bytes(path, text.encode())
    except OSError as error:
        raise ResultsError(f"{error.filename}: can't be written: {error.strerror}") from error
    return first


def _write_data(facts: Sequence[Facts], folder: Path) -> None:
    rows = writers.merge(iter([each.rows for each in facts]))
    writers.write_csv(folder, rows)
    with contextlib.suppress(UnavailableError):  # CSV says the same
        writers.write_parquet(folder, rows)


@contextlib.contextmanager
def _meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Do `work` in a process of its own while the block runs; if that fails, do it here."""
    process = None
    # A process with threads isn't forked: a lock that another thread holds would never be free.
    if len(os.sched_getaffinity(0)) > 1 and threading.active_count() == 1:
        with warnings.catch_warnings():
            # Of numpy's own idle threads, which Python 3.12 counts too.
            warnings.simplefilter("ignore", DeprecationWarning)
            process = multiprocessing.get_context("fork").Process(target=work, daemon=True)
            process.start()
    try:
        yield
    finally:
        if process is not None:
            process.join()
    if process is None or process.exitcode:
        work()


def report(
    given: Sequence[Path],
    output: Path,
    *,
    accept: Sequence[str] = (),
    title: str = "",
    curves: bool = False,
    summary: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> str:
    """Make a report and return what is to be printed: its files, or the short form.

    Args:
        given: see `made`.
        output: the folder.
        accept: see `made`.
        title: of the page.
        curves: read every npz too.
        summary: return the short form, and write nothing.
        tell: takes what a reader must know beside it, a line each.

    Raises:
        see `made` and `write`.
    """
    found, facts = made(given, accept=accept, title=title, curves=curves)
    for line in (*found.left_out, *found.state):
        tell(line)
    if summary:
        return short(found)
    return "\n".join(map(str, write(found, facts, output)))
