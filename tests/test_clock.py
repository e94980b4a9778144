"""Clocks: wake-ups, virtual time, and the offset to another clock."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmrace.clock import Offset, SystemClock, VirtualClock, estimate_offset, sleep


def test_the_system_clock_never_wakes_early():
    clock = SystemClock()

    async def go():
        for ahead_ns in (-1, 0, 1000, 300_000, 2_000_000, 5_000_000):
            instant_ns = clock.now_ns() + ahead_ns
            await clock.sleep_until(instant_ns)
            assert clock.now_ns() >= instant_ns

    asyncio.run(go())


def test_many_short_sleeps_do_not_starve_the_loop():
    clock, turns = SystemClock(), []

    async def others():
        while True:
            turns.append(clock.now_ns())
            await asyncio.sleep(0)

    async def go():
        task = asyncio.ensure_future(others())
        for _ in range(20):
            await clock.sleep_until(clock.now_ns() + 1000)
        task.cancel()

    asyncio.run(go())
    assert len(turns) >= 20


def test_virtual_time_advances_only_by_sleeping_and_never_goes_back():
    clock = VirtualClock(1_000)

    async def go():
        assert clock.now_ns() == clock.now_ns() == 1_000
        await sleep(clock, 1.5)
        assert clock.now_ns() == 1_500_001_000
        await clock.sleep_until(5)
        assert clock.now_ns() == 1_500_001_000

    asyncio.run(go())


def test_virtual_clocks_are_independent():
    one, other = VirtualClock(), VirtualClock(10**15)
    asyncio.run(sleep(one, 1))
    assert (one.now_ns(), other.now_ns()) == (10**9, 10**15)


@given(
    offset_ns=st.integers(-(10**18), 10**18),
    delays=st.lists(
        st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=8
    ),
)
def test_the_offset_is_right_within_its_error_for_any_delays(offset_ns, delays):
    """The two ways may take different times; half the round trip bounds the error."""
    clock = VirtualClock(123)
    remaining = iter(delays)

    async def ask():
        there, back = next(remaining)
        await clock.sleep_until(clock.now_ns() + there)
        theirs_ns = clock.now_ns() + offset_ns
        await clock.sleep_until(clock.now_ns() + back)
        return theirs_ns

    found = asyncio.run(estimate_offset(clock, ask, samples=len(delays)))
    assert abs(found.offset_ns - offset_ns) <= found.error_ns
    assert found.error_ns == (min(sum(pair) for pair in delays) + 1) // 2


@pytest.mark.parametrize("samples", [0, -1])
def test_an_offset_needs_a_sample(samples):
    async def ask():
        return 0

    with pytest.raises(ValueError, match="samples"):
        asyncio.run(estimate_offset(VirtualClock(), ask, samples=samples))


def test_instants_are_carried_over():
    assert Offset(offset_ns=100, error_ns=1).to_ours(1_100) == 1_000
