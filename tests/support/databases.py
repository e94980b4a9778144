"""A real Prometheus and a real VictoriaMetrics (Debian packages both), and checks of their data."""

from __future__ import annotations

import contextlib
import functools
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from patience import PATIENCE_SECONDS, wait_for
from swarmrace.network import namespaces
from swarmrace.recording.records import PeerResult

PROGRAMS = ("prometheus", "victoria-metrics")
BY_RUN = "race, entrant, peer, run"

__all__ = ["BY_RUN", "PROGRAMS", "Database", "assert_holds", "missing", "started", "wait_for"]


def missing() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name) is None]


@dataclass
class Database:
    """A database that answers PromQL."""

    name: str
    url: str
    namespace: str | None = None
    """The network namespace it listens in; None for the test's own."""

    def get(self, path: str, **params: Any) -> httpx.Response:
        ask = functools.partial(
            httpx.get, f"{self.url}{path}", params=params, trust_env=False, timeout=PATIENCE_SECONDS
        )
        if self.namespace is None:
            return ask()
        return namespaces.call_inside(self.namespace, ask)

    def ask(self, path: str, **params: Any) -> list[dict[str, Any]]:
        answer = self.get(path, **params)
        assert answer.status_code == 200, f"{self.name}: {params}: {answer.text}"
        data = answer.json()["data"]
        return data["result"] if isinstance(data, dict) else data

    def is_up(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self.get("/health" if self.name == "victoria-metrics" else "/-/ready").is_success
        return False


@contextlib.contextmanager
def started(folder: Path, database: Database) -> Iterator[None]:
    """Run the program until the block ends; `folder` holds its configuration, NAME.yaml."""
    name = database.name
    data, config = folder / f"{name}.data", folder / f"{name}.yaml"
    listen = database.url.removeprefix("http://")
    arguments = {
        "prometheus": [
            f"--config.file={config}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address={listen}",
        ],
        "victoria-metrics": [
            f"-promscrape.config={config}",
            f"-storageDataPath={data}",
            f"-httpListenAddr={listen}",
            "-search.latencyOffset=0s",
            "-search.disableCache",
            "-memory.allowedBytes=256MiB",
        ],
    }[name]
    inside = ["nsenter", f"--net={database.namespace}"] if database.namespace is not None else []
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([*inside, name, *arguments], stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)


def assert_holds(
    database: Database,
    results: Iterable[PeerResult],
    race_id: str,
    at: float,
    *,
    window: str = "1h",
) -> int:
    """Check that the last value within `window` before Unix time `at` equals the result's, for
    every peer and run; return how many marks were compared."""

    def last(metric: str, by: str = BY_RUN) -> dict[tuple[str, ...], float]:
        expr = f'max by ({by}) (last_over_time({metric}{{race="{race_id}"}}[{window}]))'
        names = by.split(", ")
        return {
            tuple(series["metric"].get(name, "") for name in names): float(series["value"][1])
            for series in database.ask("/api/v1/query", query=expr, time=at)
        }

    arrived, verified = (
        last("swarmrace_arrived_bytes_total"),
        last("swarmrace_verified_bytes_total"),
    )
    marks = last("swarmrace_mark_timestamp_seconds", f"{BY_RUN}, of, percent")
    starts, completed = last("swarmrace_start_timestamp_seconds"), last("swarmrace_completed")
    received = last("swarmrace_wire_received_bytes_total")
    compared = 0
    for result in results:
        key = (race_id, result.entrant, str(result.peer), result.run_id)
        assert completed[key] == (result.outcome == "completed")
        if result.wire is not None:
            assert received[key] == result.wire.received_bytes
        if result.transfer is None:
            assert key not in arrived
            continue
        assert arrived[key] == result.transfer.received_bytes
        assert verified[key] == (result.size_bytes if result.transfer.verified else 0)
        rows = {"arrival": result.transfer.arrival, "delivery": result.transfer.delivery}
        for of, row in rows.items():
            for mark in row:
                instant = marks[(*key, of, f"{mark.percent:g}")]
                # VictoriaMetrics stores about 15 digits of a Unix time: a few microseconds.
                assert instant - starts[key] == pytest.approx(mark.seconds, abs=1e-5)
                compared += 1
    return compared
