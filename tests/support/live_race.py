"""A real race, scraped by a real Prometheus and a real VictoriaMetrics; its peers push as well.

It runs in network namespaces if they are permitted, so that there are wire bytes too; otherwise on
loopback.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from databases import PROGRAMS, Database, started, wait_for
from made_sweeps import begin
from paths import ROOT
from patience import PATIENCE_SECONDS, until
from swarmrace.backends.local import processes
from swarmrace.backends.local.layout import Layout
from swarmrace.cli import peer_command
from swarmrace.metrics import push
from swarmrace.metrics.linger import Linger
from swarmrace.network import namespaces
from swarmrace.peer.state import PeerConfig
from swarmrace.recording.records import PeerResult
from swarmrace.rendezvous.server import ServerConfig
from swarmrace.scenario.loading import parse
from swarmrace.sweep import state
from swarmrace.sweep.watching import SweepMetrics

CHART = ROOT / "charts/monitoring"
SIZE = 4_000_000
SCENARIO = {
    "global": {
        "race": {"swarmSize": 3, "fileSize": SIZE, "repetitions": 1, "rotateSeeders": False},
        "entrants": {
            "http": {"kind": "http"},
            "curve": {
                "kind": "synthetic",
                "curve": [(0, 0), (4, 0.4), (6.4, 0.4), (9, 1)],
                "recordSize": 65_536,
                "faults": {2: "refused"},
            },
        },
    }
}
"""Peer 0 seeds; `curve` stalls for more than a second at leecher 1, and leecher 2 refuses."""


@dataclass
class LiveRace:
    """A race that has ended, with both databases still up."""

    databases: dict[str, Database] = field(default_factory=dict)
    results: list[PeerResult] = field(default_factory=list)
    exit_codes: list[int | None] = field(default_factory=list)
    logs: str = ""
    race_id: str = ""
    began: float = 0.0
    ended: float = 0.0
    wired: bool = False

    def range(self, database: Database, expr: str) -> list[dict[str, Any]]:
        """Query the whole race in steps of 1 s."""
        return database.ask(
            "/api/v1/query_range", query=expr, start=self.began, end=self.ended, step=1
        )

    def holds(self, expr: str, peers: int) -> bool:
        """Return whether each database has this many peers' series of an expression, as scraped."""
        query = f"count(count by (entrant, peer) ({expr}))"
        found = [one.ask("/api/v1/query", query=query) for one in self.databases.values()]
        return all(one and float(one[0]["value"][1]) >= peers for one in found)

    def instant(self, database: Database, expr: str) -> list[dict[str, Any]]:
        """Query the end of the race."""
        return database.ask("/api/v1/query", query=expr, time=self.ended)


@contextlib.contextmanager
def live_race(folder: Path) -> Iterator[LiveRace]:
    """Run a real race; end all its processes afterwards."""
    scenario, live = parse(SCENARIO), LiveRace(wired=not namespaces.refusals())
    live.race_id = scenario.race_id()
    with contextlib.ExitStack() as stack:
        layout = stack.enter_context(Layout.create(scenario, namespaces=live.wired))
        hub, ports = layout.hub, iter([8080, 9090, 8428, 9200, 9201])
        port = (lambda: next(ports)) if live.wired else _free_port
        rendezvous_port, *database_ports, metrics_port, sweep_port = (port() for _ in range(5))
        targets = [f"{seat.address}:{metrics_port}" for seat in layout.seats.values()]
        targets.append(f"{hub.address}:{sweep_port}")
        _configure(folder, targets)
        for name, database_port in zip(PROGRAMS, database_ports, strict=True):
            database = Database(name, f"http://{hub.address}:{database_port}", hub.namespace)
            live.databases[name] = database
            stack.enter_context(started(folder, database))
        for database in live.databases.values():
            wait_for(database.is_up, f"{database.name}: see {folder}")
        fork = processes.context()
        server = ServerConfig(
            scenario=scenario,
            race_id=live.race_id,
            data_dir=folder / "results",
            host=hub.address,
            port=rendezvous_port,
        )
        (folder / "results").mkdir()
        live.began = time.time()
        sweep = processes.start(
            fork, "sweep", folder / "sweep.log", hub.namespace, serve_sweep, folder, hub.address,
            sweep_port,
        )  # fmt: skip
        stack.callback(_end, sweep)
        tracker = processes.start(
            fork, "tracker", folder / "tracker.log", hub.namespace, processes.run_tracker, server
        )
        stack.callback(_end, tracker)
        seen = folder / "seen"
        command = functools.partial(
            run_peer,
            seen=seen,
            metrics_port=metrics_port,
            push_url=live.databases["victoria-metrics"].url,
            linger_seconds=PATIENCE_SECONDS,
        )
        peers = []
        for number, ((entrant, peer), seat) in enumerate(layout.seats.items(), 1):
            if number == len(layout.seats):  # the race waits for the last one
                wait_for(
                    functools.partial(live.holds, _BEFORE, number - 1), "scrapes before the race"
                )
            config = PeerConfig(
                scenario=scenario,
                race_id=live.race_id,
                entrant=entrant,
                peer=peer,
                rendezvous=f"http://{hub.address}:{rendezvous_port}",
                address=seat.address,
                work_dir=folder / f"{entrant}-{peer}",
                isolated=seat.namespace is not None,
            )
            config.work_dir.mkdir()
            log = folder / f"{entrant}-{peer}.log"
            peers.append(
                processes.start(fork, f"{entrant}-{peer}", log, seat.namespace, command, config)
            )
            stack.callback(_end, peers[-1])
        wait_for(lambda: live.holds(_AFTER, number), "scrapes after the race")
        seen.touch()
        for process in peers:
            process.join(PATIENCE_SECONDS)
        live.ended = time.time()
        live.exit_codes = [process.exitcode for process in peers]
        live.logs = "\n".join(log.read_text() for log in sorted(folder.glob("*-[0-9].log")))
        files = sorted((folder / "results").glob("**/*-[0-9].json"))
        live.results = [PeerResult.model_validate_json(file.read_text()) for file in files]
        live.databases["victoria-metrics"].get("/internal/force_flush")
        yield live


_BEFORE = 'count_over_time(swarmrace_failures_total{reason="refused"}[1h]) >= 2'
_AFTER = "count_over_time(swarmrace_completed[1h]) >= 2"


def run_peer(config: PeerConfig, *, seen: Path, **reporting: Any) -> int:
    """Run a peer that leaves once the file `seen` exists: both databases are busy at times, and
    only one must have scraped it before it leaves by itself."""
    push.BUDGET_SECONDS = push.BUDGET_AFTER_FAILURE_SECONDS = PATIENCE_SECONDS
    wait = Linger.wait

    async def wait_until_seen(self: Linger, seconds: float) -> bool:
        found = await wait(self, seconds)
        await until(seen.exists, "both databases")
        return found

    Linger.wait = wait_until_seen
    return peer_command.run(config, **reporting)


def serve_sweep(folder: Path, host: str, port: int) -> int:
    """Serve the metrics of a sweep whose first cell is being raced, until the process is ended."""
    begin(folder / "sweep")
    metrics = SweepMetrics()
    metrics.update(state.read(folder / "sweep"), "2x1-1kB", 1)
    metrics.serve(host, port)
    while True:
        time.sleep(1)


def _configure(folder: Path, targets: list[str]) -> None:
    job = {
        "job_name": "swarmrace",
        "scrape_interval": "1s",
        "static_configs": [{"targets": targets}],
    }
    victoria = {"scrape_configs": [job]}
    prometheus = {**victoria, "rule_files": [str(CHART / "files/rules.yaml")]}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(prometheus))
    (folder / "victoria-metrics.yaml").write_text(yaml.safe_dump(victoria))


def _end(process) -> None:
    if process.exitcode is None:
        process.terminate()
        process.join(60)
        process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def dashboard() -> dict[str, Any]:
    return json.loads((CHART / "files/dashboard.json").read_text(encoding="utf-8"))


def targets() -> list[tuple[str, dict[str, Any]]]:
    """Return every query of the dashboard with its panel's title."""
    return [
        (f"{panel['title']} {target['refId']}", {**target, "panelInterval": panel.get("interval")})
        for panel in dashboard()["panels"]
        for target in panel.get("targets", [])
    ]


def rules() -> list[dict[str, str]]:
    groups = yaml.safe_load((CHART / "files/rules.yaml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def rate_interval_seconds(
    target: dict[str, Any], range_seconds: float = 900, points: int = 1000, source: float = 15
) -> float:
    """Return Grafana's `$__rate_interval` (see the docs of its Prometheus data source).

    Args:
        target: from `targets`.
        range_seconds: the dashboard's time range.
        points: the panel's width in pixels.
        source: the data source's scrape interval; 15 s by default.
    """

    def given(text: str | None) -> float:
        return float(text.removesuffix("s")) if text else source

    interval = max(range_seconds / points, given(target["panelInterval"]))
    scrape = given(target.get("interval"))
    return max(interval + scrape, 4 * scrape)


def filled_in(target: dict[str, Any], race_id: str, of: str = "arrival") -> str:
    """Return a query as Grafana sends it with all entrants and runs selected."""
    values = {
        "race": race_id,
        "entrant": ".*",
        "run": ".*",
        "of": of,
        "__rate_interval": f"{rate_interval_seconds(target):g}s",
        "__range": "1h",
    }
    return re.sub(r"\$\{?(\w+)\}?", lambda match: values[match[1]], target["expr"])
