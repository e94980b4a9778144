"""`swarmrace export`: reads results and writes them in another format."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from swarmrace import atomic
from swarmrace.errors import ResultsError
from swarmrace.export import parts, trackers, writers
from swarmrace.export.folders import (
    JudgedRace,
    counted,
    find_results,
    group_parts,
    map_folders,
    read,
)
from swarmrace.export.parts import Part
from swarmrace.export.rows import Rows, rows_of_folder

TABLES: dict[str, tuple[Callable[[Rows], Part], Callable[[Path, Sequence[Part]], list[Path]]]] = {
    "csv": (parts.csv_part, writers.write_csv),
    "parquet": (parts.parquet_part, writers.write_parquet),
}
"""How each format's tables are made from one folder's rows, and written."""
TEXTS: dict[str, Callable[[Sequence[JudgedRace]], str]] = {
    "bmf": trackers.bmf,
    "benchfmt": trackers.benchfmt,
}


def export(
    given: Sequence[Path], format_: str, output: Path | None, warn: Callable[[str], None]
) -> str:
    """Export results; return the text to print: the names of the files, or the export itself.

    Args:
        given: results folders, or folders that hold some (a sweep).
        format_: a key of `TABLES` or `TEXTS`.
        output: folder for tables, or file for a text format. None writes tables into the folder
            `export`, and returns a text.
        warn: called with each further line that the user must know.

    Raises:
        ResultsError: a folder can't be read or was edited, or the output can't be written.
        UnavailableError: a library that the format needs isn't installed.
    """
    folders, left_out = one_of_each(find_results(given))
    for line in left_out:
        warn(line)
    try:
        if format_ in TABLES:
            if format_ == "parquet":
                parts.require_pyarrow()
            found = list(map_folders(partial(_part_of, format_=format_), folders))
            write = TABLES[format_][1]
            return "\n".join(map(str, write(output or Path("export"), found)))
        races, others = counted_races([read(*joined) for joined in group_parts(folders)])
        for each in others:
            warn(f"{each.results.folder}: left out: another attempt at {each.cell} counts")
        text = TEXTS[format_](races)
        if output is None:
            return text.rstrip("\n")
        if output.is_dir():
            raise ResultsError(f"{output}: found a folder, expected the name of a file to write")
        atomic.write_bytes(output, text.encode())
        return str(output)
    except OSError as error:
        raise ResultsError(
            f"{error.filename2 or error.filename}: can't be written: {error.strerror}"
        ) from error


def _part_of(folder: Path, format_: str) -> Part:
    return TABLES[format_][0](rows_of_folder(folder))


def counted_races(races: Sequence[JudgedRace]) -> tuple[list[JudgedRace], list[JudgedRace]]:
    """Return the race that counts for each cell, and the other attempts (`folders.counted`)."""
    by_key: dict[str, list[JudgedRace]] = {}
    for race in races:
        by_key.setdefault(race.key, []).append(race)
    found = [counted(tries) for tries in by_key.values()]
    return [best for best, _ in found], [other for _, others in found for other in others]


def one_of_each(folders: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Return one folder of each race, in order, and a line for each that is left out.

    It is one that holds the race's end if there is one, otherwise the one with the most runs. Of
    several, it is the one that was created first.
    """
    found = {folder: _about(folder) for folder in folders}
    best: dict[str, Path] = {}
    for folder, about in found.items():
        if about.race_id not in best or about < found[best[about.race_id]]:
            best[about.race_id] = folder
    kept, lines = [], []
    for folder, about in found.items():
        first = best[about.race_id]
        if first is folder:
            kept.append(folder)
            continue
        again = about.created_utc != found[first].created_utc
        why = f" (raced again at {about.created_utc}: raise race.attempt)" if again else ""
        lines.append(
            f"{folder}: left out: it holds race {about.race_id}, which {first} already holds{why}"
        )
    return kept, lines


class _RaceFolder(NamedTuple):
    """What decides which folder of a race is kept, in this order."""

    cut_off: bool
    """Whether it doesn't hold the race's end."""
    missing_runs: int
    """Minus the number of its runs if it is cut off, otherwise 0."""
    created_utc: str
    race_id: str


def _about(folder: Path) -> _RaceFolder:
    try:
        info = json.loads((folder / "race.json").read_bytes())
        race_id, created_utc = str(info["raceId"]), str(info.get("createdUtc", ""))
        cut_off = info.get("status") != "finished"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return _RaceFolder(True, 0, "", str(folder))  # reported when the folder is read
    runs = sum(1 for _ in folder.glob("runs/*/run.json")) if cut_off else 0
    return _RaceFolder(cut_off, -runs, created_utc, race_id)
