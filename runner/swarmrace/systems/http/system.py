"""The baseline behind the contract of `swarmrace.systems.abc`."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import swarmrace
from swarmrace.errors import Reason, TransferError
from swarmrace.recording.payload import file_sha256
from swarmrace.systems.abc import Context, Counters, Digest, Published, Record, Reference, System
from swarmrace.systems.http import tuning
from swarmrace.systems.http.client import Download, fetched
from swarmrace.systems.http.options import HttpOptions
from swarmrace.systems.http.server import FileServer
from swarmrace.systems.run import Run


class HttpSystem(System):
    """One peer of the baseline: a seeder's server, or a leecher's connection."""

    options: HttpOptions

    def __init__(self, context: Context, options: HttpOptions) -> None:
        super().__init__(context, options)
        self._run: Run | None = None
        self._server: FileServer | None = None
        self._path: Path | None = None
        self._file = -1
        self._record: Record | None = None

    async def prepare(self, run: Run) -> None:
        """Open the leecher's file; a server comes with its publish."""
        await self.remove()
        self._run = run
        if run.role(self.context.peer) == "leecher":
            self._path = self.context.work_dir / f"{run.id}.payload"
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)

    async def publish(self, file: Path, first: Reference | None) -> Published:
        """Listen. Every seeder has its own URL, so `first` says nothing about the content."""
        if self._run is None:
            raise RuntimeError("publish before prepare")
        await self._stop()
        try:
            self._server = FileServer(
                self.context.address, file, f"/{self._run.id}", tuning.configure
            )
        except OSError as error:
            raise TransferError(
                Reason.REFUSED, f"can't serve {file} on {self.context.address}: {error}"
            ) from error
        return Published({"url": self._server.url})

    async def fetch(self, references: Sequence[Reference], record: Record) -> None:
        """Read from this leecher's seeder, in a thread; a cancellation tears the connection."""
        if self._run is None or self._file < 0:
            raise RuntimeError("fetch before prepare, or by a seeder")
        self._record = record
        record.connections_at_start = 0
        download = Download(
            references[self._rank(self._run) % len(references)]["url"],
            self._file,
            record,
            read_size=self.options.read_size,
            source=self.context.address,
            configure=tuning.configure,
        )
        await fetched(download)

    def counters(self) -> Counters:
        """Payload bytes taken by the kernel (seeder) or received (leecher)."""
        if self._server is not None:
            return Counters(
                sent_bytes=self._server.sent_bytes,
                payload_sent_bytes=self._server.sent_bytes,
                connections=self._server.connections,
                extra={"accepted_connections": self._server.accepted},
            )
        if self._record is not None:
            received = self._record.progress_bytes
            return Counters(
                received_bytes=received, payload_sent_bytes=0, payload_received_bytes=received
            )
        return Counters()

    async def digest(self) -> Digest:
        """Read the leecher's file back."""
        if self._path is None:
            raise RuntimeError("digest without a fetch")
        sha256 = await asyncio.to_thread(file_sha256, self._path)
        return Digest(self._path.stat().st_size, sha256)

    async def remove(self) -> None:
        """Stop serving; delete the leecher's file."""
        await self._stop()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None
        self._run = self._record = None

    async def close(self) -> None:
        """Do the same; there is nothing else."""
        await self.remove()

    def describe(self) -> Mapping[str, Any]:
        """Return the kernel's TCP defaults with the settings: with stock they decide."""
        settings, reasons = tuning.settings(self.options)
        return {
            "version": f"swarmrace {swarmrace.__version__}, {platform.system()} "
            f"{platform.release()}",
            "settings": settings,
            "reasons": reasons,
        }

    def _rank(self, run: Run) -> int:
        """Return this leecher's place among the leechers."""
        return sum(run.role(peer) == "leecher" for peer in range(self.context.peer))

    async def _stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await asyncio.shield(asyncio.to_thread(server.close))
