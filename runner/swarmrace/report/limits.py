"""What bounded a race by its measurements: processors, the link, or neither."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from swarmrace.export.folders import JudgedRace
from swarmrace.recording.records import PeerResult
from swarmrace.verdict.model import EntrantVerdict, Summary
from swarmrace.verdict.runs import RunView

CPU_SHARE = 0.85
"""From this share of a machine's processors in use, they are the bound."""
LINK_MULTIPLE = 1.25
"""Up to this multiple of the theoretical minimum for the configured rates, the link is the bound.
"""

ONLY_SEEDERS = 0.01
"""Below this share of the payload served by leechers, only seeders count as senders."""

Limit = Literal["CPU", "link", "neither", "unknown"]


@dataclass(frozen=True, slots=True)
class Bound:
    """What bounded one entrant's runs."""

    what: Limit
    text: str


def bounds_of(race: JudgedRace, views: Sequence[RunView]) -> dict[str, Bound]:
    """Return what bounded each entrant, by the median over its runs.

    It is the link if the last leecher took at most `LINK_MULTIPLE` times the theoretical minimum.
    It is the processors if at least `CPU_SHARE` of the busiest machine's were in use, by any
    process.
    """
    found = {}
    for name, entrant in race.verdict.entrants.items():
        runs = [each for each in views if each.record.run.entrant == name and each.times]
        shares = [share for each in runs if (share := busy_share(race, each)) is not None]
        multiple = _multiple(entrant)
        facts, what = [], "unknown"
        if shares:
            share = median(shares)
            what = "CPU" if share >= CPU_SHARE else "neither"
            facts.append(f"{int(100 * share)} % of the processors in use")
        if multiple is not None and isinstance(multiple.value, float):
            facts.append(f"{multiple.value:.3g} × the minimum of its rates")
            if multiple.value <= LINK_MULTIPLE:
                what = "link" if what != "CPU" else "CPU"
            elif what == "unknown":
                what = "neither"
        found[name] = Bound(what, ", ".join(facts) or "neither CPU nor rates were measured")  # type: ignore[arg-type]
    return found


def _multiple(entrant: EntrantVerdict) -> Summary | None:
    """Return the last leecher's time as a multiple of the theoretical minimum. If leechers serve
    no one, it is the minimum with only seeders sending."""
    for name in ("leechersShare", "leechersShareOfWire"):
        share = entrant.figures.get(name)
        if share is not None and isinstance(share.value, float):
            if share.value < ONLY_SEEDERS:
                return entrant.figures.get("httpMinimumMultiple")
            break
    return entrant.figures.get("minimumMultiple")


def busy_share(race: JudgedRace, each: RunView) -> float | None:
    """Return the share of processors in use on the busiest machine during a run, or None if it was
    not measured."""
    infos = race.results.peer_infos(each.record.run.entrant)
    machines: dict[str, list[PeerResult]] = defaultdict(list)
    for index, peer in each.record.peers.items():
        info = infos.get(index)
        machines["" if info is None else info.node or info.host].append(peer)
    shares = [share for peers in machines.values() if (share := _of_machine(race, peers, each))]
    return max(shares, default=None)


def _of_machine(race: JudgedRace, peers: Sequence[PeerResult], each: RunView) -> float | None:
    loads = [peer.load for peer in peers if peer.load is not None and peer.load.seconds]
    if loads:
        return median(load.busy_cpu_seconds / (load.cpus * load.seconds) for load in loads)
    # Before format 3 only the peers' own usage is known, and only if they shared one machine.
    cpus, last = race.results.info.machine.get("cpus"), each.last
    if not race.results.info.backend.startswith("local") or not isinstance(cpus, int):
        return None
    used = [peer.usage for peer in peers if peer.usage is not None]
    if len(used) < len(peers) or not last or last == float("inf"):
        return None
    seconds = sum(usage.cpu_seconds + (usage.runner_cpu_seconds or 0.0) for usage in used)
    return min(1.0, seconds / (cpus * last))


def summary(bounds: Sequence[tuple[str, str, Bound]]) -> list[str]:
    """Return a line for each entrant: what bounded it, and in how many cells.

    Args:
        bounds: (cell, entrant, what bounded it).
    """
    lines = []
    for name in dict.fromkeys(entrant for _, entrant, _ in bounds):
        found = [(cell, bound) for cell, entrant, bound in bounds if entrant == name]
        if len(found) == 1:
            bound = found[0][1]
            lines.append(f"{name} was bounded by {_words(bound.what)} ({bound.text})")
            continue
        counted = [
            f"{_words(what)} in {count} ({_cells(found, what)})"
            for what in ("CPU", "link", "neither")
            if (count := sum(bound.what == what for _, bound in found))
        ]
        unknown = sum(bound.what == "unknown" for _, bound in found)
        if unknown:
            counted.append(f"unknown in {unknown} ({_cells(found, 'unknown')})")
        lines.append(f"{name}, {len(found)} cells: bounded by {'; '.join(counted)}")
    return lines


def _words(what: str) -> str:
    return {
        "CPU": "CPU",
        "link": "the link",
        "neither": "neither CPU nor link",
        "unknown": "an unknown limit",
    }[what]


def _cells(found: Sequence[tuple[str, Bound]], what: str) -> str:
    cells = [cell for cell, bound in found if bound.what == what]
    return ", ".join(cells[:4]) + (f" and {len(cells) - 4} more" if len(cells) > 4 else "")
