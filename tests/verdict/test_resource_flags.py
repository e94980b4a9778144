"""Entrants with unequal resources, by their cgroups, are flagged."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from swarmrace.recording.records import Limits
from swarmrace.verdict.resource_flags import resource_flags

TWO = Limits(cpu_cores=2, memory_bytes=1024**3, cpus=4)


def flags(**limits: Limits | None) -> list[str]:
    """Return the flags of a race with one peer of each entrant."""
    peers = {
        number: SimpleNamespace(entrant=entrant, limits=found)
        for number, (entrant, found) in enumerate(limits.items())
    }
    results: Any = SimpleNamespace(runs=[SimpleNamespace(peers=peers)])
    return resource_flags(results)


def test_equal_resources_are_not_mentioned() -> None:
    assert flags(bittorrent=TWO, codex=TWO) == []
    rounded = Limits(cpu_cores=2.004, memory_bytes=1024**3 - 4096, cpus=4)
    assert flags(bittorrent=TWO, codex=rounded) == []
    assert flags(bittorrent=Limits(cpus=4), codex=Limits(cpus=4)) == [], "no limits at all"
    assert flags(bittorrent=TWO, codex=None) == [], "not recorded"
    assert flags(bittorrent=TWO) == []


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Limits(cpu_cores=1.5, memory_bytes=1024**3, cpus=4), "codex 1.5 cores on 4 CPUs"),
        (Limits(memory_bytes=1024**3, cpus=4), "codex no CPU limit on 4 CPUs"),
        (Limits(cpu_cores=2, memory_bytes=10**9, cpus=4), "1 GB"),
        (Limits(cpu_cores=2, memory_bytes=1024**3, cpus=2), "codex 2 cores on 2 CPUs"),
    ],
)
def test_a_difference_is_flagged_with_the_values_to_set(other: Limits, words: str) -> None:
    (text,) = flags(bittorrent=TWO, codex=other)
    assert "unequal resources" in text
    assert words in text
    assert "bittorrent 2 cores on 4 CPUs, 1.07 GB" in text
    assert "global.sidecars" in text
