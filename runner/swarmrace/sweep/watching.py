"""The metrics of a sweep: cells done and left, failed attempts, time left, the current cell.

They are served to scrapers, and pushed when a cell begins and ends. A scrape reads the state that
the driver read last, never the folder, so it costs the race nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from swarmrace.errors import UnavailableError
from swarmrace.metrics import push, table
from swarmrace.metrics.table import Sample
from swarmrace.sweep import text
from swarmrace.sweep.state import SweepState

_PUSH_SECONDS = 5.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _SweepSnapshot:
    """The state of a sweep at one moment."""

    name: str
    done: int
    left: int
    failed: int
    seconds_left: float
    taken_at: float
    """Monotonic seconds."""
    cell: str
    attempt: int


class SweepMetrics(Collector):
    """Exports the metrics of a sweep.

    Args:
        push_url: where each change is pushed, as with `swarmrace peer --push-url`; None for
            nowhere.
        now: returns monotonic seconds.
    """

    def __init__(
        self, push_url: str | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._push_url, self._now = push_url, now
        self._lock = threading.Lock()
        self._snapshot: _SweepSnapshot | None = None

    def update(self, found: SweepState, cell: str = "", attempt: int = 0) -> None:
        """Export a new state of the sweep, and push it if there is a push URL.

        Args:
            found: the sweep's state.
            cell: name of the cell that is being raced; empty between cells.
            attempt: number of its attempt.
        """
        done = sum(each.done for each in found.cells)
        snapshot = _SweepSnapshot(
            name=found.sweep.name,
            done=done,
            left=len(found.cells) - done,
            failed=len(found.failed),
            seconds_left=text.time_left(found).seconds,
            taken_at=self._now(),
            cell=cell,
            attempt=attempt,
        )
        with self._lock:
            self._snapshot = snapshot
        if self._push_url is not None:
            self._push(self._push_url)

    def samples(self, t_ms: int | None = None) -> list[Sample]:
        """Return the current samples; empty before the first update."""
        with self._lock:
            snapshot = self._snapshot
        if snapshot is None:
            return []
        spent = self._now() - snapshot.taken_at if snapshot.cell else 0.0
        values = (
            (table.SWEEP_DONE, snapshot.done),
            (table.SWEEP_LEFT, snapshot.left),
            (table.SWEEP_FAILED, snapshot.failed),
            (table.SWEEP_SECONDS, max(0.0, snapshot.seconds_left - spent)),
        )
        found = [Sample(metric, (snapshot.name,), float(value), t_ms) for metric, value in values]
        if snapshot.cell:
            labels = (snapshot.name, snapshot.cell, str(snapshot.attempt))
            found.append(Sample(table.SWEEP_CELL, labels, 1.0, t_ms))
        return found

    def describe(self) -> list[Family]:
        """Return nothing: a sweep that has not begun has no metrics."""
        return []

    def collect(self) -> Iterator[Family]:
        """Yield the metric families for one scrape."""
        yield from table.families(self.samples())

    def serve(self, host: str, port: int) -> int:
        """Serve `/metrics` until the process ends; return the port.

        Raises:
            UnavailableError: it can't listen on the address.
        """
        registry = CollectorRegistry()
        registry.register(self)
        try:
            server, _ = start_http_server(port, addr=host, registry=registry)
        except OSError as error:
            raise UnavailableError(
                f"--metrics: expected to listen on {host}:{port}, found {error.strerror}; choose "
                "another address"
            ) from error
        return int(server.server_port)

    def _push(self, url: str) -> None:
        """Push the samples. A failure is logged and never ends a sweep."""
        try:
            httpx.post(
                push.import_url(url),
                content=push.text(self.samples(time.time_ns() // 1_000_000)),
                headers={"content-type": "text/plain"},
                timeout=_PUSH_SECONDS,
                trust_env=False,
            ).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            log.warning("push: the sweep's metrics were not accepted: %s", type(error).__name__)
