"""`manifest.json`: the files of a results folder with their SHA-256.

The rendezvous hashes each file's content as it writes it, not as it is read back. It writes the
manifest whenever a run closes, so a killed race has one too. Once the race has ended, the manifest
lists race.json and is complete.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from swarmrace import atomic
from swarmrace.model import Model
from swarmrace.recording.payload import file_sha256

FILE = "manifest.json"
DERIVED = ("verdict.json", "verdict.txt")
"""Derived files, which anybody may write again. They are listed at the race's end, but may be
missing."""
_FORMAT = 1
_PRIVATE = (FILE, "state.json")


class FileEntry(Model):
    """One file of the manifest."""

    sha256: str
    size_bytes: int


class FolderManifest(Model):
    """The content of `manifest.json`."""

    format: int = _FORMAT
    race_id: str
    commit: str = ""
    """Commit of the swarmrace that wrote the folder, as in race.json."""
    complete: bool = False
    """Whether the race has ended. If so, race.json is listed and no file may be missing."""
    files: dict[str, FileEntry] = {}
    """By path relative to the folder, with `/` as separator."""


def read(folder: Path) -> FolderManifest | None:
    """Return a folder's manifest, or None if it has none (formats 1 and 2).

    Raises:
        ValueError: the manifest is invalid.
        OSError: the file can't be read.
    """
    path = folder / FILE
    return FolderManifest.model_validate_json(path.read_bytes()) if path.exists() else None


class ManifestKeeper:
    """Keeps a folder's manifest while a race writes to the folder. Thread-safe.

    Args:
        folder: the results folder.
        race_id: the race that writes it.
        commit: commit of the running swarmrace.
    """

    def __init__(self, folder: Path, race_id: str, commit: str) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self.manifest = FolderManifest(race_id=race_id, commit=commit)

    def resume(self) -> None:
        """Load the manifest that an earlier process left, and add the files it hasn't listed."""
        try:
            found = read(self._folder)
        except (OSError, ValueError):
            found = None
        if found is not None and found.race_id == self.manifest.race_id:
            self.manifest = found.model_copy(update={"complete": False})
        self.manifest.files.pop("race.json", None)
        for name, entry in _files(self._folder / "runs", "runs/"):
            if name not in self.manifest.files:
                self.add(name, file_sha256(entry.path), entry.stat().st_size)

    def add(self, name: str, sha256: str, size_bytes: int) -> None:
        """List a file that was written."""
        with self._lock:
            self.manifest.files[name] = FileEntry(sha256=sha256, size_bytes=size_bytes)

    def add_data(self, name: str, data: bytes) -> None:
        """List a file by the bytes written to it."""
        self.add(name, hashlib.sha256(data).hexdigest(), len(data))

    def text(self, *, complete: bool) -> bytes:
        """Return the manifest's JSON. race.json is listed only once it can't change any more."""
        with self._lock:
            files = dict(sorted(self.manifest.files.items()))
            if not complete:
                files.pop("race.json", None)
            update = {"files": files, "complete": complete}
            return self.manifest.model_copy(update=update).model_dump_json(indent=1).encode()


def extend(folder: Path) -> None:
    """List the logs and the verdict too, once all processes of the race have ended.

    Raises:
        OSError: the folder can't be read or written.
        ValueError: its manifest is invalid.
    """
    manifest = read(folder)
    if manifest is None or not manifest.complete:
        return
    for name, entry in _files(folder):
        if name not in manifest.files or name in DERIVED:
            size = entry.stat().st_size
            manifest.files[name] = FileEntry(sha256=file_sha256(entry.path), size_bytes=size)
    manifest = manifest.model_copy(update={"files": dict(sorted(manifest.files.items()))})
    atomic.write_bytes(folder / FILE, manifest.model_dump_json(indent=1).encode())


def _files(below: Path | str, prefix: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield every finished file as its path in the results folder and its entry, without the
    rendezvous' own files. A folder has thousands of them, so no `Path` is made for each.

    Args:
        below: the folder to read; without it there are no files.
        prefix: the path of `below` in the results folder, ending in `/`; empty for that itself.
    """
    try:
        with os.scandir(below) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        name = prefix + entry.name
        if entry.name.startswith(".") or name in _PRIVATE:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path, f"{name}/")
        elif entry.is_file():
            yield name, entry


def faults(folder: Path, manifest: FolderManifest, suffix: str = "") -> list[str]:
    """Return one line for each file that was changed, removed or added after the race.

    Args:
        folder: the results folder.
        manifest: the folder's manifest.
        suffix: check only files whose names end with this.
    """
    found = {name: entry for name, entry in _files(folder) if name.endswith(suffix)}
    lines = []
    for name, listed in manifest.files.items():
        if not name.endswith(suffix):
            continue
        entry = found.get(name)
        if entry is None:
            if name not in DERIVED:
                lines.append(f"{name}: removed after the race")
        elif entry.stat().st_size != listed.size_bytes or file_sha256(entry.path) != listed.sha256:
            lines.append(f"{name}: changed after the race (its SHA-256 differs from the recorded)")
    if manifest.complete:
        added = [n for n in found if n.startswith("runs/") and n not in manifest.files]
        lines += [f"{name}: added after the race" for name in added]
    return lines
