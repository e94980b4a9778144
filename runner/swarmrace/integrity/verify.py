"""`swarmrace verify`, and what `show` and the verdict demand of a folder before they judge it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swarmrace.errors import ResultsError
from swarmrace.integrity import records
from swarmrace.results import folder as results
from swarmrace.results import manifest

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Report:
    """What was found of one folder."""

    folder: Path
    commit: str
    """Of the swarmrace that wrote it; empty where it isn't recorded."""
    files: int
    """How many files have a recorded hash."""
    complete: bool
    """Whether the hashes are those of a race that has ended."""
    transfers: int
    """How many transfers were held against their curves."""
    changed: tuple[str, ...]
    """What was edited, removed, added or contradicts itself, one line each."""
    broken: tuple[str, ...]
    """Files that are torn or don't belong there, as the verdict names them too."""

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.changed and not self.broken

    def lines(self) -> list[str]:
        """Return it for a person."""
        if self.files:
            cut = "" if self.complete else " (the race was cut off: up to its last closed run)"
            head = f"{self.files} files hashed{cut}, by commit {self.commit or 'unknown'}"
        else:
            head = "not hashed (results format 1 or 2)"
        found = [*self.changed, *self.broken]
        verdict = f"{len(found)} fault{'' if len(found) == 1 else 's'}" if found else "sound"
        checked = f"{self.transfers} transfer{'' if self.transfers == 1 else 's'} checked"
        return [f"{self.folder}: {verdict}: {head}; {checked}", *(f"  {line}" for line in found)]


def verify(folder: Path) -> Report:
    """Check a results folder: its hashes where it has any, and its records against its curves.

    Raises:
        ResultsError: it can't be read at all.
    """
    loaded = results.load(folder, curves=False)  # they are read below, once
    listed = _listed(folder)
    changed: list[str] = []
    if listed is not None:
        if listed.race_id != loaded.info.race_id:
            changed.append(f"{manifest.FILE}: of race {listed.race_id}, not {loaded.info.race_id}")
        changed += manifest.faults(folder, listed)
    elif loaded.info.commit:
        changed.append(f"{manifest.FILE}: removed after the race")
    found = records.faults(loaded)
    changed += [fault.text for fault in found if not fault.broken]
    transfers = [peer for run in loaded.runs for peer in run.peers.values() if peer.transfer]
    return Report(
        folder=folder,
        commit=loaded.info.commit,
        files=len(listed.files) if listed is not None else 0,
        complete=listed is not None and listed.complete,
        transfers=len(transfers),
        changed=tuple(changed),
        broken=(*loaded.faults, *(fault.text for fault in found if fault.broken)),
    )


def require(folder: Path) -> None:
    """Refuse a folder that was edited: no verdict is given on it.

    Files that a killed race left torn are no reason: the verdict names them and goes on.

    Raises:
        ResultsError: it names what was edited; or the folder can't be read at all.
    """
    _refuse(folder, verify(folder).changed)


def require_records(folder: Path) -> None:
    """Refuse a folder whose records were edited, by their hashes alone: no npz is opened, which
    only `require` does. A folder without hashes passes.

    Raises:
        ResultsError: it names what was edited.
    """
    listed = _listed(folder)
    if listed is not None:
        _refuse(folder, manifest.faults(folder, listed, ".json"))


def _listed(folder: Path) -> manifest.Manifest | None:
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
    named = "; ".join(changed[:_MOST_NAMED])
    more = f" and {len(changed) - _MOST_NAMED} more" if len(changed) > _MOST_NAMED else ""
    raise ResultsError(
        f"{folder}: expected what the race left, found it edited: {named}{more}; take the folder "
        "from where it was raced, or see `swarmrace verify`"
    )
