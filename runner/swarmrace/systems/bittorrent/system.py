"""BitTorrent as a system: one libtorrent session per peer, driven through the contract's stages."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import libtorrent as lt

from swarmrace.errors import Reason, TransferError
from swarmrace.recording.payload import file_sha256
from swarmrace.systems.abc import Context, Counters, Digest, Published, Record, Reference, System
from swarmrace.systems.bittorrent import memory, profiles, torrent, watch
from swarmrace.systems.bittorrent.block_recorder import BlockRecorder
from swarmrace.systems.bittorrent.counting import since
from swarmrace.systems.bittorrent.options import BitTorrentOptions
from swarmrace.systems.bittorrent.piece_recorder import PieceRecorder
from swarmrace.systems.bittorrent.sampling import PayloadSampler
from swarmrace.systems.bittorrent.session import Session
from swarmrace.systems.run import Run

FLUSH_SECONDS = 10.0
"""Maximum wait for the records of the last writes once all pieces are verified."""

REMOVE_SECONDS = 5.0


class _Flushed(NamedTuple):
    """When libtorrent's queue of writes was read (monotonic ns)."""

    before_ns: int
    """The last reading but one, or 0."""
    read_ns: int
    """The last reading, or 0 if the first one already showed no outstanding write, or nothing had
    to be read."""
    all_written: bool
    """Whether the last one showed no outstanding write."""


class BitTorrent(System):
    """One peer's libtorrent session.

    Args:
        context: who and where this peer is.
        options: the entrant's options.
    """

    options: BitTorrentOptions

    def __init__(self, context: Context, options: BitTorrentOptions) -> None:
        super().__init__(context, options)
        self._session: Session | None = None
        self._handle: lt.torrent_handle | None = None
        self._directory: Path | None = None
        self._counters = Counters()
        self._base = Counters()
        self._effective: dict[str, Any] = {}
        self._torrent: dict[str, Any] = {}
        self._leeches = False
        self._sampler: PayloadSampler | None = None
        self._announces = watch.Announces()

    async def prepare(self, run: Run) -> None:
        """Have a session that listens on this peer's address, on any free port."""
        if self.context.cold_start:
            await self.close()
        self._leeches = run.role(self.context.peer) == "leecher"
        self._directory = self.context.work_dir / run.id
        await asyncio.to_thread(self._directory.mkdir, parents=True, exist_ok=True)
        self._counters = self._base = Counters()
        self._sampler = None
        self._announces = watch.Announces()
        if self._session is None:
            await self._open()
        else:
            await self._session.refresh()
            self._base = self._session.counters()

    async def publish(self, file: Path, first: Reference | None) -> Published:
        """Make the torrent, check the file against it, and announce it."""
        session, directory, clock = self._ready(), self._directory, self.context.clock
        assert directory is not None
        began_ns = clock.now_ns()
        made = await asyncio.to_thread(
            torrent.make,
            file,
            directory,
            protocol=self.options.protocol,
            piece_bytes=self.options.piece_size,
            announce_url=self.context.announce_url,
        )
        reference = torrent.reference(made, self.options.reference, self.context.announce_url)
        if first is not None and first.get("infoHash") != reference["infoHash"]:
            raise TransferError(
                Reason.REFUSED,
                f"expected the first seeder's info-hash {first.get('infoHash')}, "
                f"{file} has {reference['infoHash']}",
            )
        made_ns = clock.now_ns()
        params = lt.add_torrent_params()
        params.ti = made.info
        # Without seed_mode: a seeder checks what it serves.
        params.flags = self._flags()
        params.save_path = str(directory)
        self._note_torrent(params.ti)
        with (
            session.expecting(watch.CHECKED, watch.checked) as checked,
            session.expecting(watch.ANNOUNCED, self._announces.published) as announced,
        ):
            self._handle = session.add(params)
            checked_ns = await checked
            if not (await asyncio.to_thread(self._handle.status)).is_seeding:
                raise TransferError(Reason.REFUSED, f"{file} changed while it was published")
            announced_ns = await announced
        return Published(
            reference,
            {
                "make": (made_ns - began_ns) / 1e9,
                "check": (checked_ns - made_ns) / 1e9,
                "announce": (announced_ns - checked_ns) / 1e9,
            },
        )

    async def settle(self) -> None:
        """Update the counters, so that the connections at the start are known."""
        await self._ready().refresh()

    async def fetch(self, references: Sequence[Reference], record: Record) -> None:
        """Fetch the first reference; sample received payload, record each piece's verification and,
        with the option `recordWrites`, each block's write."""
        session = self._ready()
        params = self._parameters(references)
        if record.connections_at_start is None:
            record.connections_at_start = session.counters().connections
        recorder = BlockRecorder(record) if self.options.record_writes else PieceRecorder(record)
        loop = asyncio.get_running_loop()
        sampler = self._sampler = PayloadSampler(
            record, lambda: loop.call_soon_threadsafe(session.read_now)
        )
        record.unlogged_duplicates = None  # libtorrent drops duplicate blocks without an alert
        redundant_bytes = session.redundant_bytes
        steps_ns, unplaced = session.clock_steps_ns, session.unplaced
        session.defect, session.alerts_dropped = None, False
        gc.freeze()
        watcher = watch.FetchWatch(record, self._announces)
        try:
            with (
                session.listening(watcher.handlers),
                _recording(session, recorder, sampler),
                session.expecting([lt.torrent_finished_alert], watch.stamp) as finished,
                session.expecting([lt.metadata_received_alert], watch.stamp) as metadata,
            ):
                self._handle = session.add(params)
                sampler.start(self._handle)
                if params.ti is not None:
                    record.discovered()
                else:
                    record.discovered(await watcher.first(metadata))
                info = await asyncio.to_thread(self._handle.torrent_file)
                assert info is not None  # its metadata has come
                self._note_torrent(info)
                watch.check_size(info, record.size_bytes)
                recorder.set_piece_bytes(info.piece_length())
                finished_ns = await watcher.first(finished)
                flushed = await self._flush(session, recorder)
                done_ns = recorder.finish(finished_ns)
                if not self.options.record_writes:
                    if flushed.read_ns > done_ns:
                        record.done_gap_ns = flushed.read_ns - max(flushed.before_ns, done_ns)
                        done_ns = flushed.read_ns
                    if not flushed.all_written:
                        record.notes.append(
                            f"writes were outstanding for {FLUSH_SECONDS:g} s after the last piece "
                            "was verified; it may have been done later than recorded"
                        )
                        record.complete = False
                record.done(done_ns)
                await asyncio.to_thread(sampler.finish, done_ns)
                await session.refresh()
                duplicates = session.redundant_bytes - redundant_bytes
                if record.written is not None:
                    record.unlogged_duplicates = duplicates
                else:
                    record.counted_duplicates = duplicates
        except BaseException:
            await asyncio.to_thread(sampler.stop)
            recorder.abandon()
            self._drop_torrent()
            raise
        finally:
            gc.unfreeze()
            if session.clock_steps_ns > steps_ns:
                stepped = (session.clock_steps_ns - steps_ns) / 1e9
                record.notes.append(
                    f"the wall clock was stepped by {stepped:.3f} s; times are monotonic, but "
                    "libtorrent's own timers follow the wall clock"
                )
        if session.alerts_dropped:
            record.notes.append("libtorrent dropped alerts: the alert queue was too short")
            record.complete = False
        if session.unplaced > unplaced:
            lost = session.unplaced - unplaced
            record.notes.append(
                f"{lost} alerts could not be placed in time: the clock jumped twice"
            )
            record.complete = False
            record.written = record.deliverable = None

    async def refresh(self) -> None:
        """Request libtorrent's counters once more."""
        if self._session is not None:
            await self._session.refresh()

    def counters(self) -> Counters:
        """Return libtorrent's counters since this run was prepared, about a second old; while
        a fetch's alerts wait to be read, those of its last sample."""
        if self._session is not None:
            found = since(self._base, self._session.counters())
            self._counters = found if self._sampler is None else self._sampler.newer(found)
        return self._counters

    async def digest(self) -> Digest:
        """Return length and SHA-256 of the file on disk."""
        assert self._directory is not None
        path = self._directory / torrent.NAME
        try:
            size = (await asyncio.to_thread(path.stat)).st_size
            return Digest(size, await asyncio.to_thread(file_sha256, path))
        except OSError as error:
            raise TransferError(Reason.WRONG_BYTES, f"nothing to verify: {error}") from error

    async def remove(self) -> None:
        """Remove the torrent and what was fetched; with a cold start, end the session too."""
        session, handle = self._session, self._handle
        self._handle = None
        if session is not None:
            self.counters()
            if handle is not None:
                await session.remove(handle, delete=self._leeches, timeout_seconds=REMOVE_SECONDS)
            if self.context.cold_start:
                await self._end_session()
        await self._clear_directory()
        await asyncio.to_thread(memory.trim)

    async def close(self) -> None:
        """End the session and remove its files."""
        self._handle = None
        await self._end_session()
        await self._clear_directory()

    def describe(self) -> Mapping[str, Any]:
        """Return the version, and what differs from libtorrent's defaults, with reasons."""
        table = profiles.table(self.options)
        effective = self._effective or {name: setting.value for name, setting in table.items()}
        defaults = lt.default_settings()
        changed = {n: v for n, v in effective.items() if v != defaults.get(n, "")}
        reasons = {**profiles.OWNED, **{n: setting.why for n, setting in table.items()}}
        choke = profiles.CHOKE_LOCAL[self.options.profile]
        if choke.value:
            changed[profiles.CHOKE_LOCAL_NAME] = False
            reasons[profiles.CHOKE_LOCAL_NAME] = choke.why
        if self.options.piece_order != "rarestFirst":
            changed["pieceOrder"] = self.options.piece_order
            reasons["pieceOrder"] = "the entrant's pieceOrder"
        changed |= memory.settings()
        reasons |= dict.fromkeys(memory.settings(), memory.WHY)
        return {
            "version": f"libtorrent {lt.__version__}",
            "profile": self.options.profile,
            "protocol": self.options.protocol,
            "reference": self.options.reference,
            "pieceOrder": self.options.piece_order,
            "torrent": dict(self._torrent),
            "diskIo": profiles.DISK_IO,
            "utp": bool(effective.get("enable_outgoing_utp", defaults["enable_outgoing_utp"])),
            "encryption": effective.get("out_enc_policy", defaults["out_enc_policy"]) != 2,
            "settings": changed,
            "reasons": {name: reasons.get(name, "unexplained") for name in changed},
        }

    @property
    def trouble(self) -> str:
        """The last announce's error, until one succeeds."""
        return self._announces.trouble

    async def _open(self) -> None:
        address = ipaddress.ip_address(self.context.address)
        host = f"[{address}]" if address.version == 6 else str(address)
        blocks = -(-self.context.size_bytes // torrent.BLOCK_BYTES)
        settings = {name: setting.value for name, setting in profiles.table(self.options).items()}
        settings |= {
            "listen_interfaces": f"{host}:0",
            "outgoing_interfaces": str(address),
            # Two alerts per block, duplicates, and room for everything else.
            "alert_queue_size": 3 * blocks + 20_000,
        }
        gc.collect()
        try:
            memory.limit_arenas()
            session = Session(
                settings,
                choke_local=profiles.CHOKE_LOCAL[self.options.profile].value is True,
                record_writes=self.options.record_writes,
            )
        except (RuntimeError, KeyError, TypeError) as error:
            raise TransferError(
                Reason.REFUSED, f"libtorrent refused its settings: {error}"
            ) from error
        self._session = session
        await session.listening_port()
        self._effective = dict(await asyncio.to_thread(session.effective_settings))
        await session.refresh()

    def _ready(self) -> Session:
        if self._session is None:
            raise TransferError(Reason.NODE_DIED, "there is no session: prepare was not called")
        return self._session

    def _flags(self) -> Any:
        # Neither paused nor queued behind other torrents by libtorrent's own management.
        flags = lt.torrent_flags.update_subscribe
        if self.options.piece_order == "sequential" and self._leeches:
            flags |= lt.torrent_flags.sequential_download
        return flags

    def _parameters(self, references: Sequence[Reference]) -> lt.add_torrent_params:
        if not references:
            raise TransferError(Reason.REFUSED, "expected at least one reference, found none")
        found = sorted({str(reference.get("infoHash")) for reference in references})
        if len(found) > 1:
            raise TransferError(
                Reason.REFUSED, f"expected one info-hash, the seeders posted {', '.join(found)}"
            )
        params = torrent.parameters(references[0])
        params.flags = self._flags()
        params.save_path = str(self._directory)
        return params

    def _note_torrent(self, info: lt.torrent_info) -> None:
        self._torrent = {
            "pieceBytes": info.piece_length(),
            "pieces": info.num_pieces(),
            "infoHash": torrent.info_hash(info),
        }

    async def _flush(self, session: Session, recorder: BlockRecorder | PieceRecorder) -> _Flushed:
        """Wait for outstanding writes, at most `FLUSH_SECONDS`: a block's alert comes with its
        write, and all pieces can be verified (from memory) before the last blocks are written."""
        flushing, before_ns, read_ns, all_written = False, 0, 0, False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                while not recorder.complete:
                    # Alerts come in order, so what was written before the count is recorded now.
                    before_ns, read_ns = read_ns, await session.refresh()
                    if session.defect or recorder.complete or not session.queued_write_bytes:
                        all_written = True
                        break
                    if not flushing and self._handle is not None:
                        flushing = True
                        self._handle.flush_cache()
                    # Without a record of writes, the readings say when the last one ended.
                    await asyncio.sleep(0.01 if self.options.record_writes else 0.002)
        if session.defect is not None:
            raise session.defect
        return _Flushed(before_ns, read_ns if flushing else 0, all_written)

    def _drop_torrent(self) -> None:
        """Remove a failed torrent at once, so that it takes no further part in the swarm."""
        handle, self._handle = self._handle, None
        if handle is not None and self._session is not None:
            self._session.drop(handle)

    async def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            self._counters = since(self._base, session.counters())
            await session.close()

    async def _clear_directory(self) -> None:
        directory, self._directory = self._directory, None
        if directory is not None:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


def _recording(
    session: Session, recorder: BlockRecorder | PieceRecorder, sampler: PayloadSampler
) -> contextlib.AbstractContextManager[None]:
    """Pass alerts to the recorder; they may wait while payload comes."""
    return session.listening(
        recorder.handlers,
        recording=True,
        bulk=recorder.record_alerts,
        defer=lambda: recorder.is_ready and sampler.is_receiving(),
    )
