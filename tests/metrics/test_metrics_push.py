"""The pushed curve is exact at each point, and a failed push is kept."""

from __future__ import annotations

import asyncio
import base64
import gzip

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from hand_made import BLOCK, SIZE, WALL_NS, HandMade
from swarmrace.metrics import push
from swarmrace.metrics.push import Pusher, curve_points, import_url
from swarmrace.metrics.reporter import Reporter
from swarmrace.metrics.sampler import observed_curves
from swarmrace.recording.arrivals import Curve
from swarmrace.recording.records import MARK_PERCENTS


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
def test_points_are_exact_and_include_every_mark(times, start, most):
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


def test_a_stall_has_constant_points():
    points = curve_points(curve_of([0, 50_000_000, 1_000_000_000]), 10**18)
    held = [count for _, count in points]
    assert held.count(20) >= 9


def test_an_empty_curve_is_a_point_at_the_start():
    assert curve_points(curve_of([]), 10**18) == [(10**12 - 1, 0)]


@pytest.fixture
def pushed(tmp_path):
    made = HandMade(tmp_path)
    made.begin()
    for number in range(SIZE // BLOCK):
        made.block(number, 13 * number + 5)
    result, curves = made.result()
    seen = observed_curves(result, curves)
    samples = push.run_samples(made.sampler, made.sampler.add_ended(result, seen), seen)
    return made, result, push.text(samples)


def test_a_run_is_pushed_completely_and_parses(pushed):
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


def test_a_repeated_push_has_the_same_samples(pushed):
    made, _, text = pushed
    ended = made.sampler._ended[0]
    made.clock._now_ns += 10**10
    again = push.text(push.run_samples(made.sampler, ended, {}))
    assert set(again.splitlines()) <= set(text.splitlines())


class Server:
    """Answers with the given codes and repeats the last one; -1 drops the connection."""

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


def pusher_to(server, url: str = "http://x") -> Pusher:
    return Pusher(url, transport=httpx.MockTransport(server))


def test_a_push_is_repeated_until_it_is_accepted():
    server = Server(-1, 503, 204)
    assert asyncio.run(pusher_to(server).send("r", b"data")) == 1
    assert server.bodies == [b"data"]


def test_a_refused_push_is_kept_for_the_next(caplog):
    server = Server(400, 204)

    async def main() -> list[int]:
        pusher = pusher_to(server)
        sent = [await pusher.send("r0", b"zero")]
        assert list(pusher.pending) == ["r0"]
        sent.append(await pusher.send("r1", b"one"))
        assert not pusher.pending
        return sent

    assert asyncio.run(main()) == [0, 2]
    assert server.bodies == [b"one", b"zero"], "the refused run comes last"
    assert "status 400" in caplog.text


@pytest.mark.parametrize("code", [400, 503, -1], ids=["refused", "failing", "dropped"])
def test_a_run_that_is_not_accepted_does_not_delay_others(code, monkeypatch, caplog):
    monkeypatch.setattr(push, "BUDGET_SECONDS", 1.0)
    monkeypatch.setattr(push, "BUDGET_AFTER_FAILURE_SECONDS", 1.0)
    taken = []

    def server(request: httpx.Request) -> httpx.Response:
        body = gzip.decompress(request.content)
        if body == b"zero" and code < 0:
            raise httpx.ReadError("dropped", request=request)
        if body == b"zero":
            return httpx.Response(code)
        taken.append(body)
        return httpx.Response(204)

    async def main() -> list[int]:
        pusher = pusher_to(server)
        sent = [
            await pusher.send(f"r{n}", data) for n, data in enumerate([b"zero", b"one", b"two"])
        ]
        assert list(pusher.pending) == ["r0"]
        return sent

    assert asyncio.run(main()) == [0, 1, 1]
    assert taken == [b"one", b"two"]
    assert "to accept run r0" in caplog.text
    assert "run r1" not in caplog.text


def test_a_run_that_hung_before_comes_last(monkeypatch):
    monkeypatch.setattr(push, "BUDGET_SECONDS", 0.05)
    monkeypatch.setattr(push, "BUDGET_AFTER_FAILURE_SECONDS", 300.0)
    asked = []

    async def server(request: httpx.Request) -> httpx.Response:
        asked.append(gzip.decompress(request.content))
        if len(asked) == 1:
            await asyncio.Event().wait()
        return httpx.Response(503 if len(asked) == 3 else 204)

    async def main() -> None:
        pusher = pusher_to(server)
        await pusher.send("r0", b"zero")
        await pusher.send("r1", b"one")

    asyncio.run(main())
    assert asked == [b"zero", b"one", b"zero", b"zero"]


def test_the_reporter_counts_runs(tmp_path):
    server = Server(400, 400, 400, 204)
    made = HandMade(tmp_path)

    async def main() -> list[dict[str, int]]:
        pusher = pusher_to(server)
        reporter = Reporter(pusher)
        reporter.sampler = made.sampler
        counts = []
        for run_id in ("r0", "r1", None):
            if run_id is not None:
                pusher.pending[run_id] = gzip.compress(b"data")
            await reporter.flush(300)
            counts.append(dict(made.sampler.pushes))
        return counts

    assert asyncio.run(main()) == [
        {"sent": 0, "failed": 1},
        {"sent": 0, "failed": 3},
        {"sent": 2, "failed": 3},
    ]


def test_a_push_that_hangs_is_bounded(monkeypatch, caplog):
    monkeypatch.setattr(push, "BUDGET_SECONDS", 0.05)

    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    assert asyncio.run(pusher_to(hang).send("r", b"data")) == 0
    assert "within 0.05 s" in caplog.text


def test_a_password_is_sent_and_never_logged(caplog):
    caplog.set_level(0)
    seen = []

    def server(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        assert request.url.host == "vm"
        return httpx.Response(500 if len(seen) < 2 else 400)

    pusher = pusher_to(server, "http://peer:s%40cret@vm:8428")
    assert asyncio.run(pusher.send("r", b"data")) == 0
    assert seen == ["Basic " + base64.b64encode(b"peer:s@cret").decode()] * 2
    assert "cret" not in caplog.text
    assert pusher_to(server, "http://a:b@vm/x").url == f"http://vm/x{push.IMPORT_PATH}"


def test_an_address_may_have_the_import_path_or_not():
    url = "http://vm:8428/api/v1/import/prometheus"
    assert import_url("http://vm:8428/") == import_url("http://vm:8428") == url
    assert import_url(url) == import_url(f"{url}/") == url
    tenant = "http://vminsert:8480/insert/0/prometheus"
    assert import_url(tenant) == f"{tenant}/api/v1/import/prometheus"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("{}{}?extra_label=cluster=lab", "{}{}?extra_label=cluster=lab"),
        ("{}?extra_label=cluster=lab", "{}{}?extra_label=cluster=lab"),
        ("{}/?a=b&extra_label=x=/y/", "{}{}?a=b&extra_label=x=/y/"),
        ("{}{}/?a=b", "{}{}?a=b"),
        ("{}/insert/0/prometheus/?a=b", "{}/insert/0/prometheus{}?a=b"),
        ("{}{}/metrics/job/lab", "{}{}/metrics/job/lab"),
        ("{}/old{}er", "{}/old{}er/api/v1/import/prometheus"),
        ("{}/#top", "{}{}"),
        ("{}?a=b#top", "{}{}?a=b"),
        ("{}///", "{}{}"),
    ],
)
def test_the_import_path_is_joined_to_the_address_path(given, wanted):
    parts = ("http://[fd00::1]:8428", push.IMPORT_PATH)
    assert import_url(given.format(*parts)) == wanted.format(*parts)


def test_a_query_is_sent_and_a_token_in_it_never_logged(caplog):
    caplog.set_level(0)
    asked = []

    def server(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(400)

    pusher = pusher_to(server, "http://a:b@vm?authKey=s3cret&extra_label=cluster=lab")
    asyncio.run(pusher.send("r", b"data"))
    assert asked[0].params["extra_label"] == "cluster=lab"
    assert asked[0].path == push.IMPORT_PATH
    assert "push: expected http://vm/api" in caplog.text
    assert "s3cret" not in "".join(
        each.getMessage() for each in caplog.records if each.name == push.log.name
    )
