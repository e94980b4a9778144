"""CPU, memory and bytes of an entrant's peers while they raced and while they waited."""

from __future__ import annotations

import math
from collections.abc import Sequence

from swarmrace.recording.records import PeerResult
from swarmrace.statistics.summary import middle
from swarmrace.verdict.model import Summary
from swarmrace.verdict.runs import RunView
from swarmrace.verdict.summaries import summarize

WAITING_SECONDS = 1.0
"""Shorter waits are not judged: reaching the barrier takes milliseconds of CPU."""


def usage(runs: Sequence[RunView]) -> dict[str, Summary]:
    """Return the CPU and memory figures of an entrant's peers, racing and waiting, by name."""
    per_run: dict[str, list[float | None]] = {}
    for view in runs:
        leechers = [peer.usage for peer in view.leechers() if peer.usage]
        seeders = [peer.usage for peer in view.seeders() if peer.usage]
        peers = leechers + seeders
        if not peers:
            continue
        runner_cpu = [u.runner_cpu_seconds for u in peers if u.runner_cpu_seconds is not None]
        runner_memory = [u.runner_peak_memory_bytes for u in peers]
        for name, value in (
            ("cpuLeecher", middle([u.cpu_seconds for u in leechers]) if leechers else None),
            ("cpuSeeder", middle([u.cpu_seconds for u in seeders]) if seeders else None),
            ("cpuAll", math.fsum(u.cpu_seconds for u in peers)),
            ("runnerCpu", math.fsum(runner_cpu) if runner_cpu else None),
            ("peakMemory", float(max(u.peak_memory_bytes for u in peers))),
            ("runnerMemory", max((float(b) for b in runner_memory if b is not None), default=None)),
        ):
            per_run.setdefault(name, []).append(value)
    for view in runs:
        for name, get in (("waitingCpu", waiting_cpu), ("waitingBytes", waiting_rate)):
            known = [x for peer in view.record.peers.values() if (x := get(peer)) is not None]
            per_run.setdefault(name, []).append(max(known, default=None))
    return {name: summarize(values) for name, values in per_run.items()}


def waiting_cpu(peer: PeerResult) -> float | None:
    """Return the share of a core that a peer used while it waited; None for a short wait."""
    waited = peer.waiting
    if waited is None or waited.seconds < WAITING_SECONDS:
        return None
    return waited.cpu_seconds / waited.seconds


def waiting_rate(peer: PeerResult) -> float | None:
    """Return the bytes per second that a peer sent and received while it waited: the known ones of
    its interface and of the runner. None for a short wait, or if neither is known."""
    waited = peer.waiting
    if waited is None or waited.seconds < WAITING_SECONDS:
        return None
    known = [each for each in (waited.wire_bytes, waited.control_bytes) if each is not None]
    return sum(known) / waited.seconds if known else None
