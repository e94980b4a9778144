from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace

import libtorrent as lt
import pytest

from loopback import new_address
from patience import PATIENCE_SECONDS
from swarmrace.errors import Reason, TransferError
from swarmrace.systems.bittorrent import session as session_module
from swarmrace.systems.bittorrent.session import SLICE, Session
from swarmrace.systems.bittorrent.stamps import Stamps, clock_offset_ns

QUIET = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "stop_tracker_timeout": 0,
}


def session(**settings):
    return Session({**QUIET, "listen_interfaces": f"{new_address()}:0", **settings})


@pytest.mark.parametrize("zone", ["UTC", "America/St_Johns", "Pacific/Chatham"])
def test_stamps_are_monotonic_time_in_every_zone(monkeypatch, zone):
    monkeypatch.setenv("TZ", zone)
    time.tzset()

    async def go():
        before_ns = time.monotonic_ns()
        made = session()
        try:
            stamps = []
            with made.expecting([lt.listen_succeeded_alert], lambda alert, t_ns: t_ns) as stamp:
                stamps.append(await stamp)
            for _ in range(3):
                asked_ns = time.monotonic_ns()
                with made.expecting([lt.session_stats_alert], lambda alert, t_ns: t_ns) as stamp:
                    made.handle.post_session_stats()
                    got_ns = await stamp
                stamps.append(got_ns)
            return before_ns, stamps, asked_ns, time.monotonic_ns()
        finally:
            await made.close()

    try:
        before_ns, stamps, asked_ns, after_ns = asyncio.run(go())
    finally:
        monkeypatch.undo()
        time.tzset()
    tolerance_ns = 300_000_000_000  # zones differ by at least a quarter of an hour
    assert all(later - earlier > -tolerance_ns for earlier, later in pairwise(stamps))
    assert before_ns - tolerance_ns <= stamps[0]
    assert asked_ns - tolerance_ns <= stamps[-1] <= after_ns + tolerance_ns


def test_a_stamp_is_exact_to_the_microsecond():
    wall_ns, offset_ns = 1_800_000_000_123_456_789, 1_700_000_000_000_000_789
    moment = datetime(1970, 1, 1) + timedelta(seconds=1_800_000_000, microseconds=123_456)

    class Alert:
        def timestamp(self):
            return moment

    stamps = Stamps(offset_ns, wall_ns)
    assert stamps(Alert()) == 1_800_000_000_123_456_000 - offset_ns
    moments = [
        moment + timedelta(microseconds=each) for each in (0, 1, -200_000, 3 * 86_400 * 10**6)
    ]
    alerts = [SimpleNamespace(timestamp=lambda each=each: each) for each in moments]
    assert stamps.many(alerts).tolist() == [stamps(alert) for alert in alerts]
    assert stamps.many([]).tolist() == []


def test_an_interrupted_reading_of_the_clocks_is_repeated(monkeypatch):
    """The first one took 5 ms, the second one 300 ns."""
    walls = [10**18, 10**18 + 6_000_150]
    monotonic, wall = iter([0, 5_000_000, 6_000_000, 6_000_300]), iter(walls)
    zone_ns = time.localtime(10**9).tm_gmtoff * 10**9
    with monkeypatch.context() as patched:
        patched.setattr(time, "monotonic_ns", lambda: next(monotonic))
        patched.setattr(time, "time_ns", lambda: next(wall))
        offset = clock_offset_ns()
    assert offset == 10**18 + zone_ns


def test_a_foreign_address_can_not_be_listened_on():
    async def go():
        made = session(listen_interfaces="192.0.2.1:0")
        try:
            with pytest.raises(TransferError) as caught:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await made.listening_port()
            return caught.value
        finally:
            await made.close()

    error = asyncio.run(go())
    assert error.reason is Reason.REFUSED
    assert "192.0.2.1" in error.detail


class Popping:
    """A session that records the alerts of its counters in the order it returned them."""

    def __init__(self, handle):
        self._handle = handle
        self.popped = []

    def __getattr__(self, name):
        return getattr(self._handle, name)

    def pop_alerts(self):
        alerts = self._handle.pop_alerts()
        self.popped += [id(each) for each in alerts if type(each) is lt.session_stats_alert]
        return alerts


def test_more_alerts_than_one_slice_all_reach_their_handler_in_order():
    async def go():
        made = session(alert_queue_size=100_000)
        seen = []
        try:
            await made.listening_port()
            made.handle = popping = Popping(made.handle)
            handlers = {lt.session_stats_alert: lambda alert, t_ns: seen.append(id(alert))}
            with made.listening(handlers, recording=True):
                for _ in range(SLICE + 500):
                    made.handle.post_session_stats()
                while len(seen) < SLICE + 500:
                    made.read_now()
                    await asyncio.sleep(0)
            return seen, popping.popped, made.alerts_dropped
        finally:
            await made.close()

    seen, popped, dropped = asyncio.run(go())
    # Compare the alerts, not their stamps: each reading converts stamps with its own offset, which
    # can be some microseconds wrong on a busy machine.
    assert seen == popped[-len(seen) :]
    assert not dropped


def test_a_too_short_alert_queue_is_noticed():
    async def go():
        made = session(alert_queue_size=5)
        try:
            await made.listening_port()
            with made.listening({}, recording=True):
                for _ in range(500):
                    made.handle.post_session_stats()
                while not made.alerts_dropped:
                    made.handle.post_session_stats()
                    made.read_now()
                    await asyncio.sleep(0.001)
        finally:
            await made.close()

    asyncio.run(asyncio.wait_for(go(), PATIENCE_SECONDS))


def test_a_session_closes_twice_and_while_it_is_awaited():
    async def go():
        made = session()
        waiting = asyncio.ensure_future(made.refresh())
        await asyncio.sleep(0)
        await asyncio.gather(made.close(), made.close())
        await made.close()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert made.handle is None
        await made.refresh()

    asyncio.run(go())


def test_a_handler_that_raises_stops_neither_the_reading_nor_the_other_handlers():
    def bad(alert, t_ns):
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "a defect")

    async def go():
        made, seen = session(), []
        try:
            await made.listening_port()
            other = {lt.session_stats_alert: lambda alert, t_ns: seen.append(t_ns)}
            with (
                made.listening({lt.session_stats_alert: bad}),
                made.listening(other),
                made.expecting([lt.torrent_finished_alert], lambda *_: 1) as waiting,
            ):
                made.handle.post_session_stats()
                with pytest.raises(UnicodeDecodeError):
                    await waiting
                assert made.defect is waiting.exception()
            assert seen
            await made.refresh()
            with (
                made.listening({}, bulk=lambda alerts, stamps: bad(alerts, stamps)),
                made.listening(other),
            ):
                seen.clear()
                made.handle.post_session_stats()
                while not seen:  # what the bulk handler returned goes to the other handlers
                    await asyncio.sleep(0.01)
            await made.refresh()
        finally:
            await made.close()

    asyncio.run(asyncio.wait_for(go(), PATIENCE_SECONDS))


@pytest.mark.parametrize("drift_ns", [0, 2_000_000_000])
def test_alerts_wait_as_long_as_the_caller_defers_and_the_clock_does_not_drift(
    monkeypatch, drift_ns
):
    asked, read = [], []

    async def go():
        made = session()
        try:
            await made.refresh()

            def defer():
                asked.append(len(read))
                if len(asked) == 4:
                    made._offset_ns -= drift_ns
                return len(asked) < 6

            def count(alert, t_ns):
                if asked:
                    read.append(len(asked))

            handlers = {lt.session_stats_alert: count}
            with made.listening(handlers, recording=True, defer=defer):
                while not asked:
                    await asyncio.sleep(0.01)
                made.handle.post_session_stats()
                while len(asked) < 6 or not read:
                    await asyncio.sleep(0.01)
        finally:
            await made.close()

    monkeypatch.setattr(session_module, "DRIFT_NS", 1_000_000_000)
    asyncio.run(go())
    assert read[0] == (4 if drift_ns else 6)
