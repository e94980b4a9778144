"""What is written down: one `PeerResult` for each peer of each run, one `RunResult` for each run.

Plain data, versioned, no behaviour. `results` reads and writes the folder they lie in; `verdict`
judges them. Seconds are from one host's monotonic clock; a wall-clock time is for people only.
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
"""Version of the way in which a scenario's seed gives order and seeders (`schedule`)."""

MARK_PERCENTS = (0, 1, 10, 50, 90, 100)
"""Marks stored with every transfer; 0 is the first byte. Any other follows from the arrivals."""

CurveName = Literal["arrivals", "written", "deliveries", "wire"]
CURVES: Final[Mapping[str, CurveName]] = {
    "arrival": "arrivals",
    "written": "written",
    "delivery": "deliveries",
}
"""Kind of curve to its name in `{entrant}-{peer}.{name}.npz` and in `Transfer.{name}_file`."""

WIRE: Final = "wire"
"""The same of what a peer's interface received, which is no transfer's alone (`WireCurve`)."""

WIRE_PERCENTS = (10, 50, 90)
"""Marks of the wire curve: percent of what the interface received until the transfer was done."""

Outcome = Literal["completed", "failed"]

StallSignal = Literal["arrivals", "counter", "wire", "written", "deliveries"]
"""What a stall was judged by: the system's record of arrivals, the program's own counter, the
interface's received bytes, or what was written or delivered."""
DelayMeans = Literal["netem", "relay"]


class Failure(Model):
    """Why there is no time."""

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
    """A time to some percent."""

    percent: float
    seconds: float
    """Since this leecher's own start stamp."""
    resolution_seconds: float
    """What is unknown of it (`arrivals.Curve.mark`); a difference below it is none."""


class Percents(Model):
    """One curve at every whole percent, so that a report needs no npz. Empty in a folder from
    before it was stored; it then follows from the npz."""

    seconds: list[float] = []
    """Time to 0 (the first byte), 1, 2 … %, since the leecher's own start stamp, as far as the
    transfer came: 101 numbers of a whole one."""
    resolution_seconds: list[float] = []
    """What is unknown of each."""
    stall_began_seconds: float | None = None
    """When the longest stall began; null where there was none."""
    stall_seconds: float = 0.0
    stall_resolution_seconds: float = 0.0
    """How much longer the longest stall may have been."""


class Publish(Model):
    """One seeder's publish."""

    seconds: float
    rank: int
    """0 published alone: its speed is the upload speed with one client."""
    steps: dict[str, float] = {}


class Transfer(Model):
    """One leecher's transfer."""

    start_lag_seconds: float
    """Its own start stamp minus the common instant, on its own clock."""
    start_monotonic_nanoseconds: int | None = None
    """Its start stamp on its host's monotonic clock: comparable with what else that host stamped
    since it booted, and with nothing else. Null in formats 1 and 2."""
    start_error_seconds: float
    """Half the round trip by which the common instant was carried over to its clock."""
    discovery_seconds: float | None = None
    arrival: list[Mark] = []
    written: list[Mark] = []
    delivery: list[Mark] = []
    done_seconds: float | None = None
    """t100 by the system's definition of done."""
    done_resolution_seconds: float | None = None
    """What is unknown of `done_seconds`; null where it was never done, and in format 1."""
    received_bytes: int = 0
    duplicate_bytes: int | None = None
    """Payload bytes that came again; null where that is not observed."""
    records: int = 0
    records_complete: bool = True
    """Whether every byte has its record; False is said with the verdict."""
    unit: str = ""
    longest_stall_seconds: float | None = None
    """Of arrival; null where arrival is not observed."""
    longest_stall_resolution_seconds: float | None = None
    """How much longer that stall may have been: the gaps between samples at its two ends."""
    longest_written_stall_seconds: float | None = None
    longest_delivery_stall_seconds: float | None = None
    arrival_variation: float | None = None
    """Coefficient of variation of throughput in 100 ms bins, of arrival."""
    written_variation: float | None = None
    """The same of what was written."""
    delivery_variation: float | None = None
    """The same of the deliverable prefix."""
    percents: dict[str, Percents] = {}
    """By kind of curve (`arrival`, `written`, `delivery`): each curve that is observed."""
    stall_judged_by: StallSignal | None = None
    """What `stallSeconds` was judged by last; null where nothing was observed."""
    connections_at_start: int | None = None
    retries: int = 0
    verified: bool | None = None
    """Whether length and SHA-256 are the payload's; None when it was not looked at."""
    arrivals_file: str | None = None
    """npz beside this record; the others lie beside it where they are logs of their own."""
    written_file: str | None = None
    deliveries_file: str | None = None


class Wire(Model):
    """The peer's own interface from the common start to the run's end, control traffic apart."""

    sent_bytes: int
    received_bytes: int
    sent_packets: int
    received_packets: int
    offload_sent_bytes: int = 0
    """Headers of segments that offload kept off the interface's count, from the kernel's segment
    counters; already added to the figures above."""
    offload_received_bytes: int = 0
    header_bytes: int = HEADER_BYTES
    """What each of those segments adds: more over IPv6."""
    control_sent_bytes: int = 0
    """The runner's own traffic with the rendezvous; already taken off the figures above."""
    control_received_bytes: int = 0
    dropped_packets: int | None = None
    """Dropped on the way to this peer by what limits its download outside of it; null where that
    can't be seen."""
    interface: str = ""
    offload: dict[str, bool] = {}


class WireCurve(Model):
    """What the peer's own interface received over time, from just before the start to the run's
    end, control traffic apart. Bytes as the interface counts them: headers that offload hid are not
    added."""

    marks: list[Mark] = []
    """At `WIRE_PERCENTS` % of `bytes_until_done`; none of a seeder, or of a transfer not done."""
    bytes_until_done: int | None = None
    """Received between the leecher's start stamp and done."""
    percents: Percents | None = None
    """The same at every whole percent of `bytes_until_done`; null where there is none."""
    received_bytes: int
    """Received until the run's end."""
    samples: int
    longest_gap_seconds: float
    """Between two samples."""
    file: str
    """npz beside this record; it holds the samples at which bytes had come."""


class Usage(Model):
    """CPU and memory of the system over the race part of the run."""

    cpu_seconds: float
    peak_memory_bytes: int
    """Highest resident set of the run, or since the process began where the kernel keeps no
    more."""
    runner_cpu_seconds: float | None = None
    """The runner's own, where the system is a process apart."""
    runner_peak_memory_bytes: int | None = None
    """The runner's own highest resident set, where the system is a process apart."""
    throttled_seconds: float = 0.0
    """CPU throttling by cgroup."""


class Limits(Model):
    """What cgroups limit a system and its runner to, together (`host.limits`)."""

    cpu_cores: float | None = None
    """Cores; null for no limit."""
    memory_bytes: int | None = None
    """Null for no limit."""
    cpus: int | None = None
    """CPUs that they may run on: fewer than the machine's where a CPU manager pins them."""


class Load(Model):
    """The peer's whole machine over the race part of the run, all of its CPUs together."""

    seconds: float
    cpus: int
    busy_cpu_seconds: float
    """User, system and stolen time of all CPUs, without interrupts; the race's own is in it."""
    pressure_seconds: float | None = None
    """In which some task waited for a CPU; null where the kernel has no /proc/pressure."""


class Waiting(Model):
    """What this peer did while others raced, since its last run."""

    seconds: float
    cpu_seconds: float
    wire_bytes: int | None = None
    """Of its interface in that time, the runner's own traffic apart; null without one."""
    control_bytes: int | None = None
    """The runner's own traffic with the rendezvous in that time."""


class Connected(Model):
    """How many connections a peer had from some time on."""

    seconds: float
    """Since the common start, on its own clock."""
    connections: int


class PeerInfo(Model):
    """One peer for the whole race; sent when it reports to the rendezvous."""

    entrant: str
    peer: int
    address: str
    host: str
    """Hostname or pod name."""
    node: str = ""
    """The machine it runs on, where it is known (a Kubernetes node)."""
    versions: dict[str, str] = {}
    machine: dict[str, Any] = {}
    clock_error_seconds: float = 0.0
    rates: dict[str, float] = {}
    """Preflight: measured `upload` and `download`, bytes per second."""


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
    """The payload's own, as the scenario's seed gives it."""
    outcome: Outcome
    failure: Failure | None = None
    stages: list[Stage] = []
    publish: Publish | None = None
    transfer: Transfer | None = None
    wire: Wire | None = None
    wire_curve: WireCurve | None = None
    usage: Usage | None = None
    limits: Limits | None = None
    """What its containers were limited to; null before it was recorded."""
    load: Load | None = None
    waiting: Waiting | None = None
    started: Literal["cold", "warm"] | None = None
    """Whether its system was started for this run or had been up before; null where not told."""
    counters: dict[str, float] = {}
    connected: list[Connected] = []
    """Connected peers over time, one entry for each change; empty where it is not observed."""
    system: dict[str, Any] = {}
    """`System.describe` as it stood in this run."""
    versions: dict[str, str] = {}
    notes: list[str] = []


class RunResult(Model):
    """One run as the rendezvous saw it; seconds on the rendezvous' clock."""

    format: int = FORMAT
    race_id: str
    run_id: str
    index: int
    entrant: str
    repetition: int
    seeders: list[int]
    status: Literal["raced", "not raced", "aborted"]
    """`raced`: the start was given; `not raced`: it never was; `aborted`: the rendezvous was lost
    or the race interrupted while it was in flight."""
    failure: Failure | None = None
    opened_utc: str = ""
    wall_seconds: float = 0.0
    """From open until the last peer had cleared up."""
    phases: dict[str, float] = {}
    """Seconds between the releases of the barriers: `prepared`, `first`, `published`, `ready`,
    `raced`, `cleared`."""
    lost: dict[int, str] = {}
    """Peers lost during the run and how."""
    relay: dict[str, int] = {}
    """What the relay counted in the run (`network.relay.COUNTS`); empty without a relay."""


class Delay(Model):
    """What makes a race's delay and loss on one machine, and what it did before the race."""

    means: DelayMeans
    """`netem`, or `relay`: a relay in user space, where the kernel has no netem."""
    one_way_seconds: float | None = None
    """Median delay measured from a peer to the rendezvous; null where none is set."""
    needed_rate: float | None = None
    """What the rates of one entrant's peers come to, bytes per second; null without rates."""
    carried_rate: float
    """What was carried of it; without rates, what one sender got through. Bytes per second."""


class Trial(Model):
    """How an entrant's program was started and joined once, before the first run."""

    outcome: Literal["started", "never started", "unknown"]
    """`unknown`: the trial was cut short by the infrastructure; the entrant is raced."""
    tried: str
    """The entrant that was tried: itself, or one with the same program that failed first or was
    tried in an earlier cell of a matrix."""
    program: str
    """Names the program and how it is started (`swarmrace.plan.trials.program_id`)."""
    failure: Failure | None = None
    """Why it never started, with the program's last words, or why nothing is known."""
    seconds: float = 0.0


class RaceInfo(Model):
    """The head of a results folder: what was raced, by what, on what."""

    format: int = FORMAT
    race_id: str
    """The scenario's own (`Scenario.race_id`): the same on one machine and on a cluster."""
    release_hash: str = ""
    """Of the Helm release that raced it: a hash of what is raced and of the peers' pod templates;
    empty on one machine."""
    name: str
    scenario: dict[str, Any]
    """What is raced (`global.race`, `global.entrants`), complete, defaults filled in. What only a
    cluster needs is left out: a pod doesn't see it, and `pods.json` has it as it was."""
    backend: str
    """`local`, `local with network namespaces`, `kubernetes`."""
    created_utc: str
    commit: str = ""
    """Of the swarmrace that raced (`machine.commit`); empty in formats 1 and 2."""
    versions: dict[str, str]
    machine: dict[str, Any]
    status: Literal["running", "finished", "interrupted", "stopped"] = "running"
    """`stopped`: by the infrastructure, before its last run."""
    stopped_by: str = ""
    """What of the infrastructure stopped the race; empty where nothing did."""
    rendezvous_restarts: int = 0
    decided_blocks: int | None = None
    """After so many blocks every acceptance was decided and the race stopped (`race.stopping`);
    null where it raced all of its blocks."""
    draw: int = DRAW
    """How order and seeders were drawn from the seed; 1 before format 3."""
    test_doubles: list[str] = []
    """Entrants whose programs say that they only play the real one for tests."""
    delay: Delay | None = None
    """What makes delay and loss; null where none is set, and in pods."""
    trials: dict[str, Trial] = {}
    """By entrant; empty where none was held."""
    peers: list[PeerInfo] = []
