"""The columns of a table, and the data from which a row of each table is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from swarmrace.export.folders import JudgedRace
from swarmrace.recording.records import PeerResult, Percents
from swarmrace.results.folder import RunRecord
from swarmrace.verdict.model import RunVerdict
from swarmrace.verdict.runs import RunView

Type = Literal["text", "integer", "number", "boolean"]


@dataclass(frozen=True, slots=True)
class RunRow:
    """The data of a row in `runs`."""

    race: JudgedRace
    verdict: RunVerdict
    view: RunView

    @property
    def record(self) -> RunRecord:
        """The run's records."""
        return self.view.record


@dataclass(frozen=True, slots=True)
class TransferRow:
    """The data of a row in `transfers`: one leecher of one run."""

    run: RunRow
    peer: int
    result: PeerResult | None
    """None if the leecher left no record."""


@dataclass(frozen=True, slots=True)
class MarksRow:
    """The data of a row in `marks`: one curve of one transfer."""

    transfer: TransferRow
    curve: str
    percents: Percents


class Column(NamedTuple):
    """One column of a table."""

    name: str
    type: Type
    unit: str
    text: str
    get: Callable[[Any], Any]


class Table(NamedTuple):
    """One table and its columns."""

    name: str
    text: str
    columns: tuple[Column, ...]
