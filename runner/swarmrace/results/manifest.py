"""The list of a results folder's files with their SHA-256: `manifest.json`.

Whoever writes the folder keeps it: the rendezvous notes each file as it is written, not as it is
read back, and writes the list with every run that closes, so that a killed race has one too. When
the race has ended, however, race.json is in it and it is complete.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

from swarmrace import atomic
from swarmrace.model import Model
from swarmrace.recording.payload import file_sha256

FILE = "manifest.json"
DERIVED = ("verdict.json", "verdict.txt")
"""Made from the rest, and made again by who likes: listed at the race's end, never demanded."""
_FORMAT = 1
_PRIVATE = (FILE, "state.json")


class Listed(Model):
    """One file."""

    sha256: str
    size_bytes: int


class Manifest(Model):
    """What `manifest.json` holds."""

    format: int = _FORMAT
    race_id: str
    commit: str = ""
    """Of the swarmrace that wrote the folder, as in race.json."""
    complete: bool = False
    """Whether the race has ended: race.json is listed, and nothing may be missing."""
    files: dict[str, Listed] = {}
    """By path below the folder, with `/`."""


def read(folder: Path) -> Manifest | None:
    """Return a folder's manifest, or None where there is none (a folder of formats 1 and 2).

    Raises:
        ValueError: it can't be read.
        OSError: likewise.
    """
    path = folder / FILE
    return Manifest.model_validate_json(path.read_bytes()) if path.exists() else None


class Keeper:
    """Keeps the manifest of a folder while a race writes it. May be used from several threads.

    Args:
        folder: the results folder.
        race_id: whose it is.
        commit: of the running swarmrace.
    """

    def __init__(self, folder: Path, race_id: str, commit: str) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self.manifest = Manifest(race_id=race_id, commit=commit)

    def resume(self) -> None:
        """Take over what another process has listed, and list what it hadn't come to."""
        try:
            found = read(self._folder)
        except (OSError, ValueError):
            found = None
        if found is not None and found.race_id == self.manifest.race_id:
            self.manifest = found.model_copy(update={"complete": False})
        self.manifest.files.pop("race.json", None)
        for name, path in _files(self._folder / "runs", self._folder):
            if name not in self.manifest.files:
                self.note(name, file_sha256(path), path.stat().st_size)

    def note(self, name: str, sha256: str, size_bytes: int) -> None:
        """Note a file that was written."""
        with self._lock:
            self.manifest.files[name] = Listed(sha256=sha256, size_bytes=size_bytes)

    def note_data(self, name: str, data: bytes) -> None:
        """Note a file by what was written to it."""
        self.note(name, hashlib.sha256(data).hexdigest(), len(data))

    def text(self, *, complete: bool) -> bytes:
        """Return what to write: with race.json only once it won't change any more."""
        with self._lock:
            files = dict(sorted(self.manifest.files.items()))
            if not complete:
                files.pop("race.json", None)
            update = {"files": files, "complete": complete}
            return self.manifest.model_copy(update=update).model_dump_json(indent=1).encode()


def extend(folder: Path) -> None:
    """List what a race left beside its records when all of its processes had ended: logs, verdict.

    Raises:
        OSError: the folder can't be read or written.
        ValueError: its manifest can't be read.
    """
    manifest = read(folder)
    if manifest is None or not manifest.complete:
        return
    for name, path in _files(folder, folder):
        if name not in manifest.files or name in DERIVED:
            size = path.stat().st_size
            manifest.files[name] = Listed(sha256=file_sha256(path), size_bytes=size)
    manifest = manifest.model_copy(update={"files": dict(sorted(manifest.files.items()))})
    atomic.write_bytes(folder / FILE, manifest.model_dump_json(indent=1).encode())


def _files(below: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield path in the folder and path of every finished file, not the rendezvous' own."""
    for path in sorted(below.rglob("*")):
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if name not in _PRIVATE and not hidden and path.is_file():
            yield name, path


def faults(folder: Path, manifest: Manifest, suffix: str = "") -> list[str]:
    """Return what differs from the manifest, one line for each file: changed, removed, added.

    Args:
        folder: the results folder.
        manifest: what was listed.
        suffix: only of files whose names end so.
    """
    found = {name: path for name, path in _files(folder, folder) if name.endswith(suffix)}
    lines = []
    for name, listed in manifest.files.items():
        if not name.endswith(suffix):
            continue
        path = found.get(name)
        if path is None:
            if name not in DERIVED:
                lines.append(f"{name}: removed after the race")
        elif path.stat().st_size != listed.size_bytes or file_sha256(path) != listed.sha256:
            lines.append(f"{name}: changed after the race (its SHA-256 isn't the one recorded)")
    if manifest.complete:
        added = [n for n in found if n.startswith("runs/") and n not in manifest.files]
        lines += [f"{name}: added after the race" for name in added]
    return lines
