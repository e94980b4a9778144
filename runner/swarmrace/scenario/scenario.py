"""The scenario model, the only one: for a laptop, for Helm (as its values file) and for Argo.

A Helm sub-chart sees only its own key and `global`, so the race is under `global.race` and the
entrants are under `global.entrants`. Keys that only a cluster needs are under their chart's key.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, SerializeAsAny

from swarmrace.model import Flag, Model, NoText, in_yaml
from swarmrace.scenario import cluster
from swarmrace.scenario.sidecars import Sidecars
from swarmrace.systems.options import EntrantOptions
from swarmrace.units import MAX_EXACT, Rate, Size

Seconds = Annotated[float, Field(gt=0, le=604_800), NoText]


class Timeouts(Model):
    """How long each stage may take, in seconds. A stage that takes longer fails with `timeout`."""

    assemble_seconds: Seconds = 300
    """From the rendezvous's start until every peer has reported; a peer that hasn't is lost."""
    prepare_seconds: Seconds = 120
    """To make the file and start the system, until it is up and joined."""
    publish_seconds: Seconds = 300
    """Publishing, by one seeder."""
    settle_seconds: Seconds = 10
    """Maximum pause between the last publish and the start, in which connections are checked."""
    discovery_seconds: Seconds = 60
    """From the start until the metadata or the manifest is known."""
    stall_seconds: Seconds = 120
    """Maximum time without a new byte."""
    transfer_seconds: Seconds = 1800
    """From the start until the transfer is done."""
    verify_seconds: Seconds = 300
    """Verification, upload of the results and removal, after the run."""
    heartbeat_seconds: Seconds = 15
    """A peer without a heartbeat for this long is lost."""


class Link(Model):
    """Rates of one peer's access link. An absent rate is unlimited."""

    upload: Rate | None = None
    """Upload rate: bytes per second, or 100Mbit, 12.5MB."""
    download: Rate | None = None
    """Download rate: bytes per second, or 100Mbit, 12.5MB."""


QUEUE_MILLISECONDS = 200.0
"""Twice uTP's target delay of 100 ms (RFC 6817, BEP 29), so that uTP finds the rate without losing
packets."""


class Network(Link):
    """Network conditions of every peer. A backend that can't apply them refuses the race."""

    delay_milliseconds: Annotated[float, Field(ge=0, le=60_000), NoText] = 0
    """Delay added to every packet that a peer sends (in pods this needs netem)."""
    loss_percent: Annotated[float, Field(ge=0, lt=100), NoText] = 0
    """Share of a peer's sent packets that are lost (in pods this needs netem)."""
    queue_milliseconds: Annotated[float, Field(ge=10, le=2000), NoText] = QUEUE_MILLISECONDS
    """Length of a rate limiter's queue, as time at its rate; at least 48 kB. Packets beyond it are
    dropped. Only with rates (in pods: only if tc sets them)."""
    seeders: Link | None = None
    """Rates of the seeders, if they differ. Needs `rotateSeeders: false`."""

    @property
    def shaped(self) -> bool:
        """Whether any condition is set."""
        return self.limited or self.delayed

    @property
    def delayed(self) -> bool:
        """Whether delay or loss is set."""
        return bool(self.delay_milliseconds or self.loss_percent)

    @property
    def limited(self) -> bool:
        """Whether any rate is set."""
        links = [self, *([self.seeders] if self.seeders else [])]
        return any(link.upload or link.download for link in links)

    def link(self, *, seeder: bool) -> Link:
        """Return the rates of a seeder or a leecher."""
        if seeder and self.seeders is not None:
            return self.seeders
        return Link(upload=self.upload, download=self.download)


PRESETS = {"issue895": 1.2, "furps": 2.0}
"""Presets of an acceptance's `within` that are a bound; docs/methodology.md has their sources."""
MAX_RATIO = 1_000_000
"""The largest `within` and `margin`. Every number has a bound, so that the model and its schemas
accept the same numbers."""
MARGIN = 1.25
"""The default margin of `equivalent`: times between 80 and 125 %."""


Preset = Literal["issue895", "furps", "equivalent"]


def _within(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
    if not number and value not in get_args(Preset):
        raise ValueError(
            f"found {in_yaml(value)}, expected a number above 0, or one of "
            f"{', '.join(get_args(Preset))}"
        )
    return value


Within = Annotated[Annotated[float, Field(gt=0, le=MAX_RATIO)] | Preset, BeforeValidator(_within)]


class Acceptance(Model):
    """The t100 of `entrant` must be at most `within` times that of `of`: a number, `issue895` (1.2)
    or `furps` (2.0). Or it must be `equivalent`: the ratio's 90 % interval is between 1/`margin`
    and `margin` (1.25 by default). In either case a share of `completion` (0.9 by default) of its
    runs must be complete."""

    entrant: str
    """Name of the entrant to judge."""
    within: Within
    """A number, `issue895` (1.2), `furps` (2.0: not less than 50 % of the performance), or
    `equivalent` (the 90 % interval is between 1/`margin` and `margin`)."""
    of: str
    """Name of the entrant it is compared with."""
    completion: Annotated[float, Field(ge=0, le=1), NoText] = 0.9
    """Minimum share of the entrant's runs in which every leecher completes."""
    margin: Annotated[float, Field(gt=1, le=MAX_RATIO), NoText] | None = None
    """Only with `within: equivalent`; 1.25 if absent."""

    @property
    def equivalent(self) -> bool:
        """Whether two one-sided tests decide instead of a bound."""
        return self.within == "equivalent"

    @property
    def bound(self) -> float:
        """The largest accepted ratio."""
        if self.equivalent:
            return self.margin or MARGIN
        return PRESETS[self.within] if isinstance(self.within, str) else self.within


class Matrix(Model):
    """Axes of a sweep. An absent axis keeps the race's own value. Combinations with at least as
    many seeders as peers are left out."""

    swarm_size: list[Annotated[int, Field(ge=2, le=1000), NoText]] = []
    """Values of `swarmSize`."""
    seeders: list[Annotated[int, Field(ge=1, le=999), NoText]] = []
    """Values of `seeders`."""
    file_size: list[Annotated[Size, Field(ge=1)]] = []
    """Values of `fileSize`."""
    network: list[Network] = []
    """Values of `network`."""


class Continues(Model):
    """The earlier race that this one adds blocks to."""

    blocks: Annotated[int, Field(ge=1, le=1000), NoText]
    """Number of blocks that it raced: this race begins with the next one."""
    attempt: Annotated[int, Field(ge=1, le=MAX_EXACT), NoText] = 1
    """Its `attempt`, from which order and seeders continue."""


class Race(Model):
    """What is raced."""

    swarm_size: Annotated[int, Field(ge=2, le=1000), NoText] = 4
    """Peers of each entrant, seeders included."""
    seeders: Annotated[int, Field(ge=1, le=999), NoText] = 1
    """Peers of each entrant that hold the file at the start; fewer than `swarmSize`."""
    file_size: Annotated[Size, Field(ge=1)] = 100_000_000
    """Size of the payload: bytes, or 100MB (10^8), 100MiB (104,857,600)."""
    repetitions: Annotated[int, Field(ge=1, le=1000), NoText] = 3
    """Number of blocks; each holds every entrant once."""
    seed: Annotated[int, Field(ge=0, le=MAX_EXACT), NoText] = 1
    """Master seed of order, seeders and payloads. JSON, and so Helm, holds it exactly."""
    attempt: Annotated[int, Field(ge=1, le=MAX_EXACT), NoText] = 1
    """Raise it to race the same scenario again, under another race id."""
    continues: Continues | None = None
    """Race only the blocks after those of an earlier race of the same scenario, up to `repetitions`
    (`swarmrace sweep --repetitions` sets it)."""
    order: Literal["interleaved", "sequential"] = "interleaved"
    """`interleaved`: every block holds each entrant once, in each position equally often.
    `sequential`: all runs of one entrant, then all of the next; then nothing is paired."""
    rotate_seeders: Flag = True
    """Whether each block has other seeders (the same for all entrants)."""
    cold_start: Flag = True
    """Whether every run begins with a fresh session and an empty node."""
    timeouts: Timeouts = Timeouts()
    network: Network = Network()
    acceptance: list[Acceptance] = []
    baseline: str | None = None
    """The entrant that every other one is compared with. Without one, every pair is compared, which
    is hard to read from four entrants on."""
    stopping: Flag = False
    """Stop once every acceptance is decided. Looks are after 6, 10 and 20 complete blocks, at
    levels that keep the risk of a wrong answer over all looks (docs/methodology.md)."""
    matrix: Matrix | None = None

    @property
    def leechers(self) -> int:
        """Peers that are not seeders."""
        return self.swarm_size - self.seeders

    @property
    def blocks(self) -> range:
        """Numbers of the blocks to race: all `repetitions`, or only the added ones."""
        return range(self.continues.blocks if self.continues else 0, self.repetitions)

    def cells(self) -> list[dict[str, Any]]:
        """Return the matrix's combinations by field name, without those that have no leecher.

        Without a matrix, return one combination that changes nothing.
        """
        if self.matrix is None:
            return [{}]
        return [
            {"swarm_size": size, "seeders": seeders, "file_size": bytes_, "network": network}
            for size in self.matrix.swarm_size or [self.swarm_size]
            for seeders in self.matrix.seeders or [self.seeders]
            for bytes_ in self.matrix.file_size or [self.file_size]
            for network in self.matrix.network or [self.network]
            if seeders < size
        ]


_LABEL = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
"""The value of a Kubernetes label."""


class Global(Model):
    """Values that every chart of the release sees."""

    race: Race = Race()
    entrants: dict[str, SerializeAsAny[EntrantOptions]]
    """Options by entrant name. A name has 1 to 20 characters of a-z, 0-9 and -, begins with a
    letter and does not end with -. Several entrants of one kind are allowed."""
    image_registry: str = ""
    """Registry of all images; replaces the registry in their names."""
    name_override: Annotated[str, Field(pattern=_LABEL)] = ""
    """The label `app.kubernetes.io/name`; also added to the release's name in object names."""
    fullname_override: str = ""
    """Replaces the release's name in object names."""
    image: cluster.Image = cluster.Image()
    token: cluster.Token = cluster.Token()
    peers: cluster.Peers = cluster.Peers()
    sidecars: Sidecars = Sidecars()


class Scenario(Model):
    """A scenario file, which is also a values file of the umbrella chart.

    `swarmrace.scenario.loading.load` adds the checks between keys that JSON Schema can't express.
    """

    global_: Annotated[Global, Field(alias="global")]
    tracker: cluster.TrackerValues = cluster.TrackerValues()
    swarm: cluster.SwarmValues = cluster.SwarmValues()
    monitoring: cluster.MonitoringValues = cluster.MonitoringValues()
    verdict: cluster.VerdictValues = cluster.VerdictValues()
    judge: cluster.JudgeValues = cluster.JudgeValues()
    test: cluster.TestValues = cluster.TestValues()
    network_policy: cluster.NetworkPolicyValues = cluster.NetworkPolicyValues()

    @property
    def race(self) -> Race:
        """`global.race`."""
        return self.global_.race

    @property
    def entrants(self) -> dict[str, EntrantOptions]:
        """`global.entrants`."""
        return self.global_.entrants

    def canonical(self) -> dict[str, Any]:
        """Return what the race id is computed from: what is raced, without cluster values."""
        data = self.global_.model_dump(mode="json", include={"race", "entrants"})
        for key in ("matrix", "baseline"):  # the baseline only decides what is compared
            data["race"].pop(key)
        if data["race"]["continues"] is None:
            del data["race"]["continues"]  # absent keys keep the ids from before they existed
        if not data["race"]["stopping"]:
            del data["race"]["stopping"]
        return data

    def recorded(self) -> dict[str, Any]:
        """Return what a results folder records: what is raced, and the baseline of comparisons."""
        data = self.canonical()
        if self.race.baseline is not None:
            data["race"]["baseline"] = self.race.baseline
        return data

    def race_id(self) -> str:
        """Return the id of this race: 10 hex digits of a hash of what is raced.

        The id is the same on one machine and on a cluster. A cluster also records the release's
        hash, which covers the pods too.
        """
        return _hash(self.canonical())

    def cell_id(self) -> str:
        """Return the id of this cell of a sweep: 10 hex digits of a hash of what is raced, without
        `attempt` and the number of blocks, which may grow."""
        data = self.canonical()
        for key in ("attempt", "repetitions", "continues"):
            data["race"].pop(key, None)
        return _hash(data)


def _hash(data: dict[str, Any]) -> str:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]
