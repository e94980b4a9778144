"""When a transfer is ended: discovery, stall and transfer timeouts, alike for every system.

A stall is judged by what **arrives**, not by what is delivered: a stream may wait minutes for one
block while hundreds of later ones come. Of what is observed the first decides:

1. the system's own record of arrivals;
2. the program's own counter of what it holds (`System.progress`);
3. what the peer's interface receives, above a floor that keep-alives don't reach;
4. what was written or delivered, where nothing nearer to the socket is observed.

A delivery that waits while something arrives is noted, and ends nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from swarmrace.clock import Clock
from swarmrace.errors import Reason
from swarmrace.recording.records import Failure, StallSignal
from swarmrace.scenario.scenario import Timeouts
from swarmrace.systems.abc import Record
from swarmrace.units import format_size

FLOOR_BYTES_PER_SECOND = 1_000
"""What an interface receives of keep-alives, announces and name resolution stays below this, over
the seconds of a stall."""
FLOOR_BYTES = 16_384
"""The least that counts as arriving, however short a stall: no system's block is smaller."""
AFTER_DONE_SECONDS = 8.0
"""How long a fetch may go on once it is done: longer than checking what it got takes (Codex: 5 s),
and shorter than the rendezvous waits beyond the timeout of the transfer."""
_LOOK_SECONDS = 1.0
"""How often the interface's bytes are looked at."""


class Watch:
    """Judges one transfer, again and again while it runs.

    A system that observes no bytes at all can't stall: only the other two timeouts bound it. None
    of them concerns what a fetch does once it is done: that has a bound of its own.

    Args:
        record: what the system records.
        timeouts: the scenario's.
        stamp_ns: the leecher's start stamp.
        progress: `System.progress`.
        wire_received: returns the bytes that the interface has received since the start; None where
            it isn't the peer's own.
        trouble: `System.trouble`, for the failure's detail.
    """

    def __init__(
        self,
        record: Record,
        timeouts: Timeouts,
        stamp_ns: int,
        *,
        progress: Callable[[], int | None] = lambda: None,
        wire_received: Callable[[], int] | None = None,
        trouble: Callable[[], str] = lambda: "",
    ) -> None:
        self._record, self._timeouts, self._stamp_ns = record, timeouts, stamp_ns
        self._progress, self._wire_received, self._trouble = progress, wire_received, trouble
        self.floor_bytes = max(FLOOR_BYTES, round(FLOOR_BYTES_PER_SECOND * timeouts.stall_seconds))
        self._count: int | None = None
        self._counted_ns = stamp_ns
        self._wire_bytes, self._wire_ns, self._looked_ns = 0, stamp_ns, stamp_ns
        self._longest_wait_seconds = 0.0

    def judge(self, clock: Clock) -> Failure | None:
        """Return why the transfer ends now, or None."""
        record, limits, now_ns = self._record, self._timeouts, clock.now_ns()
        if record.done_ns is not None:
            return None
        log = record.main
        discovered = record.discovered_ns is not None or (log is not None and len(log) > 0)
        elapsed, waits = (now_ns - self._stamp_ns) / 1e9, ""
        if not discovered:
            if elapsed > limits.discovery_seconds:
                limit = limits.discovery_seconds
                return self._failure(Reason.TIMEOUT, f"no metadata or manifest within {limit:g} s")
        else:
            counts = self._look(now_ns)
            signal, last_ns = self._last_arrival(counts)
            record.stall_judged_by = signal
            waits = self._waits(last_ns, now_ns)
            if signal is not None and self._silent(last_ns, now_ns) > limits.stall_seconds:
                return self._failure(Reason.STALL, self._stalled(signal), waits)
        if elapsed > limits.transfer_seconds:
            text = f"not done within {limits.transfer_seconds:g} s"
            return self._failure(Reason.TIMEOUT, text, waits)
        return None

    def hangs_after_done(self, clock: Clock) -> bool:
        """Return whether the fetch goes on although it has long been done."""
        done_ns = self._record.done_ns
        return done_ns is not None and clock.now_ns() - done_ns > AFTER_DONE_SECONDS * 1e9

    @property
    def notes(self) -> list[str]:
        """What is to be noted of a transfer that has ended, however it did."""
        wait, limit = self._longest_wait_seconds, self._timeouts.stall_seconds
        if wait <= limit or self._record.stall_judged_by in (None, "deliveries"):
            return []
        what = {"counter": "the node's own counter rose", "wire": "its interface received"}
        seen = what.get(self._record.stall_judged_by, "bytes arrived")
        return [
            f"delivery waited {wait:.0f} s, longer than stallSeconds ({limit:g} s), while {seen}"
        ]

    def _look(self, now_ns: int) -> bool:
        """Take note of what the counter and the interface say; return whether there is a count."""
        count = self._progress()
        if count is not None and (self._count is None or count > self._count):
            self._count, self._counted_ns = count, now_ns
        if self._wire_received is not None and now_ns - self._looked_ns >= _LOOK_SECONDS * 1e9:
            self._looked_ns, received = now_ns, self._wire_received()
            if received - self._wire_bytes >= self.floor_bytes:
                self._wire_bytes, self._wire_ns = received, now_ns
            elif self._silent(self._wire_ns, now_ns) > self._timeouts.stall_seconds:
                self._wire_bytes = received  # what came in a whole stall counts for none later
        return count is not None

    def _last_arrival(self, counts: bool) -> tuple[StallSignal | None, int]:
        record = self._record
        if record.arrivals is not None:
            return "arrivals", record.arrivals.last_ns
        if counts:
            return "counter", self._counted_ns
        if self._wire_received is not None:
            return "wire", self._wire_ns
        if record.written is not None:
            return "written", record.written.last_ns
        if record.deliverable is not None:
            return "deliveries", record.deliverable.last_ns
        return None, 0

    def _silent(self, last_ns: int, now_ns: int) -> float:
        last_ns = max(self._stamp_ns, self._record.discovered_ns or 0, last_ns)
        return (now_ns - last_ns) / 1e9

    def _stalled(self, signal: StallSignal) -> str:
        limit = self._timeouts.stall_seconds
        if signal == "counter":
            return f"the node's own counter has stood at {self._count} for {limit:g} s"
        if signal == "wire":
            floor = format_size(self.floor_bytes)
            return f"the interface received less than {floor} in {limit:g} s"
        return f"no new byte for {limit:g} s"

    def _waits(self, arrived_ns: int, now_ns: int) -> str:
        """Return what is said of a delivery that waits too long while something arrived."""
        record = self._record
        log = record.deliverable
        if log is None or log is record.arrivals or record.stall_judged_by == "deliveries":
            return ""
        seconds = self._silent(log.last_ns, now_ns)
        while_arriving = seconds - self._silent(arrived_ns, now_ns)
        self._longest_wait_seconds = max(self._longest_wait_seconds, while_arriving)
        if seconds <= self._timeouts.stall_seconds or while_arriving < 1:
            return ""
        return f"; delivery has waited {seconds:.0f} s at {log.bytes_recorded} bytes"

    def _failure(self, reason: Reason, text: str, waits: str = "") -> Failure:
        held, size = self._record.progress_bytes, self._record.size_bytes
        trouble = self._trouble()
        detail = f"{text}; {held} of {size} bytes came{waits}" + (f"; {trouble}" if trouble else "")
        return Failure(reason=reason, stage="race", detail=detail)
