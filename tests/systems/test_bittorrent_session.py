from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace

import libtorrent as lt
import pytest

from loopback import new_address
from swarmrace.errors import Reason, TransferError
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
    tolerance_ns = 1_000_000_000  # zones differ by a quarter of an hour at least
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


def test_the_offset_of_the_clocks_is_steady():
    offsets = [clock_offset_ns() for _ in range(100)]
    assert max(offsets) - min(offsets) < 1_000_000


def test_an_address_of_nobody_can_not_be_listened_on():
    async def go():
        made = session(listen_interfaces="192.0.2.1:0")
        try:
            with pytest.raises(TransferError) as caught:
                async with asyncio.timeout(5):
                    await made.listening_port()
            return caught.value
        finally:
            await made.close()

    error = asyncio.run(go())
    assert error.reason is Reason.REFUSED
    assert "192.0.2.1" in error.detail


class Popping:
    """A session that keeps which of its counters' alerts it gave, in their order."""

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
    # By the alerts themselves, not by their stamps: each reading converts those with an offset of
    # its own, which a busy machine makes some microseconds wrong.
    assert seen == popped[-len(seen) :]
    assert not dropped


def test_a_queue_that_is_too_short_is_noticed():
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

    asyncio.run(asyncio.wait_for(go(), 20))


def test_it_closes_twice_and_in_the_middle_of_waiting():
    async def go():
        made = session()
        waiting = asyncio.ensure_future(made.refresh())
        await asyncio.sleep(0)
        await asyncio.gather(made.close(), made.close())
        await made.close()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert made.handle is None
        await made.refresh()

    asyncio.run(go())


def test_a_handler_that_raises_ends_neither_the_reading_nor_the_others():
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
                while not seen:  # what the bulk handler did not take has gone to the others
                    await asyncio.sleep(0.01)
            await made.refresh()
        finally:
            await made.close()

    asyncio.run(asyncio.wait_for(go(), 20))
