"""Writes the tables as CSV or Parquet, with their data dictionary."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from swarmrace import atomic
from swarmrace.export.columns import Column, Table
from swarmrace.export.parts import Part, arrow_schema, csv_lines, require_pyarrow
from swarmrace.export.tables import TABLES

DICTIONARY = "dictionary"


def write_csv(folder: Path, parts: Sequence[Part]) -> list[Path]:
    """Write each table as CSV (RFC 4180, UTF-8) and the dictionary; return the files.

    Args:
        folder: the folder to write to.
        parts: each results folder's rows (`parts.csv_part`).

    Raises:
        OSError: a file can't be written.
    """
    written = []
    for table in TABLES:
        head = csv_lines([[column.name for column in table.columns]])[0].encode()
        path = folder / f"{table.name}.csv"
        atomic.write_bytes(path, b"".join((head, *(part[table.name] for part in parts))))
        written.append(path)
    return [*written, *write_dictionary(folder)]


def write_parquet(folder: Path, parts: Sequence[Part]) -> list[Path]:
    """Write each table as Parquet (zstd) and the dictionary; return the files. Each column has its
    meaning and unit as metadata.

    Args:
        folder: the folder to write to.
        parts: each results folder's rows (`parts.parquet_part`).

    Raises:
        UnavailableError: pyarrow isn't installed.
        OSError: a file can't be written.
    """
    require_pyarrow()
    import pyarrow
    from pyarrow import parquet

    written = []
    for table in TABLES:
        read = [pyarrow.ipc.open_stream(part[table.name]).read_all() for part in parts]
        whole = pyarrow.concat_tables(read) if read else arrow_schema(table).empty_table()
        buffer = io.BytesIO()
        parquet.write_table(whole, buffer, compression="zstd")
        path = folder / f"{table.name}.parquet"
        atomic.write_bytes(path, buffer.getvalue())
        written.append(path)
    return [*written, *write_dictionary(folder)]


def write_dictionary(folder: Path) -> list[Path]:
    """Write the data dictionary as CSV and as Markdown; return the files."""
    rows = [
        (table.name, column.name, column.type, column.unit, column.text)
        for table, column in _dictionary()
    ]
    head = ("table", "column", "type", "unit", "meaning")
    paths = folder / f"{DICTIONARY}.csv", folder / f"{DICTIONARY}.md"
    atomic.write_bytes(paths[0], "".join(csv_lines([head, *rows])).encode())
    atomic.write_bytes(paths[1], dictionary_markdown().encode())
    return list(paths)


def dictionary_markdown() -> str:
    """Return the human-readable data dictionary."""
    lines = [
        "# Data dictionary",
        "",
        "A value that is unknown or doesn't apply is empty. The time of a failed transfer is empty "
        "too; `outcome` and `status` tell them apart. Seconds count from each leecher's own start "
        "stamp, on its host's monotonic clock. Join tables by `race_id`, `run_id` and `peer`.",
    ]
    for table in TABLES:
        lines += ["", f"## {table.name}", "", table.text, ""]
        lines += ["| column | type | unit | meaning |", "| --- | --- | --- | --- |"]
        shown = [c for c in table.columns if not _is_percent(c) or c.name in ("p0", "p1", "p100")]
        for column in shown:
            name = "`p1` … `p99`" if column.name == "p1" else f"`{column.name}`"
            text = (
                "Time to 1, 2 … 99 %; empty if never reached"
                if column.name == "p1"
                else column.text
            )
            lines.append(f"| {name} | {column.type} | {column.unit} | {text} |")
    return "\n".join(lines) + "\n"


def _is_percent(column: Column) -> bool:
    return column.name[0] == "p" and column.name[1:].isdigit()


def _dictionary() -> Iterator[tuple[Table, Column]]:
    for table in TABLES:
        for column in table.columns:
            yield table, column
