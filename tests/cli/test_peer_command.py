"""`swarmrace peer` in its own process: how it ends, and what it reports at its end."""

from __future__ import annotations

import functools
import gzip
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from loopback import new_address
from patience import PATIENCE_SECONDS, wait_for
from swarmrace.backends.local import processes
from swarmrace.cli import peer_command
from swarmrace.host.termination import SIGTERM_CODE
from swarmrace.peer.state import PeerConfig
from swarmrace.rendezvous.server import ServerConfig
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Scenario

PORT = 9200
"""The same for all peers, because each has its own address."""


class Race:
    """A rendezvous and peers, each a process."""

    def __init__(self, folder: Path, seconds: float) -> None:
        curve = {"kind": "synthetic", "curve": [(0, 0), (seconds, 1)], "publishSeconds": 0}
        race = {
            "swarmSize": 2,
            "fileSize": 100_000,
            "repetitions": 1,
            "rotateSeeders": False,
            "timeouts": {"heartbeatSeconds": 600},  # a peer that leaves must report it itself
        }
        self.scenario: Scenario = parse({"global": {"race": race, "entrants": {"one": curve}}})
        self.folder = folder
        self.fork = processes.context()
        self.started: list[Any] = []
        self.address = new_address()
        (folder / "results").mkdir()
        server = ServerConfig(
            scenario=self.scenario,
            race_id=self.scenario.race_id(),
            data_dir=folder / "results",
            host=self.address,
            port=8080,
        )
        self._start("tracker", processes.run_tracker, server)

    def peer(self, index: int, race_id: str | None = None, **reporting: Any) -> tuple[Any, str]:
        """Start a peer; return its process and its address."""
        config = PeerConfig(
            scenario=self.scenario,
            race_id=race_id or self.scenario.race_id(),
            entrant="one",
            peer=index,
            rendezvous=f"http://{self.address}:8080",
            address=new_address(),
            work_dir=self.folder / f"work{index}",
        )
        config.work_dir.mkdir()
        run = functools.partial(peer_command.run, **reporting)
        return self._start(f"peer{index}", run, config), config.address

    def _start(self, name: str, target: Callable[..., int], config: Any) -> Any:
        log = self.folder / f"{name}.log"
        self.started.append(processes.start(self.fork, name, log, None, target, config))
        return self.started[-1]

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def status(self) -> dict[str, Any]:
        url = f"http://{self.address}:8080/{self.scenario.race_id()}/status"
        return httpx.get(url, trust_env=False, timeout=PATIENCE_SECONDS).json()

    def end(self) -> None:
        for process in self.started:
            if process.exitcode is None:
                process.kill()
                process.join(PATIENCE_SECONDS)


@pytest.fixture
def race(tmp_path: Path) -> Iterator[Callable[[float], Race]]:
    made: list[Race] = []

    def make(seconds: float) -> Race:
        made.append(Race(tmp_path, seconds))
        return made[-1]

    yield make
    for entry in made:
        entry.end()


def until(condition: Callable[[], Any], what: str) -> Any:
    def tried() -> Any:
        with suppress(httpx.TransportError, FileNotFoundError):
            return condition()

    return wait_for(tried, what)


def metric(address: str, name: str, **labels: str) -> float | None:
    """Scrape a peer; return the one value of a metric with these labels."""
    url = f"http://{address}:{PORT}/metrics"
    text = httpx.get(url, trust_env=False, timeout=PATIENCE_SECONDS).text
    for line in re.findall(rf"^{name}\{{.*", text, re.MULTILINE):
        if all(f'{key}="{value}"' in line for key, value in labels.items()):
            return float(line.rpartition(" ")[2])
    return None


class Intake:
    """An import address that answers with the given codes in turn and repeats the last one."""

    def __init__(self, *codes: int) -> None:
        self.codes, self.bodies = list(codes), []
        intake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                code = intake.codes.pop(0) if len(intake.codes) > 1 else intake.codes[0]
                if code < 300:
                    intake.bodies.append(gzip.decompress(body).decode())
                self.send_response(code)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_a_failed_push_is_repeated_at_the_end_and_sigterm_ends_the_lingering(race):
    intake, made = Intake(400, 204), race(0.2)
    try:
        seeder, _ = made.peer(0)
        reporting = {"metrics_port": PORT, "push_url": intake.url, "linger_seconds": 300.0}
        leecher, address = made.peer(1, **reporting)
        until(lambda: "all results are accepted" in made.log("peer1"), "the leecher's last result")
        until(lambda: intake.bodies, "the repeated push")
        assert metric(address, "swarmrace_pushes_total", outcome="failed") == 1
        assert metric(address, "swarmrace_completed", run="000-one", race=made.scenario.race_id())
        assert metric(address, "swarmrace_verified_bytes_total") == 100_000
        seeder.join(PATIENCE_SECONDS)
        assert seeder.exitcode == 0  # it has no scraper to wait for
        assert leecher.exitcode is None
        leecher.terminate()
        leecher.join(PATIENCE_SECONDS)
        assert leecher.exitcode == 0, made.log("peer1")
    finally:
        intake.close()
    assert "status 400" in made.log("peer1")
    (body,) = intake.bodies
    assert re.search(r"^swarmrace_arrived_bytes_total\{.*\} 100000.0 \d{13}$", body, re.MULTILINE)


def test_sigterm_in_a_run_is_a_goodbye_and_143(race):
    made = race(300.0)
    seeder, _ = made.peer(0)
    leecher, address = made.peer(1, metrics_port=PORT, linger_seconds=300.0)
    until(lambda: metric(address, "swarmrace_stage", stage="race") == 1, "the leecher to race")
    leecher.terminate()
    leecher.join(PATIENCE_SECONDS)
    assert leecher.exitcode == SIGTERM_CODE == 143, made.log("peer1")
    seeder.join(PATIENCE_SECONDS)
    assert seeder.exitcode == 0, made.log("peer0")
    status = made.status()
    assert status["over"]


def test_a_peer_of_another_race_is_refused_with_its_error(race):
    made = race(0.2)
    until(made.status, "the rendezvous")
    peer, _ = made.peer(0, race_id="ffffffffff")
    peer.join(PATIENCE_SECONDS)
    assert peer.exitcode not in (0, None)
