"""Flags: what a reader must know before believing a number."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from swarmrace import systems
from swarmrace.errors import Reason
from swarmrace.recording.records import PeerResult
from swarmrace.results.folder import Results
from swarmrace.scenario.scenario import Race, Scenario
from swarmrace.systems import doubles
from swarmrace.units import format_seconds
from swarmrace.verdict.figures import bound_of
from swarmrace.verdict.groups import group_flags
from swarmrace.verdict.model import EntrantVerdict, Flag
from swarmrace.verdict.resource_flags import resource_flags
from swarmrace.verdict.runs import RunView, wrong_bytes
from swarmrace.verdict.sides import Side
from swarmrace.verdict.usage_figures import waiting_cpu, waiting_rate

WAITING_SHARE = 0.02
"""Share of a core that a waiting peer may use while other entrants race."""

WAITING_WIRE_SHARE = 0.01
"""How much all waiting peers together may send and receive, as a share of the payload that the
other swarms moved meanwhile. Only peers above `WAITING_RATE` count."""
WAITING_RATE = 10_000
"""Bytes per second of a waiting peer that are never flagged; heartbeats are a part of them."""
BUSY_SHARE = 0.25
"""Maximum load average at a race's start, as a share of the CPUs."""
LOAD = "load_average_1_minute"
"""The load average's name in `machine`."""
START_LAG_SECONDS = 0.005
_MAX_NOTES = 5


def race_flags(results: Results) -> list[Flag]:
    """Return the flags of the whole race."""
    info, race = results.info, results.scenario.race
    texts = []
    if info.status == "interrupted":
        texts.append("the race was interrupted: missing runs may only be unfinished")
    elif info.status == "stopped":
        texts.append(f"the infrastructure stopped the race: {info.stopped_by}")
    elif info.status != "finished":
        texts.append(
            f"the race has the status {info.status}, and {_last_run(results)}: it was killed after "
            "that or is still running; missing runs may only be unfinished"
        )
    load, cpus = info.machine.get(LOAD), info.machine.get("cpus")
    if isinstance(load, int | float) and isinstance(cpus, int) and load > BUSY_SHARE * cpus:
        texts.append(
            f"the machine was busy when the race started: a load average of {load:g} on {cpus} "
            "CPUs in the minute before; if work other than an earlier race went on, it slowed this "
            "race"
        )
    if info.rendezvous_restarts:
        times = "once" if info.rendezvous_restarts == 1 else f"{info.rendezvous_restarts} times"
        texts.append(f"the rendezvous restarted {times}")
    texts += resource_flags(results)
    if not race.cold_start:
        texts.append("warm starts (coldStart: false): not comparable with cold starts")
    return [Flag(entrant="", text=text) for text in texts]


def _last_run(results: Results) -> str:
    """Return when the last recorded run was opened, in words. The files' own times don't survive a
    copy."""
    opened = [record.result.opened_utc for record in results.runs if record.result is not None]
    if not any(opened):
        return f"no run is recorded since {results.info.created_utc}"
    return f"its last recorded run was opened at {max(opened)}"


def entrant_flags(
    side: Side, verdict: EntrantVerdict, scenario: Scenario, views: Sequence[RunView]
) -> list[Flag]:
    """Return the flags of one entrant.

    Args:
        side: the entrant.
        verdict: its verdict.
        scenario: what was raced.
        views: the runs of all entrants.
    """
    texts = [
        *_transfers(side),
        *_waiting(side, scenario.race, views),
        *_machine(side),
        *_starts(side, scenario.race),
        *_sameness(side),
        *_bounds(side, verdict, scenario),
        *_caveats(side, scenario.race),
        *group_flags(side.views),
    ]
    if not verdict.meanings:
        texts.insert(
            0,
            f"the kind {side.options.kind} is not installed here: it is judged only by its "
            "records, and what the definitions mean for it is not shown",
        )
    if side.test_double:
        texts.insert(0, doubles.WARNING)
    if given := side.standing.metadata_given:
        texts.append(
            f"leechers held {given} beforehand; never compared with a system whose leechers look "
            "up their metadata in the race"
        )
    lag = verdict.figures.get("startLagP99")
    if lag and isinstance(lag.value, float) and lag.value > START_LAG_SECONDS:
        texts.append(
            f"start lag p99 of {format_seconds(lag.value)}, above "
            f"{format_seconds(START_LAG_SECONDS)}: peers did not start together"
        )
    texts.extend(_notes(side))
    return [Flag(entrant=side.name, text=text) for text in texts]


def _peers(side: Side) -> Iterator[tuple[str, PeerResult]]:
    for view in side.views:
        for peer in view.record.peers.values():
            yield f"peer {peer.peer} in {view.record.run.id}", peer


def _transfers(side: Side) -> Iterator[str]:
    transfers = [(where, peer.transfer) for where, peer in _peers(side) if peer.transfer]
    lost = [where for where, t in transfers if not t.records_complete and t.done_seconds]
    if lost:
        yield f"{_transfers_of(len(lost))} without a record of every byte ({_first(lost)})"
    wrong = [where for where, peer in _peers(side) if wrong_bytes(peer)]
    if wrong:
        yield f"{_transfers_of(len(wrong))} with wrong length or SHA-256 ({_first(wrong)})"
    defects = [
        where
        for where, peer in _peers(side)
        if peer.failure is not None and peer.failure.reason is Reason.INTERNAL
    ]
    if defects:
        yield f"internal errors, please report them: {len(defects)} ({_first(defects)})"
    unseen = [
        where
        for where, peer in _peers(side)
        if peer.transfer and peer.transfer.verified is None and peer.outcome == "completed"
    ]
    if unseen:
        yield f"{_transfers_of(len(unseen))} completed but not verified ({_first(unseen)})"


def _waiting(side: Side, race: Race, views: Sequence[RunView]) -> Iterator[str]:
    above = [
        (share, where)
        for where, peer in _peers(side)
        if (share := waiting_cpu(peer)) is not None and share > WAITING_SHARE
    ]
    if above:
        share, where = max(above)
        yield (
            f"waiting peers used more than {WAITING_SHARE * 100:.0f} % of a core while others "
            f"raced, {'once' if len(above) == 1 else f'{len(above)} times'} "
            f"(maximum {share * 100:.1f} %, before {where})"
        )
    raced = {view.record.run.index for view in views if view.times}
    loud, last = [], -1
    for view in side.views:
        if all(peer.waiting is None for peer in view.record.peers.values()):
            continue  # the record of its next run includes this wait
        others = raced & set(range(last + 1, view.record.run.index))
        last = view.record.run.index
        moved = race.file_size * race.leechers * len(others)
        rates = [(waiting_rate(peer), peer) for peer in view.record.peers.values()]
        bytes_ = sum(
            rate * peer.waiting.seconds
            for rate, peer in rates
            if rate is not None and rate > WAITING_RATE and peer.waiting is not None
        )
        if moved and bytes_ > WAITING_WIRE_SHARE * moved:
            loud.append((bytes_ / moved, view.record.run.id))
    if loud:
        share, run = max(loud)
        yield (
            f"waiting peers sent and received more than {WAITING_WIRE_SHARE * 100:.0f} % of what "
            f"the others moved meanwhile, {'once' if len(loud) == 1 else f'{len(loud)} times'} "
            f"(maximum {share * 100:.2g} %, before {run})"
        )


def _machine(side: Side) -> Iterator[str]:
    throttled = [
        (peer.usage.throttled_seconds, where)
        for where, peer in _peers(side)
        if peer.usage and peer.usage.throttled_seconds > 0
    ]
    if throttled:
        seconds, where = max(throttled)
        yield (
            f"CPU throttled in {len(throttled)} records (maximum {format_seconds(seconds)}, "
            f"{where})"
        )
    wires = [peer.wire is not None for _, peer in _peers(side)]
    if any(wires) and not all(wires):
        yield f"the wire was measured in {sum(wires)} of {len(wires)} records"


def _starts(side: Side, race: Race) -> Iterator[str]:
    started = Counter(peer.started for _, peer in _peers(side))
    if not race.cold_start and started[None]:
        yield "it was not recorded which runs began cold: cold and warm runs may be mixed"
    if race.cold_start and started["warm"]:
        yield f"{started['warm']} records of peers that began warm in a race of cold starts"


def _sameness(side: Side) -> Iterator[str]:
    for role in ("seeder", "leecher"):
        settings = {
            _key(comparable(peer.system.get("settings", {})))
            for _, peer in _peers(side)
            if peer.system and peer.role == role
        }
        if len(settings) > 1:
            yield f"{role}s had {len(settings)} different sets of settings"
    versions = {_key(info.versions) for info in side.infos.values()}
    if len(versions) > 1:
        yield f"peers had {len(versions)} different sets of versions"


def _caveats(side: Side, race: Race) -> Iterator[str]:
    """Yield the kind's own warnings, each once."""
    spec = systems.find(side.options.kind)
    if spec is not None:
        limited = race.network.limited
        every = (spec.caveats(peer.system, limited) for _, peer in _peers(side) if peer.system)
        yield from dict.fromkeys(text for texts in every for text in texts)


def _bounds(side: Side, verdict: EntrantVerdict, scenario: Scenario) -> Iterator[str]:
    race = scenario.race
    found = [
        (view.last, bound)
        for view in side.views
        if view.last is not None and (bound := bound_of(view, race, side.infos)) is not None
    ]
    through = [last / bound.limits_seconds for last, bound in found if last < bound.limits_seconds]
    if through:
        # On a cluster the limiter may not be tc, and its burst isn't known.
        pods = any(info.node for info in side.infos.values())
        unless = ", unless the burst of the cluster's own limiter explains it" if pods else ""
        yield (
            f"a run took {min(through):.3g} × the minimum time at the set rates, bursts included: "
            f"the rates did not hold{unless}"
        )
    below = [
        f"{least:.3g} × {minimum}"
        for name, minimum in (
            ("minimumMultiple", "the theoretical minimum"),
            ("httpMinimumMultiple", "HTTP's minimum"),
        )
        if name in verdict.figures
        and isinstance(least := verdict.figures[name].least, float)
        and least < 1
        and (name == "minimumMultiple" or not side.leechers_serve)
    ]
    if not through and below:
        yield (
            f"a run took {' and '.join(below)}: the limiters' bursts, or a preflight that measured "
            "too low rates, explain it"
        )
    as_set = sum(not bound.measured for _, bound in found if bound.minimum_seconds > 0)
    if as_set:
        yield (
            "the theoretical minimum is computed from the set rates, because the preflight "
            f"measured none ({as_set} of {len(found)} runs)"
        )


def _notes(side: Side) -> Iterator[str]:
    notes = Counter(note for _, peer in _peers(side) for note in peer.notes)
    for note, count in notes.most_common(_MAX_NOTES):
        yield f"{note} ({count} ×)" if count > 1 else note
    if len(notes) > _MAX_NOTES:
        yield f"{len(notes) - _MAX_NOTES} more notes in the peers' records"


def comparable(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings without addresses, ports and paths, which differ from peer to peer.

    Of a command line, only the words without any of these are kept.
    """
    return {name: _shared(value) for name, value in settings.items() if not _own(value)}


def _shared(value: Any) -> Any:
    """Return what a list or a nested map of settings has in common with those of other peers."""
    if isinstance(value, dict):
        return comparable(value)
    return [word for word in value if not _own(word)] if isinstance(value, list) else value


def _own(value: Any) -> bool:
    """Return whether a value may contain an address, a port or a path."""
    return isinstance(value, str) and bool(re.search(r"[:/.]|port=", value))


def _key(data: Any) -> str:
    return json.dumps(data, sort_keys=True, default=str)


def _first(places: list[str]) -> str:
    return places[0] + (" and others" if len(places) > 1 else "")


def _transfers_of(count: int) -> str:
    return "1 transfer" if count == 1 else f"{count} transfers"
