"""The figures of one entrant, each a median over its runs with minimum and maximum."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from swarmrace.network import bounds
from swarmrace.recording.records import (
    CURVES,
    MARK_PERCENTS,
    WIRE_PERCENTS,
    Mark,
    PeerInfo,
    PeerResult,
    Wire,
)
from swarmrace.scenario.scenario import Network, Race
from swarmrace.statistics.proportions import share_limits
from swarmrace.statistics.summary import coefficient_of_variation, middle, nearest_rank
from swarmrace.systems.abc import Observes
from swarmrace.verdict.model import Reliability, Summary, to_value
from swarmrace.verdict.runs import RunView, complete_runs, transfer_seconds, wrong_bytes
from swarmrace.verdict.serving import connected_peers, leechers_share, leechers_share_of_wire
from swarmrace.verdict.summaries import Numbers, summarize
from swarmrace.verdict.usage_figures import usage

Rates = dict[str, Summary]

SLOW_FACTOR = 1.5
"""A run that takes longer than this many times its entrant's median run is slow."""


def speed(size_bytes: int, seconds: Numbers) -> Summary:
    """Return the speed in bytes per second by the median, longest and shortest time."""
    times = [value for value in seconds if value is not None and value > 0]
    if not times:
        return Summary(value=None)
    rates = [
        to_value(size_bytes / value if math.isfinite(value) else math.inf)
        for value in (middle(times), max(times), min(times))
    ]
    return Summary(value=rates[0], least=rates[1], most=rates[2], runs=len(times))


def mark(peer: PeerResult, kind: str, percent: float) -> float | None:
    """Return a leecher's time to `percent` %, or None. A failed transfer has no mark at 100 %, and
    wrong bytes have no marks."""
    if wrong_bytes(peer) or (percent == 100 and transfer_seconds(peer) == math.inf):
        return None
    for found in marks_of(peer, kind):
        if found.percent == percent:
            return found.seconds
    return None


def marks_of(peer: PeerResult, kind: str) -> Sequence[Mark]:
    """Return a peer's marks of one kind of curve, or of the wire."""
    if kind == "wire":
        return peer.wire_curve.marks if peer.wire_curve else []
    return getattr(peer.transfer, kind) if peer.transfer else []


def has_wire_curve(views: Sequence[RunView]) -> bool:
    """Return whether any leecher's wire curve was recorded."""
    return any(peer.wire_curve for view in views for peer in view.leechers())


def variation(peer: PeerResult, kind: str) -> float | None:
    """Return a leecher's variation of one kind of curve."""
    return None if peer.transfer is None else getattr(peer.transfer, f"{kind}_variation")


def stall(peer: PeerResult, kind: str) -> float | None:
    """Return a leecher's longest stall of one kind of curve."""
    name = "longest_stall_seconds" if kind == "arrival" else f"longest_{kind}_stall_seconds"
    return None if peer.transfer is None else getattr(peer.transfer, name)


def _discovery(peer: PeerResult) -> float | None:
    return None if peer.transfer is None else peer.transfer.discovery_seconds


def figures(
    views: Sequence[RunView],
    race: Race,
    infos: Mapping[int, PeerInfo],
    observes: Observes,
) -> dict[str, Summary]:
    """Return an entrant's known figures by name (`verdict.registry.FIGURES`).

    Args:
        views: its runs, of which missing ones are ignored.
        race: the scenario's race.
        infos: its peers, for measured rates.
        observes: the kinds of curve it observes, and whether its publish is an upload.
    """
    runs = [view for view in views if view.status != "missing"]
    kinds = [kind for kind in CURVES if getattr(observes, kind)]
    size_bytes, payload = race.file_size, race.file_size * race.leechers
    result = {
        "t100": summarize(view.number for view in runs),
        "last": summarize(view.last for view in runs),
        "downloadSpeed": speed(size_bytes, (view.number for view in runs)),
        "publish": summarize(map(publish_seconds, runs)),
        "discovery": _median(runs, _discovery),
    }
    if observes.upload:
        result["uploadSpeed"] = speed(size_bytes, map(publish_seconds, runs))
    for kind in kinds:
        for percent in MARK_PERCENTS:
            result[f"{kind}{percent}"] = summarize(mark_of_run(v, kind, percent) for v in runs)
    if has_wire_curve(runs):
        for percent in WIRE_PERCENTS:
            result[f"wire{percent}"] = summarize(mark_of_run(v, "wire", percent) for v in runs)
    result |= _start(runs) | _wire(runs, payload) | _stability(runs, kinds, payload) | usage(runs)
    result["spread"] = Summary(
        value=coefficient_of_variation([n for v in runs if (n := v.number) is not None]),
        runs=len(runs),
    )
    result |= _slow(runs) | _minima(runs, race, infos)
    result["leechersShare"] = summarize(map(leechers_share, runs))
    result["leechersShareOfWire"] = summarize(map(leechers_share_of_wire, runs))
    result["connectedPeers"] = summarize(map(connected_peers, runs))
    return {name: summary for name, summary in result.items() if summary.value is not None}


def mark_of_run(view: RunView, kind: str, percent: float) -> float | None:
    """Return the median leecher's time to `percent` %."""
    key = (kind, percent)
    if key not in view.marks:
        view.marks[key] = view.median_leecher(lambda peer: mark(peer, kind, percent))
    return view.marks[key]


def publish_seconds(view: RunView) -> float | None:
    """Return the first seeder's publish time; infinite if the run failed because of it."""
    for seeder in view.seeders():
        if seeder.publish is not None and seeder.publish.rank == 0:
            return seeder.publish.seconds
    failed = any(failure.stage == "publish" for _, failure in view.failures)
    return math.inf if failed and view.status == "failed" else None


def publish_steps(views: Sequence[RunView]) -> dict[str, Summary]:
    """Return the durations of the steps of the first seeder's publish."""
    steps: dict[str, list[float]] = {}
    for view in views:
        for seeder in view.seeders():
            if seeder.publish is not None and seeder.publish.rank == 0:
                for name, seconds in seeder.publish.steps.items():
                    steps.setdefault(name, []).append(seconds)
    return {name: summarize(seconds) for name, seconds in steps.items()}


def rates(infos: Mapping[int, PeerInfo], network: Network, seeders: Collection[int]) -> Rates:
    """Return the rates that the preflight measured, over peers; the seeders' separately if they
    have their own."""
    found: dict[str, list[float]] = {}
    for peer, info in infos.items():
        who = ""
        if network.seeders is not None:
            who = "seeders' " if peer in seeders else "leechers' "
        for direction, rate in info.rates.items():
            found.setdefault(f"{who}{direction}", []).append(rate)
    return {name: summarize(values) for name, values in sorted(found.items())}


def offload(views: Sequence[RunView]) -> dict[str, str]:
    """Return the offload state of the peers' interfaces: `on`, `off` or `mixed` by feature."""
    states: dict[str, set[bool]] = {}
    for view in views:
        for peer in view.record.peers.values():
            for name, on in (peer.wire.offload if peer.wire else {}).items():
                states.setdefault(name, set()).add(on)
    return {
        name: "mixed" if len(seen) > 1 else ("on" if True in seen else "off")
        for name, seen in sorted(states.items())
    }


def counters(views: Sequence[RunView], gauges: tuple[str, ...]) -> dict[str, Summary]:
    """Return the system's own counters: summed over a run's peers, or for states the highest
    peer's.

    Args:
        views: the runs.
        gauges: prefixes of the names of states, besides connections.
    """
    states = ("connections", *gauges)
    names = {
        name for view in views for peer in view.record.peers.values() for name in peer.counters
    }
    return {
        name: summarize(
            (max if name.startswith(states) else math.fsum)(known)
            for view in views
            if (
                known := [
                    peer.counters[name]
                    for peer in view.record.peers.values()
                    if name in peer.counters
                ]
            )
        )
        for name in sorted(names)
    }


def reliability(views: Sequence[RunView], race: Race) -> Reliability:
    """Count the transfers that started and completed, and the failures by reason.

    In a raced run every leecher started; in a run that was cut off, those that recorded a transfer.
    """
    started = completed = verified = retries = 0
    failures: Counter[str] = Counter()
    for view in views:
        result = view.record.result
        if result is not None and result.status == "not raced":
            failures.update(_reasons(view)[:1])
            continue
        failures.update(_reasons(view))
        leechers = view.leechers()
        begun = sum(peer.transfer is not None for peer in leechers)
        started += race.leechers if result is not None and result.status == "raced" else begun
        for peer in leechers:
            completed += transfer_seconds(peer) < math.inf
            verified += bool(peer.transfer and peer.transfer.verified)
            retries += peer.transfer.retries if peer.transfer else 0
    status = Counter(view.status for view in views)
    complete, whole = complete_runs(views)
    low, high = share_limits(complete, whole)
    return Reliability(
        runs_scheduled=len(views),
        runs_counted=status["counted"],
        runs_failed=status["failed"],
        runs_missing=status["missing"],
        runs_complete=complete,
        complete_share_low=low,
        complete_share_high=high,
        transfers_started=started,
        transfers_completed=completed,
        transfers_verified=verified,
        failures=dict(sorted(failures.items())),
        retries=retries,
    )


def _reasons(view: RunView) -> list[str]:
    return [
        f"{failure.reason} in {failure.stage}" if failure.stage else str(failure.reason)
        for _, failure in view.failures
    ]


def _median(runs: Sequence[RunView], get: Callable[[PeerResult], float | None]) -> Summary:
    return summarize(view.median_leecher(get) for view in runs)


def _start(runs: Sequence[RunView]) -> dict[str, Summary]:
    transfers = [peer.transfer for view in runs for peer in view.leechers() if peer.transfer]
    if not transfers:
        return {}
    lags = [transfer.start_lag_seconds for transfer in transfers]
    return {
        "startLagP99": Summary(
            value=nearest_rank(lags, 99), least=min(lags), most=max(lags), runs=len(runs)
        ),
        "startError": Summary(
            value=max(transfer.start_error_seconds for transfer in transfers), runs=len(runs)
        ),
    }


def _wire(runs: Sequence[RunView], payload_bytes: int) -> dict[str, Summary]:
    """Return wire figures of the runs in which every leecher completed and every peer's interface
    was read."""
    sums = []
    for view in runs:
        if wire_of_all(view) and view.times and math.isfinite(max(view.times)):
            known = [peer.wire for peer in view.record.peers.values() if peer.wire is not None]
            sums.append(
                (
                    sum(wire.sent_bytes for wire in known),
                    sum(wire.received_bytes for wire in known),
                    sum(map(_packets, known)),
                )
            )
    return {
        "wireSent": summarize(sent / payload_bytes for sent, _, _ in sums),
        "wireReceived": summarize(received / payload_bytes for _, received, _ in sums),
        "wirePackets": summarize(float(packets) for _, _, packets in sums),
    }


def wire_of_all(view: RunView) -> bool:
    """Return whether every peer's interface was read in a raced run."""
    wires = [peer.wire for peer in view.record.peers.values()]
    return all(wires) and len(wires) == len(view.record.run.seeders) + len(view.times)


def _packets(wire: Wire) -> int:
    """Return the packets that a wire would have carried, including segments that offload hid."""
    return wire.sent_packets + wire.offload_sent_bytes // wire.header_bytes


def _stability(
    runs: Sequence[RunView], kinds: Sequence[str], payload_bytes: int
) -> dict[str, Summary]:
    def maximum(get: Callable[[PeerResult], float | None]) -> Summary:
        per_run = []
        for view in runs:
            values = [value for peer in view.leechers() if (value := get(peer)) is not None]
            per_run.append(max(values, default=None))
        return summarize(per_run)

    def median(get: Callable[[PeerResult], float | None]) -> Summary:
        per_run = []
        for view in runs:
            values = [value for peer in view.leechers() if (value := get(peer)) is not None]
            per_run.append(middle(values) if values else None)
        return summarize(per_run)

    duplicates = []
    for view in runs:
        counted = [peer.transfer.duplicate_bytes for peer in view.leechers() if peer.transfer]
        known = [count for count in counted if count is not None]
        if known:
            duplicates.append(sum(known) / payload_bytes)
    result = {"duplicates": summarize(duplicates)}
    for kind in kinds:
        result[f"{kind}Variation"] = median(partial(variation, kind=kind))
        name = "longestStall" if kind == "arrival" else f"longest{kind.capitalize()}Stall"
        result[name] = maximum(partial(stall, kind=kind))
    return result


def _slow(runs: Sequence[RunView]) -> dict[str, Summary]:
    """Return how often and by how much an entrant is slower than its median run, which a ratio of
    typical blocks doesn't show. A failed run is slower than any."""
    numbers = [number for view in runs if (number := view.number) is not None]
    median_run = middle(numbers) if numbers else math.inf
    if len(numbers) < 2 or math.isinf(median_run) or median_run <= 0:
        return {}
    slow = sum(number > SLOW_FACTOR * median_run for number in numbers)
    return {
        "slowRuns": Summary(value=slow / len(numbers), runs=len(numbers)),
        "slowestRun": Summary(value=to_value(max(numbers) / median_run), runs=len(numbers)),
    }


def bound_of(view: RunView, race: Race, infos: Mapping[int, PeerInfo]) -> bounds.Bounds | None:
    """Return the theoretical bounds of a run, or None if no rates are set."""
    seeders = view.record.run.seeders
    return bounds.of_run(race.network, infos, seeders, race.swarm_size, race.file_size)


def _minima(
    runs: Sequence[RunView], race: Race, infos: Mapping[int, PeerInfo]
) -> dict[str, Summary]:
    found = []
    for view in runs:
        bound = bound_of(view, race, infos)
        if bound is not None and view.last is not None:
            found.append((view.last, bound))
    # If only downloads are limited, HTTP's bound is zero and has no multiple.
    http = [(last, bound) for last, bound in found if bound.http_seconds > 0]
    any_protocol = [(last, bound) for last, bound in found if bound.minimum_seconds > 0]
    return {
        "minimumMultiple": summarize(last / bound.minimum_seconds for last, bound in any_protocol),
        "httpMinimumMultiple": summarize(last / bound.http_seconds for last, bound in http),
        "minimum": summarize(bound.minimum_seconds for _, bound in any_protocol),
        "httpMinimum": summarize(bound.http_seconds for _, bound in http),
    }
