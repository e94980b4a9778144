"""What a sweep exports of itself: cells done, failed and left, time left, the cell at hand.

Served to scrapers and pushed when a cell begins and ends. A scrape reads what the driver has looked
at last, never the folder: it costs the race nothing.
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
class _Look:
    """What is known of a sweep."""

    name: str
    done: int
    left: int
    failed: int
    seconds_left: float
    at: float
    """When, on the clock given."""
    cell: str
    attempt: int


class SweepMetrics(Collector):
    """Holds what is exported.

    Args:
        push_url: where each change is sent, as `swarmrace peer --push-url`; nowhere when absent.
        now: monotonic seconds.
    """

    def __init__(
        self, push_url: str | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._push_url, self._now = push_url, now
        self._lock = threading.Lock()
        self._look: _Look | None = None

    def update(self, found: SweepState, cell: str = "", attempt: int = 0) -> None:
        """Take over how far a sweep is.

        Args:
            found: the sweep.
            cell: the one that is being raced; empty between two.
            attempt: which attempt of it.
        """
        done = sum(each.done for each in found.cells)
        look = _Look(
            name=found.sweep.name,
            done=done,
            left=len(found.cells) - done,
            failed=len(found.failed),
            seconds_left=text.time_left(found).seconds,
            at=self._now(),
            cell=cell,
            attempt=attempt,
        )
        with self._lock:
            self._look = look
        if self._push_url is not None:
            self._push(self._push_url)

    def samples(self, t_ms: int | None = None) -> list[Sample]:
        """Return what is exported now; nothing before the first update."""
        with self._lock:
            look = self._look
        if look is None:
            return []
        spent = self._now() - look.at if look.cell else 0.0
        values = (
            (table.SWEEP_DONE, look.done),
            (table.SWEEP_LEFT, look.left),
            (table.SWEEP_FAILED, look.failed),
            (table.SWEEP_SECONDS, max(0.0, look.seconds_left - spent)),
        )
        found = [Sample(metric, (look.name,), float(value), t_ms) for metric, value in values]
        if look.cell:
            labels = (look.name, look.cell, str(look.attempt))
            found.append(Sample(table.SWEEP_CELL, labels, 1.0, t_ms))
        return found

    def describe(self) -> list[Family]:
        """Return nothing: a sweep that has not begun has no figures."""
        return []

    def collect(self) -> Iterator[Family]:
        """Yield the families for one scrape."""
        yield from table.families(self.samples())

    def serve(self, host: str, port: int) -> int:
        """Serve `/metrics` until the process ends; return the port.

        Raises:
            UnavailableError: the address can't be had.
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
        """Send the samples; a failure is noted and never ends a sweep."""
        try:
            httpx.post(
                push.import_url(url),
                content=push.text(self.samples(time.time_ns() // 1_000_000)),
                headers={"content-type": "text/plain"},
                timeout=_PUSH_SECONDS,
                trust_env=False,
            ).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            log.warning("push: the sweep's metrics were not taken: %s", type(error).__name__)
