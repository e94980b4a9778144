"""Pushes a run's complete curves with their exact times, in a text format of VictoriaMetrics.

Lines in Prometheus' text format with Unix milliseconds are sent to `/api/v1/import/prometheus`. The
series are those that `/metrics` serves, so the same queries work on both. Pushing a run twice sends
the same samples, which changes nothing.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx
import numpy as np
import tenacity
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from swarmrace.metrics import table
from swarmrace.metrics.sampler import EndedRun, Sampler
from swarmrace.metrics.table import Sample
from swarmrace.recording.arrivals import Curve
from swarmrace.recording.records import MARK_PERCENTS

IMPORT_PATH = "/api/v1/import/prometheus"
BUDGET_SECONDS = 10.0
"""Maximum time that a push keeps the peers waiting between two runs."""
BUDGET_AFTER_FAILURE_SECONDS = 3.0
"""The same, if the last push failed."""
BIN_NS = 100_000_000
MAX_BINS = 3000

log = logging.getLogger(__name__)


def curve_points(
    curve: Curve, start_wall_ns: int, max_bins: int = MAX_BINS
) -> list[tuple[int, int]]:
    """Return a curve as (Unix milliseconds, bytes held by then), ascending in time.

    There is a point at the end of each 100 ms bin from the start to the last byte, and one at each
    mark, so that no mark is between two points. If there would be more than `max_bins` bins, their
    width is a multiple of 100 ms. Every point is exact at its own millisecond. The first point is 0
    at the last millisecond before the start.
    """
    first_ms = (start_wall_ns - 1) // 1_000_000
    if not len(curve.t_ns):
        return [(first_ms, 0)]
    last_ns = int(curve.t_ns[-1])
    width_ns = BIN_NS * max(1, -(-last_ns // (BIN_NS * max_bins)))
    instants = np.arange(width_ns, last_ns + width_ns, width_ns)
    marks = [t for p in MARK_PERCENTS if (t := curve.time_to_percent(p)) is not None]
    wall_ns = start_wall_ns + np.append(instants, marks).astype(np.int64)
    wall_ms = np.unique(-(-wall_ns // 1_000_000))
    held = np.concatenate(([0], np.cumsum(curve.length)))
    counts = held[np.searchsorted(curve.t_ns, wall_ms * 1_000_000 - start_wall_ns, side="right")]
    return [(first_ms, 0), *zip(wall_ms.tolist(), counts.tolist(), strict=True)]


def run_samples(sampler: Sampler, ended: EndedRun, curves: Mapping[str, Curve]) -> list[Sample]:
    """Return all samples of a run: its curves, and the final values at its end."""
    result, state = ended.result, sampler.state.config
    t_ms = -(-ended.ended_wall_ns // 1_000_000)
    found = [*sampler.peer_samples(t_ms), *sampler.ended_samples(ended, t_ms)]
    labels = (state.release_hash or state.race_id, state.entrant, str(state.peer), result.run_id)
    if ended.start_wall_ns is not None:
        for kind, metric in table.BYTES.items():
            if kind in curves:
                points = curve_points(curves[kind], ended.start_wall_ns)
                found += [Sample(metric, labels, count, when) for when, count in points]
    return found


def text(samples: Iterable[Sample]) -> bytes:
    """Return samples in Prometheus' text format, with timestamps."""

    class _Samples(Collector):
        def collect(self) -> Iterator[Metric]:
            return iter(table.families(samples))

    registry = CollectorRegistry()
    registry.register(_Samples())
    return generate_latest(registry)


def import_url(base: str) -> str:
    """Return the import URL for an address with or without the import path.

    A query (`?extra_label=cluster=lab`) is kept, and so is anything after the import path (labels,
    as in `…/import/prometheus/metrics/job/lab`). A fragment is removed: requests have none.
    """
    parts = urlsplit(base)
    path = parts.path.rstrip("/")
    if f"{IMPORT_PATH}/" not in f"{path}/":
        path += IMPORT_PATH
    return urlunsplit(parts._replace(path=path, fragment=""))


class _Refused(Exception):
    """An answer that another attempt won't change."""


class Pusher:
    """Pushes runs. A run that can't be pushed is kept and pushed with the next one.

    Args:
        base_url: the address, with or without `/api/v1/import/prometheus`. A user name and password
            in it are sent as basic authentication and never logged.
        transport: replaces the network in tests.
    """

    def __init__(self, base_url: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        bare, credentials = _without_credentials(base_url)
        self.url = import_url(bare)
        self.pending: dict[str, bytes] = {}
        self._failing = False
        self._http = httpx.AsyncClient(
            auth=credentials,
            transport=transport,
            timeout=httpx.Timeout(5.0, connect=2.0),
            trust_env=False,
        )

    async def send(self, run_id: str, data: bytes) -> int:
        """Push a run and those kept before; return how many were accepted.

        It gives up for now after `BUDGET_SECONDS`, or after `BUDGET_AFTER_FAILURE_SECONDS` if the
        last push failed: the server could not be reached, answered with 429 or 5xx, or didn't
        answer in time.
        """
        body = await asyncio.to_thread(gzip.compress, data, 6)
        self.pending = {run_id: body, **self.pending}
        budget = BUDGET_AFTER_FAILURE_SECONDS if self._failing else BUDGET_SECONDS
        return await self.flush(budget)

    async def flush(self, seconds: float) -> int:
        """Push the kept runs, within `seconds`; return how many were accepted.

        A run that is refused, or fails again and again, doesn't delay the others.
        """
        kept = len(self.pending)
        faults: dict[str, Exception] = {}
        self._failing = False
        try:
            async with asyncio.timeout(seconds):
                await self._send_all(seconds, faults)
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
            self._failing = True
            faults |= {run_id: error for run_id in self.pending if run_id not in faults}
        for run_id, fault in faults.items():
            log.warning(
                "push: expected %s to accept run %s within %g s, found %s; the run is kept and "
                "pushed with the next one",
                urlunsplit(urlsplit(self.url)._replace(query="")),  # the query may hold a token
                run_id,
                seconds,
                f"{type(fault).__name__}: {fault}".partition("\n")[0].rstrip(": "),
            )
        return kept - len(self.pending)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._http.aclose()

    async def _send_all(self, seconds: float, refused: dict[str, Exception]) -> None:
        """Push the kept runs until all are accepted or refused. The last one tried comes last."""
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_delay(seconds),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=2.0),
            retry=tenacity.retry_if_exception_type((httpx.TransportError, httpx.HTTPStatusError)),
            sleep=asyncio.sleep,
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                again: httpx.HTTPError | None = None
                for run_id in [run_id for run_id in self.pending if run_id not in refused]:
                    body = self.pending[run_id] = self.pending.pop(run_id)
                    try:
                        await self._post(body)
                        del self.pending[run_id]
                    except (httpx.ConnectError, httpx.ConnectTimeout):
                        raise  # no server, for any run
                    except (httpx.TransportError, httpx.HTTPStatusError) as error:
                        again = error
                    except _Refused as error:
                        refused[run_id] = error
                if again is not None:
                    raise again

    async def _post(self, body: bytes) -> None:
        headers = {"content-type": "text/plain", "content-encoding": "gzip"}
        answer = await self._http.post(self.url, content=body, headers=headers)
        if 400 <= answer.status_code < 500 and answer.status_code not in (408, 429):
            raise _Refused(f"status {answer.status_code}: {answer.text[:200].strip()}")
        answer.raise_for_status()


def _without_credentials(url: str) -> tuple[str, tuple[str, str] | None]:
    """Return an address without its user name and password, and these."""
    parts = urlsplit(url)
    before, at, host = parts.netloc.rpartition("@")
    name, _, password = before.partition(":")
    credentials = (unquote(name), unquote(password)) if at else None
    return urlunsplit(parts._replace(netloc=host)), credentials
