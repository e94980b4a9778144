"""`swarmrace export`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from swarmrace import atomic
from swarmrace.errors import ResultsError
from swarmrace.export import trackers, writers
from swarmrace.export.folders import Race, each, find, read
from swarmrace.export.rows import rows_of_folder

TABLES = {"csv": writers.write_csv, "parquet": writers.write_parquet}
TEXTS: dict[str, Callable[[Sequence[Race]], str]] = {
    "bmf": trackers.bmf,
    "benchfmt": trackers.benchfmt,
}
FORMATS = (*TABLES, *TEXTS)


def export(
    given: Sequence[Path], format_: str, output: Path | None, tell: Callable[[str], None]
) -> str:
    """Write results in a format of others; return what is to be printed.

    Args:
        given: results folders, or folders that hold some (a sweep).
        format_: one of `FORMATS`.
        output: the folder of the tables, or the file of the rest; nothing: the folder `export`, or
            what is returned.
        tell: takes what a reader must know beside it, a line each.

    Raises:
        ResultsError: a folder can't be read, was edited, or the output can't be written.
        UnavailableError: what the format needs isn't installed.
    """
    folders = find(given)
    for line in twice(folders):
        tell(line)
    folders = list(dict(reversed([(_race_id(folder), folder) for folder in folders])).values())[
        ::-1
    ]
    try:
        if format_ in TABLES:
            target = output or Path("export")
            merged = writers.merge(each(rows_of_folder, folders))
            return "\n".join(map(str, TABLES[format_](target, merged)))
        text = TEXTS[format_]([read(folder) for folder in folders])
        if output is None:
            return text.rstrip("\n")
        atomic.write_bytes(output, text.encode())
        return str(output)
    except OSError as error:
        raise ResultsError(f"{error.filename}: can't be written: {error.strerror}") from error


def once(folders: Sequence[Path]) -> list[Path]:
    """Return the folders without those whose race an earlier one holds already."""
    first: dict[str, Path] = {}
    for folder in folders:
        first.setdefault(_race_id(folder), folder)
    return list(first.values())


def twice(folders: Sequence[Path]) -> list[str]:
    """Return a line for each folder whose race another one holds already: it counts once."""
    seen: dict[str, Path] = {}
    lines = []
    for folder in folders:
        race_id = _race_id(folder)
        first = seen.setdefault(race_id, folder)
        if first is not folder:
            lines.append(
                f"{folder}: left out: it holds race {race_id} again, which {first} holds already"
            )
    return lines


def _race_id(folder: Path) -> str:
    try:
        return str(json.loads((folder / "race.json").read_bytes())["raceId"])
    except (OSError, ValueError, KeyError, TypeError):
        return str(folder)  # which reading it will tell
