"""What a peer keeps of its runs, for a rendezvous that returns without its folder."""

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

MAX_BYTES: Final = 64 * 1024 * 1024
"""Maximum that a peer keeps; the oldest run is dropped first. A pod's disk has room for it
(`swarmrace.backends.kubernetes.pods`)."""
_ABORTING = (Reason.TRACKER_LOST, Reason.INTERRUPTED)


class Keeper:
    """Keeps one peer's runs: their outcomes in memory, their files on disk.

    Args:
        folder: holds the files, created when first needed; None keeps none.
        max_bytes: maximum total size of the files.
    """

    def __init__(self, folder: Path | None, max_bytes: int = MAX_BYTES) -> None:
        self.claims: dict[str, Claim] = {}
        """How each run went, as far as this peer knows."""
        self._folder, self._max_bytes = folder, max_bytes
        self._sizes: dict[str, dict[str, int]] = {}
        self._started: set[str] = set()

    def note_release(self, run_id: str, release: Release) -> None:
        """Note what a release says about a run."""
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
        """Keep a run's files. If the disk is full they aren't kept, which is no error."""
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            folder = self._folder / run_id
            folder.mkdir(parents=True, exist_ok=True)
            kept = self._sizes.setdefault(run_id, {})
            for name, data in files.items():
                (folder / name).write_bytes(data)
                kept[name] = len(data)
        while self._sizes and sum(sum(k.values()) for k in self._sizes.values()) > self._max_bytes:
            oldest = next(iter(self._sizes))
            del self._sizes[oldest]
            shutil.rmtree(self._folder / oldest, ignore_errors=True)

    def missing_files(self, stored: Iterable[str]) -> list[tuple[str, Path]]:
        """Return the kept files that aren't `stored`, as `run/name` and path, npz before json."""
        have = set(stored)
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
    """Return the options of a file's PUT: content, digest (RFC 9530) and timeout."""
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    headers = {"content-digest": f"sha-256=:{digest}:"}
    return {"content": data, "headers": headers, "timeout": 120.0}
