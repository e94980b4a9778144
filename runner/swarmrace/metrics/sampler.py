"""Makes samples from a peer's state: of the current run, and of every run that has ended.

Times are Unix times of one host. A run's start stamp is converted to wall time once; every other
instant of that run is this start plus a duration of the same host's monotonic clock. So differences
between a run's timestamps are the durations in the result, even if the wall clock is set meanwhile,
and clocks of two hosts are never subtracted.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from swarmrace import __version__, systems
from swarmrace.clock import Clock
from swarmrace.definitions import STAGES
from swarmrace.errors import Reason
from swarmrace.metrics import table
from swarmrace.metrics.progress import HeldBytes, PrefixBytes, SampledBytes
from swarmrace.metrics.table import Metric, Sample
from swarmrace.peer.state import PeerState
from swarmrace.recording.arrivals import Curve
from swarmrace.recording.records import CURVES, Mark, PeerResult, Transfer, Usage, Wire
from swarmrace.recording.samples import SampledLog
from swarmrace.systems.abc import Counters, Record
from swarmrace.systems.run import Run


@dataclass(frozen=True)
class EndedRun:
    """A run that has ended for this peer."""

    result: PeerResult
    start_wall_ns: int | None
    """The start stamp as Unix time in nanoseconds; None if this peer did not begin to fetch."""
    ended_wall_ns: int
    """Unix time in nanoseconds at which the result was accepted."""
    bytes: Mapping[str, int]
    """Total bytes by kind of curve (`records.CURVES`)."""


@dataclass(frozen=True)
class _Snapshot:
    """The state that only the peer's own thread may read."""

    stage: str
    run: Run | None
    record: Record | None
    counters: Counters
    wire: Wire | None
    usage: Callable[[], Usage] | None
    start_wall_ns: int | None
    now_ns: int
    ended: tuple[EndedRun, ...]


def observed_curves(result: PeerResult, curves: Mapping[str, Curve]) -> dict[str, Curve]:
    """Return a leecher's curves by kind, only those that the system observes.

    Args:
        result: the run's result.
        curves: the curves stored with it, by the names in `records.CURVES`.
    """
    transfer = result.transfer
    kinds = ("arrival", "written")
    found = {kind: curves[CURVES[kind]] for kind in kinds if CURVES[kind] in curves}
    if transfer is not None and transfer.longest_delivery_stall_seconds is not None:
        found["delivery"] = (curves.get("deliveries") or curves["arrivals"]).prefix()
    return found


class Sampler:
    """Reads a peer's state on demand.

    Args:
        state: the peer's state.
        clock: the peer's clock.
        wall_ns: returns Unix time in nanoseconds.
    """

    def __init__(
        self, state: PeerState, clock: Clock, wall_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self.state = state
        self.clock = clock
        self.pushes = {"sent": 0, "failed": 0}
        self._wall_ns = wall_ns
        self._start: tuple[int, int] | None = None
        self._ended: list[EndedRun] = []
        self._held: dict[str, HeldBytes] = {}
        self._prefix: PrefixBytes | None = None
        config = state.config
        self._options = config.scenario.entrants[config.entrant]
        self._observes = systems.load(self._options.kind).observes(self._options)
        self._peer_labels = (
            config.release_hash or config.race_id,
            config.entrant,
            str(config.peer),
        )

    def add_ended(self, result: PeerResult, curves: Mapping[str, Curve]) -> EndedRun:
        """Add a run that has ended; from now on the values of its result are served.

        Args:
            result: the accepted result.
            curves: from `observed_curves`.
        """
        start = None if result.transfer is None else self._start_wall_ns(self.state.start_ns)
        totals = {name: curve.total_bytes for name, curve in curves.items()}
        ended = EndedRun(result, start, self._wall_ns(), totals)
        self._ended.append(ended)
        return ended

    def snapshot(self) -> _Snapshot:
        """Return the peer's state; call it in the peer's own thread."""
        state, counters, wire = self.state, Counters(), None
        if state.system is not None:
            with contextlib.suppress(Exception):
                counters = state.system.counters()
        if state.wire is not None:
            with contextlib.suppress(OSError):
                wire = state.wire()
        start_ns = state.record.start_ns if state.record is not None else None
        return _Snapshot(
            state.stage,
            None if state.run is None or state.run.is_trial else state.run,
            state.record,
            counters,
            wire,
            state.usage,
            self._start_wall_ns(start_ns),
            self.clock.now_ns(),
            tuple(self._ended),
        )

    def samples(self, snapshot: _Snapshot) -> list[Sample]:
        """Return every sample. Any thread may call this, but only one at a time."""
        found = self.peer_samples()
        run, ended = snapshot.run, snapshot.ended
        run_id = run.id if run is not None else ""
        for stage in STAGES:
            found.append(self._sample(table.STAGE, run_id, stage == snapshot.stage, stage))
        if run is not None and not any(entry.result.run_id == run.id for entry in ended):
            found += self._live_samples(snapshot, run)
        for entry in ended:
            found += self.ended_samples(entry)
        return found

    def ended_samples(self, ended: EndedRun, t_ms: int | None = None) -> list[Sample]:
        """Return the samples of a run that has ended, with the timestamp `t_ms`."""
        result = ended.result
        run, failure = result.run_id, result.failure
        found = self._run_samples(run, result.role, result.repetition, result.size_bytes)
        sample, transfer = self._sample, result.transfer
        found.append(sample(table.COMPLETED, run, result.outcome == "completed"))
        if failure is not None:
            found.append(sample(table.FAILURE_INFO, run, 1, str(failure.reason), failure.stage))
        if result.publish is not None:
            seconds, rank = result.publish.seconds, str(result.publish.rank)
            found.append(sample(table.PUBLISH, run, seconds, rank))
        if result.role == "leecher":
            verified = transfer is not None and transfer.verified
            found.append(sample(table.VERIFIED, run, result.size_bytes if verified else 0))
            found += self._byte_samples(run, ended.bytes)
        if transfer is not None and ended.start_wall_ns is not None:
            found += self._transfer_samples(run, transfer, ended.start_wall_ns)
        found += self._cost_samples(run, result.wire, result.usage)
        found += self._counter_samples(run, result.counters)
        return found if t_ms is None else [each._replace(t_ms=t_ms) for each in found]

    def peer_samples(self, t_ms: int | None = None) -> list[Sample]:
        """Return the samples of the peer itself, with the timestamp `t_ms`."""
        config, labels, options = self.state.config, self._peer_labels, self._options
        about = (options.kind, options.profile, __version__, config.node, config.address)
        found = [Sample(table.PEER_INFO, (*labels, *about), 1)]
        versions = [str(entry.result.system.get("version", "")) for entry in self._ended]
        if any(versions):
            found.append(Sample(table.SYSTEM_INFO, (*labels, [v for v in versions if v][-1]), 1))
        failures = Counter(e.result.failure.reason for e in self._ended if e.result.failure)
        for reason in Reason:
            found.append(Sample(table.FAILURES, (*labels, str(reason)), failures[reason]))
        for outcome, count in self.pushes.items():
            found.append(Sample(table.PUSHES, (*labels, outcome), count))
        return found if t_ms is None else [each._replace(t_ms=t_ms) for each in found]

    def _live_samples(self, snapshot: _Snapshot, run: Run) -> list[Sample]:
        sample, role = self._sample, run.role(self.state.config.peer)
        found = self._run_samples(run.id, role, run.repetition, run.size_bytes)
        found += self._cost_samples(
            run.id, snapshot.wire, snapshot.usage() if snapshot.usage is not None else None
        )
        counters = snapshot.counters
        sent, received = counters.sent_bytes, counters.received_bytes
        found += self._counter_samples(
            run.id, {"sent_bytes": sent, "received_bytes": received, **counters.extra}
        )
        if counters.connections is not None:
            found.append(sample(table.CONNECTIONS, run.id, counters.connections))
        if role != "leecher":
            return found
        found.append(sample(table.VERIFIED, run.id, 0))
        if snapshot.record is None:
            self._held, self._prefix = {}, None
            return found + self._byte_samples(run.id, {})
        return found + self._progress_samples(snapshot, run, snapshot.record)

    def _progress_samples(self, snapshot: _Snapshot, run: Run, record: Record) -> list[Sample]:
        """Return the samples of the transfer in flight: bytes, and the marks crossed so far."""
        sample = self._sample
        if self._prefix is None:
            self._held = {kind: HeldBytes(run.size_bytes) for kind in ("arrival", "written")}
            self._prefix = PrefixBytes(run.size_bytes)
        held, prefix, last_ns = self._held, self._prefix, 0
        for kind, log in (("arrival", record.arrivals), ("written", record.written)):
            if log is not None:
                if not isinstance(log, SampledLog):
                    held[kind].update(log)
                last_ns = max(last_ns, log.last_ns)
        if record.deliverable is not None:
            prefix.update(record.deliverable)
            last_ns = max(last_ns, record.deliverable.last_ns)
        by_kind: dict[str, HeldBytes | SampledBytes | PrefixBytes] = {**held, "delivery": prefix}
        if isinstance(record.arrivals, SampledLog):
            by_kind["arrival"] = received = SampledBytes(run.size_bytes)
            received.update(record.arrivals, held["written"])
        found = self._byte_samples(run.id, {kind: each.bytes for kind, each in by_kind.items()})
        unlogged = record.unlogged_duplicates
        if record.arrivals is not None and record.arrivals.offsets_known and unlogged is not None:
            found.append(
                sample(table.DUPLICATE, run.id, held["arrival"].duplicate_bytes + unlogged)
            )
        start_ns, wall_ns = record.start_ns, snapshot.start_wall_ns
        if start_ns is None or wall_ns is None:
            return found
        if record.done_ns is None and snapshot.stage == "race":
            waited_ns = snapshot.now_ns - max(last_ns, start_ns)
            found.append(sample(table.SINCE_BYTE, run.id, max(0, waited_ns) / 1e9))
        instants: list[tuple[Metric, tuple[str, ...], int | None]] = [(table.START, (), start_ns)]
        instants += [(table.DISCOVERED, (), record.discovered_ns), (table.DONE, (), record.done_ns)]
        for kind, each in by_kind.items():
            instants += [(table.MARK, (kind, f"{p:g}"), t_ns) for p, t_ns in each.marks.items()]
        for metric, labels, t_ns in instants:
            if t_ns is not None:
                found.append(
                    sample(metric, run.id, _unix_seconds(wall_ns, (t_ns - start_ns) / 1e9), *labels)
                )
        return found

    def _transfer_samples(self, run: str, transfer: Transfer, wall_ns: int) -> list[Sample]:
        """Return the samples of a transfer that has ended, from its result."""
        sample = self._sample
        found = [
            sample(table.START_LAG, run, transfer.start_lag_seconds),
            sample(table.START, run, _unix_seconds(wall_ns, 0.0)),
        ]
        if transfer.duplicate_bytes is not None:
            found.append(sample(table.DUPLICATE, run, transfer.duplicate_bytes))
        stalls = {
            "arrival": transfer.longest_stall_seconds,
            "written": transfer.longest_written_stall_seconds,
            "delivery": transfer.longest_delivery_stall_seconds,
        }
        marks: dict[str, list[Mark]] = {
            "arrival": transfer.arrival,
            "written": transfer.written,
            "delivery": transfer.delivery,
        }
        for name, seconds in stalls.items():
            if seconds is not None:
                found.append(sample(table.STALL, run, seconds, name))
        for name, row in marks.items():
            for mark in row:
                instant = _unix_seconds(wall_ns, mark.seconds)
                found.append(sample(table.MARK, run, instant, name, f"{mark.percent:g}"))
        for metric, seconds in (
            (table.DISCOVERED, transfer.discovery_seconds),
            (table.DONE, transfer.done_seconds),
        ):
            if seconds is not None:
                found.append(sample(metric, run, _unix_seconds(wall_ns, seconds)))
        return found

    def _run_samples(self, run: str, role: str, repetition: int, size_bytes: int) -> list[Sample]:
        found = [self._sample(table.RUN_INFO, run, 1, role, str(repetition))]
        if role == "leecher":
            found.append(self._sample(table.PAYLOAD, run, size_bytes))
        return found

    def _byte_samples(self, run: str, bytes_by_kind: Mapping[str, int]) -> list[Sample]:
        """Return the bytes of the curves that the system observes; other curves have none."""
        return [
            self._sample(metric, run, bytes_by_kind.get(kind, 0))
            for kind, metric in table.BYTES.items()
            if getattr(self._observes, kind)
        ]

    def _cost_samples(self, run: str, wire: Wire | None, usage: Usage | None) -> list[Sample]:
        figures: list[tuple[Metric, float | None]] = []
        if wire is not None:
            figures += [(table.WIRE_SENT, wire.sent_bytes)]
            figures += [(table.WIRE_RECEIVED, wire.received_bytes)]
        if usage is not None:
            figures += [
                (table.CPU, usage.cpu_seconds),
                (table.RUNNER_CPU, usage.runner_cpu_seconds),
                (table.THROTTLED, usage.throttled_seconds),
                (table.MEMORY, usage.peak_memory_bytes),
            ]
        return [self._sample(metric, run, value) for metric, value in figures if value is not None]

    def _counter_samples(self, run: str, counters: Mapping[str, float | None]) -> list[Sample]:
        """Return the system's own counters, named as in a result."""
        found = []
        for name, value in counters.items():
            if value is None or name == "connections":  # served only during the run
                continue
            if name in _SYSTEM_BYTES:
                found.append(self._sample(_SYSTEM_BYTES[name], run, value))
            else:
                found.append(self._sample(table.SYSTEM_FIGURE, run, value, name))
        return found

    def _sample(self, metric: Metric, run: str, value: float, *labels: str) -> Sample:
        return Sample(metric, (*self._peer_labels, run, *labels), float(value))

    def _start_wall_ns(self, start_ns: int | None) -> int | None:
        """Return a start stamp as Unix time in nanoseconds, always the same for one stamp."""
        if start_ns is None:
            return None
        if self._start is None or self._start[0] != start_ns:
            self._start = start_ns, self._wall_ns() - (self.clock.now_ns() - start_ns)
        return self._start[1]


_SYSTEM_BYTES = {"sent_bytes": table.SYSTEM_SENT, "received_bytes": table.SYSTEM_RECEIVED}


def _unix_seconds(start_wall_ns: int, seconds: float) -> float:
    """Return the Unix time `seconds` after a start."""
    return (start_wall_ns + round(seconds * 1e9)) / 1e9
