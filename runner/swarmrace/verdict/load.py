"""Other work on the machines during runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median

from swarmrace.recording.records import PeerInfo, PeerResult
from swarmrace.results.folder import Results
from swarmrace.verdict.runs import RunView

FOREIGN_SHARE = 0.1
"""Share of a machine's CPUs that processes other than the run's peers may use during a run."""
FOREIGN_CPU_SECONDS = 0.1
"""Less CPU time than this can come from the kernel's ticks and the race's own tracker."""
_MAX_NAMED = 4
ONE_MACHINE = (
    "One machine without rates: these are mostly CPU times, not network times; an entrant that "
    "needs less CPU per byte wins."
)


def head(results: Results) -> list[str]:
    """Return the note at the head of a race without a limited network."""
    local = results.info.backend.startswith("local")
    return [ONE_MACHINE] if local and not results.scenario.race.network.limited else []


def flags(results: Results, views: Sequence[RunView]) -> Iterator[str]:
    """Yield the runs that other work disturbed."""
    loaded = [
        (share, view.record.run.id)
        for view in views
        if (share := foreign_share(results, view)) is not None and share > FOREIGN_SHARE
    ]
    if not loaded:
        return
    maximum, where = max(loaded)
    named = ", ".join(run_id for _, run_id in loaded[:_MAX_NAMED])
    more = f" and {len(loaded) - _MAX_NAMED} more" if len(loaded) > _MAX_NAMED else ""
    measured = sum(foreign_share(results, view) is not None for view in views)
    yield (
        f"other work used more than {FOREIGN_SHARE:.0%} of a machine's CPUs in {len(loaded)} of "
        f"{measured} runs ({named}{more}; maximum {maximum:.0%}, {where}) and slowed them"
    ).replace("%", " %")


def foreign_share(results: Results, view: RunView) -> float | None:
    """Return the share of the busiest machine's CPUs that other processes used during a run; None
    if it was not measured (before format 3), 0.0 if it is too little to measure."""
    infos = results.peer_infos(view.record.run.entrant)
    machines: dict[str, list[PeerResult]] = defaultdict(list)
    for index, peer in view.record.peers.items():
        if peer.load is not None and peer.usage is not None:
            machines[_machine_of(infos.get(index))].append(peer)
    # A relay exists only in a race on one machine, and is a part of the race.
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
