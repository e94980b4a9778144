"""One peer's Transmission behind the contract of `swarmrace.systems.abc`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from swarmrace.errors import Reason, TransferError
from swarmrace.recording.payload import file_sha256
from swarmrace.recording.samples import SampledLog
from swarmrace.systems.abc import Context, Counters, Digest, Published, Record, Reference, System
from swarmrace.systems.bittorrent import torrent
from swarmrace.systems.run import Run
from swarmrace.systems.transmission.daemon import daemon_of, settings_that_differ
from swarmrace.systems.transmission.options import TransmissionOptions
from swarmrace.systems.transmission.rpc import DaemonUnreachableError, TransmissionRpc

T = TypeVar("T")
_SEEDING = 6
_LOCAL_ERROR = 3
"""`error` of a torrent with a local error: no space, a missing file."""
_LOOK_SECONDS = 0.05
_PAUSE_SECONDS = 2.0
_COUNT_SECONDS = 1.0
"""Time between two reads of the counters."""
_HELD = ("haveValid", "haveUnchecked", "metadataPercentComplete", "doneDate", "error")
_COUNTERS = ("uploadedEver", "downloadedEver", "corruptEver", "peersConnected")


class TransmissionSystem(System):
    """One peer of a Transmission swarm.

    Args:
        context: who and where this peer is.
        options: the entrant's options.
    """

    options: TransmissionOptions

    def __init__(self, context: Context, options: TransmissionOptions) -> None:
        super().__init__(context, options)
        self._daemon = daemon_of(context, options)
        self._hash = ""
        self._seeds = False
        self._counters = Counters()
        self._counting: asyncio.Task[None] | None = None
        self._trouble = ""

    async def prepare(self, run: Run) -> None:
        """Start the daemon on an empty profile, unless it runs and may keep running."""
        self._hash, self._counters, self._trouble = "", Counters(), ""
        if self.context.cold_start or not self._daemon.running:
            await self._daemon.start()
        self._seeds = run.role(self.context.peer) == "seeder"

    async def publish(self, file: Path, first: Reference | None) -> Published:
        """Make the torrent, have the daemon check the file, and wait for its announce as a
        seeder."""
        clock, folder = self.context.clock, self._daemon.content / "published"
        announce_url = self.context.announce_url
        began_ns = clock.now_ns()
        made = await asyncio.to_thread(
            torrent.make,
            file,
            folder,
            protocol="v1",
            piece_bytes=self.options.piece_size,
            announce_url=announce_url,
        )
        hashed_ns = clock.now_ns()
        reference = torrent.reference(made, "magnet", announce_url)
        if first is not None and first.get("infoHash") != reference["infoHash"]:
            raise TransferError(
                Reason.REFUSED,
                f"transmission: expected the first seeder's info-hash {first.get('infoHash')}, "
                f"found {reference['infoHash']}",
            )
        metainfo = base64.b64encode(made.metainfo).decode()
        await self._add(metainfo=metainfo, download_dir=str(made.directory))
        checked_ns = await self._alive(self._seeding())
        done_ns = clock.now_ns()
        steps = {
            "hash": hashed_ns - began_ns,
            "check": checked_ns - hashed_ns,
            "announce": done_ns - checked_ns,
        }
        return Published(reference, {name: ns / 1e9 for name, ns in steps.items()})

    async def fetch(self, references: Sequence[Reference], record: Record) -> None:
        """Add the magnet link; poll the progress until all pieces are verified and written."""
        hashes = {str(reference.get("infoHash")) for reference in references}
        if len(hashes) != 1 or "magnet" not in references[0]:
            raise TransferError(
                Reason.REFUSED,
                f"transmission: expected magnet links of one content, found {references!s:.200}",
            )
        log = record.arrivals = SampledLog(record.size_bytes)
        try:
            await self._add(
                filename=references[0]["magnet"], download_dir=str(self._daemon.content)
            )
            await self._alive(self._followed(record, log))
        except BaseException:
            await asyncio.shield(self._pause())
            raise

    async def refresh(self) -> None:
        """Poll the counters once more."""
        with contextlib.suppress(TransferError):
            await self._count()

    def counters(self) -> Counters:
        """Return the daemon's count of payload, as last reported."""
        return self._counters

    async def digest(self) -> Digest:
        """Read the file back."""
        path = self._daemon.content / torrent.NAME
        try:
            sha256 = await asyncio.to_thread(file_sha256, path)
            return Digest(path.stat().st_size, sha256)
        except OSError as error:
            raise TransferError(
                Reason.WRONG_BYTES, f"expected the content at {path}, found {error.strerror}"
            ) from error

    async def remove(self) -> None:
        """Remove the torrent and what was fetched; end the daemon after a cold run.

        Raises:
            TransferError: it had died while it served.
        """
        started = self._daemon.running or self._hash
        death = await self._daemon.autopsy(_LOOK_SECONDS) if started else None
        await self._stop_counting()
        info_hash, self._hash = self._hash, ""
        if self.context.cold_start or death is not None:
            await self._daemon.stop()
        elif info_hash:
            # A seeder's link (swarmrace made it) points to the peer's own file.
            await self._rpc.call(
                "torrent-remove", ids=[info_hash], delete_local_data=not self._seeds
            )
            (self._daemon.content / "published" / torrent.NAME).unlink(missing_ok=True)
        if death is not None:
            raise self._daemon.death(death)

    async def close(self) -> None:
        """End the daemon, in any state."""
        await self._stop_counting()
        with contextlib.suppress(Exception):
            await self._daemon.stop()

    def describe(self) -> Mapping[str, Any]:
        """Return the daemon's version and every setting that was given to it."""
        settings, reasons = settings_that_differ(self.options)
        more = {"pollSeconds": self.options.poll_seconds}
        if self.options.piece_size is not None:
            more["pieceSize"] = self.options.piece_size
        version = self._daemon.version
        return {
            "version": f"Transmission {version}" if version != "unknown" else version,
            "settings": {**settings, **more},
            "reasons": reasons,
        }

    def last_words(self) -> str:
        """Return the end of the daemon's log."""
        return self._daemon.last_lines()

    @property
    def trouble(self) -> str:
        """What the daemon couldn't do yet, in its own words."""
        return self._trouble

    def processes(self) -> list[int]:
        """Return the daemon's pid; none if it runs in a container whose processes can't be seen."""
        return self._daemon.pids()

    @property
    def _rpc(self) -> TransmissionRpc:
        if self._daemon.rpc is None:
            raise TransferError(Reason.REFUSED, "transmission: expected a daemon, found none")
        return self._daemon.rpc

    async def _add(self, **what: Any) -> None:
        added = await self._alive(self._rpc.call("torrent-add", **what, paused=False))
        found = added.get("torrent-added") or added.get("torrent-duplicate") or {}
        if "torrent-added" not in added:
            raise TransferError(
                Reason.REFUSED, f"transmission: expected a torrent that is new to it, found {found}"
            )
        self._hash = str(found["hashString"])
        await self._stop_counting()
        self._counting = asyncio.create_task(self._keep_counting())

    async def _pause(self) -> None:
        """Have the daemon stop fetching, if it still answers."""
        if self._hash and self._daemon.rpc is not None:
            with contextlib.suppress(TransferError, TimeoutError):
                async with asyncio.timeout(_PAUSE_SECONDS):
                    await self._daemon.rpc.call("torrent-stop", ids=[self._hash])

    async def _seeding(self) -> int:
        """Return the instant at which the file had been checked, once the tracker has answered the
        announce."""
        fields = ("status", "leftUntilDone", "error", "errorString", "trackerStats")
        checked_ns: int | None = None
        while True:
            found = await self._rpc.torrent(self._hash, fields)
            self._raise_local_error(found)
            if found["status"] == _SEEDING and not found["leftUntilDone"]:
                checked_ns = checked_ns or self.context.clock.now_ns()
                for tracker in found["trackerStats"]:
                    if tracker["hasAnnounced"]:
                        self._trouble = f"tracker: {tracker['lastAnnounceResult']}"
                        if tracker["lastAnnounceSucceeded"]:
                            self._trouble = ""
                            return checked_ns
            await asyncio.sleep(_LOOK_SECONDS)

    async def _followed(self, record: Record, log: SampledLog) -> None:
        """Return once every piece is verified and the file is closed under its own name."""
        clock, size = record.clock, record.size_bytes
        path, unanswered = self._daemon.content / torrent.NAME, 0
        while True:
            asked_ns = clock.now_ns()
            try:
                found = await self._rpc.torrent(self._hash, (*_HELD, "errorString"))
            except DaemonUnreachableError as error:
                unanswered += 1
                self._trouble = error.detail
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            t_ns = clock.now_ns()
            self._raise_local_error(found)
            if found["metadataPercentComplete"] == 1:
                record.discovered(t_ns)
            log.sample(min(size, found["haveValid"] + found["haveUnchecked"]), asked_ns, t_ns)
            if found["haveValid"] >= size and found["doneDate"] > 0 and path.exists():
                record.done(t_ns)
                break
            await asyncio.sleep(self.options.poll_seconds)
        if unanswered:
            record.notes.append(f"{unanswered} polls of the daemon had no answer")

    def _raise_local_error(self, found: Mapping[str, Any]) -> None:
        """Fail if the daemon has stopped the torrent; note the tracker's answer."""
        text = str(found.get("errorString", ""))
        if found["error"] == _LOCAL_ERROR:
            full = "space" in text.lower()
            reason = Reason.DISK_FULL if full else Reason.REFUSED
            raise TransferError(reason, f"transmission: {text}")
        self._trouble = f"transmission: {text}" if text else ""

    async def _count(self) -> None:
        if not self._hash or self._daemon.rpc is None:
            return
        found = await self._rpc.torrent(self._hash, _COUNTERS)
        self._counters = Counters(
            connections=found["peersConnected"],
            payload_sent_bytes=found["uploadedEver"],
            payload_received_bytes=found["downloadedEver"],
            extra={"corrupt_bytes": found["corruptEver"]},
        )

    async def _keep_counting(self) -> None:
        while True:
            with contextlib.suppress(TransferError):
                await self._count()
            await asyncio.sleep(_COUNT_SECONDS)

    async def _stop_counting(self) -> None:
        task, self._counting = self._counting, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _alive(self, work: Awaitable[T]) -> T:
        """Return the result of `work`; end it as soon as the daemon has died.

        Raises:
            TransferError: NODE_DIED, or the error of `work` if the daemon is alive.
        """
        try:
            return await self._daemon.alive(work)
        except DaemonUnreachableError as error:
            if (death := await self._daemon.autopsy()) is not None:
                raise self._daemon.death(death) from error
            raise
