"""Flag entrants with unequal CPU or memory, by their cgroups' limits at run time."""

from __future__ import annotations

from swarmrace.recording.records import Limits
from swarmrace.results.folder import Results
from swarmrace.units import format_size

_SAME_SHARE = 0.01
"""Relative difference below which limits are the same: amounts are rounded when they are split."""


def resource_flags(results: Results) -> list[str]:
    """Return a line if entrants had unequal resources."""
    found: dict[str, list[Limits]] = {}
    for record in results.runs:
        for peer in record.peers.values():
            if peer.limits is not None:
                found.setdefault(peer.entrant, []).append(peer.limits)
    every = [limits for each in found.values() for limits in each]
    if len(found) < 2 or all(_same(every[0], other) for other in every[1:]):
        return []
    texts = []
    for entrant, each in found.items():
        distinct = list(dict.fromkeys(map(_words, each)))
        texts.append(f"{entrant} {' or '.join(distinct)}")
    return [
        "the entrants had unequal resources, by their cgroups: "
        f"{'; '.join(texts)}; on a cluster, let resources and runnerResources of global.sidecars "
        "add up to global.peers.resources (a static CPU manager pins only whole CPUs of Guaranteed "
        "pods)"
    ]


def _same(one: Limits, other: Limits) -> bool:
    return one.cpus == other.cpus and all(
        _near(a, b)
        for a, b in (
            (one.cpu_cores, other.cpu_cores),
            (one.memory_bytes, other.memory_bytes),
        )
    )


def _near(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return abs(a - b) <= _SAME_SHARE * max(a, b)


def _words(limits: Limits) -> str:
    cores = "no CPU limit" if limits.cpu_cores is None else f"{limits.cpu_cores:g} cores"
    memory = "no memory limit"
    if limits.memory_bytes is not None:
        memory = format_size(limits.memory_bytes)
    on = "" if limits.cpus is None else f" on {limits.cpus} CPUs"
    return f"{cores}{on}, {memory}"
