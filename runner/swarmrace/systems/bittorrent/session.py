"""One libtorrent session on an asyncio loop: its alerts, its counters and its end.

Alerts are read by one task. It sleeps until libtorrent says that there are some, or, while a
transfer is recorded, for `READ_SECONDS` at a time: libtorrent stamps an alert when it posts it, so
reading late loses nothing and costs less.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import libtorrent as lt

from swarmrace.errors import Reason, TransferError
from swarmrace.systems.abc import Counters
from swarmrace.systems.bittorrent import profiles
from swarmrace.systems.bittorrent.stamps import STEP_NS, Stamps, clock_offset_ns

T = TypeVar("T")

READ_SECONDS = 0.2
"""Longest time between two readings while a transfer is recorded; at its beginning they come
sooner, so that a small transfer returns soon after its end."""

SLICE = 2_000
"""Alerts handled at a time (about 5 ms); then other tasks of the loop get their turn."""

STATS_SECONDS = 0.5
"""How often the counters are asked for."""

ALERT_MASK = (
    lt.alert_category.status
    | lt.alert_category.error
    | lt.alert_category.tracker
    | lt.alert_category.storage
    | lt.alert_category.block_progress
    | lt.alert_category.piece_progress
)


Handler = Callable[[Any, int], None]
"""Is given an alert and when it was posted (monotonic ns). The alert is void when it returns."""


BulkHandler = Callable[[list[Any], Stamps], list[Any]]
"""Is given a slice of alerts and what stamps them; returns those it left to the handlers."""


class Session:
    """A libtorrent session with one torrent at a time.

    Args:
        settings: libtorrent settings, complete with addresses; the alert mask is added.
        disk_io: libtorrent's name of the disk backend.
        choke_local: whether peers at private and loopback addresses wait for an unchoke slot like
            any other.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        disk_io: str = profiles.DISK_IO,
        *,
        choke_local: bool = False,
    ) -> None:
        params = lt.session_params()
        params.disk_io_constructor = disk_io
        # The names are data, and `profiles` has held them and their types against libtorrent's own.
        pack = {**settings, "alert_mask": int(ALERT_MASK)}
        params.settings = cast("lt.settings_pack", pack)
        self._loop = asyncio.get_running_loop()
        self._handlers: dict[type, tuple[Handler, ...]] = {
            lt.session_stats_alert: (self._take_stats,),
            lt.alerts_dropped_alert: (self._take_dropped,),
        }
        self._wake = asyncio.Event()
        self._bulk: BulkHandler | None = None
        self._recording = 0
        self._recording_since = 0.0
        self._hurry = False
        self._readable, self._writable = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._loop.add_reader(self._readable, self._on_alerts)
        self._stats: dict[str, int] = {}
        self._stats_asked = 0.0
        self._offset_ns = clock_offset_ns()
        self._read_ns = time.monotonic_ns()
        self.clock_steps_ns = 0
        """How far the wall clock was stepped while alerts waited, summed."""
        self.unplaced = 0
        """Alerts whose time such a step has made unknown."""
        self.alerts_dropped = False
        self.defect: Exception | None = None
        """The first thing a handler raised; reading goes on without it. Whoever relies on the
        handlers sets it to None before and looks at it after."""
        self._awaited: set[asyncio.Future[Any]] = set()
        self.handle: lt.session | None = lt.session(params)
        if choke_local:
            local = self.handle.get_peer_class(lt.session.local_peer_class_id)
            self.handle.set_peer_class(
                lt.session.local_peer_class_id, {**local, "ignore_unchoke_slots": False}
            )
        self.handle.set_alert_fd(self._writable)
        self._task = self._loop.create_task(self._read())
        self._closing: asyncio.Task[None] | None = None

    # Alerts

    @contextlib.contextmanager
    def listening(
        self,
        handlers: Mapping[type, Handler],
        *,
        recording: bool = False,
        bulk: BulkHandler | None = None,
    ) -> Iterator[None]:
        """Give alerts of these very types to their handlers; with `recording`, read them rarely.

        `bulk` is given each slice of alerts first; what it takes is handed to nobody else.
        """
        self._bulk = bulk or self._bulk
        for kind, handler in handlers.items():
            self._handlers[kind] = (*self._handlers.get(kind, ()), handler)
        self._recording += recording
        self._recording_since = self._loop.time()
        try:
            yield
        finally:
            self._recording -= recording
            if bulk is not None:
                self._bulk = None
            for kind, handler in handlers.items():
                left = list(self._handlers[kind])
                left.remove(handler)
                self._handlers[kind] = tuple(left)

    @contextlib.contextmanager
    def expecting(
        self, kinds: Sequence[type], answer: Callable[[Any, int], T | None]
    ) -> Iterator[asyncio.Future[T]]:
        """Yield a future of the first thing other than None that `answer` returns.

        Args:
            kinds: the types of alerts that `answer` is asked about.
            answer: given an alert and its monotonic stamp; what it raises, the future raises, and
                what any other handler raises meanwhile.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._awaited.add(future)

        def handler(alert: Any, t_ns: int) -> None:
            if future.done():
                return
            try:
                found = answer(alert, t_ns)
            except Exception as error:
                future.set_exception(error)
            else:
                if found is not None:
                    future.set_result(found)

        with self.listening(dict.fromkeys(kinds, handler)):
            try:
                yield future
            finally:
                self._awaited.discard(future)
                if future.done() and not future.cancelled():
                    future.exception()  # seen, should nobody have awaited it
                future.cancel()

    def read_now(self) -> None:
        """Have waiting alerts read at once."""
        self._hurry = True
        self._wake.set()

    def _on_alerts(self) -> None:
        """Take libtorrent's word that there are alerts; it comes once between two readings."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._readable, 4096)
        self._wake.set()

    async def _read(self) -> None:
        while True:
            await self._wait()
            self._wake.clear()
            self._hurry = False
            await self._hand_out()
            now = time.monotonic()
            if now - self._stats_asked >= STATS_SECONDS and self.handle is not None:
                self._stats_asked = now
                self.handle.post_session_stats()

    async def _wait(self) -> None:
        """Return when alerts should be read, or the counters asked for again."""
        if self._recording:
            now = self._loop.time()
            ends = now + min(READ_SECONDS, 0.02 + (now - self._recording_since) / 10)
            while self._recording and not self._hurry and (left := ends - self._loop.time()) > 0:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._wake.wait()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STATS_SECONDS):
                await self._wake.wait()

    async def _hand_out(self) -> None:
        if self.handle is None:
            return
        before_ns, asked_ns = self._read_ns, time.monotonic_ns()
        alerts = self.handle.pop_alerts()
        offset_ns, read_ns = clock_offset_ns(), time.monotonic_ns()
        local_ns, step_ns = read_ns + offset_ns, offset_ns - self._offset_ns
        if abs(step_ns) <= STEP_NS:
            stamp = Stamps((offset_ns + self._offset_ns) // 2, local_ns)
        else:
            self.clock_steps_ns += abs(step_ns)
            window = before_ns, read_ns
            stamp = Stamps.over_a_step(alerts, self._offset_ns, offset_ns, local_ns, window)
            self.unplaced += stamp.unplaced
        self._offset_ns, self._read_ns = offset_ns, asked_ns
        for start in range(0, len(alerts), SLICE):
            table = self._handlers
            part = alerts[start : start + SLICE]
            if self._bulk is not None:
                try:
                    part = self._bulk(part, stamp)
                except Exception as error:
                    self._keep(error)
            for alert in part:
                handlers = table.get(type(alert))
                if handlers:
                    t_ns = stamp(alert)
                    for handler in handlers:
                        try:
                            handler(alert, t_ns)
                        except Exception as error:
                            self._keep(error)
            if len(alerts) > SLICE:
                await asyncio.sleep(0)

    def _keep(self, error: Exception) -> None:
        """Keep what a handler raised, and tell those who wait: they may wait in vain."""
        self.defect = self.defect or error
        for future in self._awaited:
            if not future.done():
                future.set_exception(error)

    def _take_stats(self, alert: lt.session_stats_alert, _: int) -> None:
        self._stats = alert.values

    def _take_dropped(self, alert: lt.alerts_dropped_alert, _: int) -> None:
        self.alerts_dropped = True

    # The torrent

    def add(self, params: lt.add_torrent_params) -> lt.torrent_handle:
        """Add a torrent; it starts at once."""
        assert self.handle is not None
        try:
            return self.handle.add_torrent(params)
        except RuntimeError as error:
            raise TransferError(Reason.REFUSED, f"libtorrent refused: {error}") from error

    def drop(self, handle: lt.torrent_handle) -> None:
        """Take a torrent out and delete what it wrote, without waiting for it."""
        if self.handle is not None and handle.is_valid():
            self.handle.remove_torrent(handle, lt.session.delete_files)

    async def remove(
        self, handle: lt.torrent_handle, *, delete: bool, timeout_seconds: float
    ) -> None:
        """Take a torrent out, and with `delete` what it wrote; wait for that within a bound."""
        if self.handle is None or not handle.is_valid():
            return
        gone = (
            (lt.torrent_deleted_alert, lt.torrent_delete_failed_alert)
            if delete
            else (lt.torrent_removed_alert,)
        )
        with (
            self.expecting(gone, lambda alert, t_ns: t_ns) as removed,
            contextlib.suppress(TimeoutError),
        ):
            async with asyncio.timeout(timeout_seconds):
                self.handle.remove_torrent(handle, lt.session.delete_files if delete else 0)
                await removed

    # Counters

    async def refresh(self) -> None:
        """Have the counters brought up to date; return when they are."""
        if self.handle is None:
            return
        # Not one that was asked for before; stamps are truncated to microseconds.
        asked_ns = time.monotonic_ns() - 5_000
        with self.expecting(
            [lt.session_stats_alert], lambda alert, t_ns: t_ns if t_ns >= asked_ns else None
        ) as seen:
            self.handle.post_session_stats()
            self.read_now()
            await seen

    @property
    def queued_write_bytes(self) -> int:
        """Received but not yet written, as last read."""
        return self._stats.get("disk.queued_write_bytes", 0)

    @property
    def redundant_bytes(self) -> int:
        """Payload that had come before and was dropped, as last read, since the session began."""
        return self._stats.get("net.recv_redundant_bytes", 0)

    def counters(self) -> Counters:
        """Return the counters as last read, at most about half a second old."""
        stats = self._stats
        if not stats:
            return Counters()
        return Counters(
            sent_bytes=stats["net.sent_bytes"],
            received_bytes=stats["net.recv_bytes"],
            connections=stats["peer.num_peers_connected"],
            payload_sent_bytes=stats["net.sent_payload_bytes"],
            payload_received_bytes=stats["net.recv_payload_bytes"],
            extra={
                "redundant_bytes": stats["net.recv_redundant_bytes"],
                "failed_bytes": stats["net.recv_failed_bytes"],
                "tracker_sent_bytes": stats["net.sent_tracker_bytes"],
                "tracker_received_bytes": stats["net.recv_tracker_bytes"],
                "pieces_passed": stats["ses.num_piece_passed"],
                "pieces_failed": stats["ses.num_piece_failed"],
            },
        )

    def effective_settings(self) -> dict[str, Any]:
        """Return libtorrent's settings as it holds them."""
        assert self.handle is not None
        return dict(self.handle.get_settings())

    # Life

    async def listening_port(self) -> int:
        """Return the TCP port once the session listens.

        Raises:
            TransferError: it can't.
        """

        def answer(alert: Any, _: int) -> int | None:
            if isinstance(alert, lt.listen_failed_alert):
                raise TransferError(Reason.REFUSED, f"libtorrent can't listen: {alert.message()}")
            return alert.port if alert.socket_type == lt.socket_type_t.tcp else None

        with self.expecting([lt.listen_failed_alert, lt.listen_succeeded_alert], answer) as port:
            return await port

    async def close(self) -> None:
        """End the session, which takes some milliseconds. Safe to call twice."""
        if self._closing is None:
            self._closing = self._loop.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        box, self.handle = [self.handle], None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._loop.remove_reader(self._readable)

        def end() -> None:
            box.clear()  # the destructor waits for libtorrent's threads
            os.close(self._readable)
            os.close(self._writable)

        await self._loop.run_in_executor(None, end)
