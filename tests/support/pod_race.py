"""A race by the commands of a release's pods, in this process's network.

`python pod_race.py FOLDER SCENARIO ADDRESS...` gives each peer the next address. The tracker
listens on all of them; peers reach it and the push address at the first one. It prints as JSON how
each peer ended, what was scraped from it before the race and how many pushes came, and leaves the
results in FOLDER/data.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from swarmrace.scenario.loading import load

TRACKER, PUSHED, METRICS = 8080, 8428, 9201


class _Intake(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.pushes += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def intake(address: str) -> Iterator[ThreadingHTTPServer]:
    """Serve a push address that counts what comes."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = type("Server", (ThreadingHTTPServer,), {"address_family": family, "pushes": 0})
    with made((address, PUSHED), _Intake) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def scrape(url: str, process: subprocess.Popen) -> int:
    """Return how many of swarmrace's series a peer serves, as soon as it serves."""
    while True:
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return answer.read().decode().count("\nswarmrace_")
        except OSError:
            assert process.poll() is None, f"the peer behind {url} has ended"
            time.sleep(0.05)


def main(folder: Path, scenario_file: Path, addresses: list[str]) -> dict:
    """Race; return what is printed."""
    scenario = load(scenario_file)
    free = iter(addresses)
    hosts = [f"[{each}]" if ":" in each else each for each in addresses]
    command = [sys.executable, "-m", "swarmrace"]
    same = ["--scenario", str(scenario_file)]
    scraped, peers = {}, {}
    with contextlib.ExitStack() as stack:

        def start(name: str, *arguments: str) -> subprocess.Popen:
            log = stack.enter_context((folder / f"{name}.log").open("w"))
            process = subprocess.Popen([*command, *arguments, *same], stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        server = stack.enter_context(intake(addresses[0]))
        tracker = ["--data-dir", str(folder / "data"), "--listen", f"*:{TRACKER}", "--no-trial"]
        start("tracker", "tracker", *tracker)
        wanted = [(entrant, peer) for entrant in scenario.entrants
                  for peer in range(scenario.race.swarm_size)]  # fmt: skip
        for number, (entrant, peer) in enumerate(wanted):
            name = f"{entrant}-{peer}"
            peers[name] = start(
                name,
                "peer",
                f"--rendezvous=http://{hosts[0]}:{TRACKER}",
                f"--entrant={entrant}",
                f"--peer={peer}",
                f"--address={next(free)}",
                f"--work-dir={folder / name}",
                f"--metrics-port={METRICS + number}",
                f"--push-url=http://{hosts[0]}:{PUSHED}",
            )
            if number < len(wanted) - 1:  # the race waits for the last one
                url = f"http://{hosts[number]}:{METRICS + number}/metrics"
                scraped[name] = scrape(url, peers[name])
        ended = {name: process.wait() for name, process in peers.items()}
        return {"ended": ended, "scraped": scraped, "pushes": server.pushes}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])))
