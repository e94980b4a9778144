"""A peer's state made by hand, with a run in flight and a run that has ended."""

from __future__ import annotations

from pathlib import Path

from swarmrace.clock import VirtualClock
from swarmrace.metrics.sampler import Sampler
from swarmrace.peer.state import PeerConfig, PeerState
from swarmrace.peer.transfer import summarize
from swarmrace.plan.schedule import schedule
from swarmrace.recording.arrivals import ByteLog
from swarmrace.recording.records import Failure, PeerResult, Usage, Wire
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems.abc import Observes, Record
from swarmrace.systems.run import Run

SIZE = 1_000_000
BLOCK = 10_000
START_NS = 7_000_000_123
WALL_NS = 1_763_921_447_123_456_789
"""Unix time at `START_NS`."""
OBSERVES = Observes(arrival=True, written=True, delivery=True, unit="block")


def scenario(kind: str = "synthetic", **options: object) -> Scenario:
    entrants = {"one": {"kind": kind, **options}}
    race = {"swarmSize": 3, "fileSize": SIZE, "repetitions": 2, "rotateSeeders": False}
    return parse({"global": {"race": race, "entrants": entrants}})


def wall_of(clock: VirtualClock):
    """A wall clock that agrees with `clock`."""
    return lambda: WALL_NS + clock.now_ns() - START_NS


class HandMade:
    """A leecher in its first run, whose blocks arrive as the test wants."""

    def __init__(
        self, tmp_path: Path, peer: int = 1, kind: str = "synthetic", **options: object
    ) -> None:
        self.scenario = scenario(kind, **options)
        self.runs: list[Run] = schedule(self.scenario)
        self.config = PeerConfig(
            scenario=self.scenario,
            race_id="0123456789",
            entrant="one",
            peer=peer,
            rendezvous="http://127.0.0.1:1",
            address="127.0.0.1",
            work_dir=tmp_path,
            node="here",
        )
        self.clock = VirtualClock(START_NS)
        self.state = PeerState(self.config)
        self.sampler = Sampler(self.state, self.clock, wall_of(self.clock))
        self.ended_ns = START_NS

    def begin(self, run: int = 0) -> Record:
        """Begin a run's transfer at the clock's time."""
        record = Record(self.clock, SIZE)
        record.start_ns = self.clock.now_ns()
        record.arrivals = ByteLog(4)
        if self.sampler._observes.written:
            record.written = ByteLog(4)
        record.deliverable = ByteLog(4)
        self.state.run, self.state.record, self.state.stage = self.runs[run], record, "race"
        self.state.wire = lambda: WIRE
        self.state.usage = lambda: USAGE
        return record

    def block(self, number: int, after_ms: int, *, verified: bool = True) -> None:
        """Record a block that arrived `after_ms` after the start."""
        record = self.state.record
        assert record is not None
        assert record.start_ns is not None
        t_ns = record.start_ns + after_ms * 1_000_000
        assert record.arrivals is not None
        assert record.deliverable is not None
        record.arrivals.record(number * BLOCK, BLOCK, t_ns)
        if record.written is not None:
            record.written.record(number * BLOCK, BLOCK, t_ns + 1)
        if verified:
            record.deliverable.record(number * BLOCK, BLOCK, t_ns + 1)
        self.clock._now_ns = max(self.clock._now_ns, t_ns + 1)

    def result(self, failure: Failure | None = None) -> tuple[PeerResult, dict]:
        """End the run in flight; return its result and curves as `peer_run` makes them."""
        record, run = self.state.record, self.state.run
        assert record is not None
        assert run is not None
        assert record.start_ns is not None
        now_ns = self.clock.now_ns()
        self.state.start_ns = record.start_ns
        figures, curves = summarize(record, OBSERVES, record.start_ns, record.start_ns, now_ns)
        result = self._result(run, failure, transfer=figures, wire=WIRE, usage=USAGE)
        return result, curves

    def _result(self, run: Run, failure: Failure | None, **parts: object) -> PeerResult:
        transfer = parts.get("transfer")
        if transfer is not None and failure is None:
            parts["transfer"] = transfer.model_copy(update={"verified": True})
        return PeerResult(
            race_id=self.config.race_id,
            run_id=run.id,
            entrant="one",
            peer=self.config.peer,
            role=run.role(self.config.peer),
            repetition=run.repetition,
            seed=1,
            payload_seed=run.payload_seed,
            size_bytes=SIZE,
            outcome="completed" if failure is None else "failed",
            failure=failure,
            counters={"sent_bytes": 3.0, "received_bytes": 5.0},
            system={"version": "hand-made 1"},
            **parts,
        )


WIRE = Wire(sent_bytes=11, received_bytes=1_050_000, sent_packets=1, received_packets=700)
USAGE = Usage(
    cpu_seconds=0.25, peak_memory_bytes=50_000_000, runner_cpu_seconds=0.5, throttled_seconds=0.125
)


def values(samples, name: str, **labels: str) -> list[float]:
    """Return the values of a metric with these labels, in order."""
    found = []
    for sample in samples:
        given = dict(zip(sample.metric.labels, sample.labels, strict=True))
        if sample.metric.name == name and labels.items() <= given.items():
            found.append(sample.value)
    return found
