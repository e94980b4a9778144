"""Whether the rate limits hold, measured before the race by moving more than the limiter's burst.

Some runtimes accept a rate but give it a burst of hundreds of megabytes, or silently ignore it. So
each peer moves bytes between itself and the rendezvous, one direction at a time, and the race is
refused if more comes through than was set. Payload of one TCP connection is measured; at most
95.6 % of a rate on the link is payload (see `conditions`). The measured rates are recorded in the
results, and the theoretical minimum is computed from them.

First the burst is used up: bytes are moved until the limit takes effect, or until more came through
than the burst and what the rate adds to it meanwhile, or for at most 20 s; a limit without effect
by then is none for a race. What is moved after that is measured.

Each transfer gives two figures. The whole transfer, from before the first byte to after the last,
less our own burst, can't exceed a limit that holds, however late a busy machine takes the stamps:
this figure can refuse a race. The steady part, after burst and queue, excludes the start of the
connection: this figure is reported, but never more than the rate set.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from swarmrace.errors import ConditionError
from swarmrace.network.conditions import burst_bytes, policer_burst_bytes, queue_bytes
from swarmrace.scenario.scenario import QUEUE_MILLISECONDS, Link, Network
from swarmrace.units import format_link_rate, format_seconds

MAX_RATIO = 1.10
"""Maximum of measured over set rate; above it the race is refused."""
PAYLOAD_RATIO = 0.95
"""Maximum share of payload in a rate on the link (see `conditions`)."""
MIN_RATIO = 0.85
"""Minimum of measured over set rate. Below it the measurement is repeated, because a busy machine
can make one too low, and the highest counts; if all are below, a warning is logged."""
TRIES = 3
SECONDS = 0.5
"""Minimum duration of a measurement at the rate set."""
BURST_SECONDS = 20.0
"""Maximum time for using up a burst."""
MAX_SECONDS = 60.0
"""Maximum time for one direction in all."""
_IN_EFFECT = 2
"""Number of consecutive transfers at the rate set that show a limit to be in effect."""

_log = logging.getLogger(__name__)


class Mover(Protocol):
    """Moves bytes; implemented by `swarmrace.rendezvous.client.client.RendezvousClient`."""

    def preflight_lease(self) -> AbstractAsyncContextManager[None]:
        """Hold one of a few leases, so that the hub's own link doesn't limit the measurement."""
        ...

    async def preflight_upload(self, size_bytes: int, skip_bytes: int = 0) -> float:
        """Send; return bytes per second as received, excluding the first `skip_bytes`."""
        ...

    async def preflight_download(self, size_bytes: int, skip_bytes: int = 0) -> float:
        """Receive; return bytes per second as received, excluding the first `skip_bytes`."""
        ...


Move = Callable[[int, int], Awaitable[float]]


def amounts(
    rate: int, round_trip_seconds: float = 0, queue_milliseconds: float = QUEUE_MILLISECONDS
) -> tuple[int, int, int]:
    """Return the bytes to move, our burst among them, and the bytes before the steady part.

    Args:
        rate: bytes per second.
        round_trip_seconds: TCP sends about twice what the path holds before it fills it (slow
            start), and at most twice that comes before the steady part.
        queue_milliseconds: length of the limiter's queue, as time at the rate.
    """
    burst = burst_bytes(rate)
    skip = burst + queue_bytes(rate, queue_milliseconds) + math.ceil(4 * rate * round_trip_seconds)
    return skip + max(math.ceil(rate * SECONDS), 8 * burst), burst, skip


def faults(network: Network) -> list[str]:
    """Return which rates are too low to measure in time, one line each."""
    round_trip_seconds = network.delay_milliseconds / 1000
    found = []
    for prefix, link in (("", network), ("seeders.", network.seeders)):
        for name in ("upload", "download"):
            rate = getattr(link, name, None)
            if rate is not None and (
                why := _too_low(rate, round_trip_seconds, network.queue_milliseconds)
            ):
                found.append(f"global.race.network.{prefix}{name}: {why}")
    return found


def _too_low(rate: int, round_trip_seconds: float, queue_milliseconds: float) -> str:
    """Return why a measurement at a rate would take longer than `MAX_SECONDS`, or nothing."""

    def seconds(rate: int) -> float:
        size, _, _ = amounts(rate, round_trip_seconds, queue_milliseconds)
        return (_IN_EFFECT + 1) * SECONDS + size / (PAYLOAD_RATIO * rate)

    if seconds(rate) <= MAX_SECONDS:
        return ""
    lowest = next((high for high in range(1000, 10**6, 1000) if seconds(high) <= MAX_SECONDS), 0)
    if not lowest:
        return (
            f"whether a rate holds can't be measured within {MAX_SECONDS:g} s over a round trip "
            f"of {format_seconds(round_trip_seconds)}: set a shorter delay, or no rate"
        )
    return (
        f"set {format_link_rate(rate)}, expected {format_link_rate(lowest)} or more: whether a "
        f"lower rate holds can't be measured within {MAX_SECONDS:g} s"
    )


async def measure(
    mover: Mover,
    link: Link,
    burst: int | None = None,
    *,
    round_trip_seconds: float = 0,
    queue_milliseconds: float = QUEUE_MILLISECONDS,
    lossy: bool = False,
) -> dict[str, float]:
    """Measure the rates that a link's limits let through.

    Args:
        mover: moves the bytes.
        link: the rates set; a direction without a rate is not measured.
        burst: burst size of the rate limiter, in bytes, if it isn't ours (a CNI plugin's); None
            means ours.
        round_trip_seconds: between this peer and the mover's other end.
        queue_milliseconds: length of the limiter's queue, as time at the rate.
        lossy: whether the path loses packets. TCP may then be slower than the limit, so a rate that
            wasn't reached says nothing about the limit and is omitted.

    Returns:
        `upload` and `download`, if set, in bytes of payload per second.

    Raises:
        ConditionError: a limit doesn't hold (more than 10 % above the rate came through), or it
            can't be measured in time.
    """
    rates = {}
    async with mover.preflight_lease():
        for name, rate, move in (
            ("upload", link.upload, mover.preflight_upload),
            ("download", link.download, mover.preflight_download),
        ):
            if rate is None:
                continue
            if why := _too_low(rate, round_trip_seconds, queue_milliseconds):
                raise ConditionError(f"global.race.network.{name}: {why}")
            try:
                async with asyncio.timeout(MAX_SECONDS):
                    amount = amounts(rate, round_trip_seconds, queue_milliseconds)
                    found = await _direction(move, rate, burst, amount, lossy=lossy)
            except TimeoutError as error:
                raise ConditionError(
                    f"global.race.network.{name}: set {format_link_rate(rate)}, not measured "
                    f"within {MAX_SECONDS:g} s: something else holds this link back"
                ) from error
            judge(name, rate, found)
            if not lossy or found >= MIN_RATIO * rate:
                rates[name] = found
    return rates


async def _direction(
    move: Move, rate: int, burst: int | None, amount: tuple[int, int, int], *, lossy: bool
) -> float:
    # Our own limiter of a pod's downloads may be a policer, which has the larger burst.
    await _use_up_burst(move, rate, policer_burst_bytes(rate) if burst is None else burst)
    best = 0.0
    for _ in range(1 if lossy else TRIES):
        best = max(best, await _measure_once(move, rate, amount))
        if best >= MIN_RATIO * rate:
            break
    return best


async def _use_up_burst(move: Move, rate: int, burst: int) -> None:
    """Move what a limiter lets pass before it limits: a token bucket of size `burst` lets that and
    rate * t pass in a time t (RFC 2697 calls them CBS and CIR)."""
    size = min(burst, math.ceil(rate * SECONDS))
    began = now = time.monotonic()
    moved = limited = 0
    while (
        moved < burst + rate * (now - began)
        and limited < _IN_EFFECT
        and now - began < BURST_SECONDS
    ):
        before = now
        await move(size, 0)
        moved, now = moved + size, time.monotonic()
        limited = limited + 1 if size <= MAX_RATIO * rate * (now - before) else 0


async def _measure_once(move: Move, rate: int, amount: tuple[int, int, int]) -> float:
    size, allowance, skip = amount
    began = time.monotonic()
    steady = await move(size, skip)
    whole = (size - allowance) / max(time.monotonic() - began, 1e-9)
    return max(whole, min(steady, rate))


def judge(name: str, rate: int, measured: float) -> None:
    """Refuse a rate that does not hold; log one that something else limits.

    Raises:
        ConditionError: `measured` is more than 10 % above `rate`.
    """
    if measured > MAX_RATIO * rate:
        raise ConditionError(
            f"global.race.network.{name}: set {format_link_rate(rate)}, measured "
            f"{format_link_rate(measured)}; the limit does not hold here: let swarmrace set it "
            "(tc), or give its limiter a smaller burst"
        )
    if measured < MIN_RATIO * rate:
        _log.warning(
            "preflight: %s set %s, measured %s: something else holds this link back",
            name,
            format_link_rate(rate),
            format_link_rate(measured),
        )
