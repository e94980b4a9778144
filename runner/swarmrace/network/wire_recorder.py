"""One peer's wire curve: what its interface received over time, whatever the system.

It is the only curve that every system has. Its percents refer to the bytes that the interface
received from the leecher's start until its transfer was done, not to the payload: they include
headers, protocol and duplicates, and their share of payload differs between systems.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import numpy as np

from swarmrace.network.wire_samples import OwnSampler, Ring
from swarmrace.recording.arrivals import Curve, Int64s
from swarmrace.recording.percents import wire_percents
from swarmrace.recording.records import WIRE_PERCENTS, Mark, WireCurve
from swarmrace.recording.samples import Samples

_READ_SECONDS = 5.0


WireFigures = tuple[WireCurve, Curve]
"""The record of a wire curve, and the curve to store."""


class WireRecorder:
    """Records what one interface receives from `start` on.

    Args:
        ring: the samples.
        column: the interface's column in the ring.
        control_received: returns how many bytes of the runner's own traffic have been received.
        sampler: samples for this recorder only, if any; closed with it.
    """

    def __init__(
        self,
        ring: Ring,
        column: int,
        control_received: Callable[[], int],
        sampler: OwnSampler | None = None,
    ) -> None:
        self._ring, self._column = ring, column
        self._control_received = control_received
        self._sampler = sampler
        self._parts: list[tuple[Int64s, Int64s]] = []
        self._control: list[tuple[int, int]] = []
        self._row = 0
        self._first: int | None = None
        self._last = 0
        self._kept: Samples | None = None
        self._dropped_before = 0
        self.dropped_packets: int | None = None
        """Packets to this peer that limiters outside of it dropped from `start` to `finish`; None
        if they can't be seen."""
        ring.request()

    @classmethod
    def own(cls, interface: str, control_received: Callable[[], int]) -> WireRecorder:
        """Return a recorder of an interface in this process's namespace, with its own sampler.

        Raises:
            OSError: the interface doesn't exist.
        """
        sampler = OwnSampler(interface)
        return cls(sampler.ring, 0, control_received, sampler)

    def start(self) -> None:
        """Begin to record, or begin again; the latest sample is the first."""
        self._parts, self._control, self._first = [], [], None
        if self._sampler is None:  # an own sampler uses this process's CPU: it keeps its interval
            self._ring.begin()
        self._row = max(0, self._ring.written - 1)
        self._dropped_before = self._ring.dropped(self._column)
        self.read()

    def read(self) -> int:
        """Read the samples so far; return the bytes received since `start`."""
        self._ring.request()
        self._row, t_ns, counts = self._ring.since(self._row, self._column)
        if len(t_ns):
            self._parts.append((t_ns, counts))
            self._first = int(counts[0]) if self._first is None else self._first
            self._last = int(counts[-1])
        self._control.append((time.monotonic_ns(), self._control_received()))
        control = self._control[-1][1] - self._control[0][1]
        return max(0, self._last - (self._first or 0) - control)

    def samples(self) -> Samples:
        """Return what was recorded so far, without the runner's own traffic.

        Only totals of the runner's traffic at each `read` are known; in between it is subtracted
        evenly. It is a few hundred bytes a second.
        """
        self.read()
        t_ns, counts = self.counted()
        if not len(t_ns):
            return Samples(t_ns, counts)
        when, control = (np.array(column, np.int64) for column in zip(*self._control, strict=True))
        spent = np.interp(t_ns - t_ns[0], when - t_ns[0], control).astype(np.int64)
        return Samples(t_ns, np.maximum.accumulate(counts - spent))

    def counted(self) -> Samples:
        """Return what was read so far, including the runner's own traffic."""
        if not self._parts:
            return Samples(np.zeros(0, np.int64), np.zeros(0, np.int64))
        return Samples(*(np.concatenate(columns) for columns in zip(*self._parts, strict=True)))

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Read every few seconds within the block, because the sampler overwrites old samples;
        close at its end."""

        async def keep_reading() -> None:
            while True:
                await asyncio.sleep(_READ_SECONDS)
                self.read()

        task = asyncio.create_task(keep_reading())
        try:
            yield
        finally:
            task.cancel()
            self.close()

    def finish(self) -> None:
        """Stop recording; `curve` uses what was recorded until now."""
        self._kept = self.samples()
        if self._sampler is None:
            self.dropped_packets = self._ring.dropped(self._column) - self._dropped_before

    def curve(self, zero_ns: int, done_ns: int | None, file: str) -> WireFigures | None:
        """Return the `wire_curve` of what was recorded until `finish`."""
        return None if self._kept is None else wire_curve(self._kept, zero_ns, done_ns, file)

    def close(self) -> None:
        """Close the sampler, if this recorder has its own."""
        sampler, self._sampler = self._sampler, None
        if sampler is not None:
            sampler.close()


def wire_curve(
    samples: Samples, zero_ns: int, done_ns: int | None, file: str
) -> WireFigures | None:
    """Return the figures and the curve of what was received since `zero_ns`.

    Args:
        samples: the samples of the whole run.
        zero_ns: a leecher's start stamp, or for a seeder the common instant.
        done_ns: when the transfer was done; None for a seeder, and if it never was.
        file: the name of the curve's file.

    Returns:
        None if fewer than two samples were taken from just before `zero_ns` on.
    """
    first = max(0, int(np.searchsorted(samples.t_ns, zero_ns, side="right")) - 1)
    t_ns, received = samples.t_ns[first:] - zero_ns, samples.received[first:]
    if len(t_ns) < 2:
        return None
    received = received - received[0]
    grew = np.flatnonzero(np.diff(received)) + 1
    before = received[grew - 1]
    curve = Curve(
        before, received[grew] - before, t_ns[grew], int(received[-1]), offsets_known=False
    )
    until_done, marks, percents = None, [], None
    if done_ns is not None:
        at = min(int(np.searchsorted(t_ns, done_ns - zero_ns)), len(t_ns) - 1)
        until_done = int(received[at])
        marks = [_mark(t_ns, received, until_done, percent) for percent in WIRE_PERCENTS]
        percents = wire_percents(t_ns, received, until_done)
    figures = WireCurve(
        marks=marks,
        bytes_until_done=until_done,
        percents=percents,
        received_bytes=int(received[-1]),
        samples=len(t_ns),
        longest_gap_seconds=int(np.diff(t_ns).max()) / 1e9,
        file=file,
    )
    return figures, curve


def _mark(t_ns: Int64s, received: Int64s, total: int, percent: float) -> Mark:
    """Return when `percent` % of `total` had come, by the first sample that shows it. It came
    between that sample and the one before, so the gap is the resolution."""
    at = max(1, int(np.searchsorted(received, max(1, -(-total * round(percent) // 100)))))
    at = min(at, len(t_ns) - 1)
    gap_ns = int(t_ns[at] - t_ns[at - 1])
    return Mark(percent=percent, seconds=int(t_ns[at]) / 1e9, resolution_seconds=gap_ns / 1e9)
