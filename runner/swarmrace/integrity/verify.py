"""`swarmrace verify`, and the checks of a folder that `show` and the verdict require."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from swarmrace.errors import ResultsError
from swarmrace.integrity import records
from swarmrace.results import folder as results
from swarmrace.results import manifest
from swarmrace.results.folder import Results
from swarmrace.results.formats import read_json

_MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class FolderReport:
    """What was found in one folder."""

    folder: Path
    commit: str
    """Commit of the swarmrace that wrote it; empty if not recorded."""
    files: int
    """Number of files with a recorded hash."""
    complete: bool
    """Whether the race had ended when the hashes were written."""
    transfers: int
    """Number of transfers checked against their curves."""
    changed: tuple[str, ...]
    """What was edited, removed or added, or contradicts itself, one line each."""
    broken: tuple[str, ...]
    """Files that are torn or don't belong there; the verdict names them too."""

    @property
    def sound(self) -> bool:
        """Whether there is no fault."""
        return not self.changed and not self.broken

    def lines(self) -> list[str]:
        """Return the report as human-readable lines."""
        if self.files:
            cut = "" if self.complete else " (the race was cut off: up to its last closed run)"
            head = f"{self.files} files hashed{cut}, by commit {self.commit or 'unknown'}"
        else:
            head = "not hashed (results format 1 or 2)"
        found = [*self.changed, *self.broken]
        verdict = f"{len(found)} fault{'' if len(found) == 1 else 's'}" if found else "sound"
        checked = f"{self.transfers} transfer{'' if self.transfers == 1 else 's'} checked"
        return [f"{self.folder}: {verdict}: {head}; {checked}", *(f"  {line}" for line in found)]


def verify(folder: Path) -> FolderReport:
    """Check a results folder: its hashes if it has any, and its records against its curves.

    Raises:
        ResultsError: the folder can't be read at all.
    """
    return _verify(folder)[1]


def _verify(folder: Path) -> tuple[Results, FolderReport]:
    """Return what was read from a folder, and the report on it."""
    loaded = results.load(folder, curves=False)  # records.faults reads each curve once
    listed = _read_manifest(folder)
    changed: list[str] = []
    if listed is not None:
        if listed.race_id != loaded.info.race_id:
            changed.append(
                f"{manifest.FILE}: found race {listed.race_id}, expected {loaded.info.race_id}"
            )
        changed += manifest.faults(folder, listed)
    elif loaded.info.commit:
        changed.append(f"{manifest.FILE}: removed after the race")
    found = records.faults(loaded)
    changed += [fault.text for fault in found if not fault.broken]
    transfers = [peer for run in loaded.runs for peer in run.peers.values() if peer.transfer]
    report = FolderReport(
        folder=folder,
        commit=loaded.info.commit,
        files=len(listed.files) if listed is not None else 0,
        complete=listed is not None and listed.complete,
        transfers=len(transfers),
        changed=tuple(changed),
        broken=(*loaded.faults, *(fault.text for fault in found if fault.broken)),
    )
    return loaded, report


def require(folder: Path) -> Results:
    """Refuse a folder that was edited: it gets no verdict. Return what was read from it, with the
    faults of its curves.

    Files that a killed race left torn are no reason to refuse: the verdict names them.

    Raises:
        ResultsError: the folder was edited (the error says where), or can't be read at all.
    """
    loaded, report = _verify(folder)
    _refuse(folder, report.changed)
    return replace(loaded, faults=report.broken)


def require_records(folder: Path) -> None:
    """Refuse a folder whose records were edited, judging only by their hashes. Unlike `require`,
    this opens no npz. A folder of a format without hashes passes.

    Raises:
        ResultsError: records were edited; the error names them.
    """
    listed = _read_manifest(folder)
    if listed is not None:
        _refuse(folder, manifest.faults(folder, listed, ".json"))
    elif read_json(folder / "race.json").get("commit"):
        _refuse(folder, [f"{manifest.FILE}: removed after the race"])


def _read_manifest(folder: Path) -> manifest.FolderManifest | None:
    try:
        return manifest.read(folder)
    except (OSError, ValueError) as error:
        raise ResultsError(
            f"{folder / manifest.FILE}: expected the list of the folder's files, found: "
            f"{' '.join(str(error).split())[:200]}; fetch the folder again"
        ) from error


def _refuse(folder: Path, changed: Sequence[str]) -> None:
    if not changed:
        return
    named = "; ".join(changed[:_MAX_NAMED])
    more = f" and {len(changed) - _MAX_NAMED} more" if len(changed) > _MAX_NAMED else ""
    raise ResultsError(
        f"{folder}: found files edited after the race: {named}{more}; copy the folder again from "
        "where it was raced, or run `swarmrace verify` for all of them"
    )
