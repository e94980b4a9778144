"""The counts of the race's relay during each run."""

from __future__ import annotations

from pathlib import Path

from swarmrace.network.relay import read_counts
from swarmrace.recording.records import RunResult


class RelayCounts:
    """The relay's counts during one run.

    Args:
        path: the file in which the relay counts; None if there is no relay.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._began = path, dict[str, int]()

    def begin(self) -> None:
        """Count from now on, because a run opens."""
        self._began = self._counts()

    def add_to(self, result: RunResult) -> RunResult:
        """Return a run's record with the relay's counts since `begin`."""
        relayed = {name: count - self._began.get(name, 0) for name, count in self._counts().items()}
        return result.model_copy(update={"relay": relayed})

    def _counts(self) -> dict[str, int]:
        counted = read_counts(self._path) if self._path is not None else None
        return counted or {}
