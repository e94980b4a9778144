"""A results folder: what a race leaves behind. An incomplete folder is read too.

Layout (docs/results-format.md)::

    race.json                             RaceInfo
    runs/{run}/run.json                   RunResult
    runs/{run}/{entrant}-{peer}.json      PeerResult
    runs/{run}/{entrant}-{peer}.arrivals.npz, .written.npz, .deliveries.npz
    verdict.json, verdict.txt             derived; can be written again from the rest at any time

A killed race leaves the same folder with fewer files. The verdict reports what is absent.
`Results.faults` names each broken file; the others are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarmrace.atomic import TEMPORARY_PREFIX
from swarmrace.errors import ResultsError, ScenarioError
from swarmrace.plan.schedule import schedule
from swarmrace.recording.arrivals import Curve, Origin, origin_of
from swarmrace.recording.records import (
    CURVES,
    WIRE,
    CurveName,
    PeerInfo,
    PeerResult,
    RaceInfo,
    RunResult,
)
from swarmrace.results.formats import BrokenFileError, FileKind, Record, read, read_json
from swarmrace.scenario import loading as scenarios
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems.run import Run


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The records of one scheduled run."""

    run: Run
    """As scheduled."""
    result: RunResult | None
    """None if the run has no readable record: it never began, or was cut off."""
    peers: Mapping[int, PeerResult]
    """By peer index. Peers without a readable record are absent."""

    @property
    def leechers(self) -> tuple[int, ...]:
        """Indexes of the leechers that have a record."""
        return tuple(peer for peer in sorted(self.peers) if peer not in self.run.seeders)


@dataclass(frozen=True, slots=True)
class Results:
    """A results folder in memory. Curves are read on demand."""

    folder: Path
    info: RaceInfo
    scenario: Scenario
    runs: tuple[RunRecord, ...]
    """Every scheduled run in order, also runs without any record."""
    faults: tuple[str, ...]
    """Files that are broken or belong to another race, one line each."""
    parts: tuple[Results, ...] = ()
    """The races that were merged into these results (`parts.merge`); empty for one race."""

    def peer_infos(self, entrant: str) -> dict[int, PeerInfo]:
        """Return what an entrant's peers reported about themselves, by index."""
        return {info.peer: info for info in self.info.peers if info.entrant == entrant}

    def curve(self, run_id: str, peer: int, kind: CurveName = "arrivals") -> Curve:
        """Read one transfer's curve from its npz.

        Raises:
            ResultsError: the transfer or its curve doesn't exist, or the file can't be read or
                belongs to another transfer.
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
        """Read a curve of a peer's record from its npz.

        Raises:
            ResultsError: the curve doesn't exist, or the file can't be read or belongs to another
                transfer.
        """
        name = curve_files(peer).get(kind)
        if name is None:
            raise ResultsError(
                f"{self.folder}: peer {peer.peer} recorded no {kind} in run {peer.run_id!r}"
            )
        path = self.folder / "runs" / peer.run_id / Path(name).name
        curve = Curve.from_npz(path)
        if curve.origin not in (None, _origin(peer)):
            raise ResultsError(f"{path}: belongs to {curve.origin}")
        return curve


def curve_files(peer: PeerResult) -> dict[CurveName, str]:
    """Return the names of the npz files that a peer recorded in a run, by kind."""
    transfer, wire = peer.transfer, peer.wire_curve
    names: dict[Any, str | None] = {
        name: getattr(transfer, f"{name}_file") for name in CURVES.values() if transfer
    }
    names[WIRE] = wire.file if wire else None
    return {kind: name for kind, name in names.items() if name is not None}


def load(folder: Path | str, *, curves: bool = True) -> Results:
    """Read a results folder.

    Args:
        folder: the results folder.
        curves: whether to open each npz and check that it is complete and belongs to its transfer.
            A report and an export need thousands of records, but no curves.

    Raises:
        ResultsError: not a results folder, a newer format, or race.json can't be read. Without
            race.json it is unknown what was raced.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ResultsError(f"{folder}: expected a results folder, found no such folder")
    if not (folder / "race.json").exists():
        raise ResultsError(
            f"{folder}: expected a results folder, found no race.json in it; give the folder that "
            "`swarmrace run` printed"
        )
    info = read(folder / "race.json", RaceInfo, "race")
    try:
        scenario = scenarios.parse(info.scenario, str(folder / "race.json"), stored=True)
    except ScenarioError as error:
        raise ResultsError(
            f"{folder / 'race.json'}: this installation can't read its scenario: "
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
    model: type[Record],
    kind: FileKind,
    run: Run,
    info: RaceInfo,
    faults: list[str],
) -> Record | None:
    try:
        found = read(path, model, kind)
    except BrokenFileError as error:
        faults.append(str(error).replace(str(path), str(path.relative_to(folder)), 1))
        return None
    record: Any = found
    if record.race_id != info.race_id:
        name = path.relative_to(folder)
        faults.append(f"{name}: belongs to race {record.race_id}, not to {info.race_id}; left out")
        return None
    if (record.run_id, record.entrant) != (run.id, run.entrant):
        name = path.relative_to(folder)
        faults.append(f"{name}: belongs to run {record.run_id}, not to {run.id}; left out")
        return None
    return found


def _misplaced(path: Path, peer: PeerResult, run: Run, swarm_size: int) -> str:
    """Return why a peer's record can't belong to this run, or an empty string."""
    if path.stem != f"{peer.entrant}-{peer.peer}":
        return f"holds {peer.entrant}-{peer.peer}"
    if not 0 <= peer.peer < swarm_size:
        return f"found peer {peer.peer}, expected 0 to {swarm_size - 1}"
    if peer.repetition != run.repetition:
        return f"found repetition {peer.repetition}, expected {run.repetition} in this run"
    if peer.role != run.role(peer.peer):
        return f"found role {peer.role}, expected {run.role(peer.peer)} in this run"
    return ""


def curve_faults(folder: Path, peer: PeerResult, files: Iterable[str] | None = None) -> list[str]:
    """List the record's curves that are missing, incomplete, or belong to another transfer.

    Args:
        folder: the results folder.
        peer: the record.
        files: the names of the curves to check, as recorded; by default all of them.
    """
    record = folder / "runs" / peer.run_id / f"{peer.entrant}-{peer.peer}.json"
    faults = []
    for file in curve_files(peer).values() if files is None else files:
        path = record.with_name(Path(file).name)
        fault = _curve_fault(path, record, peer)
        if fault:
            faults.append(_curve_line(peer, file, fault))
    return faults


def missing_curve(peer: PeerResult, file: str) -> str:
    """Return the fault of a record's curve of which there is no file."""
    return _curve_line(peer, file, "missing")


def _curve_line(peer: PeerResult, file: str, fault: str) -> str:
    name = f"runs/{peer.run_id}/{file.rpartition('/')[2]}"
    return f"{name}: {fault}; the peer's record still has its marks"


def _curve_fault(path: Path, record: Path, peer: PeerResult) -> str:
    if not path.exists():
        return "missing"
    try:
        origin = origin_of(path)
    except ResultsError:
        return "not a complete npz"
    if origin is None:
        old = read_json(record)["format"] == 1  # curves had no origin then
        return "" if old else "doesn't name its transfer"
    return "" if origin == _origin(peer) else f"belongs to {origin}"


def _origin(peer: PeerResult) -> Origin:
    return Origin(peer.race_id, peer.run_id, peer.entrant, peer.peer)


def _entries(folder: Path) -> list[Path]:
    """Return a folder's files, without unfinished ones that a killed writer may have left."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)
    return [folder / name for name in names if not name.startswith(TEMPORARY_PREFIX)]
