"""What a verdict says, as plain versioned data: `verdict.json`, and all that `render` prints.

A time that doesn't exist because a transfer failed is the word `failed`, and ranks as slower than
any; what isn't known or doesn't apply is null. Units stand in `Verdict.units`, by figure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal

from swarmrace.errors import Exit, Reason
from swarmrace.model import Model
from swarmrace.recording.records import FORMAT, Delay
from swarmrace.statistics.intervals import Method
from swarmrace.systems.doubles import MARK

FAILED: Final = "failed"
Value = float | Literal["failed"] | None
"""A finite number, `failed` (infinite: slower than any), or null (not known)."""

RunStatus = Literal["counted", "failed", "missing"]


class Summary(Model):
    """A figure over an entrant's runs."""

    value: Value
    """Median over runs."""
    least: Value = None
    most: Value = None
    runs: int = 0
    """How many runs had the figure."""


Claim = Literal["slower", "faster", "no difference", "not shown to differ"]
"""What a ratio's interval shows of the entrant: it excludes 1 by more than the marks' resolution;
all of it is within the resolution; or neither."""


class Ratio(Model):
    """`entrant`'s time over `of`'s. Of estimate and limits `failed` means that the entrant failed
    there, 0 that the other did."""

    estimate: Value = None
    """Of the typical block (pseudo-median, Hodges–Lehmann), by method t of the geometric means;
    null where nothing was comparable, or failures of both sides leave none."""
    low: Value = None
    """Lower limit of the interval; null without one."""
    high: Value = None
    confidence: float | None = None
    """As attained: exact limits have at least what was asked for (0.969 at 6 blocks)."""
    method: Method = "none"
    claim: Claim | None = None
    """Null without an interval, unless one failed in every block and the other in none."""
    blocks: int = 0
    """Complete blocks with a ratio; of unpaired runs the smaller number of runs."""
    both_failed: int = 0
    """Blocks in which both failed: they have no ratio."""
    runs: tuple[int, int] = (0, 0)
    """Runs of the entrant and of the other that went into it."""
    slower: int = 0
    """Blocks in which the entrant was slower by more than the marks' resolution."""
    faster: int = 0
    ties: int = 0
    sign_p: float | None = None
    """Two-sided sign test of slower against faster; null of unpaired runs."""
    reference_seconds: float | None = None
    """The other's typical time: the median of its finite numbers."""
    difference_seconds: float | None = None
    """Estimate minus 1, times that."""
    resolution_seconds: float = 0.0

    @property
    def has_interval(self) -> bool:
        """Whether there is one."""
        return self.low is not None


class MarkRatio(Model):
    """One mark of two entrants, like set against like."""

    kind: Literal["arrival", "written", "delivery", "wire"]
    percent: float
    ratio: Ratio | None = None
    why_not: str = ""


class FigureRatio(Model):
    """One figure of stability of two entrants, like set against like."""

    kind: Literal["arrival", "written", "delivery"]
    ratio: Ratio | None = None
    why_not: str = ""


class Comparison(Model):
    """Two entrants."""

    entrant: str
    of: str
    headline: bool
    """Equals by their profiles, or one is the HTTP reference."""
    unlike: str = ""
    """Why they are no equals: other profiles, or settings changed beside one."""
    but_for: str = ""
    """The one option by which they are no equals, where it is one. Such a pair is the headline
    where no rivals are equals, and is named so."""
    reference: bool
    """Whether `of` is the HTTP reference: not a rival, and not a pass mark."""
    paired: bool
    why_not_paired: str = ""
    t100: Ratio | None = None
    """Null where the two may not be compared."""
    why_not: str = ""
    last: Ratio | None = None
    marks: list[MarkRatio] = []
    publish: Ratio | None = None
    """Of the first seeder's publish; null where a side's takes no payload in."""
    wire_sent: Ratio | None = None
    """Of the bytes that all peers sent, of complete runs; null where it was not measured."""
    stability: dict[str, FigureRatio] = {}
    """Figures of `STABILITY` by name."""
    text: str
    """The sentence for people."""


Judgement = Literal["met", "missed", "undecided"]


class AcceptanceVerdict(Model):
    """One acceptance of the scenario."""

    entrant: str
    within: float | str
    """As the scenario has it: a number or a preset."""
    bound: float
    """The number that it stands for."""
    of: str
    completion: float
    """The share of complete runs that is asked for."""
    verdict: Judgement
    ratio: Ratio | None
    complete_runs: int
    """Runs of the entrant in which every leecher completed."""
    runs: int
    """Its runs that aren't missing."""
    p_met: float | None = None
    """One-sided p of such times if the bound did not hold: what judging many cells needs
    (`verdict.matrix`). Null where too few blocks give any."""
    p_missed: float | None = None
    """Likewise if it did hold."""
    p_incomplete: float | None = None
    """One-sided p of so few complete runs if their share were what is asked for."""
    text: str


class RunVerdict(Model):
    """One scheduled run."""

    run_id: str
    entrant: str
    repetition: int
    place: int
    """Position in its block, from 1."""
    seeders: list[int]
    payload_seed: str
    status: RunStatus
    """`failed`: its number is infinite; `missing`: lost to the infrastructure or never run, and in
    no ratio."""
    t100: Value
    last: Value
    leechers: int
    completed: int
    reason: str = ""
    wall_seconds: float | None = None
    foreign_cpu_share: float | None = None
    """Of a machine's CPUs: what others than the run's peers used; null where not measured."""


class Reliability(Model):
    """Completed of started, each failure with its reason."""

    runs_scheduled: int
    runs_counted: int
    runs_failed: int
    runs_missing: int
    runs_complete: int
    """In which every leecher completed."""
    complete_share_low: float
    """Exact limits of 95 % of the share of complete runs, of those that aren't missing."""
    complete_share_high: float
    transfers_started: int
    transfers_completed: int
    transfers_verified: int
    failures: dict[str, int]
    """Reason and stage to the number of peers it happened to."""
    retries: int


class Flag(Model):
    """Something a reader must know before he believes a number."""

    entrant: str
    text: str


class EntrantVerdict(Model):
    """One entrant."""

    name: str
    test_double: bool = False
    """Whether its program says that it only plays the real one for tests."""
    never_started: str = ""
    """Why its program failed its trial before the first run; empty where it did not."""
    kind: str
    profile: str
    changed: dict[str, str]
    """Options given that change the program's settings beside the profile, with their values; of
    a list or a map the name alone."""
    arrival: bool
    written: bool
    delivery: bool
    uploads: bool
    """Whether its publish takes the payload in; otherwise there is no upload speed."""
    in_order: bool
    unit: str
    """What one record of its marks is."""
    sampled: bool = False
    """Whether arrival is sampled, so that its resolution is the gaps between samples."""
    poll_seconds: float
    resolution_seconds: float | None
    """Of done: the median of its runs'."""
    meanings: dict[str, str]
    """What the definitions come down to for it (`systems.abc.Meanings`)."""
    options: dict[str, Any]
    """Those that differ from the kind's defaults, as the scenario gives them."""
    settings: dict[str, Any]
    """Settings that differ from the program's defaults, as the system told them."""
    reasons: dict[str, str]
    described: dict[str, Any]
    """What else the system told of itself."""
    versions: dict[str, str]
    figures: dict[str, Summary]
    publish_steps: dict[str, Summary]
    counters: dict[str, Summary]
    """The system's own, all peers summed, of states the highest peer's; never compared between
    systems."""
    reliability: Reliability
    wire_measured: bool
    """Whether there is a run in which every peer's interface was read, complete or not."""
    wire_records: int = 0
    """Records of peers whose interface was read."""
    rates: dict[str, Summary]
    """What the preflight measured, bytes per second over peers; empty where no rate is set."""
    offload: dict[str, str]
    """State of each offload feature of the peers' interfaces: `on`, `off`, `mixed`."""

    @property
    def label(self) -> str:
        """Name and profile, with what was changed of it."""
        mark = f" {MARK}" if self.test_double else ""
        return f"{self.name} ({profile_label(self.profile, self.changed)}){mark}"


class Verdict(Model):
    """What a results folder says."""

    format: int = FORMAT
    race_id: str
    name: str
    status: str
    stopped_by: str = ""
    """What of the infrastructure stopped the race; empty where nothing did."""
    created_utc: str
    backend: str
    headline: list[str]
    head_notes: list[str] = []
    """What belongs beside it: what the race can't have measured."""
    confidence: float = 0.95
    """Of the intervals; another where the race may stop early (`race.stopping`)."""
    comparisons: list[Comparison]
    acceptance: list[AcceptanceVerdict]
    entrants: dict[str, EntrantVerdict]
    runs: list[RunVerdict]
    flags: list[Flag]
    faults: list[str]
    """Files of the folder that are broken or don't belong there."""
    race: dict[str, Any]
    """`global.race` of the scenario, defaults filled in."""
    delay: Delay | None = None
    """What made delay and loss on one machine, and what it did before the race."""
    machine: dict[str, Any]
    versions: dict[str, str]
    pods: list[str] = []
    """On a cluster: images and limits of each entrant's pods, or that they are unknown."""
    nodes: list[str]
    definitions: dict[str, str]
    units: dict[str, str]

    @property
    def exit(self) -> Exit:
        """The exit code this verdict calls for (docs/cli.md): a race that the infrastructure
        stopped, then the acceptance where one is set, then a program that never started, then no
        number at all, failed transfers."""
        if self.status == "stopped":
            return Exit.INFRASTRUCTURE
        verdicts = {item.verdict for item in self.acceptance}
        if "missed" in verdicts:
            return Exit.ACCEPTANCE_MISSED
        if "undecided" in verdicts:
            return Exit.ACCEPTANCE_UNDECIDED
        if verdicts:
            return Exit.OK
        if any(entrant.never_started for entrant in self.entrants.values()):
            return Exit.UNAVAILABLE
        if not any(run.status == "counted" for run in self.runs):
            return Exit.INFRASTRUCTURE if self._lost_to_the_infrastructure else Exit.RACE
        failed = any(
            run.status == "failed" or (run.status == "counted" and run.completed < run.leechers)
            for run in self.runs
        )
        return Exit.TRANSFERS_FAILED if failed else Exit.OK

    @property
    def _lost_to_the_infrastructure(self) -> bool:
        """Whether the machine took every run of the race."""
        reason = str(Reason.INFRASTRUCTURE)
        return bool(self.runs) and all(
            run.status == "missing" and run.reason.startswith(reason) for run in self.runs
        )


def profile_label(profile: str, changed: Mapping[str, str]) -> str:
    """Return a profile with what was changed beside it: `tuned, changed: utp=true`."""
    if not changed:
        return profile
    named = [f"{name}={value}" if value else name for name, value in changed.items()]
    return f"{profile}, changed: {', '.join(named)}"


def to_value(number: float | None) -> Value:
    """Return a number as a verdict writes it."""
    if number is None:
        return None
    return FAILED if math.isinf(number) else float(number)
