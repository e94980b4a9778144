"""One libtorrent session on an asyncio loop: its alerts, its counters and its end.

One task reads the alerts. It sleeps until libtorrent signals some, or, while a transfer is
recorded, for `READ_SECONDS` at a time, and longer if its caller defers reading: libtorrent stamps
an alert when it posts it, so reading late loses nothing. Reading takes about 10 µs of CPU per
alert, which a leecher lacks where CPUs limit the swarm.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import libtorrent as lt

from swarmrace.errors import Reason, TransferError
from swarmrace.systems.abc import Counters
from swarmrace.systems.bittorrent import profiles
from swarmrace.systems.bittorrent.counting import counters_of
from swarmrace.systems.bittorrent.signals import Signals
from swarmrace.systems.bittorrent.stamps import STEP_NS, Stamps, clock_offset_ns

T = TypeVar("T")

READ_SECONDS = 0.2
"""Maximum time between two readings while a transfer is recorded, unless its caller defers them; at
its beginning they come sooner, so that a small transfer returns soon after its end."""

DEFERRED_SECONDS = 1.0
"""Time between two questions whether reading may be deferred further. On busy processors each costs
0.4 ms, because the caches hold other programs' data by then."""

DRIFT_NS = 50_000
"""Reading isn't deferred any longer once the wall clock has drifted by this much since the last
one: stamps are corrected by the drift's mean."""

SLICE = 2_000
"""Alerts handled at a time (about 5 ms) before other tasks of the loop get their turn."""

STATS_SECONDS = 1.0
"""How often the counters are requested."""

ALERT_MASK = (
    lt.alert_category.status
    | lt.alert_category.error
    | lt.alert_category.tracker
    | lt.alert_category.storage
    | lt.alert_category.piece_progress
)

Handler = Callable[[Any, int], None]
"""Called with an alert and when it was posted (monotonic ns). The alert is invalid afterwards."""


BulkHandler = Callable[[list[Any], Stamps], list[Any]]
"""Called with a slice of alerts and their stamps; returns those left to the handlers."""


class Session:
    """A libtorrent session with one torrent at a time.

    Args:
        settings: libtorrent settings, complete with addresses; the alert mask is added.
        disk_io: libtorrent's name of the disk backend.
        choke_local: whether peers at private and loopback addresses wait for an unchoke slot like
            all others.
        record_writes: whether there are alerts of blocks.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        disk_io: str = profiles.DISK_IO,
        *,
        choke_local: bool = False,
        record_writes: bool = False,
    ) -> None:
        params = lt.session_params()
        params.disk_io_constructor = disk_io
        mask = ALERT_MASK | lt.alert_category.block_progress if record_writes else ALERT_MASK
        # The names are data; `profiles` has checked them and their types against libtorrent's.
        pack = {**settings, "alert_mask": int(mask)}
        params.settings = cast("lt.settings_pack", pack)
        self._loop = asyncio.get_running_loop()
        self._handlers: dict[type, tuple[Handler, ...]] = {
            lt.session_stats_alert: (self._on_stats,),
            lt.alerts_dropped_alert: (self._on_dropped,),
        }
        self._bulk: BulkHandler | None = None
        self._defer: Callable[[], bool] | None = None
        self._recording = self._refreshing = 0
        self._recording_since = 0.0
        self._hurry = False
        self._signals = Signals()
        self._stats: dict[str, int] = {}
        self._stats_asked = 0.0
        self._offset_ns = clock_offset_ns()
        self._read_ns = time.monotonic_ns()
        self.clock_steps_ns = 0
        """Sum of the wall clock's steps while alerts waited."""
        self.unplaced = 0
        """Number of alerts whose time such a step has made unknown."""
        self.alerts_dropped = False
        self.defect: Exception | None = None
        """The first error of a handler; reading goes on. A caller that relies on the handlers sets
        it to None before and checks it afterwards."""
        self._awaited: set[asyncio.Future[Any]] = set()
        self.handle: lt.session | None = lt.session(params)
        if choke_local:
            local = self.handle.get_peer_class(lt.session.local_peer_class_id)
            self.handle.set_peer_class(
                lt.session.local_peer_class_id, {**local, "ignore_unchoke_slots": False}
            )
        self.handle.set_alert_fd(self._signals.writable)
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
        defer: Callable[[], bool] | None = None,
    ) -> Iterator[None]:
        """Pass alerts of exactly these types to their handlers within the block.

        Args:
            handlers: by type of alert.
            recording: read the alerts less often.
            bulk: gets each slice of alerts first; only what it returns goes to the handlers.
            defer: asked whenever it is time to read; if it returns True, alerts wait once more.
        """
        self._bulk = bulk or self._bulk
        self._defer = defer or self._defer
        for kind, handler in handlers.items():
            self._handlers[kind] = (*self._handlers.get(kind, ()), handler)
        if recording:
            self._recording += 1
            self._recording_since = self._loop.time()
            self._heed_signals()
        try:
            yield
        finally:
            if recording:
                self._recording -= 1
                self._heed_signals()
            if bulk is not None:
                self._bulk = None
            if defer is not None:
                self._defer = None
            for kind, handler in handlers.items():
                left = list(self._handlers[kind])
                left.remove(handler)
                self._handlers[kind] = tuple(left)

    @contextlib.contextmanager
    def expecting(
        self, kinds: Sequence[type], answer: Callable[[Any, int], T | None]
    ) -> Iterator[asyncio.Future[T]]:
        """Yield a future of the first result other than None that `answer` returns.

        Args:
            kinds: the types of alerts to call `answer` with.
            answer: called with an alert and its monotonic stamp. The future raises its error, or
                that of any other handler meanwhile.
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
                    future.exception()  # retrieved, in case nobody has awaited the future
                future.cancel()

    def read_now(self) -> None:
        """Read waiting alerts at once."""
        self._hurry = True
        self._signals.wake()

    @property
    def _reads_by_time(self) -> bool:
        return self._recording > 0 and not self._refreshing

    def _heed_signals(self) -> None:
        """Heed libtorrent's signals, or ignore them while alerts are read by time."""
        if self._reads_by_time:
            self._signals.ignore()
        else:
            self._signals.heed()

    async def _read(self) -> None:
        while True:
            await self._wait()
            self._hurry = False
            await self._dispatch()
            now = time.monotonic()
            if now - self._stats_asked >= STATS_SECONDS and self.handle is not None:
                self._stats_asked = now
                self.handle.post_session_stats()

    async def _wait(self) -> None:
        """Return when it is time to read alerts or to request the counters again."""
        if self._reads_by_time:
            passed = self._loop.time() - self._recording_since
            await self._signals.pause(min(READ_SECONDS, 0.02 + passed / 10))
            while self._reads_by_time and not self._hurry and self._is_deferred():
                await self._signals.pause(DEFERRED_SECONDS)
            return
        since_asked = time.monotonic() - self._stats_asked
        await self._signals.pause(max(0.01, STATS_SECONDS - since_asked))

    def _is_deferred(self) -> bool:
        if self._defer is None or not self._defer():
            return False
        return abs(clock_offset_ns() - self._offset_ns) <= DRIFT_NS

    async def _dispatch(self) -> None:
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
                    self._record_defect(error)
            for alert in part:
                handlers = table.get(type(alert))
                if handlers:
                    t_ns = stamp(alert)
                    for handler in handlers:
                        try:
                            handler(alert, t_ns)
                        except Exception as error:
                            self._record_defect(error)
            if len(alerts) > SLICE:
                await asyncio.sleep(0)

    def _record_defect(self, error: Exception) -> None:
        """Record a handler's error, and raise it for everyone who waits, possibly in vain."""
        self.defect = self.defect or error
        for future in self._awaited:
            if not future.done():
                future.set_exception(error)

    def _on_stats(self, alert: lt.session_stats_alert, _: int) -> None:
        self._stats = alert.values

    def _on_dropped(self, alert: lt.alerts_dropped_alert, _: int) -> None:
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
        """Remove a torrent and delete its files, without waiting for it."""
        if self.handle is not None and handle.is_valid():
            self.handle.remove_torrent(handle, lt.session.delete_files)

    async def remove(
        self, handle: lt.torrent_handle, *, delete: bool, timeout_seconds: float
    ) -> None:
        """Remove a torrent, and with `delete` its files; wait at most `timeout_seconds` for it."""
        if self.handle is None or not handle.is_valid():
            return
        kinds = (
            (lt.torrent_deleted_alert, lt.torrent_delete_failed_alert)
            if delete
            else (lt.torrent_removed_alert,)
        )
        with (
            self.expecting(kinds, lambda alert, t_ns: t_ns) as removed,
            contextlib.suppress(TimeoutError),
        ):
            async with asyncio.timeout(timeout_seconds):
                self.handle.remove_torrent(handle, lt.session.delete_files if delete else 0)
                await removed

    # Counters

    async def refresh(self) -> int:
        """Update the counters; return the instant (monotonic ns) at which they were up to date."""
        if self.handle is None:
            return time.monotonic_ns()
        # Ignore counters requested earlier; stamps are truncated to microseconds.
        asked_ns = time.monotonic_ns() - 5_000
        with self.expecting(
            [lt.session_stats_alert], lambda alert, t_ns: t_ns if t_ns >= asked_ns else None
        ) as seen:
            self._refreshing += 1
            self._heed_signals()
            try:
                self.handle.post_session_stats()
                self.read_now()
                return await seen
            finally:
                self._refreshing -= 1
                self._heed_signals()

    @property
    def queued_write_bytes(self) -> int:
        """Bytes received but not written yet, as last read."""
        return self._stats.get("disk.queued_write_bytes", 0)

    @property
    def redundant_bytes(self) -> int:
        """Bytes of payload dropped because they had come before, since the session began, as last
        read."""
        return self._stats.get("net.recv_redundant_bytes", 0)

    def counters(self) -> Counters:
        """Return the counters as last read, at most about a second old."""
        return counters_of(self._stats)

    def effective_settings(self) -> dict[str, Any]:
        """Return libtorrent's current settings."""
        assert self.handle is not None
        return dict(self.handle.get_settings())

    # Life

    async def listening_port(self) -> int:
        """Return the TCP port once the session listens.

        Raises:
            TransferError: it can't listen.
        """

        def answer(alert: Any, _: int) -> int | None:
            if isinstance(alert, lt.listen_failed_alert):
                raise TransferError(Reason.REFUSED, f"libtorrent can't listen: {alert.message()}")
            return alert.port if alert.socket_type == lt.socket_type_t.tcp else None

        with self.expecting([lt.listen_failed_alert, lt.listen_succeeded_alert], answer) as port:
            return await port

    async def close(self) -> None:
        """End the session, which takes a few milliseconds. Safe to call twice."""
        if self._closing is None:
            self._closing = self._loop.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        box, self.handle = [self.handle], None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._signals.end()

        def end() -> None:
            box.clear()  # the destructor waits for libtorrent's threads
            self._signals.close()

        await self._loop.run_in_executor(None, end)
