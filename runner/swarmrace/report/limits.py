"""What bounded a race: processors, the link, or neither, by what was measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from swarmrace.export.folders import Race
from swarmrace.recording.records import PeerResult
from swarmrace.verdict.model import EntrantVerdict, Summary
from swarmrace.verdict.runs import RunView

CPU_SHARE = 0.85
"""Of a machine's processors in use, from which they bound."""
LINK_MULTIPLE = 1.25
"""Times the theoretical minimum of the rates that are set, within which the link bounds."""

ONLY_SEEDERS = 0.01
"""Share of the payload served by leechers, below which only seeders are taken to send."""

What = Literal["CPU", "link", "neither", "unknown"]


@dataclass(frozen=True, slots=True)
class Bound:
    """What bounded one entrant's runs."""

    what: What
    text: str


def bounds_of(race: Race, views: Sequence[RunView]) -> dict[str, Bound]:
    """Return what bounded each entrant: by the median over its runs.

    The link, where the last leecher took at most `LINK_MULTIPLE` times the theoretical minimum; the
    processors, where at least `CPU_SHARE` of the busiest machine's were in use meanwhile, whoever
    used them.
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
    """Return how many times the theoretical minimum the last leecher took: of an entrant whose
    leechers serve nobody, the minimum of what only seeders send."""
    for name in ("leechersShare", "leechersShareOfWire"):
        share = entrant.figures.get(name)
        if share is not None and isinstance(share.value, float):
            if share.value < ONLY_SEEDERS:
                return entrant.figures.get("httpMinimumMultiple")
            break
    return entrant.figures.get("minimumMultiple")


def busy_share(race: Race, each: RunView) -> float | None:
    """Return which share of its processors the busiest machine used in a run, or None where that
    was not measured."""
    infos = race.results.peer_infos(each.record.run.entrant)
    machines: dict[str, list[PeerResult]] = defaultdict(list)
    for index, peer in each.record.peers.items():
        info = infos.get(index)
        machines["" if info is None else info.node or info.host].append(peer)
    shares = [share for peers in machines.values() if (share := _of_machine(race, peers, each))]
    return max(shares, default=None)


def _of_machine(race: Race, peers: Sequence[PeerResult], each: RunView) -> float | None:
    loads = [peer.load for peer in peers if peer.load is not None and peer.load.seconds]
    if loads:
        return median(load.busy_cpu_seconds / (load.cpus * load.seconds) for load in loads)
    # Before format 3 only what the peers used is known, and only where they had one machine.
    cpus, last = race.results.info.machine.get("cpus"), each.last
    if not race.results.info.backend.startswith("local") or not isinstance(cpus, int):
        return None
    used = [peer.usage for peer in peers if peer.usage is not None]
    if len(used) < len(peers) or not last or last == float("inf"):
        return None
    seconds = sum(usage.cpu_seconds + (usage.runner_cpu_seconds or 0.0) for usage in used)
    return min(1.0, seconds / (cpus * last))


def summary(bounds: Sequence[tuple[str, str, Bound]]) -> list[str]:
    """Return a line for each entrant: what bounded it, in how many cells.

    Args:
        bounds: (cell, entrant, what bounded it).
    """
    lines = []
    for name in dict.fromkeys(entrant for _, entrant, _ in bounds):
        of = [(cell, bound) for cell, entrant, bound in bounds if entrant == name]
        if len(of) == 1:
            bound = of[0][1]
            lines.append(f"{name} was bounded by {_words(bound.what)} ({bound.text})")
            continue
        counted = [
            f"{_words(what)} in {count} ({_range(of, what)})"
            for what in ("CPU", "link", "neither")
            if (count := sum(bound.what == what for _, bound in of))
        ]
        unknown = sum(bound.what == "unknown" for _, bound in of)
        if unknown:
            counted.append(f"not known of {unknown} ({_range(of, 'unknown')})")
        lines.append(f"{name}, {len(of)} cells: bounded by {'; '.join(counted)}")
    return lines


def _words(what: str) -> str:
    return {
        "CPU": "CPU",
        "link": "the link",
        "neither": "neither CPU nor link",
        "unknown": "what is not known",
    }[what]


def _range(of: Sequence[tuple[str, Bound]], what: str) -> str:
    cells = [cell for cell, bound in of if bound.what == what]
    return ", ".join(cells[:4]) + (f" and {len(cells) - 4} more" if len(cells) > 4 else "")
