"""What a peer keeps of its runs, for a rendezvous that comes back without its folder."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from swarmrace.errors import Reason
from swarmrace.rendezvous.messages import LAST_BEFORE_START, Claim, Release

MOST_BYTES: Final = 64 * 1024 * 1024
"""Most that a peer keeps; the oldest run goes first. A pod's disk has room for it
(`swarmrace.backends.kubernetes.pods`)."""
_ABORTING = (Reason.TRACKER_LOST, Reason.INTERRUPTED)


class Keeper:
    """One peer's memory of its runs: how they ended in memory, their files on disk.

    Args:
        folder: where the files lie, made when first needed; None keeps none.
        most_bytes: most that they may take up.
    """

    def __init__(self, folder: Path | None, most_bytes: int = MOST_BYTES) -> None:
        self.claims: dict[str, Claim] = {}
        """How each run this peer has heard of ended, as far as it knows."""
        self._folder, self._most_bytes = folder, most_bytes
        self._sizes: dict[str, dict[str, int]] = {}
        self._started: set[str] = set()

    def heard(self, run_id: str, release: Release) -> None:
        """Note what a release says of a run."""
        failure = release.failure
        if release.barrier == "cleared":
            return
        if release.go:
            if release.barrier == LAST_BEFORE_START:
                self._started.add(run_id)
            raced = release.barrier == "raced" and run_id in self._started
            self.claims[run_id] = Claim(status="raced" if raced else "aborted", failure=failure)
        elif failure is not None:
            status = "aborted" if failure.reason in _ABORTING else "not raced"
            self.claims[run_id] = Claim(status=status, failure=failure)

    def keep(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Keep a run's files. On a full disk they are not kept, which is no error."""
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            folder = self._folder / run_id
            folder.mkdir(parents=True, exist_ok=True)
            kept = self._sizes.setdefault(run_id, {})
            for name, data in files.items():
                (folder / name).write_bytes(data)
                kept[name] = len(data)
        while self._sizes and sum(sum(k.values()) for k in self._sizes.values()) > self._most_bytes:
            oldest = next(iter(self._sizes))
            del self._sizes[oldest]
            shutil.rmtree(self._folder / oldest, ignore_errors=True)

    def lacking(self, there: Iterable[str]) -> list[tuple[str, Path]]:
        """Return what is kept and not `there`, as `run/name` and its file, npz before json."""
        have = set(there)
        return [
            (f"{run_id}/{name}", self._folder / run_id / name)
            for run_id, kept in self._sizes.items()
            for name in kept
            if f"{run_id}/{name}" not in have and self._folder is not None
        ]

    def forget(self) -> None:
        """Remove all files."""
        self._sizes = {}
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def upload_of(data: bytes) -> dict[str, Any]:
    """Return how a file is put: content, digest (RFC 9530) and how long it may take."""
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    headers = {"content-digest": f"sha-256=:{digest}:"}
    return {"content": data, "headers": headers, "timeout": 120.0}
