"""The rows of one results folder, formatted where they are read: as lines of CSV, and for Parquet.

Formatted rows are few bytes that one process passes to another quickly. A matrix has millions of
values.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic_core import to_json

from swarmrace.errors import UnavailableError
from swarmrace.export.columns import Table
from swarmrace.export.rows import Row, Rows
from swarmrace.export.tables import TABLES
from swarmrace.host.output import readable

EXTRA = 'pip install "swarmrace[report]"'

Part = Mapping[str, bytes]
"""Formatted rows, by table name."""


def csv_part(rows: Rows) -> Part:
    """Return each table's rows as lines of CSV (RFC 4180, UTF-8), without the head."""
    return {table.name: _csv_rows(table, rows[table.name]) for table in TABLES}


def _csv_rows(table: Table, rows: Sequence[Row]) -> bytes:
    """Return rows as CSV. The numbers at a row's end, of which `marks` has a hundred, are formatted
    at once, which takes a fifth of the time."""
    columns = table.columns
    booleans = [i for i, column in enumerate(columns) if column.type == "boolean"]
    texts = [i for i, column in enumerate(columns) if column.type == "text"]
    numbers = next(n for n, column in enumerate(reversed(columns)) if column.type != "number")
    if not numbers:
        return "".join(csv_lines(_plain(row, booleans, texts) for row in rows)).encode()
    at = len(columns) - numbers
    begins = csv_lines(_plain(row[:at], booleans, texts) for row in rows)
    ends = (to_json(row[at:])[1:-1].replace(b"null", b"") for row in rows)
    return b"".join(
        b"%b,%b\r\n" % (begin[:-2].encode(), end) for begin, end in zip(begins, ends, strict=True)
    )


def _plain(row: Row, booleans: Sequence[int], texts: Sequence[int]) -> Sequence[Any]:
    cells = list(row)
    for at in booleans:
        cells[at] = None if cells[at] is None else ("true" if cells[at] else "false")
    for at in texts:
        # A spreadsheet would read it as a formula.
        if cells[at] and cells[at][0] in "=+-@\t\r":
            cells[at] = f"'{cells[at]}"
        cells[at] = _text(cells[at])
    return cells


def _text(value: str | None) -> str | None:
    """Return a text as any reader accepts it: many end at a NUL, and none reads a surrogate."""
    return value if not value or value.isprintable() else readable(value)


def csv_lines(rows: Iterable[Sequence[Any]]) -> list[str]:
    """Return rows as CSV; each line ends with CR LF."""
    lines: list[str] = []
    csv.writer(_LineSink(lines.append)).writerows(rows)
    return lines


class _LineSink(NamedTuple):
    """What `csv.writer` writes to: one call a line."""

    write: Callable[[str], Any]


def require_pyarrow() -> None:
    """Refuse Parquet without pyarrow.

    Raises:
        UnavailableError: pyarrow isn't installed.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise UnavailableError(
            f"Parquet needs pyarrow, which isn't installed here: {EXTRA}, or use --format csv"
        ) from error


def parquet_part(rows: Rows) -> Part:
    """Return each table's rows as a stream of Arrow, from which Parquet is written.

    Raises:
        UnavailableError: pyarrow isn't installed.
    """
    require_pyarrow()
    import pyarrow

    part = {}
    for table in TABLES:
        schema = arrow_schema(table)
        columns = list(zip(*rows[table.name], strict=True)) or [()] * len(table.columns)
        arrays = [
            pyarrow.array(map(_text, values) if column.type == "text" else values, field.type)
            for values, column, field in zip(columns, table.columns, schema, strict=True)
        ]
        buffer = io.BytesIO()
        with pyarrow.ipc.new_stream(buffer, schema) as stream:
            stream.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
        part[table.name] = buffer.getvalue()
    return part


def arrow_schema(table: Table) -> Any:
    """Return a table's columns as pyarrow's schema, with their meanings and units as metadata."""
    import pyarrow

    types = {
        "text": pyarrow.string(),
        "integer": pyarrow.int64(),
        "number": pyarrow.float64(),
        "boolean": pyarrow.bool_(),
    }
    fields = [
        pyarrow.field(
            column.name,
            types[column.type],
            metadata={"meaning": column.text, "unit": column.unit},
        )
        for column in table.columns
    ]
    return pyarrow.schema(fields, metadata={"table": table.text})
