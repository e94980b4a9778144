"""The state of a sweep, for its live page."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from swarmrace.sweep import text
from swarmrace.sweep.state import CellState, SweepState

_log = logging.getLogger(__name__)


class SweepPage:
    """Puts each change of a sweep on its page.

    Args:
        put: called with the data of the event `sweep` (docs/live-page.md).
    """

    def __init__(self, put: Callable[[dict[str, Any]], object]) -> None:
        self._put = put
        self._answers: dict[str, str] = {}

    def update(self, found: SweepState, cell: str = "", attempt: int = 0) -> None:
        """Put a new state of the sweep on the page. An error is logged and never ends a sweep.

        Args:
            found: the sweep's state.
            cell: name of the cell that is being raced; empty between cells.
            attempt: number of its attempt.
        """
        try:
            self._put(self._data(found, cell, attempt))
        except Exception:
            _log.exception("the sweep's page can't be updated; the sweep continues")

    def _data(self, found: SweepState, cell: str, attempt: int) -> dict[str, Any]:
        return {
            "name": found.sweep.name,
            "total": len(found.cells),
            "done": sum(each.done for each in found.cells),
            "failed": len(found.failed),
            "left": round(text.time_left(found).seconds),
            "cell": cell,
            "attempt": attempt,
            "cells": [
                {
                    "name": each.cell.name,
                    "state": text.cell_state(each, found.driver),
                    "answer": self._answer(each),
                }
                for each in found.cells
            ],
        }

    def _answer(self, cell: CellState) -> str:
        """Return the first sentence of the verdict on a cell that is done; it is read only once."""
        if not cell.done:
            return ""
        if cell.cell.id not in self._answers:
            self._answers[cell.cell.id] = text.answer(cell)
        return self._answers[cell.cell.id]
