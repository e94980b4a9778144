"""The results that peers have uploaded so far: times, curves and failures of each run.

It is a preview. Only the verdict (`swarmrace.verdict`) decides what a run counts as.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from swarmrace.recording.records import CURVES, Failure, PeerResult
from swarmrace.statistics.summary import middle

STEP_PERCENT = 2
"""Percents between two points of a median curve."""


@dataclass
class RunSoFar:
    """One run's leechers."""

    seconds: dict[int, float] = field(default_factory=dict)
    """t100 by leecher; infinite if it failed."""
    held_bytes: dict[int, int] = field(default_factory=dict)
    curves: dict[int, tuple[str, list[float]]] = field(default_factory=dict)
    """Kind of curve, and the time to each percent; only for an entrant's newest run."""

    @property
    def completed(self) -> int:
        """Number of completed transfers."""
        return sum(math.isfinite(each) for each in self.seconds.values())

    def number(self, leechers: int) -> float | None:
        """Return the run's number, its median leecher's t100; None while one is missing."""
        return middle(list(self.seconds.values())) if len(self.seconds) >= leechers > 0 else None

    def last(self, leechers: int) -> float | None:
        """Return the last leecher's t100; None while one is missing."""
        return max(self.seconds.values()) if len(self.seconds) >= leechers > 0 else None

    def median_curve(self, leechers: int) -> dict[str, Any] | None:
        """Return the median leecher's time to each percent: `of` names the kind, `times` ends where
        half of the leechers stopped."""
        kinds = {kind for kind, _ in self.curves.values()}
        if len(kinds) != 1 or len(self.seconds) < leechers:
            return None
        times = []
        for percent in range(0, 101, STEP_PERCENT):
            reached = [
                curve[percent] if percent < len(curve) else math.inf
                for _, curve in self.curves.values()
            ]
            reached += [math.inf] * (leechers - len(reached))
            if not math.isfinite(value := middle(reached)):
                break
            times.append(round(value, 3))
        return {"of": kinds.pop(), "times": times}


class HandedIn:
    """All runs of one race. Written by the intake, read by the picture."""

    def __init__(self) -> None:
        self.runs: dict[str, RunSoFar] = {}
        self.failures: dict[tuple[str, int], Failure] = {}
        """By run and peer, since `take_failures` was called."""
        self.version = 0
        self._newest: dict[str, str] = {}

    def note(self, result: PeerResult) -> None:
        """Add one peer's result."""
        self.version += 1
        if result.failure is not None:
            self.failures[result.run_id, result.peer] = result.failure
        run = self.runs.setdefault(result.run_id, RunSoFar())
        if result.role != "leecher":
            return
        run.seconds[result.peer], run.held_bytes[result.peer] = math.inf, 0
        if (transfer := result.transfer) is None:
            return
        run.held_bytes[result.peer] = transfer.received_bytes
        done = transfer.done_seconds if transfer.verified is not False else None
        if done is not None and result.outcome == "completed":
            run.seconds[result.peer] = done
        kind = next((kind for kind in CURVES if kind in transfer.percents), None)
        if kind is not None:
            self._keep_curve(result, (kind, transfer.percents[kind].seconds))

    def run_so_far(self, run_id: str) -> RunSoFar:
        """Return a run; an empty one if nothing was uploaded for it."""
        return self.runs.get(run_id) or RunSoFar()

    def take_failures(self) -> dict[tuple[str, int], Failure]:
        """Return the new failures, and forget them."""
        taken, self.failures = self.failures, {}
        return taken

    def _keep_curve(self, result: PeerResult, curve: tuple[str, list[float]]) -> None:
        run_id, before = result.run_id, self._newest.get(result.entrant, "")
        if run_id > before:  # ids begin with the run's position
            self._newest[result.entrant] = run_id
            if before:
                self.runs[before].curves.clear()
        if run_id >= before:
            self.runs[run_id].curves[result.peer] = curve
