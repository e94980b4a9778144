"""What else the machines did while runs were raced."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median

from swarmrace.recording.records import PeerInfo, PeerResult
from swarmrace.results.folder import Results
from swarmrace.verdict.runs import RunView

FOREIGN_SHARE = 0.1
"""Of a machine's CPUs: what others than the run's peers may use of them during a run."""
FOREIGN_CPU_SECONDS = 0.1
"""Less than this is within what the kernel's ticks and the race's own tracker explain."""
_MOST_NAMED = 4
ONE_MACHINE = (
    "One machine and no rates set: these are mostly CPU times, not a network's; an entrant with "
    "cheaper bytes wins."
)


def head(results: Results) -> list[str]:
    """Return what stands in the head of a race that had no network to measure."""
    local = results.info.backend.startswith("local")
    return [ONE_MACHINE] if local and not results.scenario.race.network.limited else []


def flags(results: Results, views: Sequence[RunView]) -> Iterator[str]:
    """Yield which runs other work disturbed."""
    loaded = [
        (share, view.record.run.id)
        for view in views
        if (share := foreign_share(results, view)) is not None and share > FOREIGN_SHARE
    ]
    if not loaded:
        return
    most, where = max(loaded)
    named = ", ".join(run_id for _, run_id in loaded[:_MOST_NAMED])
    more = f" and {len(loaded) - _MOST_NAMED} more" if len(loaded) > _MOST_NAMED else ""
    measured = sum(foreign_share(results, view) is not None for view in views)
    yield (
        f"other work used above {FOREIGN_SHARE:.0%} of a machine's CPUs in {len(loaded)} of "
        f"{measured} runs ({named}{more}; most {most:.0%}, {where}): it slowed what was raced"
    ).replace("%", " %")


def foreign_share(results: Results, view: RunView) -> float | None:
    """Return which share of a machine's CPUs others used during a run, of the busiest machine;
    None where it was not measured (before format 3), 0.0 where it is too little to tell."""
    infos = results.peer_infos(view.record.run.entrant)
    machines: dict[str, list[PeerResult]] = defaultdict(list)
    for index, peer in view.record.peers.items():
        if peer.load is not None and peer.usage is not None:
            machines[_machine_of(infos.get(index))].append(peer)
    # a relay is of one machine's race, and a part of it
    result = view.record.result
    relay = 0 if result is None else result.relay.get("cpu_microseconds", 0) / 1e6
    shares = [_foreign(peers, relay) for peers in machines.values()]
    return max(shares, default=None)


def _foreign(peers: Sequence[PeerResult], relay_cpu_seconds: float) -> float:
    """Return the share of one machine's CPUs that went neither to its peers nor to the relay."""
    loads = [peer.load for peer in peers if peer.load is not None]
    own = sum(
        peer.usage.cpu_seconds + (peer.usage.runner_cpu_seconds or 0.0)
        for peer in peers
        if peer.usage is not None
    )
    seconds, cpus = median(load.seconds for load in loads), max(load.cpus for load in loads)
    foreign = median(load.busy_cpu_seconds for load in loads) - own - relay_cpu_seconds
    if foreign < FOREIGN_CPU_SECONDS or not cpus or not seconds:
        return 0.0
    return min(1.0, foreign / (cpus * seconds))


def _machine_of(info: PeerInfo | None) -> str:
    return "" if info is None else info.node or info.host
