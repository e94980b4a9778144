"""The pushed curve is true at each of its points, and a push that fails is kept."""

from __future__ import annotations

import asyncio
import gzip

import httpx
import numpy as np
import pytest
from hand_made import BLOCK, SIZE, WALL_NS, HandMade
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from swarmrace.arrivals import Curve
from swarmrace.metrics import push
from swarmrace.metrics.push import Pusher, curve_points, import_url
from swarmrace.metrics.sampler import observed
from swarmrace.records import MARK_PERCENTS


def curve_of(times_ns: list[int], length: int = 10) -> Curve:
    count = len(times_ns)
    offsets = np.arange(count, dtype=np.int64) * length
    return Curve(
        offsets, np.full(count, length), np.array(sorted(times_ns)), max(1, count) * length
    )


@settings(max_examples=100, deadline=None)
@given(
    times=st.lists(st.integers(0, 40_000_000_000), min_size=1, max_size=60),
    start=st.integers(1_700_000_000_000_000_000, 1_800_000_000_000_000_000),
    most=st.integers(1, 500),
)
def test_points_are_true_and_hold_every_mark(times, start, most):
    curve = curve_of(times)
    points = curve_points(curve, start, most)
    instants = [t_ms for t_ms, _ in points]
    assert instants == sorted(set(instants))
    assert points[0] == ((start - 1) // 1_000_000, 0)
    assert points[-1][1] == curve.total_bytes
    assert len(points) <= most + len(MARK_PERCENTS) + 1
    for t_ms, held in points[1:]:
        assert held == sum(10 for t_ns in times if start + t_ns <= t_ms * 1_000_000)
    for percent in MARK_PERCENTS:
        t_ns = curve.time_to_percent(percent)
        assert dict(points)[-(-(start + t_ns) // 1_000_000)] * 100 >= percent * curve.size_bytes


def test_a_stall_shows_as_points_that_stand_still():
    points = curve_points(curve_of([0, 50_000_000, 1_000_000_000]), 10**18)
    held = [count for _, count in points]
    assert held.count(20) >= 9


def test_nothing_that_came_is_a_point_at_the_start():
    assert curve_points(curve_of([]), 10**18) == [(10**12 - 1, 0)]


@pytest.fixture
def pushed(tmp_path):
    made = HandMade(tmp_path)
    made.begin()
    for number in range(SIZE // BLOCK):
        made.block(number, 13 * number + 5)
    result, curves = made.result()
    seen = observed(result, curves)
    samples = push.run_samples(made.sampler, made.sampler.ended(result, seen), seen)
    return made, result, push.text(samples)


def test_a_run_is_sent_whole_and_parses(pushed):
    made, result, text = pushed
    families = {f.name: f for f in text_string_to_metric_families(text.decode())}
    arrived = families["swarmrace_arrived_bytes"].samples
    assert {s.labels["run"] for s in arrived} == {made.runs[0].id}
    assert {s.labels["race"] for s in arrived} == {"0123456789"}
    times = [round(s.timestamp * 1000) for s in arrived]
    assert min(times) == WALL_NS // 1_000_000
    by_time = dict(zip(times, (s.value for s in arrived), strict=True))
    half = next(mark.seconds for mark in result.transfer.arrival if mark.percent == 50)
    assert by_time[-(-(WALL_NS + round(half * 1e9)) // 1_000_000)] == SIZE / 2
    marks = families["swarmrace_mark_timestamp_seconds"].samples
    assert len(marks) == 12
    assert all(s.timestamp is not None for f in families.values() for s in f.samples)


def test_the_same_run_is_the_same_text(pushed):
    made, _, text = pushed
    ended = made.sampler._ended[0]
    made.clock._now_ns += 10**10
    again = push.text(push.run_samples(made.sampler, ended, {}))
    assert set(again.splitlines()) <= set(text.splitlines())


class Server:
    """Answers with the given codes, the last one again and again; -1 drops the connection."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.bodies: list[bytes] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        code = self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]
        if code < 0:
            raise httpx.ConnectError("dropped", request=request)
        assert request.url.path == push.IMPORT_PATH
        if code < 300:
            self.bodies.append(gzip.decompress(request.content))
        return httpx.Response(code)


def test_a_push_is_repeated_until_it_is_taken():
    server = Server(-1, 503, 204)

    async def main() -> bool:
        return await Pusher("http://x", transport=httpx.MockTransport(server)).send("r", b"data")

    assert asyncio.run(main())
    assert server.bodies == [b"data"]


def test_a_refused_push_is_not_repeated_and_kept_for_the_next(caplog):
    server = Server(400, 204)

    async def main() -> list[bool]:
        pusher = Pusher("http://x", transport=httpx.MockTransport(server))
        sent = [await pusher.send("r0", b"zero")]
        assert list(pusher.pending) == ["r0"]
        sent.append(await pusher.send("r1", b"one"))
        assert not pusher.pending
        return sent

    assert asyncio.run(main()) == [False, True]
    assert server.bodies == [b"zero", b"one"]
    assert "status 400" in caplog.text


def test_a_push_that_hangs_is_bounded(monkeypatch, caplog):
    monkeypatch.setattr(push, "BUDGET_SECONDS", 0.05)

    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def main() -> bool:
        return await Pusher("http://x", transport=httpx.MockTransport(hang)).send("r", b"data")

    assert not asyncio.run(main())
    assert "within 0.05 s" in caplog.text


def test_an_address_may_end_with_the_path_or_before_it():
    whole = "http://vm:8428/api/v1/import/prometheus"
    assert import_url("http://vm:8428/") == import_url("http://vm:8428") == whole
    assert import_url(whole) == import_url(f"{whole}/") == whole
    tenant = "http://vminsert:8480/insert/0/prometheus"
    assert import_url(tenant) == f"{tenant}/api/v1/import/prometheus"
