"""From a peer's state to samples: of the run that is on, and of every run that has ended.

Times are Unix times of one host: a run's start stamp is placed on the wall clock once, and every
other instant of that run is this start plus a duration of the same host's monotonic clock. So the
differences between a run's timestamps are the result's own durations, whatever the wall clock does
meanwhile, and no two hosts' clocks are ever subtracted.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from swarmrace import systems
from swarmrace.clock import Clock
from swarmrace.definitions import STAGES
from swarmrace.errors import Reason
from swarmrace.metrics import table
from swarmrace.metrics.progress import Held, Prefix, Received
from swarmrace.metrics.table import Metric, Sample
from swarmrace.peer.state import PeerState
from swarmrace.recording.arrivals import Curve
from swarmrace.recording.records import CURVES, Mark, PeerResult, Transfer, Usage, Wire
from swarmrace.recording.samples import SampledLog
from swarmrace.systems.abc import Counters, Record
from swarmrace.systems.run import Run


@dataclass(frozen=True)
class Ended:
    """A run that has ended for this peer."""

    result: PeerResult
    start_wall_ns: int | None
    """The start stamp as Unix time in nanoseconds; None when this peer did not begin to fetch."""
    ended_wall_ns: int
    """When the result had been accepted."""
    bytes: Mapping[str, int]
    """By kind of curve (`records.CURVES`), what came."""


@dataclass(frozen=True)
class _Snapshot:
    """What only the peer's own thread may ask."""

    stage: str
    run: Run | None
    record: Record | None
    counters: Counters
    wire: Wire | None
    usage: Callable[[], Usage] | None
    start_wall_ns: int | None
    now_ns: int
    ended: tuple[Ended, ...]


def observed(result: PeerResult, curves: Mapping[str, Curve]) -> dict[str, Curve]:
    """Return a leecher's curves by their kind, as far as the system observes them.

    Args:
        result: the run's.
        curves: what was stored with it, by the names in `records.CURVES`.
    """
    transfer = result.transfer
    kinds = ("arrival", "written")
    found = {kind: curves[CURVES[kind]] for kind in kinds if CURVES[kind] in curves}
    if transfer is not None and transfer.longest_delivery_stall_seconds is not None:
        found["delivery"] = (curves.get("deliveries") or curves["arrivals"]).prefix()
    return found


class Sampler:
    """Reads a peer's state, when asked.

    Args:
        state: the peer's.
        clock: the peer's.
        wall_ns: Unix time in nanoseconds.
    """

    def __init__(
        self, state: PeerState, clock: Clock, wall_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self.state = state
        self.clock = clock
        self.pushes = {"sent": 0, "failed": 0}
        self._wall_ns = wall_ns
        self._start: tuple[int, int] | None = None
        self._ended: list[Ended] = []
        self._held: dict[str, Held] = {}
        self._prefix: Prefix | None = None
        config = state.config
        self._options = config.scenario.entrants[config.entrant]
        self._observes = systems.load(self._options.kind).observes(self._options)
        self._me = (config.release_hash or config.race_id, config.entrant, str(config.peer))

    def ended(self, result: PeerResult, curves: Mapping[str, Curve]) -> Ended:
        """Note that a run has ended; from now on it is served as its result says.

        Args:
            result: what was accepted.
            curves: from `observed`.
        """
        start = None if result.transfer is None else self._on_the_wall(self.state.start_ns)
        totals = {name: curve.total_bytes for name, curve in curves.items()}
        ended = Ended(result, start, self._wall_ns(), totals)
        self._ended.append(ended)
        return ended

    def snapshot(self) -> _Snapshot:
        """Return what is needed of the peer; call it in the peer's own thread."""
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
            self._on_the_wall(start_ns),
            self.clock.now_ns(),
            tuple(self._ended),
        )

    def samples(self, snapshot: _Snapshot) -> list[Sample]:
        """Return every sample; any thread may ask, one at a time."""
        found = self.peer_samples()
        run, ended = snapshot.run, snapshot.ended
        run_id = run.id if run is not None else ""
        for stage in STAGES:
            found.append(self._of(table.STAGE, run_id, stage == snapshot.stage, stage))
        if run is not None and not any(entry.result.run_id == run.id for entry in ended):
            found += self._live_samples(snapshot, run)
        for entry in ended:
            found += self.ended_samples(entry)
        return found

    def ended_samples(self, ended: Ended, t_ms: int | None = None) -> list[Sample]:
        """Return the samples of a run that has ended, as of `t_ms`."""
        result = ended.result
        run, failure = result.run_id, result.failure
        found = self._run_samples(run, result.role, result.repetition, result.size_bytes)
        of, transfer = self._of, result.transfer
        found.append(of(table.COMPLETED, run, result.outcome == "completed"))
        if failure is not None:
            found.append(of(table.FAILURE_INFO, run, 1, str(failure.reason), failure.stage))
        if result.publish is not None:
            seconds, rank = result.publish.seconds, str(result.publish.rank)
            found.append(of(table.PUBLISH, run, seconds, rank))
        if result.role == "leecher":
            right = transfer is not None and transfer.verified
            found.append(of(table.VERIFIED, run, result.size_bytes if right else 0))
            found += self._byte_samples(run, ended.bytes)
        if transfer is not None and ended.start_wall_ns is not None:
            found += self._transfer_samples(run, transfer, ended.start_wall_ns)
        found += self._cost_samples(run, result.wire, result.usage)
        found += self._counter_samples(run, result.counters)
        return found if t_ms is None else [sample._replace(t_ms=t_ms) for sample in found]

    def peer_samples(self, t_ms: int | None = None) -> list[Sample]:
        """Return the samples of the peer itself, as of `t_ms`."""
        config, me, options = self.state.config, self._me, self._options
        about = (options.kind, options.profile, _version(), config.node, config.address)
        found = [Sample(table.PEER_INFO, (*me, *about), 1)]
        versions = [str(entry.result.system.get("version", "")) for entry in self._ended]
        if any(versions):
            found.append(Sample(table.SYSTEM_INFO, (*me, [v for v in versions if v][-1]), 1))
        failures = Counter(e.result.failure.reason for e in self._ended if e.result.failure)
        for reason in Reason:
            found.append(Sample(table.FAILURES, (*me, str(reason)), failures[reason]))
        for outcome, count in self.pushes.items():
            found.append(Sample(table.PUSHES, (*me, outcome), count))
        return found if t_ms is None else [sample._replace(t_ms=t_ms) for sample in found]

    def _live_samples(self, snapshot: _Snapshot, run: Run) -> list[Sample]:
        of, role = self._of, run.role(self.state.config.peer)
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
            found.append(of(table.CONNECTIONS, run.id, counters.connections))
        if role != "leecher":
            return found
        found.append(of(table.VERIFIED, run.id, 0))
        if snapshot.record is None:
            self._held, self._prefix = {}, None
            return found + self._byte_samples(run.id, {})
        return found + self._progress_samples(snapshot, run, snapshot.record)

    def _progress_samples(self, snapshot: _Snapshot, run: Run, record: Record) -> list[Sample]:
        """The transfer in flight: bytes, and the marks crossed so far."""
        of = self._of
        if self._prefix is None:
            self._held = {kind: Held(run.size_bytes) for kind in ("arrival", "written")}
            self._prefix = Prefix(run.size_bytes)
        held, prefix, last_ns = self._held, self._prefix, 0
        for kind, log in (("arrival", record.arrivals), ("written", record.written)):
            if log is not None:
                if not isinstance(log, SampledLog):
                    held[kind].update(log)
                last_ns = max(last_ns, log.last_ns)
        if record.deliverable is not None:
            prefix.update(record.deliverable)
            last_ns = max(last_ns, record.deliverable.last_ns)
        came: dict[str, Held | Received | Prefix] = {**held, "delivery": prefix}
        if isinstance(record.arrivals, SampledLog):
            came["arrival"] = received = Received(run.size_bytes)
            received.update(record.arrivals, held["written"])
        found = self._byte_samples(run.id, {kind: each.bytes for kind, each in came.items()})
        unlogged = record.unlogged_duplicates
        if record.arrivals is not None and record.arrivals.offsets_known and unlogged is not None:
            found.append(of(table.DUPLICATE, run.id, held["arrival"].duplicate_bytes + unlogged))
        start_ns, wall_ns = record.start_ns, snapshot.start_wall_ns
        if start_ns is None or wall_ns is None:
            return found
        if record.done_ns is None and snapshot.stage == "race":
            waited_ns = snapshot.now_ns - max(last_ns, start_ns)
            found.append(of(table.SINCE_BYTE, run.id, max(0, waited_ns) / 1e9))
        instants: list[tuple[Metric, tuple[str, ...], int | None]] = [(table.START, (), start_ns)]
        instants += [(table.DISCOVERED, (), record.discovered_ns), (table.DONE, (), record.done_ns)]
        for kind, each in came.items():
            instants += [(table.MARK, (kind, f"{p:g}"), t_ns) for p, t_ns in each.marks.items()]
        for metric, labels, t_ns in instants:
            if t_ns is not None:
                found.append(of(metric, run.id, _at(wall_ns, (t_ns - start_ns) / 1e9), *labels))
        return found

    def _transfer_samples(self, run: str, transfer: Transfer, wall_ns: int) -> list[Sample]:
        """A transfer that has ended, as its result says."""
        of = self._of
        found = [
            of(table.START_LAG, run, transfer.start_lag_seconds),
            of(table.START, run, _at(wall_ns, 0.0)),
        ]
        if transfer.duplicate_bytes is not None:
            found.append(of(table.DUPLICATE, run, transfer.duplicate_bytes))
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
                found.append(of(table.STALL, run, seconds, name))
        for name, row in marks.items():
            for mark in row:
                instant = _at(wall_ns, mark.seconds)
                found.append(of(table.MARK, run, instant, name, f"{mark.percent:g}"))
        for metric, seconds in (
            (table.DISCOVERED, transfer.discovery_seconds),
            (table.DONE, transfer.done_seconds),
        ):
            if seconds is not None:
                found.append(of(metric, run, _at(wall_ns, seconds)))
        return found

    def _run_samples(self, run: str, role: str, repetition: int, size_bytes: int) -> list[Sample]:
        found = [self._of(table.RUN_INFO, run, 1, role, str(repetition))]
        if role == "leecher":
            found.append(self._of(table.PAYLOAD, run, size_bytes))
        return found

    def _byte_samples(self, run: str, came: Mapping[str, int]) -> list[Sample]:
        """Only what the system observes: nothing is filled in from another kind."""
        return [
            self._of(metric, run, came.get(kind, 0))
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
        return [self._of(metric, run, value) for metric, value in figures if value is not None]

    def _counter_samples(self, run: str, counters: Mapping[str, float | None]) -> list[Sample]:
        """The system's own counters, as a result names them."""
        found = []
        for name, value in counters.items():
            if value is None or name == "connections":  # served while the run is on
                continue
            if name in _SYSTEM_BYTES:
                found.append(self._of(_SYSTEM_BYTES[name], run, value))
            else:
                found.append(self._of(table.SYSTEM_FIGURE, run, value, name))
        return found

    def _of(self, metric: Metric, run: str, value: float, *labels: str) -> Sample:
        return Sample(metric, (*self._me, run, *labels), float(value))

    def _on_the_wall(self, start_ns: int | None) -> int | None:
        """Return a start stamp as Unix time; the same stamp gets the same answer for ever."""
        if start_ns is None:
            return None
        if self._start is None or self._start[0] != start_ns:
            self._start = start_ns, self._wall_ns() - (self.clock.now_ns() - start_ns)
        return self._start[1]


_SYSTEM_BYTES = {"sent_bytes": table.SYSTEM_SENT, "received_bytes": table.SYSTEM_RECEIVED}


def _at(start_wall_ns: int, seconds: float) -> float:
    """Return the Unix time in seconds, `seconds` after a start."""
    return (start_wall_ns + round(seconds * 1e9)) / 1e9


def _version() -> str:
    from swarmrace import __version__

    return __version__
