"""Methods, once; where the results come from; how to make them again; what was not tested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from swarmrace import __version__
from swarmrace.report.selection import Chosen
from swarmrace.report.warnings import machine_of, program_of
from swarmrace.units import canonical_size
from swarmrace.verdict.matrix import FAMILY_ERROR

METHODS = (
    "The run is the statistical unit: its number is its median leecher's t100. A ratio is of the "
    "typical block (pseudo-median, Hodges and Lehmann), with exact signed-rank limits from 6 "
    "complete blocks on, Student's t on logarithms from 3 to 5, and none below.",
    "Ratios, intervals and colours are of each cell by itself, unadjusted. Of 39 cells two would "
    "exclude the truth by chance.",
    "Met in every cell needs no correction: each cell's own test must show it "
    "(intersection–union). "
    f"A single cell is named as met or missed by Holm's procedure, at {FAMILY_ERROR:.0%} ".replace(
        "%", " %"
    )
    + "for all cells together, times and completion each.",
    "The geometric mean is over cells in which every scheduled run of both sides was complete; it "
    "has no interval, and the cells left out are named beside it.",
    "Where the time goes: of each complete run the median leecher (of an even number the faster of "
    "the middle two); each segment's share of that run, averaged over runs.",
    "The growth's exponent is least squares on logarithms over all runs; its limits assume a power "
    "law and log-normal times of equal spread.",
    "What bounded a race: the link, within 1.25 × the theoretical minimum (of an entrant whose "
    "leechers serve nobody, that of what only seeders send); CPU, with 85 % of the "
    "busiest machine's processors in use, whoever used them.",
)


def definitions(chosen: Chosen) -> tuple[tuple[str, str], ...]:
    """Return each word with its meaning, as the verdicts have them."""
    found: dict[str, str] = {}
    for cell in chosen.cells:
        for word, meaning in cell.verdict.definitions.items():
            found.setdefault(word, meaning)
    return tuple(found.items())


def provenance(chosen: Chosen) -> Iterator[str]:
    """Yield where the results come from, each fact once with how many cells it is of."""
    cells = chosen.cells
    yield f"Report by swarmrace {__version__}, from {_count(len(cells), 'results folder')}."
    for what, get in (
        ("Machine", lambda cell: [machine_of(cell.verdict)]),
        ("Backend", lambda cell: [cell.verdict.backend]),
        ("Nodes", lambda cell: cell.verdict.nodes),
        ("Commit that raced", lambda cell: [cell.commit or "not recorded"]),
        ("Master seed", lambda cell: [str(cell.verdict.race["seed"])]),
        ("Pods", lambda cell: cell.images),
        ("Raced on", lambda cell: [cell.verdict.created_utc[:10]]),
    ):
        found: dict[str, int] = {}
        for cell in cells:
            for value in get(cell):
                found[value] = found.get(value, 0) + 1
        if found:
            listed = [
                value if count == len(cells) else f"{value} ({_count(count, 'cell')})"
                for value, count in found.items()
            ]
            yield f"{what}: {'; '.join(listed)}."
    versions: dict[str, dict[str, int]] = {}
    for cell in cells:
        for name, entrant in cell.verdict.entrants.items():
            options = f"{entrant.kind}, {entrant.label.partition('(')[2].rstrip(')')}"
            program = program_of(entrant.versions)
            found = versions.setdefault(name, {})
            text = f"{options}; {program}" if program else options
            found[text] = found.get(text, 0) + 1
    for name, counted in versions.items():
        yield f"{name}: {'; '.join(counted)}."


def commands(chosen: Chosen) -> Iterator[str]:
    """Yield what reproduces a cell and this report."""
    yield "swarmrace show FOLDER --full      # one cell's verdict, computed again"
    yield "swarmrace verify FOLDER           # hashes, and every mark against its curve"
    yield "swarmrace run SCENARIO.yaml       # again: race.json holds the scenario"
    yield "swarmrace report FOLDER... -o report/"


def not_tested(chosen: Chosen) -> Iterator[str]:
    """Yield what these results say nothing of."""
    yield "The internet: public DHT, NAT, strangers, churn. Swarms are private and closed."
    yield (
        "What the systems do beyond moving a file: incentives, storage proofs, erasure coding, "
        "durability."
    )
    if any(cell.verdict.backend.startswith("local") for cell in chosen.cells):
        yield "More than one machine: peers that share one share its cores and its disk."
    if all(not cell.network for cell in chosen.cells):
        yield "Limited links, delay and loss: none was set."
    elif not any("delay" in cell.network or "loss" in cell.network for cell in chosen.cells):
        yield "Delay and loss: none was set."
    sizes = [canonical_size(size) for size in chosen.file_sizes]
    yield (
        f"Other than {_list([str(n) for n in chosen.swarm_sizes])} peers, "
        f"{_list([str(n) for n in chosen.seeders])} seeders, {_list(sizes)}."
    )
    if chosen.planned:
        missing = _count(len(chosen.planned), "planned cell")
        yield f"{missing} without results: {_list(chosen.planned)}."


def _list(items: Sequence[str]) -> str:
    return ", ".join(items[:-1]) + (f" and {items[-1]}" if len(items) > 1 else "".join(items))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
