"""The records: one `PeerResult` for each peer of each run, one `RunResult` for each run.

Plain data, versioned, no behaviour. `results` reads and writes their folder; `verdict` judges them.
Seconds are from one host's monotonic clock; wall-clock times are only for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from swarmrace.definitions import HEADER_BYTES
from swarmrace.errors import Reason
from swarmrace.model import Model

FORMAT = 3
"""Version of the results format. Older versions load; history in docs/results-format.md."""

DRAW = 2
"""Version of how order and seeders are drawn from a scenario's seed (`schedule`)."""

MARK_PERCENTS = (0, 1, 10, 50, 90, 100)
"""Marks stored with every transfer; 0 is the first byte. All others can be derived from the
curves."""

CurveName = Literal["arrivals", "written", "deliveries", "wire"]
CURVES: Final[Mapping[str, CurveName]] = {
    "arrival": "arrivals",
    "written": "written",
    "delivery": "deliveries",
}
"""The name of each kind of curve in `{entrant}-{peer}.{name}.npz` and `Transfer.{name}_file`."""

WIRE: Final = "wire"
"""The name of the curve of what a peer's interface received (`WireCurve`); seeders have it too."""

WIRE_PERCENTS = (10, 50, 90)
"""Marks of the wire curve: percent of what the interface received until the transfer was done."""

Outcome = Literal["completed", "failed"]

StallSignal = Literal["arrivals", "counter", "wire", "written", "deliveries"]
"""The signal that a stall was judged by: the system's record of arrivals, the program's own
counter, the interface's received bytes, or what was written or delivered."""
DelayMeans = Literal["netem", "relay"]


class Failure(Model):
    """Why something failed."""

    reason: Reason
    stage: str
    """The stage it failed in (`swarmrace.definitions.STAGES`)."""
    detail: str = ""


class Stage(Model):
    """One stage of one peer in one run."""

    name: str
    began_seconds: float
    """Since the run opened for this peer."""
    seconds: float


class Mark(Model):
    """The time to some percent."""

    percent: float
    seconds: float
    """Since this leecher's own start stamp."""
    resolution_seconds: float
    """Its resolution (`arrivals.Curve.mark`): a smaller difference is no difference."""


class Percents(Model):
    """One curve at every whole percent, so that a report needs no npz. Empty in folders from
    before it was stored; it can then be derived from the npz."""

    seconds: list[float] = []
    """Time from this leecher's own start stamp to 0 (the first byte), 1, 2 … %, up to the last
    percent it reached: 101 numbers for a complete transfer."""
    resolution_seconds: list[float] = []
    """The resolution of each."""
    stall_began_seconds: float | None = None
    """When the longest stall began; null if there was none."""
    stall_seconds: float = 0.0
    stall_resolution_seconds: float = 0.0
    """How much longer the longest stall may have been."""


class Publish(Model):
    """One seeder's publish."""

    seconds: float
    rank: int
    """The seeder of rank 0 published alone: its speed is the upload speed with one client."""
    steps: dict[str, float] = {}


class Transfer(Model):
    """One leecher's transfer."""

    start_lag_seconds: float
    """Its own start stamp minus the common instant, on its own clock."""
    start_monotonic_nanoseconds: int | None = None
    """Its start stamp on its host's monotonic clock: only comparable with other stamps of that host
    since it booted. Null in formats 1 and 2."""
    start_error_seconds: float
    """Uncertainty of the common instant on its clock: half the round trip of the estimate."""
    discovery_seconds: float | None = None
    arrival: list[Mark] = []
    written: list[Mark] = []
    delivery: list[Mark] = []
    done_seconds: float | None = None
    """t100 by the system's definition of done."""
    done_resolution_seconds: float | None = None
    """The resolution of `done_seconds`; null if it was never done, and in format 1."""
    received_bytes: int = 0
    duplicate_bytes: int | None = None
    """Payload bytes that came again; null if that isn't observed."""
    records: int = 0
    records_complete: bool = True
    """Whether every byte has its record; if not, the verdict flags it."""
    unit: str = ""
    longest_stall_seconds: float | None = None
    """The longest stall of arrival; null if arrival isn't observed."""
    longest_stall_resolution_seconds: float | None = None
    """How much longer the longest stall may have been, there or between two samples elsewhere."""
    longest_written_stall_seconds: float | None = None
    longest_delivery_stall_seconds: float | None = None
    arrival_variation: float | None = None
    """Coefficient of variation of the throughput of arrival in 100 ms bins."""
    written_variation: float | None = None
    """The same for what was written."""
    delivery_variation: float | None = None
    """The same for the deliverable prefix."""
    percents: dict[str, Percents] = {}
    """Each observed curve, by its kind (`arrival`, `written`, `delivery`)."""
    stall_judged_by: StallSignal | None = None
    """The signal that `stallSeconds` was last judged by; null if nothing was observed."""
    connections_at_start: int | None = None
    retries: int = 0
    verified: bool | None = None
    """Whether length and SHA-256 are the payload's; null if they weren't checked."""
    arrivals_file: str | None = None
    """Name of the npz beside this record; null, like the other two, if there is no such curve."""
    written_file: str | None = None
    deliveries_file: str | None = None


class Wire(Model):
    """The peer's own interface from the common start to the run's end, without control traffic."""

    sent_bytes: int
    received_bytes: int
    sent_packets: int
    received_packets: int
    offload_sent_bytes: int = 0
    """Headers of segments that offload hid from the interface's count, by the kernel's segment
    counters; already added to the figures above."""
    offload_received_bytes: int = 0
    header_bytes: int = HEADER_BYTES
    """Header bytes of each of those segments; more over IPv6."""
    control_sent_bytes: int = 0
    """The runner's own traffic with the rendezvous; already subtracted from the figures above."""
    control_received_bytes: int = 0
    dropped_packets: int | None = None
    """Packets to this peer that the limiter of its download dropped outside of it; null if that
    can't be seen."""
    interface: str = ""
    offload: dict[str, bool] = {}


class WireCurve(Model):
    """What the peer's own interface received over time, from just before the start to the run's
    end, without control traffic. Bytes as the interface counts them: headers that offload hid are
    not added."""

    marks: list[Mark] = []
    """At `WIRE_PERCENTS` % of `bytes_until_done`; none for a seeder or a transfer not done."""
    bytes_until_done: int | None = None
    """Received between the leecher's start stamp and done."""
    percents: Percents | None = None
    """The same at every whole percent of `bytes_until_done`; null without that figure."""
    received_bytes: int
    """Received until the run's end."""
    samples: int
    longest_gap_seconds: float
    """The longest gap between two samples."""
    file: str
    """Name of the npz beside this record; it holds the samples at which bytes had come."""


class Usage(Model):
    """CPU and memory of the system during the race part of the run."""

    cpu_seconds: float
    peak_memory_bytes: int
    """Highest resident set of the run, or since the process began if the kernel can't reset it."""
    runner_cpu_seconds: float | None = None
    """The runner's own, if the system is a separate process."""
    runner_peak_memory_bytes: int | None = None
    """The runner's own highest resident set, if the system is a separate process."""
    throttled_seconds: float = 0.0
    """CPU throttling by the cgroup."""


class Limits(Model):
    """The limits that cgroups set for a system and its runner together (`host.limits`)."""

    cpu_cores: float | None = None
    """Cores; null for no limit."""
    memory_bytes: int | None = None
    """Null for no limit."""
    cpus: int | None = None
    """CPUs that they may run on: fewer than the machine's if a CPU manager pins them."""


class Load(Model):
    """The peer's whole machine during the race part of the run, all of its CPUs together."""

    seconds: float
    cpus: int
    busy_cpu_seconds: float
    """User, system and stolen time of all CPUs, without interrupts; includes the race's own."""
    pressure_seconds: float | None = None
    """Time in which some task waited for a CPU; null if the kernel has no /proc/pressure."""


class Waiting(Model):
    """What this peer used while other peers raced, since its last run."""

    seconds: float
    cpu_seconds: float
    wire_bytes: int | None = None
    """Bytes of its interface in that time, without the runner's own; null without an interface."""
    control_bytes: int | None = None
    """The runner's own traffic with the rendezvous in that time."""


class Connected(Model):
    """A change of a peer's number of connections."""

    seconds: float
    """Since the common start, on its own clock."""
    connections: int


class PeerInfo(Model):
    """One peer of the race, as it reports to the rendezvous."""

    entrant: str
    peer: int
    address: str
    host: str
    """Hostname or pod name."""
    node: str = ""
    """The machine it runs on, if known (a Kubernetes node)."""
    versions: dict[str, str] = {}
    machine: dict[str, Any] = {}
    clock_error_seconds: float = 0.0
    rates: dict[str, float] = {}
    """`upload` and `download` as measured by the preflight, bytes per second."""


class PeerResult(Model):
    """One peer's part in one run."""

    format: int = FORMAT
    race_id: str
    run_id: str
    entrant: str
    peer: int
    role: Literal["seeder", "leecher"]
    repetition: int
    seed: int
    payload_seed: str
    size_bytes: int
    sha256: str | None = None
    """The payload's SHA-256, from the scenario's seed."""
    outcome: Outcome
    failure: Failure | None = None
    stages: list[Stage] = []
    publish: Publish | None = None
    transfer: Transfer | None = None
    wire: Wire | None = None
    wire_curve: WireCurve | None = None
    usage: Usage | None = None
    limits: Limits | None = None
    """The limits of its containers; null in folders from before they were recorded."""
    load: Load | None = None
    waiting: Waiting | None = None
    started: Literal["cold", "warm"] | None = None
    """Whether its system was started for this run or was already up; null if not recorded."""
    counters: dict[str, float] = {}
    connected: list[Connected] = []
    """Connected peers over time, one entry for each change; empty if not observed."""
    system: dict[str, Any] = {}
    """What `System.describe` returned in this run."""
    versions: dict[str, str] = {}
    notes: list[str] = []


class RunResult(Model):
    """One run as the rendezvous recorded it; seconds on the rendezvous' clock."""

    format: int = FORMAT
    race_id: str
    run_id: str
    index: int
    entrant: str
    repetition: int
    seeders: list[int]
    status: Literal["raced", "not raced", "aborted"]
    """`raced`: the start signal was given; `not raced`: it never was; `aborted`: the rendezvous was
    lost or the race was interrupted while the run was in flight."""
    failure: Failure | None = None
    opened_utc: str = ""
    wall_seconds: float = 0.0
    """From open until the last peer had cleared up."""
    phases: dict[str, float] = {}
    """Seconds between the releases of the barriers: `prepared`, `first`, `published`, `ready`,
    `raced`, `cleared`."""
    lost: dict[int, str] = {}
    """Peers lost during the run, and how."""
    relay: dict[str, int] = {}
    """The relay's counts during the run (`network.relay.COUNTS`); empty without a relay."""


class Delay(Model):
    """How a race's delay and loss are made on one machine, and what was measured beforehand."""

    means: DelayMeans
    """`netem`, or `relay`: a relay in user space, if the kernel has no netem."""
    one_way_seconds: float | None = None
    """Median delay measured from a peer to the rendezvous; null if no delay is set."""
    needed_rate: float | None = None
    """The sum of the rates of one entrant's peers, bytes per second; null without rates."""
    carried_rate: float
    """How much of it got through; without rates, how much of one sender's. Bytes per second."""


class Trial(Model):
    """How an entrant's program was started and joined once, before the first run."""

    outcome: Literal["started", "never started", "unknown"]
    """`unknown`: the infrastructure cut the trial short; the entrant is raced."""
    tried: str
    """The entrant that was tried: this one, or another with the same program that failed first or
    was tried in an earlier cell of a matrix."""
    program: str
    """Identifies the program and how it is started (`swarmrace.plan.trials.program_id`)."""
    failure: Failure | None = None
    """Why it never started, with the end of the program's output, or why that is unknown."""
    seconds: float = 0.0


class RaceInfo(Model):
    """The record of a race (race.json): what was raced, by which versions, on which machines."""

    format: int = FORMAT
    race_id: str
    """The scenario's own id (`Scenario.race_id`): the same on one machine and on a cluster."""
    release_hash: str = ""
    """Hash of the Helm release that raced it: of what is raced and of the peers' pod templates;
    empty on one machine."""
    name: str
    scenario: dict[str, Any]
    """What is raced (`global.race`, `global.entrants`), complete with defaults. What only a cluster
    needs is omitted: a pod doesn't see it, and `pods.json` records it as it was."""
    backend: str
    """`local`, `local with network namespaces`, `kubernetes`."""
    created_utc: str
    commit: str = ""
    """Commit of the swarmrace that raced (`machine.commit`); empty in formats 1 and 2."""
    definitions: str = ""
    """Version of the definitions by which it measured (`definitions.version`); empty if not
    recorded."""
    versions: dict[str, str]
    machine: dict[str, Any]
    status: Literal["running", "finished", "interrupted", "stopped"] = "running"
    """`stopped`: the infrastructure stopped it before its last run."""
    stopped_by: str = ""
    """Why the infrastructure stopped the race; empty if it didn't."""
    rendezvous_restarts: int = 0
    decided_blocks: int | None = None
    """The number of blocks after which every acceptance was decided and the race stopped
    (`race.stopping`); null if it raced all of its blocks."""
    draw: int = DRAW
    """Version of how order and seeders were drawn from the seed; 1 before format 3."""
    test_doubles: list[str] = []
    """Entrants whose programs declare themselves test doubles of the real one."""
    delay: Delay | None = None
    """How delay and loss are made; null if none is set, and in pods."""
    trials: dict[str, Trial] = {}
    """By entrant; empty if none was held."""
    peers: list[PeerInfo] = []
