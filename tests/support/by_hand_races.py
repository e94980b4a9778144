"""Races whose tracker and peers are started one by one, as pods start them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

from loopback import new_address
from swarmrace.scenario.loading import load


class ByHand:
    """The processes of a race, each started by its own command."""

    def __init__(self, folder, scenario):
        self.folder = folder
        self.scenario = scenario
        self.race_id = load(scenario).race_id()
        self.data = folder / "data"
        self.host = new_address()  # its own, so that nothing else can take the port meanwhile
        with socket.socket() as probe:
            probe.bind((self.host, 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://{self.host}:{self.port}"
        self.processes = {}

    def start(self, name, *arguments, before=()):
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [*before, sys.executable, "-m", "swarmrace", *map(str, arguments)],
                stdout=log,
                stderr=log,
            )
        return self.processes[name]

    def tracker(self):
        arguments = ["--scenario", self.scenario, "--data-dir", self.data]
        return self.start("tracker", "tracker", *arguments, "--listen", f"{self.host}:{self.port}")

    def peer(self, entrant, index, before=(), race_id=None):
        work_dir = self.folder / f"{entrant}-{index}"
        work_dir.mkdir()
        arguments = {
            "rendezvous": self.url,
            "race-id": race_id or self.race_id,
            "scenario": self.scenario,
            "entrant": entrant,
            "peer": index,
            "address": f"127.77.{list(load(self.scenario).entrants).index(entrant)}.{index + 1}",
            "work-dir": work_dir,
        }
        options = [part for key, value in arguments.items() for part in (f"--{key}", value)]
        return self.start(f"{entrant}-{index}", "peer", *options, "--shared-network", before=before)

    def record(self, run_id, name="run"):
        return json.loads((self.data / "runs" / run_id / f"{name}.json").read_text())

    def end(self):
        for process in self.processes.values():
            process.kill()
            process.wait()

    def logs(self):
        return "\n".join(path.read_text() for path in self.folder.glob("*.log"))
