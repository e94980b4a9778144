"""When a transfer is ended: discovery, stall and transfer timeouts, the same for every system.

A stall is judged by what **arrives**, not by what is delivered: a stream may wait minutes for one
block while hundreds of later ones come. The first of these that is observed decides:

1. the system's own record of arrivals;
2. the program's own counter of the bytes it holds (`System.progress`);
3. what the peer's interface receives, above a floor that keep-alives don't reach;
4. what was written, otherwise what was delivered.

A delivery that waits while something arrives is noted; it doesn't end the transfer.
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
"""Keep-alives, announces and name resolution stay below this rate, averaged over `stallSeconds`."""
FLOOR_BYTES = 16_384
"""Minimum that counts as arriving, however short the stall: no system's block is smaller."""
AFTER_DONE_SECONDS = 8.0
"""How long a fetch may go on once it is done: longer than it takes to check the content (Codex:
5 s), and shorter than the rendezvous waits beyond the transfer's timeout."""
_LOOK_SECONDS = 1.0
"""How often the interface's byte count is read."""


class TransferWatch:
    """Judges one transfer repeatedly while it runs.

    A system that observes no bytes can't stall: only the other two timeouts apply. None of them
    applies once a fetch is done: from then on `AFTER_DONE_SECONDS` does.

    Args:
        record: what the system records.
        timeouts: the scenario's.
        stamp_ns: the leecher's start stamp.
        progress: `System.progress`.
        wire_received: returns the bytes that the interface has received since the start; None if
            the peer has no interface of its own.
        trouble: returns `System.trouble`, for the failure's detail.
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
        elapsed, delivery_wait = (now_ns - self._stamp_ns) / 1e9, ""
        if not discovered:
            if elapsed > limits.discovery_seconds:
                limit = limits.discovery_seconds
                return self._failure(Reason.TIMEOUT, f"no metadata or manifest within {limit:g} s")
        else:
            has_counter = self._read_counters(now_ns)
            signal, last_ns = self._last_arrival(has_counter)
            record.stall_judged_by = signal
            delivery_wait = self._delivery_wait(last_ns, now_ns)
            if signal is not None and self._silence(last_ns, now_ns) > limits.stall_seconds:
                return self._failure(Reason.STALL, self._stall_text(signal), delivery_wait)
        if elapsed > limits.transfer_seconds:
            text = f"not done within {limits.transfer_seconds:g} s"
            return self._failure(Reason.TIMEOUT, text, delivery_wait)
        return None

    def hangs_after_done(self, clock: Clock) -> bool:
        """Return whether the fetch still runs long after it was done."""
        done_ns = self._record.done_ns
        return done_ns is not None and clock.now_ns() - done_ns > AFTER_DONE_SECONDS * 1e9

    @property
    def notes(self) -> list[str]:
        """Notes on a transfer that has ended, failed or not."""
        wait, limit = self._longest_wait_seconds, self._timeouts.stall_seconds
        if wait <= limit or self._record.stall_judged_by in (None, "deliveries"):
            return []
        what = {"counter": "the node's own counter rose", "wire": "its interface received"}
        seen = what.get(self._record.stall_judged_by, "bytes arrived")
        return [
            f"delivery waited {wait:.0f} s, longer than stallSeconds ({limit:g} s), while {seen}"
        ]

    def _read_counters(self, now_ns: int) -> bool:
        """Read the program's counter and the interface's; return whether the program has one."""
        count = self._progress()
        if count is not None and (self._count is None or count > self._count):
            self._count, self._counted_ns = count, now_ns
        if self._wire_received is not None and now_ns - self._looked_ns >= _LOOK_SECONDS * 1e9:
            self._looked_ns, received = now_ns, self._wire_received()
            if received - self._wire_bytes >= self.floor_bytes:
                self._wire_bytes, self._wire_ns = received, now_ns
            elif self._silence(self._wire_ns, now_ns) > self._timeouts.stall_seconds:
                self._wire_bytes = received  # the few bytes of this stall don't count later
        return count is not None

    def _last_arrival(self, has_counter: bool) -> tuple[StallSignal | None, int]:
        record = self._record
        if record.arrivals is not None:
            return "arrivals", record.arrivals.last_ns
        if has_counter:
            return "counter", self._counted_ns
        if self._wire_received is not None:
            return "wire", self._wire_ns
        if record.written is not None:
            return "written", record.written.last_ns
        if record.deliverable is not None:
            return "deliveries", record.deliverable.last_ns
        return None, 0

    def _silence(self, last_ns: int, now_ns: int) -> float:
        """Return the seconds since the last arrival, counted from discovery at the earliest."""
        last_ns = max(self._stamp_ns, self._record.discovered_ns or 0, last_ns)
        return (now_ns - last_ns) / 1e9

    def _stall_text(self, signal: StallSignal) -> str:
        limit = self._timeouts.stall_seconds
        if signal == "counter":
            return f"the node's own counter has been {self._count} for {limit:g} s"
        if signal == "wire":
            floor = format_size(self.floor_bytes)
            return f"the interface received less than {floor} in {limit:g} s"
        return f"no new byte for {limit:g} s"

    def _delivery_wait(self, arrived_ns: int, now_ns: int) -> str:
        """Return a note on a delivery that waits too long while something arrives, or nothing."""
        record = self._record
        log = record.deliverable
        if log is None or log is record.arrivals or record.stall_judged_by == "deliveries":
            return ""
        seconds = self._silence(log.last_ns, now_ns)
        while_arriving = seconds - self._silence(arrived_ns, now_ns)
        self._longest_wait_seconds = max(self._longest_wait_seconds, while_arriving)
        if seconds <= self._timeouts.stall_seconds or while_arriving < 1:
            return ""
        return f"; delivery has waited {seconds:.0f} s at {log.bytes_recorded} bytes"

    def _failure(self, reason: Reason, text: str, delivery_wait: str = "") -> Failure:
        held, size = self._record.progress_bytes, self._record.size_bytes
        detail = f"{text}; {held} of {size} bytes came{delivery_wait}"
        if trouble := self._trouble():
            detail += f"; {trouble}"
        return Failure(reason=reason, stage="race", detail=detail)
