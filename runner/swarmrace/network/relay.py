"""Delay and loss between namespaces if the kernel has no netem: a relay in user space.

The relay is the switch of a race's network. Every peer's link, and the hub's, ends in a namespace
that only the relay uses. It reads the frames there from a packet(7) ring, holds each for its delay,
and sends it to the port of its destination address. What a peer sends is delayed and lost, as with
netem on the peer's interface; what the hub sends is not. A peer's rate limit acts before the delay,
because it is on the peer's own interface.

- The ring is the queue: a frame stays where the kernel put it until it is due, so frames keep
  their order and are copied only once.
- Delay counts from the kernel's stamp of a frame, so a relay that wakes late adds no delay to
  frames that it hasn't read yet. The stamp is a wall-clock time; `_Clock` makes a step harmless.
- Whether frame n of a port is lost follows from a hash of seed, port and n: the same seed loses the
  same frames.
- Frames are processed in batches with numpy, a microsecond or two each; docs/methodology.md has the
  measured limit.

Interfaces must not offload (`offload.turn_off`): a frame is at most 1514 bytes.
"""

from __future__ import annotations

import ctypes
import mmap
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from swarmrace.errors import ConditionError
from swarmrace.host.priority import RELAY, run_first
from swarmrace.network.frames import (
    BATCH,
    MIN_FRAMES,
    SLOT,
    Exits,
    Port,
    make_ring,
    overflowed,
    ring_socket,
)

FRAMES_PER_SECOND = 200_000
"""The ring holds the frames of the delay and another 0.1 s at this rate."""
MAX_FRAMES = 1 << 17
DIRECT_FRAMES = 4096
"""Size of the ring of frames that aren't delayed."""
LATE_SECONDS = 0.001
"""A frame is late if it leaves more than this and a tenth of the delay after it was due."""
COUNTS = (
    "frames",
    "frame_bytes",
    "lost",
    "late",
    "overflowed",
    "limited",
    "foreign",
    "cpu_microseconds",
)
"""What a relay counts: received frames and their bytes, frames lost as set, frames that left late,
frames that found the ring full, frames that a limiter of a download dropped, frames for no port,
and the CPU time of its process."""

_PR_SET_TIMERSLACK = 29


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """A relay's configuration. Port k of `peers` is peer k of the network."""

    hub: Port
    peers: tuple[Port, ...]
    delay_milliseconds: float
    loss_percent: float
    seed: int
    counts: Path
    """A file for `read_counts`, created by the relay once it is ready."""


def lost(seed: int, port: int, first: int, count: int, percent: float) -> np.ndarray:
    """Return which of a port's frames `first` to `first + count` are lost, as booleans.

    Frame n is lost if a uniform number in [0, 1), SplitMix64 of seed, port and n (Steele, Lea,
    Flood 2014), is below the share.
    """
    keys = np.array([seed, port], np.uint64)
    with np.errstate(over="ignore"):
        key = _mixed(keys[:1] + _mixed(keys[1:]))
        drawn = _mixed(key + np.arange(first, first + count, dtype=np.uint64))
    return (drawn >> np.uint64(11)) * 2.0**-53 < percent / 100


def _mixed(state: np.ndarray) -> np.ndarray:
    state = (state + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = state ^ (state >> np.uint64(31))
    return mixed


def read_counts(path: Path) -> dict[str, int] | None:
    """Return a relay's counts so far, or None while it isn't ready."""
    try:
        return dict(zip(COUNTS, struct.unpack(f"={len(COUNTS)}q", path.read_bytes()), strict=True))
    except (OSError, struct.error):
        return None


def probe() -> None:
    """Try what a relay needs, in the calling thread's namespace.

    Raises:
        ConditionError: the kernel lacks it.
    """
    try:
        with ring_socket(only="lo") as trial:
            make_ring(trial, MIN_FRAMES)
    except OSError as error:
        raise ConditionError(f"packet(7) ring: {error.strerror}") from error


def run(config: RelayConfig) -> int:
    """Relay in the calling process' namespace until it is killed."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_TIMERSLACK, 1)
    run_first(RELAY, inherited=True)  # frames that still leave late are counted
    relay = _Relay(config)
    while True:
        relay.wait()
        relay.work()


def frames_of(delay_seconds: float) -> int:
    """Return how many frames the ring for a delay holds."""
    return min(1 << int(FRAMES_PER_SECOND * (delay_seconds + 0.1)).bit_length(), MAX_FRAMES)


def ring_bytes(delay_milliseconds: float) -> int:
    """Return the memory that the kernel needs for a relay's rings."""
    return (frames_of(delay_milliseconds / 1000) + DIRECT_FRAMES) * SLOT


class _Relay:
    def __init__(self, config: RelayConfig) -> None:
        ports = [*config.peers, config.hub]
        indexes = [socket.if_nametoindex(port.interface) for port in ports]
        self._counts = _Counts(config.counts)
        # select(2) only accepts descriptors below 1024, so the sockets to wait for come first.
        delayed = ring_socket(not_from=indexes[-1])
        direct = ring_socket(only=config.hub.interface)
        exits = Exits(ports, indexes, self._counts.add)
        seconds = config.delay_milliseconds / 1000
        lost = (
            _Losses(config.seed, len(ports), config.loss_percent) if config.loss_percent else None
        )
        self._delayed = _Lane(
            delayed, frames_of(seconds), seconds, partial(exits.send, lost=lost), self._counts
        )
        self._direct = _Lane(direct, DIRECT_FRAMES, 0, partial(exits.send, lost=None), self._counts)
        self._counts.ready()

    def wait(self) -> None:
        """Wait until a frame is due on either lane."""
        seconds = self._delayed.seconds_left()
        fds = [self._direct.socket]
        if seconds is None:
            fds.append(self._delayed.socket)
        if (seconds is None or seconds > 0) and self._direct.seconds_left() is None:
            select.select(fds, (), (), seconds)

    def work(self) -> None:
        """Send what is due."""
        for lane in (self._direct, self._delayed):
            lane.send_due()
        self._counts.set("cpu_microseconds", time.process_time_ns() // 1000)


class _Lane:
    """One ring and its delay."""

    def __init__(
        self,
        source: socket.socket,
        frames: int,
        delay_seconds: float,
        send: Callable[[np.ndarray, int], None],
        counts: _Counts,
    ) -> None:
        self.socket = source
        self._frames = make_ring(source, frames)
        self._address = self._frames.__array_interface__["data"][0]
        self._size, self._head = frames, 0
        self._delay = round(delay_seconds * 1e9)
        # A wake-up and a batch take about 0.3 ms, so frames leave that long before they are due.
        self._lead = min(self._delay // 4, 300_000)
        self._bound = self._delay // 10 + round(LATE_SECONDS * 1e9)
        self._clock = _Clock(2 * self._delay + 1_000_000_000)
        self._send, self._counts = send, counts
        self._checked = time.monotonic()

    def seconds_left(self) -> float | None:
        """Return how long until the first frame is due, or None if there is none."""
        if not self._frames["status"][self._head]:
            return None
        if not self._delay:
            return 0.0
        now, arrived = self._clock.arrivals(self._frames[self._head : self._head + 1])
        return max(0, int(arrived[0]) + self._delay - self._lead - now) / 1e9

    def send_due(self) -> None:
        """Send the frames that are due, in their order, and free their slots."""
        while True:
            frames = self._frames[self._head : self._head + BATCH]
            filled = (
                int(np.argmin(frames["status"] != 0)) if not frames["status"].all() else len(frames)
            )
            if not filled:
                break
            now, arrived = self._clock.arrivals(frames[:filled])
            due = arrived + self._delay
            count = int(np.searchsorted(due, now + self._lead, side="right"))
            if not count:
                break
            frames = frames[:count]
            self._counts.add("frames", count)
            self._counts.add("frame_bytes", int(frames["length"].sum()))
            if now - int(due[0]) > self._bound:
                self._counts.add("late", int((now - due[:count] > self._bound).sum()))
            self._clock.passed(int(arrived[count - 1]))
            self._send(frames, self._address + self._head * SLOT)
            frames["status"] = 0
            self._head = (self._head + count) % self._size
        if time.monotonic() - self._checked > 0.1:
            self._checked = time.monotonic()
            self._counts.add("overflowed", overflowed(self.socket))


class _Clock:
    """Converts the kernel's wall-clock stamps to monotonic nanoseconds, even across steps.

    For a while after a step, frames from before it are still in the ring. Of the offsets before and
    after the step, a frame's is the one by which it came after the previous frame and not in the
    future.

    Args:
        overlap_ns: how long frames from before a step may still be there.
    """

    def __init__(self, overlap_ns: int) -> None:
        self._overlap_ns = overlap_ns
        self._offset = self._before = time.time_ns() - time.monotonic_ns()
        self._last = self._stepped = 0

    def arrivals(self, frames: np.ndarray) -> tuple[int, np.ndarray]:
        """Return the current time and when each frame came, ascending."""
        now = time.monotonic_ns()
        offset = time.time_ns() - now
        if abs(offset - self._offset) > 1_000_000:
            self._before, self._stepped = self._offset, now
        self._offset = offset
        stamps = frames["sec"].astype(np.int64) * 1_000_000_000 + frames["nsec"]
        arrived = stamps - offset
        if self._stepped and now - self._stepped < self._overlap_ns:
            older = stamps - self._before
            arrived = np.where((older >= self._last) & (older <= now), older, arrived)
        # Two processors may stamp a microsecond out of order.
        return now, np.maximum.accumulate(np.clip(arrived, min(self._last, now), now))

    def passed(self, arrived: int) -> None:
        """Record when the last frame that was sent had come."""
        self._last = arrived


class _Losses:
    """Decides which frames are lost; frames are counted by port."""

    def __init__(self, seed: int, ports: int, percent: float) -> None:
        self._seed, self._percent = seed, percent
        self._seen = [0] * ports

    def __call__(self, sources: np.ndarray) -> np.ndarray:
        """Return which of the next frames, from these ports, are lost."""
        found = np.zeros(len(sources), bool)
        for port in np.unique(sources):
            places = np.flatnonzero(sources == port)
            first = self._seen[port]
            found[places] = lost(self._seed, int(port), first, len(places), self._percent)
            self._seen[port] += len(places)
        return found


class _Counts:
    """Counts in a file that other processes read while they grow."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".part-{path.name}")
        self._part.write_bytes(bytes(8 * len(COUNTS)))
        with self._part.open("r+b") as file:
            self._values = np.frombuffer(mmap.mmap(file.fileno(), 8 * len(COUNTS)), np.int64)

    def ready(self) -> None:
        """Make the file visible under its name."""
        self._part.replace(self._path)

    def set(self, name: str, count: int) -> None:
        """Set a count."""
        self._values[COUNTS.index(name)] = count

    def add(self, name: str, count: int) -> None:
        """Add to a count."""
        self._values[COUNTS.index(name)] += count
