"""`synthetic`: a system for tests. It moves no data and records bytes by a programmed curve.

On a `VirtualClock` every record has exactly the curve's nanosecond, so that a test knows what the
whole chain after it must compute. On the `SystemClock` it sleeps until then.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

import swarmrace
from swarmrace.clock import Clock, sleep
from swarmrace.errors import Reason, TransferError
from swarmrace.recording.arrivals import ByteLog
from swarmrace.recording.payload import Payload, file_sha256
from swarmrace.systems.abc import (
    Context,
    Counters,
    Digest,
    Published,
    Record,
    Reference,
    System,
)
from swarmrace.systems.run import Run
from swarmrace.systems.synthetic.options import SyntheticOptions

_FOREVER_NS = 10**16
"""116 days: longer than any timeout a scenario can set."""


class ProgrammedCurve:
    """When exactly a leecher holds how many bytes.

    Args:
        options: curve and factors.
        peer: the leecher's index.
        repetition: the run's repetition.
        size_bytes: the payload's size.
    """

    def __init__(self, options: SyntheticOptions, peer: int, repetition: int, size_bytes: int):
        runs = options.run_factor
        self.factor = _exact(options.peer_factor.get(peer, 1.0)) * _exact(
            runs[repetition % len(runs)] if runs else 1.0
        )
        self._points = [(_exact(t) * self.factor, _exact(f)) for t, f in options.curve]
        self._fractions = [fraction for _, fraction in self._points]
        self._size_bytes = size_bytes
        self.discovery_ns = round(_exact(options.discovery_seconds) * self.factor * 10**9)

    def instant_ns(self, held_bytes: int) -> int | None:
        """Return the nanosecond, from the start, at which `held_bytes` are first held; None if
        the curve never gets there."""
        wanted = Fraction(held_bytes, self._size_bytes)
        at = bisect_left(self._fractions, wanted)
        if at == len(self._points):
            return None
        seconds, fraction = self._points[at]
        if at:
            before, reached = self._points[at - 1]
            seconds = before + (seconds - before) * (wanted - reached) / (fraction - reached)
        return round(seconds * 10**9)

    def records(self, record_size: int, until_bytes: int) -> Sequence[tuple[int, int, int]]:
        """Return (offset, length, nanosecond) of every record that ends by `until_bytes`."""
        rows = []
        for offset in range(0, until_bytes, record_size):
            length = min(record_size, until_bytes - offset)
            t_ns = self.instant_ns(offset + length)
            if t_ns is None:
                break
            rows.append((offset, length, t_ns))
        return rows


class SyntheticSystem(System):
    """One peer that only pretends to transfer."""

    options: SyntheticOptions

    def __init__(self, context: Context, options: SyntheticOptions) -> None:
        super().__init__(context, options)
        self._run: Run | None = None
        self._record: Record | None = None
        self._fault = options.faults.get(context.peer)

    @property
    def _clock(self) -> Clock:
        return self.context.clock

    async def prepare(self, run: Run) -> None:
        """Forget the previous run."""
        self._run, self._record = run, None

    async def publish(self, file: Path, first: Reference | None) -> Published:
        """Take `publishSeconds`. The reference names the content, by the file's SHA-256."""
        await sleep(self._clock, self.options.publish_seconds)
        if self._fault == "publishHangs":
            await self._hang()
        self._refuse_or_crash("publish")
        reference = {"sha256": await asyncio.to_thread(file_sha256, file)}
        if first is not None and dict(first) != reference:
            raise TransferError(
                Reason.REFUSED, f"the first seeder published {first}, this one has {reference}"
            )
        return Published(reference, {"hash": self.options.publish_seconds})

    async def fetch(self, references: Sequence[Reference], record: Record) -> None:
        """Record what the curve says, and stop where a fault does."""
        run, size = self._current(), record.size_bytes
        start_ns = self._clock.now_ns()
        self._record = record
        record.connections_at_start = len(references)
        if self._fault == "refused":
            self._refuse_or_crash("fetch")
        programme = ProgrammedCurve(self.options, self.context.peer, run.repetition, size)
        until = size // 2 if self._fault in ("stall", "crash") else size
        rows = programme.records(self.options.record_size, until)
        log = record.arrivals = record.deliverable = ByteLog(len(rows))
        # The curve counts from the start; records before the discovery aren't moved.
        discovery_ns = min([programme.discovery_ns, *(t_ns for _, _, t_ns in rows[:1])])
        await self._clock.sleep_until(start_ns + discovery_ns)
        record.discovered()
        for offset, length, t_ns in rows:
            await self._clock.sleep_until(start_ns + t_ns)
            log.record(offset, length, self._clock.now_ns())
        self._refuse_or_crash("fetch")
        if log.bytes_recorded < size:
            await self._hang()
        record.done()

    def counters(self) -> Counters:
        """Return what was recorded; no bytes are sent."""
        if self._record is None:
            return Counters(sent_bytes=0)
        return Counters(received_bytes=self._record.progress_bytes, connections=1)

    async def digest(self) -> Digest:
        """Return the payload's own hash, or another under the fault `wrongBytes`."""
        run = self._current()
        seed = f"not {run.payload_seed}" if self._fault == "wrongBytes" else run.payload_seed
        sha256 = await asyncio.to_thread(Payload(seed, run.size_bytes).sha256)
        return Digest(run.size_bytes, sha256)

    async def remove(self) -> None:
        """Forget the run."""
        self._run = self._record = None

    async def close(self) -> None:
        """Do the same as `remove`; there is nothing else to release."""
        await self.remove()

    def describe(self) -> Mapping[str, Any]:
        """Return the options, which determine everything."""
        settings = self.options.model_dump(mode="json")
        return {
            "version": f"swarmrace {swarmrace.__version__}",
            "settings": settings,
            "reasons": {},
        }

    def _current(self) -> Run:
        if self._run is None:
            raise RuntimeError("called before prepare")
        return self._run

    def _refuse_or_crash(self, stage: str) -> None:
        if self._fault == "refused":
            raise TransferError(Reason.REFUSED, f"{stage}: programmed to refuse")
        if self._fault == "crash":
            raise TransferError(Reason.NODE_DIED, f"{stage}: programmed to crash")

    async def _hang(self) -> NoReturn:
        """Never return. First advance a virtual clock, so that a watch that reads it sees the
        silence."""
        await self._clock.sleep_until(self._clock.now_ns() + _FOREVER_NS)
        while True:
            await asyncio.Event().wait()


def _exact(value: float) -> Fraction:
    """Return the decimal that was written: 0.1 is a tenth, not its nearest double."""
    return Fraction(repr(value))
