"""What an entrant's peers used of CPU and memory while they raced, and while they waited."""

from __future__ import annotations

import math
from collections.abc import Sequence

from swarmrace.recording.records import PeerResult
from swarmrace.statistics.summary import middle
from swarmrace.verdict.model import Summary
from swarmrace.verdict.runs import RunView
from swarmrace.verdict.summaries import summarize

WAITING_SECONDS = 1.0
"""Shorter waits are not judged: going to the barrier takes milliseconds of CPU by itself."""


def usage(runs: Sequence[RunView]) -> dict[str, Summary]:
    """Return what an entrant's peers used of CPU and memory, racing and waiting, by figure."""
    per: dict[str, list[float | None]] = {}
    for view in runs:
        leechers = [peer.usage for peer in view.leechers() if peer.usage]
        seeders = [peer.usage for peer in view.seeders() if peer.usage]
        everybody = leechers + seeders
        if not everybody:
            continue
        runner = [u.runner_cpu_seconds for u in everybody if u.runner_cpu_seconds is not None]
        apart = [u.runner_peak_memory_bytes for u in everybody]
        for name, value in (
            ("cpuLeecher", middle([u.cpu_seconds for u in leechers]) if leechers else None),
            ("cpuSeeder", middle([u.cpu_seconds for u in seeders]) if seeders else None),
            ("cpuAll", math.fsum(u.cpu_seconds for u in everybody)),
            ("runnerCpu", math.fsum(runner) if runner else None),
            ("peakMemory", float(max(u.peak_memory_bytes for u in everybody))),
            ("runnerMemory", max((float(b) for b in apart if b is not None), default=None)),
        ):
            per.setdefault(name, []).append(value)
    for view in runs:
        for name, get in (("waitingCpu", waiting_cpu), ("waitingBytes", waiting_rate)):
            known = [x for peer in view.record.peers.values() if (x := get(peer)) is not None]
            per.setdefault(name, []).append(max(known, default=None))
    return {name: summarize(values) for name, values in per.items()}


def waiting_cpu(peer: PeerResult) -> float | None:
    """Return the share of a core that a peer used while it waited, or None of a short wait."""
    waited = peer.waiting
    if waited is None or waited.seconds < WAITING_SECONDS:
        return None
    return waited.cpu_seconds / waited.seconds


def waiting_rate(peer: PeerResult) -> float | None:
    """Return the bytes per second that a peer sent and received while it waited: its interface's
    and the runner's own, as far as they are known. None of a short wait, or where neither is."""
    waited = peer.waiting
    if waited is None or waited.seconds < WAITING_SECONDS:
        return None
    known = [each for each in (waited.wire_bytes, waited.control_bytes) if each is not None]
    return sum(known) / waited.seconds if known else None
