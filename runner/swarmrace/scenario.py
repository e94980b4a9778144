"""The one scenario model: read by the laptop, by Helm (as its values file) and by Argo.

A Helm sub-chart sees only its own key and `global`, so the race stands under `global.race` and who
races under `global.entrants`. Keys that only a cluster needs stand under their chart's key.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, SerializeAsAny

from swarmrace import cluster
from swarmrace.entrants import EntrantOptions, known_kinds, options_type
from swarmrace.errors import ScenarioError
from swarmrace.faults import faults_of, nearest
from swarmrace.model import Model
from swarmrace.units import MOST_EXACT, Rate, Size

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?")
_BLOCK_BYTES = 16_384

Seconds = Annotated[float, Field(gt=0, le=604_800)]


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


class Network(Link):
    """Network conditions of every peer, applied where the backend can, refused where it can't."""

    delay_milliseconds: Annotated[float, Field(ge=0, le=60_000)] = 0
    """Added to every packet a peer sends (needs netem)."""
    loss_percent: Annotated[float, Field(ge=0, lt=100)] = 0
    """Of the packets a peer sends (needs netem)."""
    seeders: Link | None = None
    """Rates of the seeders where they differ. Needs `rotateSeeders: false`."""

    @property
    def shaped(self) -> bool:
        """Whether any condition is set."""
        return bool(self.limited or self.delay_milliseconds or self.loss_percent)

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


class Acceptance(Model):
    """`entrant` must be within `within` times the time of `of`, on the t100 of the runs."""

    entrant: str
    within: Annotated[float, Field(gt=0)]
    of: str


class Matrix(Model):
    """Axes to sweep; an absent axis keeps the race's own value. Seeders must be < swarm size, so
    combinations where they are not are left out."""

    swarm_size: list[Annotated[int, Field(ge=2, le=1000)]] = []
    seeders: list[Annotated[int, Field(ge=1)]] = []
    file_size: list[Annotated[Size, Field(ge=1)]] = []
    network: list[Network] = []


class Race(Model):
    """What is raced."""

    swarm_size: Annotated[int, Field(ge=2, le=1000)] = 4
    """Peers of each entrant, seeders included."""
    seeders: Annotated[int, Field(ge=1)] = 1
    file_size: Annotated[Size, Field(ge=1)] = 100_000_000
    repetitions: Annotated[int, Field(ge=1, le=1000)] = 3
    """Blocks; each holds every entrant once."""
    seed: Annotated[int, Field(ge=0, le=MOST_EXACT)] = 1
    """Master seed of order, seeders and payloads; at most what JSON, and so Helm, holds exactly."""
    attempt: Annotated[int, Field(ge=1)] = 1
    """Raise it to race the same scenario again under another race id."""
    order: Literal["interleaved", "sequential"] = "interleaved"
    """`interleaved`: every repetition holds each entrant once, in random order; `sequential`: all
    of one entrant's runs, then the next one's (then nothing is paired)."""
    rotate_seeders: bool = True
    """Whether each repetition has other seeders (the same for all entrants)."""
    cold_start: bool = True
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
    """Name to options. Several entrants of one kind are allowed."""
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


def load(path: Path) -> Scenario:
    """Read and check a scenario file.

    Raises:
        ScenarioError: the file can't be read or is wrong; it lists all faults at once.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError([f"can't be read: {error.strerror}"], str(path)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ScenarioError([f"is not YAML: {' '.join(str(error).split())}"], str(path)) from error
    return parse(data, str(path))


def parse(data: Any, source: str = "scenario") -> Scenario:
    """Check a scenario already read from YAML or JSON.

    Raises:
        ScenarioError: with every fault, each naming its key, what was found and what is allowed.
    """
    faults: list[str] = []
    scenario = None
    try:
        scenario = Scenario.model_validate(_with_entrants(data, faults))
    except ValueError as error:
        faults.extend(faults_of(error, Scenario))
    if scenario is not None and not faults:
        faults.extend(cross_faults(scenario))
    if faults:
        raise ScenarioError(faults, source)
    assert scenario is not None
    return scenario


def cross_faults(scenario: Scenario) -> list[str]:
    """Return the faults between keys. The Helm library chart `common` says the same of each."""
    race, entrants = scenario.race, scenario.entrants
    faults = []
    if not entrants:
        faults.append("global.entrants: found none, expected at least one")
    for name in entrants:
        if not _NAME.fullmatch(name):
            faults.append(
                f"global.entrants.{name}: a name is 1 to 20 of a-z, 0-9 and -, begins with a "
                "letter and does not end with -"
            )
    if race.matrix is None and race.seeders >= race.swarm_size:
        faults.append(
            f"global.race.seeders: found {race.seeders}, expected less than "
            f"global.race.swarmSize ({race.swarm_size}), so that somebody leeches"
        )
    if race.matrix is not None and not race.cells():
        faults.append(
            "global.race.matrix: found no combination with fewer seeders than swarmSize, expected "
            "at least one, so that somebody leeches"
        )
    networks = {"global.race.network": race.network}
    for number, network in enumerate(race.matrix.network if race.matrix else []):
        networks[f"global.race.matrix.network.{number}"] = network
    for key, network in networks.items():
        if network.seeders is not None and race.rotate_seeders:
            faults.append(
                f"{key}.seeders: needs global.race.rotateSeeders: false, because a peer's link is "
                "set once for all runs"
            )
    known = ", ".join(sorted(entrants)) or "none"
    for number, acceptance in enumerate(race.acceptance):
        for key in ("entrant", "of"):
            name = getattr(acceptance, key)
            if name not in entrants:
                faults.append(
                    f"global.race.acceptance.{number}.{key}: found {name!r}"
                    f"{nearest(name, entrants)}, expected one of {known}"
                )
    sizes = (race.matrix.file_size if race.matrix else []) or [race.file_size]
    for name, options in entrants.items():
        faults.extend(_entrant_faults(f"global.entrants.{name}", options, min(sizes), race))
    return faults


def _entrant_faults(
    key: str, options: EntrantOptions, smallest_bytes: int, race: Race
) -> list[str]:
    faults = []
    piece = getattr(options, "piece_size", None)
    if piece is not None:
        if piece & (piece - 1) or piece < _BLOCK_BYTES:
            faults.append(
                f"{key}.pieceSize: found {piece}, expected a power of two of at least 16KiB"
            )
        elif piece > smallest_bytes:
            faults.append(
                f"{key}.pieceSize: found {piece}, expected at most the file size "
                f"({smallest_bytes}): less than one piece can't be shared"
            )
    block = getattr(options, "block_size", None)
    if block is not None and (block & (block - 1) or not 4096 <= block <= 524_288):
        faults.append(
            f"{key}.blockSize: found {block}, expected a power of two from 4KiB to 512KiB"
        )
    nodes = getattr(options, "nodes", None)
    sizes = (race.matrix.swarm_size if race.matrix else []) or [race.swarm_size]
    if nodes and len(nodes) < max(sizes):
        faults.append(
            f"{key}.nodes: found {len(nodes)}, expected one for each of {max(sizes)} peers"
        )
    return faults


def _with_entrants(data: Any, faults: list[str]) -> Any:
    """Return `data` with each entrant parsed by its kind's model; note the faults of the others."""
    shared = data.get("global") if isinstance(data, dict) else None
    raw = shared.get("entrants") if isinstance(shared, dict) else None
    if not isinstance(raw, dict):
        return data
    parsed = {}
    for name, value in raw.items():
        key = f"global.entrants.{name}"
        kind = value.get("kind") if isinstance(value, dict) else None
        model = options_type(kind)
        if model is None:
            known = known_kinds()
            faults.append(
                f"{key}.kind: found {kind!r}{nearest(str(kind), known)}, "
                f"expected one of {', '.join(known)}"
            )
            continue
        try:
            parsed[name] = model.model_validate(value)
        except ValueError as error:
            faults.extend(faults_of(error, model, key))
    return {**data, "global": {**shared, "entrants": parsed}}
