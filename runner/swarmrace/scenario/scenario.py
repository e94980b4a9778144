"""The one scenario model: read by the laptop, by Helm (as its values file) and by Argo.

A Helm sub-chart sees only its own key and `global`, so the race stands under `global.race` and who
races under `global.entrants`. Keys that only a cluster needs stand under their chart's key.
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
from swarmrace.units import MOST_EXACT, Rate, Size

Seconds = Annotated[float, Field(gt=0, le=604_800), NoText]


class Timeouts(Model):
    """How long each stage may take, in seconds. What outlives one ends as a result `timeout`."""

    assemble_seconds: Seconds = 300
    """From the rendezvous's start until every peer has reported; a peer that has not is lost."""
    prepare_seconds: Seconds = 120
    """Making the file and starting the system, until it is up and joined."""
    publish_seconds: Seconds = 300
    """One seeder's publish."""
    settle_seconds: Seconds = 10
    """Bounds the pause between the last publish and the start, in which connections are checked."""
    discovery_seconds: Seconds = 60
    """From the start until metadata or manifest are known."""
    stall_seconds: Seconds = 120
    """Longest time without a new byte."""
    transfer_seconds: Seconds = 1800
    """From the start until done."""
    verify_seconds: Seconds = 300
    """Verification, upload of results and removal, after the run."""
    heartbeat_seconds: Seconds = 15
    """A peer not heard from for so long is lost."""


class Link(Model):
    """One peer's access link. What is absent is not limited."""

    upload: Rate | None = None
    download: Rate | None = None


QUEUE_MILLISECONDS = 200.0
"""Twice the 100 ms of queue that uTP aims at (RFC 6817, BEP 29), so that uTP needn't lose packets
to find the rate."""


class Network(Link):
    """Network conditions of every peer, applied where the backend can, refused where it can't."""

    delay_milliseconds: Annotated[float, Field(ge=0, le=60_000), NoText] = 0
    """Added to every packet that a peer sends (in pods it needs netem)."""
    loss_percent: Annotated[float, Field(ge=0, lt=100), NoText] = 0
    """Of the packets that a peer sends (in pods it needs netem)."""
    queue_milliseconds: Annotated[float, Field(ge=10, le=2000), NoText] = QUEUE_MILLISECONDS
    """How long a packet waits at a limited link before others are dropped: the limiter's queue
    holds so much of the rate, and at least 48 kB. Only with rates (in pods: set by tc)."""
    seeders: Link | None = None
    """Rates of the seeders where they differ. Needs `rotateSeeders: false`."""

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
MOST_TIMES = 1_000_000
"""The largest `within` and `margin`: every number has a bound, so that the model and its schemas
take the same numbers."""
MARGIN = 1.25
"""Of `equivalent`, where the scenario gives none: times between 80 and 125 %."""


Preset = Literal["issue895", "furps", "equivalent"]


def _within(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
    if not number and value not in get_args(Preset):
        raise ValueError(
            f"found {in_yaml(value)}, expected a number above 0, or one of "
            f"{', '.join(get_args(Preset))}"
        )
    return value


Within = Annotated[Annotated[float, Field(gt=0, le=MOST_TIMES)] | Preset, BeforeValidator(_within)]


class Acceptance(Model):
    """`entrant` must be within `within` times the time of `of`, on the t100 of the runs: a number,
    or `issue895` (1.2), `furps` (2.0) or `equivalent` (the 90 % interval between 1/`margin` and
    `margin`, 1.25 by default). And `completion` (0.9 by default) of its runs must be complete."""

    entrant: str
    within: Within
    """A number, or `issue895` (1.2), `furps` (2.0: not less than 50 % of the performance), or
    `equivalent` (the 90 % interval between 1/`margin` and `margin`)."""
    of: str
    completion: Annotated[float, Field(ge=0, le=1), NoText] = 0.9
    """Share of the entrant's runs in which every leecher must complete."""
    margin: Annotated[float, Field(gt=1, le=MOST_TIMES), NoText] | None = None
    """Of `within: equivalent` only; 1.25 where it is absent."""

    @property
    def equivalent(self) -> bool:
        """Whether two one-sided tests are asked for instead of a bound."""
        return self.within == "equivalent"

    @property
    def bound(self) -> float:
        """The number that `within` stands for."""
        if self.equivalent:
            return self.margin or MARGIN
        return PRESETS[self.within] if isinstance(self.within, str) else self.within


class Matrix(Model):
    """Axes to sweep; an absent axis keeps the race's own value. Seeders must be < swarm size, so
    combinations where they are not are left out."""

    swarm_size: list[Annotated[int, Field(ge=2, le=1000), NoText]] = []
    seeders: list[Annotated[int, Field(ge=1, le=999), NoText]] = []
    file_size: list[Annotated[Size, Field(ge=1)]] = []
    network: list[Network] = []


class Continues(Model):
    """The earlier race that this one adds blocks to."""

    blocks: Annotated[int, Field(ge=1, le=1000), NoText]
    """How many blocks it raced: this race begins with the one after them."""
    attempt: Annotated[int, Field(ge=1, le=MOST_EXACT), NoText] = 1
    """Its `attempt`: order and seeders go on as it drew them."""


class Race(Model):
    """What is raced."""

    swarm_size: Annotated[int, Field(ge=2, le=1000), NoText] = 4
    """Peers of each entrant, seeders included."""
    seeders: Annotated[int, Field(ge=1, le=999), NoText] = 1
    """Peers of each entrant that hold the file at the start; fewer than the swarm's size."""
    file_size: Annotated[Size, Field(ge=1)] = 100_000_000
    """Of the payload: bytes, or 100MB (10^8), 100MiB (104,857,600)."""
    repetitions: Annotated[int, Field(ge=1, le=1000), NoText] = 3
    """Blocks; each holds every entrant once."""
    seed: Annotated[int, Field(ge=0, le=MOST_EXACT), NoText] = 1
    """Master seed of order, seeders and payloads; at most what JSON, and so Helm, holds exactly."""
    attempt: Annotated[int, Field(ge=1, le=MOST_EXACT), NoText] = 1
    """Raise it to race the same scenario again under another race id."""
    continues: Continues | None = None
    """Race only the blocks from here up to `repetitions`, as further blocks of an earlier race of
    the same scenario (`swarmrace sweep --repetitions` sets it)."""
    order: Literal["interleaved", "sequential"] = "interleaved"
    """`interleaved`: every repetition holds each entrant once, each in each position equally often;
    `sequential`: all of one entrant's runs, then the next one's (then nothing is paired)."""
    rotate_seeders: Flag = True
    """Whether each repetition has other seeders (the same for all entrants)."""
    cold_start: Flag = True
    """Whether every run begins with a fresh session and an empty node."""
    timeouts: Timeouts = Timeouts()
    network: Network = Network()
    acceptance: list[Acceptance] = []
    stopping: Flag = False
    """Stop once every acceptance is decided: looked at after 6, 10 and 20 complete blocks, at
    levels that keep the risk of a wrong answer over all looks (docs/methodology.md)."""
    matrix: Matrix | None = None

    @property
    def leechers(self) -> int:
        """Peers that are not seeders."""
        return self.swarm_size - self.seeders

    @property
    def blocks(self) -> range:
        """The blocks that are raced, by number: all `repetitions`, or those that are added."""
        return range(self.continues.blocks if self.continues else 0, self.repetitions)

    def cells(self) -> list[dict[str, Any]]:
        """Return the matrix's combinations by field name, those without a leecher left out.

        Without a matrix it is one combination that changes nothing.
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


class Global(Model):
    """What every chart of the release sees."""

    race: Race = Race()
    entrants: dict[str, SerializeAsAny[EntrantOptions]]
    """Name to options. A name is 1 to 20 of a-z, 0-9 and -, begins with a letter and does not end
    with -. Several entrants of one kind are allowed."""
    image_registry: str = ""
    """Registry of all images, in place of the one in their names."""
    name_override: str = ""
    """The label `app.kubernetes.io/name`, and added to the release in names."""
    fullname_override: str = ""
    """Replaces the release's name in the names of objects."""
    image: cluster.Image = cluster.Image()
    token: cluster.Token = cluster.Token()
    peers: cluster.Peers = cluster.Peers()
    sidecars: Sidecars = Sidecars()


class Scenario(Model):
    """A scenario file, which is also a Helm values file of the umbrella chart.

    `swarmrace.scenario.loading.load` adds the checks across keys that no JSON Schema can say.
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
        """Return what is raced, without what only a cluster needs: the race id's ground."""
        data = self.global_.model_dump(mode="json", include={"race", "entrants"})
        data["race"].pop("matrix")
        if data["race"]["continues"] is None:
            del data["race"]["continues"]  # so that ids are what they were before the key
        if not data["race"]["stopping"]:
            del data["race"]["stopping"]
        return data

    def race_id(self) -> str:
        """Return the id of this race: 10 hex digits of a hash of what is raced.

        It is the same on one machine and on a cluster; there the release's hash, which covers the
        pods too, is recorded beside it.
        """
        return _hash(self.canonical())

    def cell_id(self) -> str:
        """Return the id of this cell of a sweep: 10 hex digits of a hash of what is raced, without
        `attempt` and how many blocks there are, which may grow."""
        data = self.canonical()
        for key in ("attempt", "repetitions", "continues"):
            data["race"].pop(key, None)
        return _hash(data)


def _hash(data: dict[str, Any]) -> str:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]
