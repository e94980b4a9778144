"""The tables as files: CSV, Parquet, and the data dictionary beside them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from swarmrace import atomic
from swarmrace.errors import UnavailableError
from swarmrace.export.columns import Column, Table
from swarmrace.export.rows import Row, Rows
from swarmrace.export.tables import TABLES

DICTIONARY = "dictionary"
EXTRA = 'pip install "swarmrace[report]"'


def merge(parts: Iterator[Rows]) -> Rows:
    """Return the rows of several folders as those of one."""
    merged: Rows = {table.name: [] for table in TABLES}
    for part in parts:
        for name, found in part.items():
            merged[name].extend(found)
    return merged


def write_csv(folder: Path, rows: Mapping[str, Sequence[Row]]) -> list[Path]:
    """Write each table as CSV (RFC 4180, UTF-8) and the dictionary; return the files.

    Raises:
        OSError: a file can't be written.
    """
    written = [_csv(folder, table, rows[table.name]) for table in TABLES]
    return [*written, *write_dictionary(folder)]


def write_parquet(folder: Path, rows: Mapping[str, Sequence[Row]]) -> list[Path]:
    """Write each table as Parquet (zstd) and the dictionary; return the files. Each column carries
    its meaning and unit as metadata.

    Raises:
        UnavailableError: pyarrow isn't installed.
        OSError: a file can't be written.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UnavailableError(
            f"Parquet needs pyarrow, which isn't installed here: {EXTRA}, or take --format csv"
        ) from error
    types = {
        "text": pyarrow.string(),
        "integer": pyarrow.int64(),
        "number": pyarrow.float64(),
        "boolean": pyarrow.bool_(),
    }
    written = []
    for table in TABLES:
        fields, arrays = [], []
        columns = list(zip(*rows[table.name], strict=True)) or [()] * len(table.columns)
        for column, values in zip(table.columns, columns, strict=True):
            meaning = {"meaning": column.text, "unit": column.unit}
            fields.append(pyarrow.field(column.name, types[column.type], metadata=meaning))
            arrays.append(pyarrow.array(values, types[column.type]))
        buffer = io.BytesIO()
        schema = pyarrow.schema(fields, metadata={"table": table.text})
        parquet.write_table(
            pyarrow.Table.from_arrays(arrays, schema=schema), buffer, compression="zstd"
        )
        path = folder / f"{table.name}.parquet"
        atomic.write_bytes(path, buffer.getvalue())
        written.append(path)
    return [*written, *write_dictionary(folder)]


def write_dictionary(folder: Path) -> list[Path]:
    """Write what every column means, as CSV and as Markdown; return the files."""
    rows = [
        (table.name, column.name, column.type, column.unit, column.text)
        for table, column in _dictionary()
    ]
    head = ("table", "column", "type", "unit", "meaning")
    paths = folder / f"{DICTIONARY}.csv", folder / f"{DICTIONARY}.md"
    atomic.write_bytes(paths[0], _csv_bytes(head, rows))
    atomic.write_bytes(paths[1], dictionary_markdown().encode())
    return list(paths)


def dictionary_markdown() -> str:
    """Return the data dictionary for people."""
    lines = [
        "# Data dictionary",
        "",
        "What isn't known, or doesn't apply, is empty. A time that doesn't exist because a "
        "transfer failed is empty too: `outcome` and `status` say so. Seconds count from each "
        "leecher's own start stamp, on its host's monotonic clock. Join by `race_id`, `run_id` "
        "and `peer`.",
    ]
    for table in TABLES:
        lines += ["", f"## {table.name}", "", table.text, ""]
        lines += ["| column | type | unit | meaning |", "| --- | --- | --- | --- |"]
        shown = [c for c in table.columns if not _is_percent(c) or c.name in ("p0", "p1", "p100")]
        for column in shown:
            name = "`p1` … `p99`" if column.name == "p1" else f"`{column.name}`"
            text = "Time to 1, 2 … 99 %, likewise" if column.name == "p1" else column.text
            lines.append(f"| {name} | {column.type} | {column.unit} | {text} |")
    return "\n".join(lines) + "\n"


def _is_percent(column: Column) -> bool:
    return column.name[0] == "p" and column.name[1:].isdigit()


def _dictionary() -> Iterator[tuple[Table, Column]]:
    for table in TABLES:
        for column in table.columns:
            yield table, column


def _csv(folder: Path, table: Table, rows: Sequence[Row]) -> Path:
    path = folder / f"{table.name}.csv"
    booleans = [i for i, column in enumerate(table.columns) if column.type == "boolean"]
    texts = [i for i, column in enumerate(table.columns) if column.type == "text"]
    named = [column.name for column in table.columns]
    atomic.write_bytes(path, _csv_bytes(named, (_plain(row, booleans, texts) for row in rows)))
    return path


def _plain(row: Row, booleans: Sequence[int], texts: Sequence[int]) -> Sequence[Any]:
    cells = list(row)
    for at in booleans:
        cells[at] = None if cells[at] is None else ("true" if cells[at] else "false")
    for at in texts:
        # A spreadsheet would take it for a formula.
        if cells[at] and cells[at][0] in "=+-@\t\r":
            cells[at] = f"'{cells[at]}"
    return cells


def _csv_bytes(head: Sequence[str], rows: Any) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue().encode()
