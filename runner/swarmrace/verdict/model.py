"""The verdict as plain versioned data: `verdict.json`, and the source of everything printed.

A time that doesn't exist because a transfer failed is the word `failed`, and ranks as slower than
any. Values that are unknown or don't apply are null. `Verdict.units` holds the unit of each figure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from swarmrace.errors import Exit, Reason
from swarmrace.model import Model
from swarmrace.recording.records import FORMAT, Delay
from swarmrace.statistics.intervals import Method
from swarmrace.systems.doubles import MARK

FAILED: Final = "failed"
Value = float | Literal["failed"] | None
"""A finite number, `failed` (infinite: slower than any), or null (unknown)."""

RunStatus = Literal["counted", "failed", "missing"]


class Summary(Model):
    """A figure over an entrant's runs."""

    value: Value
    """Median over runs."""
    least: Value = None
    """Minimum over runs."""
    most: Value = None
    """Maximum over runs."""
    runs: int = 0
    """Number of runs that have the figure."""


Claim = Literal["slower", "faster", "no difference", "not shown to differ"]
"""What a ratio's interval shows. Slower or faster: it excludes 1 by more than the marks'
resolution. No difference: the whole interval is within the resolution. Otherwise: not shown to
differ."""


class Ratio(Model):
    """`entrant`'s time over `of`'s. An estimate or limit of `failed` means that the entrant failed
    there; 0 means that the other entrant failed."""

    estimate: Value = None
    """Ratio of the typical block (pseudo-median, Hodges–Lehmann), or of geometric means by the t
    methods. Null if nothing was comparable, or failures of both sides leave no estimate."""
    low: Value = None
    """Lower limit of the interval; null without an interval."""
    high: Value = None
    """Upper limit of the interval; null without an interval."""
    confidence: float | None = None
    """Attained confidence. That of exact limits is at least the requested one (0.969 at 6
    blocks)."""
    method: Method = "none"
    claim: Claim | None = None
    """Null without an interval, unless one failed in every block and the other in none."""
    blocks: int = 0
    """Complete blocks with a ratio; if unpaired, the smaller number of runs."""
    both_failed: int = 0
    """Blocks in which both failed, which have no ratio."""
    runs: tuple[int, int] = (0, 0)
    """Number of runs of the entrant and of the other entrant."""
    slower: int = 0
    """Blocks in which the entrant was slower by more than the marks' resolution."""
    faster: int = 0
    """Blocks in which it was faster by more than that."""
    ties: int = 0
    """Blocks in which neither was."""
    sign_p: float | None = None
    """Two-sided sign test of slower against faster; null if unpaired."""
    reference_seconds: float | None = None
    """The other entrant's typical time: the median of its finite numbers."""
    difference_seconds: float | None = None
    """(estimate - 1) × `reference_seconds`."""
    resolution_seconds: float = 0.0

    @property
    def has_interval(self) -> bool:
        """Whether there is an interval."""
        return self.low is not None


class MarkRatio(Model):
    """One mark of two entrants, compared for the same kind of curve."""

    kind: Literal["arrival", "written", "delivery", "wire"]
    percent: float
    ratio: Ratio | None = None
    why_not: str = ""


class FigureRatio(Model):
    """One figure of stability of two entrants, compared for the same kind of curve."""

    kind: Literal["arrival", "written", "delivery"]
    ratio: Ratio | None = None
    why_not: str = ""


class Comparison(Model):
    """The comparison of two entrants."""

    entrant: str
    of: str
    """The entrant that it is compared with."""
    headline: bool
    """Whether it is a headline: their profiles are equal, or one is the HTTP reference."""
    unlike: str = ""
    """Why their profiles are not equal: other profiles, or changed settings."""
    but_for: str = ""
    """The option by which they differ, if it is only one. Such a pair is the headline if no rivals
    are equal, and its sentence names the option."""
    reference: bool
    """Whether one of them is the HTTP reference: neither a rival nor a pass mark."""
    paired: bool
    why_not_paired: str = ""
    t100: Ratio | None = None
    """Null if the two may not be compared."""
    why_not: str = ""
    last: Ratio | None = None
    marks: list[MarkRatio] = []
    publish: Ratio | None = None
    """Ratio of the first seeders' publishes; null if one of them doesn't import the payload."""
    wire_sent: Ratio | None = None
    """Ratio of the bytes that all peers sent in complete runs; null if not measured."""
    stability: dict[str, FigureRatio] = {}
    """The figures of `STABILITY` by name."""
    text: str
    """The sentence for people."""


Judgement = Literal["met", "missed", "undecided"]


class AcceptanceVerdict(Model):
    """One acceptance of the scenario."""

    entrant: str
    within: float | str
    """The scenario's value: a number or a preset."""
    bound: float
    """The number that `within` means."""
    of: str
    completion: float
    """The required share of complete runs."""
    verdict: Judgement
    ratio: Ratio | None
    complete_runs: int
    """Runs of the entrant in which every leecher completed."""
    runs: int
    """Runs of the entrant that aren't missing."""
    p_met: float | None = None
    """One-sided p of these times if the bound did not hold, for judging many cells
    (`verdict.matrix`). Null if there are too few blocks."""
    p_missed: float | None = None
    """One-sided p of these times if the bound did hold."""
    p_incomplete: float | None = None
    """One-sided p of this few complete runs if their true share is the required one."""
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
    """`failed`: its number is infinite. `missing`: lost to the infrastructure or never run, and
    part of no ratio."""
    t100: Value
    last: Value
    leechers: int
    completed: int
    reason: str = ""
    wall_seconds: float | None = None
    foreign_cpu_share: float | None = None
    """Share of a machine's CPUs that processes other than the run's peers used; null if not
    measured."""


class Reliability(Model):
    """Completed transfers out of those started, and each failure with its reason."""

    runs_scheduled: int
    runs_counted: int
    runs_failed: int
    runs_missing: int
    runs_complete: int
    """Runs in which every leecher completed."""
    complete_share_low: float
    """Exact lower 95 % limit of the share of complete runs among those that aren't missing."""
    complete_share_high: float
    """Exact upper 95 % limit."""
    transfers_started: int
    transfers_completed: int
    transfers_verified: int
    failures: dict[str, int]
    """Number of peers by reason and stage."""
    retries: int

    @property
    def runs_raced(self) -> int:
        """Scheduled runs that aren't missing."""
        return self.runs_scheduled - self.runs_missing


class Flag(Model):
    """Something that a reader must know before believing a number."""

    entrant: str
    """Name of the entrant; empty for the whole race."""
    text: str


class EntrantVerdict(Model):
    """One entrant."""

    name: str
    test_double: bool = False
    """Whether its program reports to be a test double."""
    never_started: str = ""
    """Why its program failed its trial before the first run; empty if it did not."""
    kind: str
    profile: str
    changed: dict[str, str]
    """Given options that change the program's settings from the profile's, with their values; of a
    list or a map only the name."""
    reference: bool = False
    """Whether it is a reference (HTTP): neither a rival nor a pass mark."""
    arrival: bool
    """Whether it observes arrival."""
    written: bool
    """Whether it observes writes."""
    delivery: bool
    """Whether it observes delivery."""
    uploads: bool
    """Whether its publish imports the payload; otherwise there is no upload speed."""
    in_order: bool
    """Whether it fetches the payload in order."""
    unit: str
    """What one record of its marks is."""
    sampled: bool = False
    """Whether arrival is sampled, so that its resolution is the gap between samples."""
    poll_seconds: float
    resolution_seconds: float | None
    """Resolution of done: the median of its runs'."""
    meanings: dict[str, str]
    """What the definitions mean for it (`systems.abc.Meanings`)."""
    options: dict[str, Any]
    """The scenario's options that differ from the kind's defaults."""
    settings: dict[str, Any]
    """Settings that differ from the program's defaults, as the system reported them."""
    reasons: dict[str, str]
    """Why settings differ, by name."""
    described: dict[str, Any]
    """What else the system reported about itself."""
    versions: dict[str, str]
    figures: dict[str, Summary]
    publish_steps: dict[str, Summary]
    counters: dict[str, Summary]
    """The system's own counters, summed over peers, of states the highest peer's; never compared
    between systems."""
    reliability: Reliability
    wire_measured: bool
    """Whether every peer's interface was read in some run, complete or not."""
    wire_records: int = 0
    """Number of peer records with a reading of the interface."""
    rates: dict[str, Summary]
    """Rates that the preflight measured, in bytes per second over peers; empty without set
    rates."""
    offload: dict[str, str]
    """State of each offload feature of the peers' interfaces: `on`, `off`, `mixed`."""

    @property
    def label(self) -> str:
        """Name and profile, with the changed settings."""
        mark = f" {MARK}" if self.test_double else ""
        return f"{self.name} ({profile_label(self.profile, self.changed)}){mark}"


class Verdict(Model):
    """The verdict on a results folder."""

    format: int = FORMAT
    race_id: str
    name: str
    status: str
    stopped_by: str = ""
    """What stopped the race in the infrastructure; empty if nothing did."""
    created_utc: str
    backend: str
    headline: list[str]
    head_notes: list[str] = []
    """Notes on the headline, such as what the race can't have measured."""
    confidence: float = 0.95
    """Confidence of the intervals; it differs if the race may stop early (`race.stopping`)."""
    comparisons: list[Comparison]
    acceptance: list[AcceptanceVerdict]
    entrants: dict[str, EntrantVerdict]
    runs: list[RunVerdict]
    flags: list[Flag]
    faults: list[str]
    """Files of the folder that are broken or don't belong there."""
    race: dict[str, Any]
    """`global.race` of the scenario, with defaults."""
    delay: Delay | None = None
    """How delay and loss were applied on one machine, and what was measured before the race."""
    machine: dict[str, Any]
    versions: dict[str, str]
    pods: list[str] = []
    """On a cluster: images and limits of each entrant's pods, or a note that they are unknown."""
    nodes: list[str]
    definitions: dict[str, str]
    units: dict[str, str]

    @property
    def exit(self) -> Exit:
        """The exit code of this verdict (docs/cli.md), by the first that applies: the
        infrastructure stopped the race, an acceptance, a program that never started, no number at
        all, an entrant of which every run is missing, failed transfers."""
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
            lost = _lost_to_the_infrastructure(self.runs)
            return Exit.INFRASTRUCTURE if lost else Exit.RACE
        if absent := self.without_runs:
            lost = all(_lost_to_the_infrastructure(self._runs_of(name)) for name in absent)
            return Exit.INFRASTRUCTURE if lost else Exit.RACE
        failed = any(
            run.status == "failed" or (run.status == "counted" and run.completed < run.leechers)
            for run in self.runs
        )
        return Exit.TRANSFERS_FAILED if failed else Exit.OK

    @property
    def without_runs(self) -> list[str]:
        """The entrants of which every run is missing: nothing is known about them."""
        return [
            name
            for name in self.entrants
            if (runs := self._runs_of(name)) and all(run.status == "missing" for run in runs)
        ]

    def _runs_of(self, entrant: str) -> list[RunVerdict]:
        return [run for run in self.runs if run.entrant == entrant]


def _lost_to_the_infrastructure(runs: Sequence[RunVerdict]) -> bool:
    """Return whether every run is missing because of the infrastructure."""
    reason = re.compile(rf"(leecher \d+: )?{Reason.INFRASTRUCTURE}\b")
    return bool(runs) and all(run.status == "missing" and reason.match(run.reason) for run in runs)


def profile_label(profile: str, changed: Mapping[str, str]) -> str:
    """Return a profile with the changed settings: `tuned, changed: utp=true`."""
    if not changed:
        return profile
    named = [f"{name}={value}" if value else name for name, value in changed.items()]
    return f"{profile}, changed: {', '.join(named)}"


def to_value(number: float | None) -> Value:
    """Return a number as a verdict stores it."""
    if number is None:
        return None
    return FAILED if math.isinf(number) else float(number)
