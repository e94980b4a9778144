"""What a reader must know before believing a number."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from swarmrace.errors import Reason
from swarmrace.records import PeerResult
from swarmrace.results import Results
from swarmrace.units import format_seconds
from swarmrace.verdict.compare import Side
from swarmrace.verdict.model import EntrantVerdict, Flag

WAITING_SHARE = 0.02
"""Of one core: what a waiting peer may use while others race."""

WAITING_SECONDS = 1.0
"""Shorter waits are not judged: going to the barrier takes milliseconds of CPU by itself."""
START_LAG_SECONDS = 0.005
_MOST_NOTES = 5


def race_flags(results: Results) -> list[Flag]:
    """Return what concerns the whole race."""
    info, race = results.info, results.scenario.race
    texts = []
    if info.status != "finished":
        texts.append(f"the race is {info.status}: what is missing below may only be unfinished")
    if info.rendezvous_restarts:
        times = "once" if info.rendezvous_restarts == 1 else f"{info.rendezvous_restarts} times"
        texts.append(f"the rendezvous restarted {times}")
    if not race.cold_start:
        texts.append("warm starts (coldStart: false): not comparable with cold ones")
    return [Flag(entrant="", text=text) for text in texts]


def entrant_flags(side: Side, verdict: EntrantVerdict) -> list[Flag]:
    """Return what concerns one entrant."""
    texts = [*_transfers(side), *_machine(side), *_sameness(side), *_bounds(side, verdict)]
    if _is_double(side):
        texts.insert(0, "a test double was raced, not the real program: its figures mean nothing")
    if getattr(side.options, "reference", None) == "torrent":
        texts.append("leechers held the .torrent file beforehand; never compared with Codex")
    lag = verdict.figures.get("startLagP99")
    if lag and isinstance(lag.value, float) and lag.value > START_LAG_SECONDS:
        texts.append(
            f"start lag p99 of {format_seconds(lag.value)}, above "
            f"{format_seconds(START_LAG_SECONDS)}: peers did not begin together"
        )
    texts.extend(_notes(side))
    return [Flag(entrant=side.name, text=text) for text in texts]


def _is_double(side: Side) -> bool:
    """Return whether any peer's program calls itself a double in its version."""
    return any(str(peer.system.get("version", "")).endswith("-double") for _, peer in _peers(side))


def _peers(side: Side) -> Iterator[tuple[str, PeerResult]]:
    for view in side.views:
        for peer in view.record.peers.values():
            yield f"peer {peer.peer} in {view.record.run.id}", peer


def _transfers(side: Side) -> Iterator[str]:
    transfers = [(where, peer.transfer) for where, peer in _peers(side) if peer.transfer]
    lost = [where for where, t in transfers if not t.records_complete and t.done_seconds]
    if lost:
        yield f"{_transfers_of(len(lost))} without a record of every byte ({_first(lost)})"
    wrong = [where for where, t in transfers if t.verified is False]
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


def _machine(side: Side) -> Iterator[str]:
    busy = [
        (peer.waiting.cpu_seconds / peer.waiting.seconds, where)
        for where, peer in _peers(side)
        if peer.waiting and peer.waiting.seconds >= WAITING_SECONDS
    ]
    above = [(share, where) for share, where in busy if share > WAITING_SHARE]
    if above:
        share, where = max(above)
        yield (
            f"waiting peers used above {WAITING_SHARE * 100:.0f} % of a core while others raced, "
            f"{'once' if len(above) == 1 else f'{len(above)} times'} "
            f"(most {share * 100:.1f} %, before {where})"
        )
    throttled = [
        (peer.usage.throttled_seconds, where)
        for where, peer in _peers(side)
        if peer.usage and peer.usage.throttled_seconds > 0
    ]
    if throttled:
        seconds, where = max(throttled)
        yield (
            f"CPU throttled in {len(throttled)} records (most {format_seconds(seconds)}, {where})"
        )
    wires = [peer.wire is not None for _, peer in _peers(side)]
    if any(wires) and not all(wires):
        yield f"the wire was measured in {sum(wires)} of {len(wires)} records"


def _sameness(side: Side) -> Iterator[str]:
    for role in ("seeder", "leecher"):
        settings = {
            _key(_comparable(peer.system.get("settings", {})))
            for _, peer in _peers(side)
            if peer.system and peer.role == role
        }
        if len(settings) > 1:
            yield f"{role}s had {len(settings)} different sets of settings"
    versions = {_key(info.versions) for info in side.infos.values()}
    if len(versions) > 1:
        yield f"peers had {len(versions)} different sets of versions"


def _bounds(side: Side, verdict: EntrantVerdict) -> Iterator[str]:
    multiple = verdict.figures.get("minimumMultiple")
    if multiple is None:
        return
    if isinstance(multiple.least, float) and multiple.least < 1:
        yield (
            f"a run ended in {multiple.least:.3g} × the theoretical minimum: the rates did not hold"
        )
    if not all(info.rates for info in side.infos.values()) or not side.infos:
        yield "the theoretical minimum is of the rates as set: the preflight measured none"


def _notes(side: Side) -> Iterator[str]:
    notes = Counter(note for _, peer in _peers(side) for note in peer.notes)
    for note, count in notes.most_common(_MOST_NOTES):
        yield f"{note} ({count} ×)" if count > 1 else note
    if len(notes) > _MOST_NOTES:
        yield f"{len(notes) - _MOST_NOTES} further notes in the peers' records"


def _comparable(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings without addresses, ports and paths, which are each peer's own.

    Of a command line only the words that hold none of those are compared.
    """
    return {
        name: [word for word in value if not _own(word)] if isinstance(value, list) else value
        for name, value in settings.items()
        if not _own(value)
    }


def _own(value: Any) -> bool:
    """Return whether a value may hold an address, a port or a path."""
    return isinstance(value, str) and bool(re.search(r"[:/.]|port=", value))


def _key(data: Any) -> str:
    return json.dumps(data, sort_keys=True, default=str)


def _first(places: list[str]) -> str:
    return places[0] + (" and others" if len(places) > 1 else "")


def _transfers_of(count: int) -> str:
    return "1 transfer" if count == 1 else f"{count} transfers"
