"""The node's own counters from its metrics page, read in the background."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Sequence

import httpx
from prometheus_client.parser import text_string_to_metric_families

from swarmrace.systems.abc import Counters
from swarmrace.systems.codex.gauges import GAUGES

POLL_SECONDS = 1.0
_LIMIT_SECONDS = 3.0
_IN = 'libp2p_network_bytes_total{direction="in"}'
_OUT = 'libp2p_network_bytes_total{direction="out"}'
_PEERS = "libp2p_peers"
_KEPT = (
    "api_downloads_total",
    "api_uploads_total",
    "block_exchange_blocks_received_total",
    "block_exchange_blocks_sent_total",
    "block_exchange_discovery_requests_total_total",
    "block_exchange_want_block_lists_received_total",
    "block_exchange_want_block_lists_sent_total",
    "block_exchange_want_have_lists_received_total",
    "block_exchange_want_have_lists_sent_total",
    "repostore_blocks",
    "repostore_bytes_used",
)
_PREFIXES = ("codex_", "storage_")
_HELD = ("repostore_blocks", "block_exchange_blocks_received_total")
"""Counts of received blocks, in order of preference."""
_FRESH_SECONDS = 10.0
"""An older page is out of date."""
_ALWAYS = (
    "libp2p_network_bytes_total",
    _PEERS,
    "dht_transport_rx_bytes_total",
    "dht_transport_tx_bytes_total",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
)
WANTED = (*_ALWAYS, *(prefix + name for prefix in _PREFIXES for name in _KEPT))


async def fetch(url: str | None, names: Sequence[str] = WANTED) -> dict[str, float]:
    """Return the samples whose names begin with one of `names`; none if the page doesn't answer.

    A sample has its name on the page, labels included. Only wanted lines are parsed, because the
    reader of a stream shares this thread.
    """
    if url is None:
        return {}
    try:
        async with (
            asyncio.timeout(_LIMIT_SECONDS),
            httpx.AsyncClient(
                trust_env=False, timeout=_LIMIT_SECONDS, verify=url.startswith("https:")
            ) as client,
        ):
            response = await client.get(url)
    except (httpx.HTTPError, TimeoutError):
        return {}
    if response.status_code != 200:
        return {}
    return parse(response.text, names)


def parse(text: str, names: Sequence[str] = WANTED) -> dict[str, float]:
    """Return the wanted samples of a page; none if it can't be parsed."""
    lines = "\n".join(line for line in text.splitlines() if line.startswith(tuple(names)))
    values = {}
    try:
        for family in text_string_to_metric_families(lines + "\n"):
            for sample in family.samples:
                labels = ",".join(f'{key}="{value}"' for key, value in sample.labels.items())
                values[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    except ValueError:
        return {}
    return values


class MetricsWatch:
    """Reads the metrics repeatedly; `counters` are the last ones.

    Args:
        url: the page, or None if there is none.
    """

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._base: dict[str, float] | None = None
        self._last: dict[str, float] = {}
        self._answered = -math.inf
        self._task: asyncio.Task[None] | None = None
        self.notes: list[str] = []
        self._now = asyncio.Event()

    async def start(self) -> None:
        """Read the base that counters are relative to, and continue in the background."""
        await self.refresh()
        if self._url is not None and self._base is None:
            self.notes.append("no metrics when the run began: counters begin at the first answer")
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop reading."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def ask_now(self) -> None:
        """Read the next figures soon, without waiting for them."""
        self._now.set()

    async def refresh(self) -> bool:
        """Read the page now; return whether it answered. Counters begin at the first answer."""
        found = await fetch(self._url)
        if found:
            self._last, self._answered = found, time.monotonic()
            self._base = self._base or found
        return bool(found)

    @property
    def connections(self) -> int | None:
        """Number of connected peers, as last read."""
        value = self._last.get(_PEERS)
        return None if value is None else int(value)

    @property
    def blocks(self) -> int | None:
        """Blocks received since `start`; None if no recent page has their count."""
        if time.monotonic() - self._answered > _FRESH_SECONDS:
            return None
        for name in (prefix + held for held in _HELD for prefix in _PREFIXES):
            if name in self._last:
                return int(self._last[name] - (self._base or {}).get(name, 0.0))
        return None

    def counters(self) -> Counters:
        """Return what was counted since `start`, or since the page first answered."""
        base = self._base or {}
        extra = {}
        for name, value in self._last.items():
            short = name
            for prefix in _PREFIXES:
                short = short.removeprefix(prefix)
            if name in (_IN, _OUT, _PEERS) or name.endswith("_created"):
                continue
            gauge = short.startswith(GAUGES)
            extra[short] = value if gauge else value - base.get(name, 0.0)
        return Counters(
            sent_bytes=self._since(_OUT),
            received_bytes=self._since(_IN),
            connections=self.connections,
            extra=extra,
        )

    def _since(self, name: str) -> int | None:
        value = self._last.get(name)
        return None if value is None else int(value - (self._base or {}).get(name, 0.0))

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):  # wait_for may swallow a cancellation
                    await self._now.wait()
            self._now.clear()
            await self.refresh()
