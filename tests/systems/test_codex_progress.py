"""A node's own progress, as far as it is up to date."""

from __future__ import annotations

import asyncio

import pytest

from swarmrace.systems.codex import metrics
from swarmrace.systems.codex.metrics import MetricsWatch


@pytest.fixture
def page(monkeypatch):
    """The node's metrics page; a test changes it."""
    found: dict[str, float] = {}

    async def fetch(url, names=()):
        return dict(found)

    monkeypatch.setattr(metrics, "fetch", fetch)
    return found


@pytest.mark.parametrize(
    "name",
    [
        "codex_repostore_blocks",
        "storage_repostore_blocks",
        "codex_block_exchange_blocks_received_total",
        "storage_block_exchange_blocks_received_total",
    ],
)
def test_blocks_are_counted_since_the_run_began(page, name):
    watch = MetricsWatch("http://node/metrics")
    assert watch.blocks is None
    page[name] = 40.0
    asyncio.run(watch.refresh())
    assert watch.blocks == 0
    page[name] = 44.0
    asyncio.run(watch.refresh())
    assert watch.blocks == 4


def test_held_blocks_come_before_received_ones(page):
    page.update(codex_repostore_blocks=1.0, codex_block_exchange_blocks_received_total=9.0)
    watch = MetricsWatch("http://node/metrics")
    asyncio.run(watch.refresh())
    page.update(codex_repostore_blocks=2.0, codex_block_exchange_blocks_received_total=19.0)
    asyncio.run(watch.refresh())
    assert watch.blocks == 1


def test_an_old_page_is_not_used(page, monkeypatch):
    page["codex_repostore_blocks"] = 1.0
    watch = MetricsWatch("http://node/metrics")
    asyncio.run(watch.refresh())
    page.clear()  # the node no longer answers
    now = metrics.time.monotonic()
    monkeypatch.setattr(metrics.time, "monotonic", lambda: now + 9)
    asyncio.run(watch.refresh())
    assert watch.blocks == 0
    monkeypatch.setattr(metrics.time, "monotonic", lambda: now + 11)
    asyncio.run(watch.refresh())
    assert watch.blocks is None
