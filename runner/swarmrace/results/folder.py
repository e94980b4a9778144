"""A results folder: what a race leaves behind, read back however much of it there is.

Layout (docs/results-format.md)::

    race.json                             RaceInfo
    runs/{run}/run.json                   RunResult
    runs/{run}/{entrant}-{peer}.json      PeerResult
    runs/{run}/{entrant}-{peer}.arrivals.npz, .written.npz, .deliveries.npz
    verdict.json, verdict.txt             derived; written again from the rest at any time

A killed race leaves a folder like any other with less in it. What is absent is a fact that the
verdict shows; what is broken is named in `Results.faults`; the rest is read.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from swarmrace.atomic import TEMPORARY_PREFIX
from swarmrace.errors import ResultsError, ScenarioError
from swarmrace.faults import faults_of
from swarmrace.model import Model
from swarmrace.plan.schedule import schedule
from swarmrace.recording.arrivals import Curve, Origin, origin_of
from swarmrace.recording.records import (
    CURVES,
    FORMAT,
    WIRE,
    CurveName,
    PeerInfo,
    PeerResult,
    RaceInfo,
    RunResult,
)
from swarmrace.scenario import loading as scenarios
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems.run import Run

FileKind = Literal["race", "run", "peer", "verdict"]


def _from_1(kind: FileKind, data: dict[str, Any]) -> dict[str, Any]:
    """Format 1 had one variation, of whatever was observed. It told duplicates of everybody, where
    a stream and a polled node show none and libtorrent's were not recorded."""
    if kind != "peer" or not isinstance(data.get("transfer"), dict):
        return data
    transfer = dict(data["transfer"])
    arrived = transfer.get("arrivalsFile") is not None
    if "variation" in transfer:
        key = "arrivalVariation" if arrived else "deliveryVariation"
        transfer[key] = transfer.pop("variation")
    if not arrived or str(transfer.get("unit")).startswith(("poll", "block")):
        transfer["duplicateBytes"] = None
    return data | {"transfer": transfer}


def _from_2(kind: FileKind, data: dict[str, Any]) -> dict[str, Any]:
    """Format 2 called it arrival when a block had been written, and gave the stall of what was read
    where arrival was not observed. The order of its runs was drawn for each block by itself. Its
    scenarios said where a node's API answers, which the charts no longer ask."""
    if kind == "race":
        return {"draw": 1} | _without_api_paths(data)
    if kind != "peer" or not isinstance(data.get("transfer"), dict):
        return data
    transfer = dict(data["transfer"])
    if str(transfer.get("unit")).startswith("block"):
        for old, new in (
            ("arrival", "written"),
            ("arrivalVariation", "writtenVariation"),
            ("arrivalsFile", "writtenFile"),
            ("longestStallSeconds", "longestWrittenStallSeconds"),
        ):
            if old in transfer:
                transfer[new] = transfer.pop(old)
    elif transfer.get("arrivalsFile") is None:
        transfer["longestStallSeconds"] = None
    return data | {"transfer": transfer}


def _without_api_paths(race: dict[str, Any]) -> dict[str, Any]:
    race = copy.deepcopy(race)
    shared = (race.get("scenario") or {}).get("global") or {}
    for section in shared.values():
        families = section.get("families") if isinstance(section, dict) else None
        for family in (families or {}).values():
            family.pop("apiPath", None)
    return race


QUEUE_MILLISECONDS_BEFORE = 50.0
"""What a limiter's queue held of its rate before a scenario could say so."""


def _with_queue(data: dict[str, Any]) -> dict[str, Any]:
    """Write into race.json's scenario, where it names no queue, what was raced."""
    found: Any = data
    for key in ("scenario", "global", "race", "network"):
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, dict) or "queueMilliseconds" in found:
        return data
    scenario = copy.deepcopy(data["scenario"])
    scenario["global"]["race"]["network"]["queueMilliseconds"] = QUEUE_MILLISECONDS_BEFORE
    return data | {"scenario": scenario}


def _without_system(data: dict[str, Any]) -> dict[str, Any]:
    """Leave out a peer's `system`, which nobody ever filled in race.json."""
    peers = data.get("peers")
    if not isinstance(peers, list):
        return data
    return data | {
        "peers": [
            {key: value for key, value in peer.items() if key != "system"}
            if isinstance(peer, dict)
            else peer
            for peer in peers
        ]
    }


MIGRATIONS: dict[int, Callable[[FileKind, dict[str, Any]], dict[str, Any]]] = {
    1: _from_1,
    2: _from_2,
}
"""Format n to the step that turns a file of format n into one of n + 1. A step gets the file's kind
and its content and returns the new content; `format` is raised for it."""

_Record = TypeVar("_Record", bound=Model)


class BrokenFileError(ResultsError):
    """One file can't be used. The text is one line and begins with the file's path."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What the folder holds of one scheduled run."""

    run: Run
    """As scheduled."""
    result: RunResult | None
    """None when the run has no readable record: it never began, or was cut off."""
    peers: Mapping[int, PeerResult]
    """By peer index; peers without a readable record are absent."""

    @property
    def leechers(self) -> tuple[int, ...]:
        """Peer indexes of those who have a record as leechers."""
        return tuple(peer for peer in sorted(self.peers) if peer not in self.run.seeders)


@dataclass(frozen=True, slots=True)
class Results:
    """A results folder in memory; curves are read when asked for."""

    folder: Path
    info: RaceInfo
    scenario: Scenario
    runs: tuple[RunRecord, ...]
    """Every scheduled run in its order, whether it has left anything or not."""
    faults: tuple[str, ...]
    """Files that are broken or don't belong here, one line each."""
    parts: tuple[Results, ...] = ()
    """The races whose blocks these are, where there are several (`parts.merged`)."""

    def peer_infos(self, entrant: str) -> dict[int, PeerInfo]:
        """Return an entrant's peers as they reported, by index."""
        return {info.peer: info for info in self.info.peers if info.entrant == entrant}

    def curve(self, run_id: str, peer: int, kind: CurveName = "arrivals") -> Curve:
        """Read one transfer's curve from its npz.

        Raises:
            ResultsError: no such transfer, or it left no such curve, or the file can't be read or
                is another transfer's.
        """
        for part in self.parts:
            if any(record.run.id == run_id for record in part.runs):
                return part.curve(run_id, peer, kind)
        record = next((record for record in self.runs if record.run.id == run_id), None)
        result = record.peers.get(peer) if record else None
        if result is None or (result.transfer is None and kind != "wire"):
            raise ResultsError(f"{self.folder}: run {run_id!r} has no transfer of peer {peer}")
        return self.curve_of(result, kind)

    def curve_of(self, peer: PeerResult, kind: CurveName) -> Curve:
        """Read the curve of a record from its npz.

        Raises:
            ResultsError: it left no such curve, or the file can't be read or is another transfer's.
        """
        name = curve_files(peer).get(kind)
        if name is None:
            raise ResultsError(
                f"{self.folder}: peer {peer.peer} recorded no {kind} in run {peer.run_id!r}"
            )
        path = self.folder / "runs" / peer.run_id / Path(name).name
        curve = Curve.from_npz(path)
        if curve.origin not in (None, _origin(peer)):
            raise ResultsError(f"{path}: is of {curve.origin}")
        return curve


def curve_files(peer: PeerResult) -> dict[CurveName, str]:
    """Return the names of the npz files that a peer left in a run, by kind."""
    transfer, wire = peer.transfer, peer.wire_curve
    names: dict[Any, str | None] = {
        name: getattr(transfer, f"{name}_file") for name in CURVES.values() if transfer
    }
    names[WIRE] = wire.file if wire else None
    return {kind: name for kind, name in names.items() if name is not None}


def load(folder: Path | str, *, curves: bool = True) -> Results:
    """Read a results folder.

    Args:
        folder: the folder.
        curves: whether each npz is opened to see that it is whole and of its transfer. A report
            and an export read records only, and thousands of them.

    Raises:
        ResultsError: not a results folder, a newer format, or race.json can't be read (without it
            nothing says what was raced).
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ResultsError(f"{folder}: expected a results folder, found no such folder")
    if not (folder / "race.json").exists():
        raise ResultsError(
            f"{folder}: expected a results folder, found no race.json in it; give the folder that "
            "`swarmrace run` named"
        )
    info = read(folder / "race.json", RaceInfo, "race")
    try:
        scenario = scenarios.parse(info.scenario, str(folder / "race.json"), stored=True)
    except ScenarioError as error:
        raise ResultsError(
            f"{folder / 'race.json'}: its scenario can't be read by this installation: "
            f"{'; '.join(map(str, error.faults))}"
        ) from error
    faults: list[str] = []
    size = scenario.race.swarm_size
    planned = schedule(scenario, info.draw, info.decided_blocks)
    runs = tuple(_run_record(folder, run, info, size, faults, curves) for run in planned)
    known = {record.run.id for record in runs}
    for path in _entries(folder / "runs"):
        if path.name not in known:
            faults.append(f"runs/{path.name}: not a run of this race; left out")
    return Results(folder, info, scenario, runs, tuple(faults))


def read(path: Path, model: type[_Record], kind: FileKind) -> _Record:
    """Read one JSON file of a results folder, bringing an older format up to the present one.

    Raises:
        BrokenFileError: missing, truncated, or not what it should be.
        ResultsError: of a newer format, or of one so old that no migration is known.
    """
    data = migrate(path, kind, _json(path))
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = faults_of(error, model)
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        raise BrokenFileError(f"{path}: {lines[0]}{more}") from error


def migrate(path: Path, kind: FileKind, data: dict[str, Any]) -> dict[str, Any]:
    """Return `data` in the present format.

    Raises:
        BrokenFileError: it has no format number.
        ResultsError: its format is newer than this program, or no migration leads on from it.
    """
    number = data.get("format")
    if not isinstance(number, int) or isinstance(number, bool):
        raise BrokenFileError(f"{path}: format: found {number!r}, expected a number")
    if number > FORMAT:
        raise ResultsError(
            f"{path}: found results format {number}, this swarmrace reads up to {FORMAT}; "
            "read it with the newer version that wrote it"
        )
    while number < FORMAT:
        step = MIGRATIONS.get(number)
        if step is None:
            raise ResultsError(
                f"{path}: found results format {number}, this swarmrace reads from "
                f"{min(MIGRATIONS, default=FORMAT)} up to {FORMAT}"
            )
        number += 1
        data = {**step(kind, data), "format": number}
    return _without_system(_with_queue(data)) if kind == "race" else data


def _json(path: Path) -> dict[str, Any]:
    try:
        data = from_json(path.read_bytes())  # three times as fast as json.loads
    except FileNotFoundError as error:
        raise BrokenFileError(f"{path}: missing") from error
    except OSError as error:
        raise BrokenFileError(f"{path}: can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        what = "empty" if path.stat().st_size == 0 else f"not whole JSON ({error})"
        raise BrokenFileError(f"{path}: {what}") from error
    if not isinstance(data, dict):
        raise BrokenFileError(f"{path}: found {type(data).__name__}, expected a JSON object")
    return data


def _run_record(
    folder: Path, run: Run, info: RaceInfo, swarm_size: int, faults: list[str], curves: bool
) -> RunRecord:
    home = folder / "runs" / run.id
    result = None
    if (home / "run.json").exists():
        result = _usable(folder, home / "run.json", RunResult, "run", run, info, faults)
    peers: dict[int, PeerResult] = {}
    for path in _entries(home):
        if path.name == "run.json" or path.suffix != ".json":
            continue
        peer = _usable(folder, path, PeerResult, "peer", run, info, faults)
        if peer is None:
            continue
        fault = _misplaced(path, peer, run, swarm_size)
        if fault:
            faults.append(f"{path.relative_to(folder)}: {fault}; left out")
            continue
        peers[peer.peer] = peer
        if curves:
            faults += curve_faults(folder, peer)
    return RunRecord(run, result, dict(sorted(peers.items())))


def _usable(
    folder: Path,
    path: Path,
    model: type[_Record],
    kind: FileKind,
    run: Run,
    info: RaceInfo,
    faults: list[str],
) -> _Record | None:
    name = path.relative_to(folder)
    try:
        found = read(path, model, kind)
    except BrokenFileError as error:
        faults.append(str(error).replace(str(path), str(name), 1))
        return None
    record: Any = found
    if record.race_id != info.race_id:
        faults.append(f"{name}: belongs to race {record.race_id}, not to {info.race_id}; left out")
        return None
    if (record.run_id, record.entrant) != (run.id, run.entrant):
        faults.append(f"{name}: belongs to run {record.run_id}, not to {run.id}; left out")
        return None
    return found


def _misplaced(path: Path, peer: PeerResult, run: Run, swarm_size: int) -> str:
    """Return why a peer's record can't be of this run, or nothing."""
    if path.stem != f"{peer.entrant}-{peer.peer}":
        return f"holds {peer.entrant}-{peer.peer}"
    if not 0 <= peer.peer < swarm_size:
        return f"found peer {peer.peer}, expected 0 to {swarm_size - 1}"
    if peer.role != run.role(peer.peer):
        return f"found the role {peer.role}, expected {run.role(peer.peer)} in this run"
    return ""


def curve_faults(folder: Path, peer: PeerResult) -> list[str]:
    """Name a record's curves that are missing, torn, or of another transfer than the record's."""
    record = folder / "runs" / peer.run_id / f"{peer.entrant}-{peer.peer}.json"
    faults = []
    for file in curve_files(peer).values():
        path = record.with_name(Path(file).name)
        fault = _curve_fault(path, record, peer)
        if fault:
            name = path.relative_to(folder)
            faults.append(f"{name}: {fault}; its marks stand in the peer's record")
    return faults


def _curve_fault(path: Path, record: Path, peer: PeerResult) -> str:
    if not path.exists():
        return "missing"
    try:
        origin = origin_of(path)
    except ResultsError:
        return "not a whole npz"
    if origin is None:
        old = _json(record)["format"] == 1  # which had no room for it
        return "" if old else "doesn't say of which transfer it is"
    return "" if origin == _origin(peer) else f"is of {origin}"


def _origin(peer: PeerResult) -> Origin:
    return Origin(peer.race_id, peer.run_id, peer.entrant, peer.peer)


def _entries(folder: Path) -> list[Path]:
    """Return a folder's files but for unfinished ones, which a killed writer may have left."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if not p.name.startswith(TEMPORARY_PREFIX))
