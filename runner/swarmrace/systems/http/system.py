"""The baseline as a system, by the contract of `swarmrace.systems.abc`."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import swarmrace
from swarmrace.errors import Reason, TransferError
from swarmrace.systems.abc import Context, Counters, Digest, Published, Record, Reference, System
from swarmrace.systems.http import tuning
from swarmrace.systems.http.client import Download, fetched
from swarmrace.systems.http.leecher_file import LeecherFile
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
        self._file: LeecherFile | None = None
        self._record: Record | None = None

    async def prepare(self, run: Run) -> None:
        """Open the leecher's file; a seeder's server starts with its publish."""
        await self.remove()
        self._run = run
        if run.role(self.context.peer) == "leecher":
            self._file = LeecherFile(self.context.work_dir / f"{run.id}.payload")

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
        """Read from this leecher's seeder, in a thread; a cancellation closes the connection."""
        if self._run is None or self._file is None:
            raise RuntimeError("fetch before prepare, or by a seeder")
        self._record = record
        record.connections_at_start = 0
        download = Download(
            references[self._rank(self._run) % len(references)]["url"],
            self._file.descriptor,
            record,
            read_size=self.options.read_size,
            source=self.context.address,
            configure=tuning.configure,
        )
        await fetched(download)

    def counters(self) -> Counters:
        """Return payload bytes accepted by the kernel (seeder) or received (leecher)."""
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
        if self._file is None:
            raise RuntimeError("digest without a fetch")
        return await asyncio.to_thread(self._file.digest)

    async def remove(self) -> None:
        """Stop serving; delete the leecher's file."""
        await self._stop()
        file, self._file = self._file, None
        if file is not None:
            file.remove()
        self._run = self._record = None

    async def close(self) -> None:
        """Do the same as `remove`; there is nothing else to release."""
        await self.remove()

    def describe(self) -> Mapping[str, Any]:
        """Return the settings, with the kernel's TCP defaults, which apply."""
        settings, reasons = tuning.settings(self.options)
        return {
            "version": f"swarmrace {swarmrace.__version__}, {platform.system()} "
            f"{platform.release()}",
            "settings": settings,
            "reasons": reasons,
        }

    def _rank(self, run: Run) -> int:
        """Return this leecher's number among the leechers."""
        return sum(run.role(peer) == "leecher" for peer in range(self.context.peer))

    async def _stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await asyncio.shield(asyncio.to_thread(server.close))
