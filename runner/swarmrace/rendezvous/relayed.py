"""What the race's relay counts while a run is raced."""

from __future__ import annotations

from pathlib import Path

from swarmrace.network.relay import read_counts
from swarmrace.recording.records import RunResult


class Relayed:
    """The relay's counts of one run.

    Args:
        path: the file in which the relay counts; None where there is none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._began = path, dict[str, int]()

    def begin(self) -> None:
        """Count from here on: a run is opened."""
        self._began = self._counts()

    def in_result(self, result: RunResult) -> RunResult:
        """Return a run's record with what the relay has counted since `begin`."""
        relayed = {name: count - self._began.get(name, 0) for name, count in self._counts().items()}
        return result.model_copy(update={"relay": relayed})

    def _counts(self) -> dict[str, int]:
        counted = read_counts(self._path) if self._path is not None else None
        return counted or {}
