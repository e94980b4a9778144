"""Does a limit hold? Measured before the race, by moving more than the limiter's burst.

Some runtimes take a rate, give it a burst of hundreds of megabytes, or ignore it silently. So each
peer moves bytes between itself and the rendezvous, each direction by itself, and the race is
refused where more comes through than was set. What is measured is payload of one TCP connection; of
a rate on the link at most 95.6 % is payload (see `conditions`). The measured rates land in the
results, and the theoretical minimum is counted with them.

First the burst is used up: bytes are moved until the limit is felt to hold, or until more came
through than the burst and what the rate adds to it meanwhile, or for 20 s at most; a limit not felt
by then is none for a race. What is moved after that is measured.

Two figures are taken of one transfer. The whole of it, from before the first byte to after the
last, less our own burst, can't exceed a limit that holds, however late a busy machine takes the
stamps: by this one a race is refused. The steady part, after burst and queue, has no start of a
connection in it: this one is reported, as far as it does not exceed what is set.
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

MOST_RATIO = 1.10
"""Measured over set: above it the race is refused."""
PAYLOAD_RATIO = 0.95
"""Of a rate on the link, what is payload at most (see `conditions`)."""
LEAST_RATIO = 0.85
"""Below it a measurement is made again, because a busy machine can make one too low, and the
highest counts; when none is above, the log says that something else holds the link back."""
TRIES = 3
SECONDS = 0.5
"""How long a measurement takes at the rate set, at least."""
BURST_SECONDS = 20.0
"""How long it may take to use up a burst."""
MOST_SECONDS = 60.0
"""How long one direction may take in all."""
_FELT = 2
"""Transfers in a row at the rate set that show a limit to hold."""

_log = logging.getLogger(__name__)


class Mover(Protocol):
    """What moves the bytes: `swarmrace.rendezvous.client.client.RendezvousClient`."""

    def preflight_lease(self) -> AbstractAsyncContextManager[None]:
        """Hold one of the few places for measuring, so that the hub's own link is no limit."""
        ...

    async def preflight_upload(self, size_bytes: int, skip_bytes: int = 0) -> float:
        """Send; return bytes per second as received, the first `skip_bytes` left out."""
        ...

    async def preflight_download(self, size_bytes: int, skip_bytes: int = 0) -> float:
        """Receive; return bytes per second as received, the first `skip_bytes` left out."""
        ...


Move = Callable[[int, int], Awaitable[float]]


def amounts(
    rate: int, round_trip_seconds: float = 0, queue_milliseconds: float = QUEUE_MILLISECONDS
) -> tuple[int, int, int]:
    """Return the bytes to measure by, our burst in them, and what comes before the steady part.

    Args:
        rate: bytes per second.
        round_trip_seconds: TCP has sent some twice what the path holds before it fills it
            (slow start), and no more than twice that comes before the steady part.
        queue_milliseconds: what the limiter's queue holds of the rate.
    """
    burst = burst_bytes(rate)
    skip = burst + queue_bytes(rate, queue_milliseconds) + math.ceil(4 * rate * round_trip_seconds)
    return skip + max(math.ceil(rate * SECONDS), 8 * burst), burst, skip


def faults(network: Network) -> list[str]:
    """Return which rates are too low to be measured in time, one line each."""
    round_trip_seconds = network.delay_milliseconds / 1000
    found = []
    for whose, link in (("", network), ("seeders.", network.seeders)):
        for name in ("upload", "download"):
            rate = getattr(link, name, None)
            if rate is not None and (
                why := _too_low(rate, round_trip_seconds, network.queue_milliseconds)
            ):
                found.append(f"global.race.network.{whose}{name}: {why}")
    return found


def _too_low(rate: int, round_trip_seconds: float, queue_milliseconds: float) -> str:
    """Return that a measurement at a rate would outlast `MOST_SECONDS`, or nothing."""

    def seconds(rate: int) -> float:
        size, _, _ = amounts(rate, round_trip_seconds, queue_milliseconds)
        return (_FELT + 1) * SECONDS + size / (PAYLOAD_RATIO * rate)

    if seconds(rate) <= MOST_SECONDS:
        return ""
    lowest = next((high for high in range(1000, 10**6, 1000) if seconds(high) <= MOST_SECONDS), 0)
    if not lowest:
        return (
            f"whether a rate holds can't be measured within {MOST_SECONDS:g} s over a round trip "
            f"of {format_seconds(round_trip_seconds)}: set a shorter delay, or no rate"
        )
    return (
        f"set {format_link_rate(rate)}, expected {format_link_rate(lowest)} or more: whether a "
        f"lower rate holds can't be measured within {MOST_SECONDS:g} s"
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
        link: the rates set; a direction without one is not measured.
        burst: most bytes that the limiter may let pass before it limits, where it is not ours (a
            CNI plugin's); ours when absent.
        round_trip_seconds: between this peer and the mover's other end.
        queue_milliseconds: what the limiter's queue holds of the rate.
        lossy: whether the path loses packets. TCP may then be slower than the limit: a rate that
            was not reached says nothing of the limit and is left out.

    Returns:
        `upload` and `download`, where set, in bytes of payload per second.

    Raises:
        ConditionError: a limit doesn't hold: more than 10 % above what is set came through; or it
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
                async with asyncio.timeout(MOST_SECONDS):
                    amount = amounts(rate, round_trip_seconds, queue_milliseconds)
                    found = await _direction(move, rate, burst, amount, lossy=lossy)
            except TimeoutError as error:
                raise ConditionError(
                    f"global.race.network.{name}: set {format_link_rate(rate)}, not measured "
                    f"within {MOST_SECONDS:g} s: something else holds this link back"
                ) from error
            judge(name, rate, found)
            if not lossy or found >= LEAST_RATIO * rate:
                rates[name] = found
    return rates


async def _direction(
    move: Move, rate: int, burst: int | None, amount: tuple[int, int, int], *, lossy: bool
) -> float:
    # Our own limiter of what comes into a pod may be a policer, which has the larger burst.
    await _use_up(move, rate, policer_burst_bytes(rate) if burst is None else burst)
    best = 0.0
    for _ in range(1 if lossy else TRIES):
        best = max(best, await _once(move, rate, amount))
        if best >= LEAST_RATIO * rate:
            break
    return best


async def _use_up(move: Move, rate: int, burst: int) -> None:
    """Move what a limiter may let pass before it limits: a token bucket that is `burst` deep lets
    that and rate * t pass in a time t (RFC 2697 calls them CBS and CIR)."""
    size = min(burst, math.ceil(rate * SECONDS))
    began = now = time.monotonic()
    moved = felt = 0
    while moved < burst + rate * (now - began) and felt < _FELT and now - began < BURST_SECONDS:
        before = now
        await move(size, 0)
        moved, now = moved + size, time.monotonic()
        felt = felt + 1 if size <= MOST_RATIO * rate * (now - before) else 0


async def _once(move: Move, rate: int, amount: tuple[int, int, int]) -> float:
    size, allowance, skip = amount
    began = time.monotonic()
    steady = await move(size, skip)
    whole = (size - allowance) / max(time.monotonic() - began, 1e-9)
    return max(whole, min(steady, rate))


def judge(name: str, rate: int, measured: float) -> None:
    """Refuse a rate that does not hold; note one that something else holds back.

    Raises:
        ConditionError: `measured` is more than 10 % above `rate`.
    """
    if measured > MOST_RATIO * rate:
        raise ConditionError(
            f"global.race.network.{name}: set {format_link_rate(rate)}, measured "
            f"{format_link_rate(measured)}; the limit does not hold here: let swarmrace set it "
            "(tc), or give what sets it a smaller burst"
        )
    if measured < LEAST_RATIO * rate:
        _log.warning(
            "preflight: %s set %s, measured %s: something else holds this link back",
            name,
            format_link_rate(rate),
            format_link_rate(measured),
        )
