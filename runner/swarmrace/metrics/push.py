"""The push: a run's whole arrival curve with its true times, in the text VictoriaMetrics takes.

Lines of Prometheus' text format with Unix milliseconds, to `/api/v1/import/prometheus`. The series
are those that `/metrics` serves, so the same queries work on either. Sending the same run twice
sends the same samples, which change nothing.
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
from swarmrace.metrics.sampler import Ended, Sampler
from swarmrace.metrics.table import Sample
from swarmrace.recording.arrivals import Curve
from swarmrace.recording.records import MARK_PERCENTS

IMPORT_PATH = "/api/v1/import/prometheus"
BUDGET_SECONDS = 10.0
"""Longest time that a push keeps the peers waiting between two runs."""
LATER_SECONDS = 3.0
"""The same, while the last push had failed."""
BIN_NS = 100_000_000
MOST_BINS = 3000

log = logging.getLogger(__name__)


def curve_points(
    curve: Curve, start_wall_ns: int, most_bins: int = MOST_BINS
) -> list[tuple[int, int]]:
    """Return a curve as (Unix milliseconds, bytes held by then), rising in time.

    One point at the end of each bin of 100 ms from the start to the last byte, and one at each
    mark, so that no mark lies between two points. Where there would be more than `most_bins` bins
    they are as many times wider as it takes. Every point is true at its own millisecond; the first
    says 0 at the last one before the start.
    """
    first_ms = (start_wall_ns - 1) // 1_000_000
    if not len(curve.t_ns):
        return [(first_ms, 0)]
    last_ns = int(curve.t_ns[-1])
    width_ns = BIN_NS * max(1, -(-last_ns // (BIN_NS * most_bins)))
    instants = np.arange(width_ns, last_ns + width_ns, width_ns)
    marks = [t for p in MARK_PERCENTS if (t := curve.time_to_percent(p)) is not None]
    wall_ns = start_wall_ns + np.append(instants, marks).astype(np.int64)
    wall_ms = np.unique(-(-wall_ns // 1_000_000))
    held = np.concatenate(([0], np.cumsum(curve.length)))
    counts = held[np.searchsorted(curve.t_ns, wall_ms * 1_000_000 - start_wall_ns, side="right")]
    return [(first_ms, 0), *zip(wall_ms.tolist(), counts.tolist(), strict=True)]


def run_samples(sampler: Sampler, ended: Ended, curves: Mapping[str, Curve]) -> list[Sample]:
    """Return everything to be sent of a run: the curves, and the final values at its end."""
    result, state = ended.result, sampler.state.config
    t_ms = -(-ended.ended_wall_ns // 1_000_000)
    found = [*sampler.peer_samples(t_ms), *sampler.ended_samples(ended, t_ms)]
    labels = (state.release_hash or state.race_id, state.entrant, str(state.peer), result.run_id)
    if ended.start_wall_ns is not None:
        for of, metric in table.BYTES.items():
            if of in curves:
                points = curve_points(curves[of], ended.start_wall_ns)
                found += [Sample(metric, labels, count, when) for when, count in points]
    return found


def text(samples: Iterable[Sample]) -> bytes:
    """Return samples in Prometheus' text format, with their times."""

    class _Once(Collector):
        def collect(self) -> Iterator[Metric]:
            return iter(table.families(samples))

    registry = CollectorRegistry()
    registry.register(_Once())
    return generate_latest(registry)


def import_url(base: str) -> str:
    """Return where to send, for an address with or without the path of the import.

    A query (`?extra_label=cluster=lab`) is kept, and so is what follows the import's path (labels,
    as `…/import/prometheus/metrics/job/lab`); a fragment is no part of a request and goes.
    """
    parts = urlsplit(base)
    path = parts.path.rstrip("/")
    if f"{IMPORT_PATH}/" not in f"{path}/":
        path += IMPORT_PATH
    return urlunsplit(parts._replace(path=path, fragment=""))


class _Refused(Exception):
    """An answer that another try won't change."""


class Pusher:
    """Sends runs; what can't be sent is kept and sent with the next.

    Args:
        base_url: the address, with or without `/api/v1/import/prometheus`; a name and password in
            it are sent along and never logged.
        transport: instead of a network, for tests.
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
        """Send a run, and those kept before; return how many were taken.

        Bounded: after `BUDGET_SECONDS` it gives up for now, and after 3 s where the last time ended
        in something other than being taken or refused: nobody there, an answer such as 429 or 5xx,
        or none in time.
        """
        body = await asyncio.to_thread(gzip.compress, data, 6)
        self.pending = {run_id: body, **self.pending}
        return await self.flush(LATER_SECONDS if self._failing else BUDGET_SECONDS)

    async def flush(self, seconds: float) -> int:
        """Send what is kept, within `seconds`; return how many runs were taken.

        A run that is refused, or fails again and again, holds up no other.
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
                "push: expected %s to take run %s within %g s, found %s; it is kept and sent with "
                "the next run",
                urlunsplit(urlsplit(self.url)._replace(query="")),  # it may hold a token
                run_id,
                seconds,
                f"{type(fault).__name__}: {fault}".partition("\n")[0].rstrip(": "),
            )
        return kept - len(self.pending)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._http.aclose()

    async def _send_all(self, seconds: float, refused: dict[str, Exception]) -> None:
        """Go over what is kept until all is taken or refused; what was tried last comes last."""
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
                        raise  # nobody is there, for any run
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
    """Return an address without the name and password that stand in it, and those."""
    parts = urlsplit(url)
    before, at, host = parts.netloc.rpartition("@")
    name, _, password = before.partition(":")
    credentials = (unquote(name), unquote(password)) if at else None
    return urlunsplit(parts._replace(netloc=host)), credentials
