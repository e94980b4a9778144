"""What the rendezvous keeps on disk: the results folder, with its own state in it.

Layout of the data folder: `race.json` (RaceInfo), `runs/{run}/run.json` (RunResult),
`runs/{run}/{entrant}-{peer}.json` and `.npz` (written by `intake`), and `state.json`, which only a
restarted rendezvous reads. Files are replaced atomically, so the folder is readable after a crash
at any instant.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from swarmrace import atomic
from swarmrace.errors import ResultsError
from swarmrace.recording.records import PeerInfo, PeerResult, RaceInfo, RunResult
from swarmrace.rendezvous.messages import RESULT_SUFFIXES, result_name
from swarmrace.rendezvous.trouble import Trouble
from swarmrace.results.manifest import FILE as MANIFEST
from swarmrace.results.manifest import ManifestKeeper
from swarmrace.systems import doubles

STATE_FILE = "state.json"
_STATE_FORMAT = 1


class Store:
    """The folder of one race.

    Args:
        folder: the data folder; created if missing.
        info: the race's record (race.json), without its peers.

    Raises:
        ResultsError: the folder holds another race, or can't be read.
    """

    def __init__(self, folder: Path, info: RaceInfo) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.info = info
        self.state: dict[str, Any] = {}
        """The state read at the start; empty for a new race."""
        self._lock = threading.Lock()
        self._dirty = False
        self._flushed: asyncio.Future[None] | None = None
        self.trouble = Trouble(folder)
        self.hashes = ManifestKeeper(folder, info.race_id, info.commit)
        self._load()
        if self.state:
            self.hashes.resume()
        else:
            self.write_manifest()

    def run_folder(self, run_id: str) -> Path:
        """Return the folder of a run."""
        return self.folder / "runs" / run_id

    def has_result(self, run_id: str, entrant: str, peer: int) -> bool:
        """Return whether a peer's result of a run is stored."""
        return (self.run_folder(run_id) / result_name(entrant, peer)).exists()

    def results_of(self, run_ids: Iterable[str], entrant: str, peer: int) -> list[str]:
        """Return which of a peer's files are stored, as `run/name`."""
        names = [result_name(entrant, peer, suffix) for suffix in RESULT_SUFFIXES]
        return [
            f"{run_id}/{name}"
            for run_id in run_ids
            for name in names
            if (self.run_folder(run_id) / name).exists()
        ]

    def read_run(self, run_id: str) -> RunResult | None:
        """Return a closed run's record, or None if it is missing or unreadable."""
        try:
            return RunResult.model_validate_json(
                (self.run_folder(run_id) / "run.json").read_bytes()
            )
        except (OSError, ValueError):
            return None

    def read_results(self, run_id: str) -> list[PeerResult]:
        """Return the peers' results of a run that are stored and readable."""
        found = []
        for path in sorted(self.run_folder(run_id).glob("*-[0-9]*.json")):
            with contextlib.suppress(OSError, ValueError):
                found.append(PeerResult.model_validate_json(path.read_bytes()))
        return found

    def write_run(self, result: RunResult) -> None:
        """Write a run's record."""
        self._write(f"runs/{result.run_id}/run.json", _text(result))

    def write_result(self, result: PeerResult) -> None:
        """Write a peer's result, on its behalf."""
        name = result_name(result.entrant, result.peer)
        self._write(f"runs/{result.run_id}/{name}", _text(result))

    def write_state(self, state: dict[str, Any]) -> None:
        """Write the rendezvous' own state."""
        data = {"format": _STATE_FORMAT, "race_id": self.info.race_id, **state}
        self._write(STATE_FILE, json.dumps(data, indent=1).encode())

    def write_info(self, peers: list[PeerInfo] | None = None, **changes: Any) -> None:
        """Write race.json with these changes."""
        if peers is not None:
            changes["peers"] = peers
        self.info = self.info.model_copy(update=changes)
        self._write_info()

    def mark_double(self, entrant: str) -> None:
        """Record in race.json that an entrant is a test double."""
        known = self.info.test_doubles
        if entrant not in known:
            name = doubles.mark(self.info.name)
            self.write_info(name=name, test_doubles=[*known, entrant])

    async def write_info_soon(self, peers: list[PeerInfo]) -> None:
        """Write race.json in a thread; return when it is on disk.

        Calls during one write share the next, so thousands of peers that report at once cost only
        a few writes.
        """
        self.info = self.info.model_copy(update={"peers": peers})
        self._dirty = True
        if self._flushed is None:
            self._flushed = asyncio.ensure_future(self._flush())
        await asyncio.shield(self._flushed)

    async def _flush(self) -> None:
        try:
            while self._dirty:
                self._dirty = False
                await asyncio.to_thread(self._write_info)
        finally:
            self._flushed = None

    def _write_info(self) -> None:
        with self._lock:  # so that the latest version is written last
            self._write("race.json", _text(self.info))

    def write_manifest(self, *, complete: bool = False) -> None:
        """Write the hashes of the folder's files.

        Args:
            complete: whether the race has ended, so that race.json won't change again.
        """
        text = self.hashes.text(complete=complete)
        self.trouble.attempt(lambda: atomic.write_bytes(self.folder / MANIFEST, text))

    def _write(self, name: str, data: bytes) -> None:
        written = self.trouble.attempt(lambda: atomic.write_bytes(self.folder / name, data))
        if not written and name == "race.json":
            self.trouble.write_into_reserve(self.folder / name, data)
        if written and name != STATE_FILE:
            self.hashes.add_data(name, data)

    def _load(self) -> None:
        race, state = self.folder / "race.json", self.folder / STATE_FILE
        if not state.exists():
            if race.exists():
                raise ResultsError(
                    f"{self.folder}: expected an empty folder or a rendezvous' own, found the "
                    "results of a race; give another folder"
                )
            return
        try:
            self.state = json.loads(state.read_bytes())
            old = RaceInfo.model_validate_json(race.read_bytes())
            race_id, version = self.state["race_id"], self.state["format"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResultsError(
                f"{self.folder}: expected a rendezvous' state, found: "
                f"{' '.join(str(error).split())}; give another folder"
            ) from error
        if race_id != self.info.race_id or version != _STATE_FORMAT:
            raise ResultsError(
                f"{self.folder}: expected race {self.info.race_id} (state format {_STATE_FORMAT}), "
                f"found race {race_id} (state format {version}); give another folder"
            )
        self.info = old


def _text(record: RaceInfo | RunResult | PeerResult) -> bytes:
    return record.model_dump_json(indent=1).encode()
