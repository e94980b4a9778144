"""What a column is, and what a row of each table is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from swarmrace.export.folders import Race
from swarmrace.recording.records import PeerResult, Percents
from swarmrace.results.folder import RunRecord
from swarmrace.verdict.model import RunVerdict
from swarmrace.verdict.runs import RunView

Type = Literal["text", "integer", "number", "boolean"]


@dataclass(frozen=True, slots=True)
class RunRow:
    """What a row of `runs` is made of."""

    race: Race
    verdict: RunVerdict
    view: RunView

    @property
    def record(self) -> RunRecord:
        """The run as it was recorded."""
        return self.view.record


@dataclass(frozen=True, slots=True)
class TransferRow:
    """What a row of `transfers` is made of: one leecher of one run."""

    run: RunRow
    peer: int
    result: PeerResult | None
    """None where it left no record."""


@dataclass(frozen=True, slots=True)
class MarksRow:
    """What a row of `marks` is made of: one curve of one transfer."""

    transfer: TransferRow
    curve: str
    percents: Percents


class Column(NamedTuple):
    """One column."""

    name: str
    type: Type
    unit: str
    text: str
    get: Callable[[Any], Any]


class Table(NamedTuple):
    """One table."""

    name: str
    text: str
    columns: tuple[Column, ...]
