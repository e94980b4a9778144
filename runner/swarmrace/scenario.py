"""The one scenario model: read by the laptop, by Helm (as its values file) and by Argo.

A Helm sub-chart sees only its own key and `global`, so the race stands under `global.race` and who
races under `global.entrants`. Keys that only a cluster needs stand under their chart's key.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, ConfigDict, Field, SerializeAsAny, ValidationError

from swarmrace import cluster, yaml_file
from swarmrace.crossfaults import cross_faults
from swarmrace.entrants import EntrantOptions, known_kinds, options_type
from swarmrace.errors import ScenarioError, UnavailableError
from swarmrace.faults import closest, faults_of
from swarmrace.model import Flag, Model, NoText, in_yaml
from swarmrace.soundness import sound_part
from swarmrace.units import MOST_EXACT, Rate, Size
from swarmrace.yaml_file import Document

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
    matrix: Matrix | None = None

    @property
    def leechers(self) -> int:
        """Peers that are not seeders."""
        return self.swarm_size - self.seeders

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
    image: cluster.Image = cluster.Image()
    token: cluster.Token = cluster.Token()
    peers: cluster.Peers = cluster.Peers()
    codex: cluster.CodexNode = cluster.CodexNode()


class Scenario(Model):
    """A scenario file, which is also a Helm values file of the umbrella chart.

    `swarmrace.scenario.load` adds the checks across keys that no JSON Schema can say.
    """

    global_: Annotated[Global, Field(alias="global")]
    tracker: cluster.TrackerValues = cluster.TrackerValues()
    bittorrent: cluster.BitTorrentValues = cluster.BitTorrentValues()
    codex: cluster.CodexValues = cluster.CodexValues()
    http: cluster.HttpValues = cluster.HttpValues()
    monitoring: cluster.MonitoringValues = cluster.MonitoringValues()
    verdict: cluster.VerdictValues = cluster.VerdictValues()
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
        return data

    def race_id(self) -> str:
        """Return the id of this race: 10 hex digits of a hash of what is raced.

        On a cluster the chart extends the hash by the pod template and hands the id to the pods.
        """
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:10]


class StoredOptions(EntrantOptions):
    """Of a results folder's entrant whose kind isn't installed here: whatever stands there."""

    model_config = ConfigDict(extra="allow")


def load(path: Path) -> Scenario:
    """Read and check a scenario file.

    Raises:
        ScenarioError: the file can't be read or is wrong; it lists all faults at once.
    """
    document = yaml_file.read(path)
    return parse(document.data, str(path), known=document)


def parse(
    data: Any,
    source: str = "scenario",
    *,
    known: Document | None = None,
    stored: bool = False,
) -> Scenario:
    """Check a scenario already read from YAML or JSON.

    Args:
        data: the scenario.
        source: told with the faults.
        known: faults found already, whose keys `data` lacks.
        stored: it was raced and lies in a results folder: an entrant whose kind is not installed
            here keeps its options as they stand, and between keys nothing is checked but what a
            schedule needs. So a folder still loads when a later version would race it no more.

    Raises:
        ScenarioError: with every fault, each naming its key, what was found and what is allowed.
    """
    faults = list(known.faults) if known else []
    unsound = set(known.unsound) if known else set()
    typed = _with_entrants(data, faults, unsound, stored=stored)
    scenario: Scenario | None = None
    try:
        scenario = Scenario.model_validate(typed, by_alias=True, by_name=False)
    except ValidationError as error:
        faults += [line for line in faults_of(error, Scenario) if not _told(line, unsound)]
        scenario, wrong = sound_part(Scenario, typed, error)
        unsound |= wrong
    if scenario is not None:
        raw = data["global"].get("entrants") if isinstance(data.get("global"), dict) else None
        names = list(map(str, raw)) if isinstance(raw, dict) else []
        faults += cross_faults(scenario, names=names, unsound=unsound, stored=stored)
    if faults or scenario is None:
        raise ScenarioError(faults, source, sound=scenario, unsound=unsound)
    return scenario


def _told(line: str, unsound: Collection[str]) -> bool:
    """Whether a key is said to be missing that was left out because it is wrong."""
    return any(line.startswith(f"{key}: missing") for key in unsound)


def _with_entrants(data: Any, faults: list[str], unsound: set[str], *, stored: bool) -> Any:
    """Return `data` with each entrant parsed by its kind's model; note the faults of the others.

    One that is wrong is in it without its faulty keys, so that the others are checked with it.
    """
    shared = data.get("global") if isinstance(data, dict) else None
    raw = shared.get("entrants") if isinstance(shared, dict) else None
    if not isinstance(raw, dict):
        return data
    parsed = {}
    for name, value in raw.items():
        key = f"global.entrants.{name}"
        if not isinstance(value, dict):
            unsound.add(key)
            faults.append(f"{key}: found {in_yaml(value)}, expected a map such as {{kind: http}}")
        elif (options := _entrant(key, value, faults, unsound, stored=stored)) is not None:
            parsed[name] = options
    return {**data, "global": {**shared, "entrants": parsed}}


def _entrant(
    key: str, value: dict[str, Any], faults: list[str], unsound: set[str], *, stored: bool
) -> EntrantOptions | None:
    """Return an entrant's options, those that are right; None where not even its kind is."""
    kind = value.get("kind")
    model, guessed = _model_of(kind, stored=stored), False
    if model is None:
        known, guessed = known_kinds(), True
        meant = closest(str(kind), known) if kind is not None else None
        if f"{key}.kind" not in unsound:
            found = f"found {in_yaml(kind)}" if "kind" in value else "missing"
            hint = f" (did you mean {meant!r}?)" if meant else ""
            faults.append(f"{key}.kind: {found}{hint}, expected one of {', '.join(known)}")
        unsound.add(key)
        if meant is None:
            return None
        model, value = _model_of(meant, stored=stored), {**value, "kind": meant}
        assert model is not None
    try:
        options = model.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        faults += [line for line in faults_of(error, model, key) if not _told(line, unsound)]
        options, wrong = sound_part(model, value, error)
        unsound |= {f"{key}.{each}" for each in wrong}
    return None if guessed else options


def _model_of(kind: Any, *, stored: bool) -> type[EntrantOptions] | None:
    try:
        model = options_type(kind)
    except UnavailableError:
        if not stored:
            raise
        model = None
    return StoredOptions if model is None and stored and isinstance(kind, str) else model
