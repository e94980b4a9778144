"""The synthetic system on a virtual clock: every answer is known to the nanosecond."""

from __future__ import annotations

import asyncio
import json

import pytest

from loopback import make_run
from swarmrace.clock import SystemClock, VirtualClock
from swarmrace.errors import Reason, TransferError
from swarmrace.recording.payload import Payload
from swarmrace.systems import load
from swarmrace.systems.abc import Record
from swarmrace.systems.synthetic.options import SyntheticOptions

SIZE = 1_000_000
MS = 1_000_000
SEED = "a seed"


def make(make_context, peer=1, start_ns=77, **options):
    clock = VirtualClock(start_ns)
    return load("synthetic").create(make_context(peer, clock=clock), SyntheticOptions(**options))


def fetched(system, run=None):
    """Return record and curve of a complete fetch."""
    clock = system.context.clock
    run = run or make_run(SIZE)

    async def go():
        await system.prepare(run)
        start_ns = clock.now_ns()
        record = Record(clock, run.size_bytes)
        await system.fetch([{}], record)
        return start_ns, record

    start_ns, record = asyncio.run(go())
    return start_ns, record, record.arrivals.curve(start_ns, run.size_bytes)


def test_a_straight_line_is_exact_at_every_percent(make_context):
    start_ns, record, curve = fetched(make(make_context, record_size=10_000))
    assert [curve.time_to_percent(p) for p in range(1, 101)] == [p * 10 * MS for p in range(1, 101)]
    assert record.done_ns == start_ns + 1000 * MS
    assert record.discovered_ns == start_ns + 10 * MS
    assert curve.records == 100
    assert record.deliverable is record.arrivals


def test_a_curve_with_a_pause_and_a_jump_is_exact(make_context):
    """Half within 0.2 s, nothing until 0.7 s, then three quarters at once, the rest in 0.1 s."""
    curve = [(0.0, 0.0), (0.2, 0.5), (0.7, 0.5), (0.7, 0.75), (0.8, 1.0)]
    _, _, found = fetched(make(make_context, curve=curve, record_size=1000))
    assert found.time_to_percent(25) == 100 * MS
    assert found.time_to_percent(50) == 200 * MS
    assert found.time_to_percent(50.1) == 700 * MS
    assert found.time_to_percent(75) == 700 * MS
    assert found.time_to_percent(87.5) == 750 * MS
    assert found.time_to_percent(100) == 800 * MS
    assert found.longest_stall()[:2] == (500 * MS, 200 * MS)
    assert found.mark(75) == (700 * MS, 400_000)  # what one record takes, without the pause


def test_decimals_are_exact(make_context):
    """0.1 and 0.7 are no binary fractions; a third of the way between them is exactly 0.3."""
    curve = [(0.1, 0.0), (0.7, 1.0)]
    _, _, found = fetched(make(make_context, curve=curve, record_size=1), make_run(3))
    assert list(found.t_ns) == [300 * MS, 500 * MS, 700 * MS]


def test_factors_multiply_a_peer_and_a_repetition(make_context):
    options = {"peer_factor": {1: 2.0}, "run_factor": [1.0, 1.5], "discovery_seconds": 0.001}
    for repetition, expected in ((0, 2000 * MS), (1, 3000 * MS), (2, 2000 * MS)):
        start_ns, record, curve = fetched(
            make(make_context, **options), make_run(SIZE, repetition=repetition)
        )
        assert curve.time_to_percent(100) == expected
        assert record.discovered_ns - start_ns == expected // 1000
    _, _, other = fetched(make(make_context, peer=2, **options))
    assert other.time_to_percent(100) == 1000 * MS


def test_a_discovery_after_the_first_byte_is_recorded_with_it(make_context):
    """The curve is never moved."""
    start_ns, record, curve = fetched(make(make_context, discovery_seconds=5, record_size=100_000))
    assert record.discovered_ns - start_ns == curve.time_to_percent(0) == 100 * MS


def test_publish_takes_its_time_and_refuses_other_content(make_context, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    Payload("one", 1000).write(one)
    Payload("other", 1000).write(other)
    first, second = (make(make_context, peer, publish_seconds=0.25) for peer in (0, 1))

    async def go():
        published = await first.publish(one, None)
        assert first.context.clock.now_ns() == 77 + 250 * MS
        assert (await second.publish(one, published.reference)).reference == published.reference
        with pytest.raises(TransferError) as caught:
            await second.publish(other, published.reference)
        return caught.value

    assert asyncio.run(go()).reason is Reason.REFUSED


def test_digest_is_the_payloads_or_wrong_with_the_fault(make_context):
    right = Payload(SEED, SIZE).sha256()
    digests = []
    for faults in ({}, {1: "wrongBytes"}, {2: "wrongBytes"}):
        system = make(make_context, faults=faults)
        fetched(system)
        digests.append(asyncio.run(system.digest()))
    assert [digest.size_bytes for digest in digests] == [SIZE] * 3
    assert [digest.sha256 == right for digest in digests] == [True, False, True]


@pytest.mark.parametrize("how", ["stall", "unfinished curve"])
def test_a_stall_advances_the_clock_and_never_returns(make_context, how):
    """At half of an odd size, so that the last record is shorter."""
    options = {"faults": {1: "stall"}} if how == "stall" else {"curve": [(0.0, 0.0), (0.5, 0.5)]}
    system = make(make_context, record_size=1, **options)
    clock, record = system.context.clock, Record(system.context.clock, 1001)

    async def go():
        await system.prepare(make_run(1001))
        fetch = asyncio.ensure_future(system.fetch([{}], record))
        while clock.now_ns() < 604_800 * 10**9:  # the longest timeout a scenario can set
            assert not fetch.done()
            await asyncio.sleep(0)
        fetch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetch

    asyncio.run(go())
    assert record.progress_bytes == 500
    assert record.done_ns is None


@pytest.mark.parametrize(
    ("fault", "reason", "held"),
    [("refused", Reason.REFUSED, 0), ("crash", Reason.NODE_DIED, SIZE // 2)],
)
def test_failures_of_a_leecher(make_context, fault, reason, held):
    system = make(make_context, faults={1: fault})
    record = Record(system.context.clock, SIZE)

    async def go():
        await system.prepare(make_run(SIZE))
        with pytest.raises(TransferError) as caught:
            await system.fetch([{}], record)
        return caught.value

    assert asyncio.run(go()).reason is reason
    assert record.progress_bytes == held
    assert record.done_ns is None


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("refused", Reason.REFUSED), ("crash", Reason.NODE_DIED), ("publishHangs", None)],
)
def test_failures_of_a_seeder(make_context, tmp_path, fault, reason):
    system = make(make_context, peer=0, faults={0: fault})
    (tmp_path / "file").write_bytes(b"x")

    async def go():
        await system.prepare(make_run(1))
        publish = asyncio.ensure_future(system.publish(tmp_path / "file", None))
        if reason is None:
            while system.context.clock.now_ns() < 604_800 * 10**9:
                await asyncio.sleep(0)
            assert not publish.done()
            publish.cancel()
        await asyncio.wait([publish])
        return publish

    publish = asyncio.run(go())
    if reason is None:
        assert publish.cancelled()
    else:
        assert publish.exception().reason is reason


@pytest.mark.parametrize(
    "curve",
    [
        [],
        [(0.0, 0.0), (1.0, 1.5)],
        [(-1.0, 0.0), (1.0, 1.0)],
        [(1.0, 0.5), (0.5, 1.0)],
        [(0.0, 0.5), (1.0, 0.2)],
    ],
)
def test_a_curve_that_does_not_rise_is_refused(curve):
    with pytest.raises(ValueError, match="curve"):
        SyntheticOptions(curve=curve)


def test_in_real_time_it_sleeps_and_lets_other_tasks_run(make_context):
    """6,000 records a second are closer together than the loop can sleep."""
    options = SyntheticOptions(curve=[(0.0, 0.0), (0.05, 1.0)], record_size=1000)
    system = load("synthetic").create(make_context(1), options)
    record, turns = Record(SystemClock(), SIZE), 0

    async def go():
        nonlocal turns
        await system.prepare(make_run(SIZE))
        fetch = asyncio.ensure_future(system.fetch([{}], record))
        while not fetch.done():
            turns += 1
            await asyncio.sleep(0)
        await fetch

    start_ns = SystemClock().now_ns()
    asyncio.run(go())
    curve = record.arrivals.curve(start_ns, SIZE)
    assert curve.complete
    assert all(curve.time_to_percent(p) >= p * MS // 2 for p in range(1, 101))
    assert turns > 100


def test_describe_is_json_and_shows_the_curve(make_context):
    described = json.loads(json.dumps(make(make_context).describe()))
    assert described["settings"]["curve"] == [[0.0, 0.0], [1.0, 1.0]]
