"""Starts real races by the command line and observes them from outside."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from patience import PATIENCE_SECONDS, wait_for

__all__ = ["PATIENCE_SECONDS", "Race", "race", "scenario_file", "wait_for"]


def scenario_file(folder: Path, entrants: dict[str, Any], **race: Any) -> Path:
    """Write a scenario and return its path."""
    # Peer 0 seeds in every run, so that tests know which peers leech.
    race = {
        "swarmSize": 3,
        "seeders": 1,
        "fileSize": "1MB",
        "repetitions": 1,
        "rotateSeeders": False,
        **race,
    }
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump({"global": {"race": race, "entrants": entrants}}))
    return path


class Race:
    """A `swarmrace run` in a separate process.

    Args:
        folder: all files of the race are below it.
        scenario: the scenario file.
        arguments: further arguments of `run`.
        results: the results folder; by default below `folder`.
        work: the work folder; by default below `folder`.
    """

    def __init__(
        self,
        folder: Path,
        scenario: Path,
        *arguments: str,
        results: Path | None = None,
        work: Path | None = None,
    ) -> None:
        self.results = results or folder / "results"
        self.work = work or folder / "work"
        self.work.mkdir(exist_ok=True)
        self.log = folder / "output.txt"
        command = [sys.executable, "-m", "swarmrace", "run", str(scenario), "--full"]
        command += ["--results", str(self.results), "--work-dir", str(self.work), *arguments]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
        self.family: set[psutil.Process] = set()

    @property
    def folder(self) -> Path:
        """The results folder."""
        return wait_for(lambda: next(iter(self.results.glob("*-*")), None), "a results folder")

    def member(self, name: str) -> psutil.Process:
        """Return one of the race's processes (`rendezvous`, `http-1`)."""

        def look() -> psutil.Process | None:
            for process in psutil.Process(self.process.pid).children(recursive=True):
                self.family.add(process)
                with contextlib.suppress(psutil.Error):
                    if process.name() == name[:15]:
                        return process
            return None

        return wait_for(look, f"process {name}")

    def status(self) -> dict[str, Any] | None:
        """Return the rendezvous' status, or None if it doesn't answer."""
        socket = next(iter(self.work.glob("swarmrace-*/rendezvous.sock")), None)
        race = next(iter(self.results.glob("*-*")), None)
        if socket is None or race is None:
            return None
        try:
            folder = os.open(socket.parent, os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError:
            return None
        short = f"/proc/self/fd/{folder}/{socket.name}"  # pytest's paths are too long for a socket
        try:
            with httpx.Client(transport=httpx.HTTPTransport(uds=short)) as client:
                race_id = race.name.rpartition("-")[2]
                return client.get(f"http://rendezvous/{race_id}/status", timeout=60).json()
        except (httpx.HTTPError, ValueError):
            return None
        finally:
            os.close(folder)

    def wait_until(self, stage: str, *peers: str, progress: bool = False) -> None:
        """Wait until each of `peers` (`http-1`) is in `stage`, with `progress` also for bytes."""

        def there() -> bool:
            status = self.status()
            if status is None:
                return False
            found = [
                f"{p['entrant']}-{p['peer']}"
                for p in status["peers"]
                if p["stage"] == stage and (not progress or p["progress_bytes"])
            ]
            return set(peers) <= set(found)

        wait_for(there, f"{peers} in stage {stage}")

    def end(self) -> int:
        """Wait for the command to end; return its exit code."""
        with contextlib.suppress(psutil.Error):
            self.family.update(psutil.Process(self.process.pid).children(recursive=True))
        return self.process.wait(PATIENCE_SECONDS)

    def output(self) -> str:
        """Return what it printed."""
        return self.log.read_text()

    def left(self) -> list[str]:
        """Return the race's remaining processes and work folders."""
        return [str(p) for p in self.family if _is_alive(p)] + [
            str(path) for path in self.work.iterdir()
        ]

    def wait_until_nothing_is_left(self) -> None:
        """Wait for the last helpers of multiprocessing, which exit once the race has exited."""
        wait_for(lambda: not self.left(), f"the end of {self.left()}")

    def record(self, run_id: str, name: str = "run") -> dict[str, Any]:
        """Return one JSON of a run's folder (`run`, `http-1`)."""
        return json.loads((self.folder / "runs" / run_id / f"{name}.json").read_text())


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it has just ended
        return False


@contextlib.contextmanager
def race(folder: Path, scenario: Path, *arguments: str, **places: Path) -> Iterator[Race]:
    """Yield a running race; end its remaining processes afterwards."""
    running = Race(folder, scenario, *arguments, **places)
    try:
        yield running
    finally:
        with contextlib.suppress(psutil.Error):
            running.family.update(psutil.Process(running.process.pid).children(recursive=True))
        if running.process.poll() is None:
            os.kill(running.process.pid, 9)
            running.process.wait()
        for process in running.family:
            with contextlib.suppress(psutil.Error):
                process.kill()
