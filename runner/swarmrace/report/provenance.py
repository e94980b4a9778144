"""Methods and origin of the results, how to reproduce them, and what wasn't tested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from swarmrace import __version__
from swarmrace.report.selection import Chosen
from swarmrace.report.warnings import machine_of, program_of, settings_of
from swarmrace.report.words import number_of
from swarmrace.statistics.significance import FAMILY_ERROR
from swarmrace.units import canonical_size

METHODS = (
    "The run is the statistical unit. Its number is t100 of its median leecher. A ratio is that of "
    "the typical block (pseudo-median, Hodges and Lehmann). Its interval has exact signed-rank "
    "limits from 6 complete blocks on, and Student's t limits on logarithms for 3 to 5 blocks. "
    "With fewer blocks there is none.",
    "Ratios, intervals and colours are computed for each cell by itself, unadjusted. Of 39 cells, "
    "the intervals of about two would exclude the truth by chance.",
    "To claim met in every cell needs no correction: each cell's own test must show it "
    "(intersection–union). A single cell is called met or missed by Holm's procedure, at "
    f"{100 * FAMILY_ERROR:.0f} % over all cells, separately for times and for completion.",
    "The geometric mean covers only cells in which every scheduled run of both sides was complete. "
    "It has no interval. The cells left out are listed with it.",
    "Where the time goes: the median leecher of each complete run (the faster of the middle two if "
    "their number is even). Each segment's share of that run is averaged over runs.",
    "The exponent of growth is fitted by least squares on logarithms over all runs. Its limits "
    "assume a power law and log-normal times of equal spread.",
    "What bounded a race: the link if the last leecher took at most 1.25 × the theoretical minimum "
    "(for an entrant whose leechers serve no one, the minimum with only seeders sending); CPU if "
    "at least 85 % of the busiest machine's processors were in use, by any process.",
)


def definitions(chosen: Chosen) -> tuple[tuple[str, str], ...]:
    """Return each term with its definition, from the verdicts."""
    found: dict[str, str] = {}
    for cell in chosen.cells:
        for word, meaning in cell.verdict.definitions.items():
            found.setdefault(word, meaning)
    return tuple(found.items())


def provenance(chosen: Chosen) -> Iterator[str]:
    """Yield the origin of the results: each fact once, with its number of cells."""
    cells = chosen.cells
    yield f"Report by swarmrace {__version__}, from {number_of(len(cells), 'results folder')}."
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
                value if count == len(cells) else f"{value} ({number_of(count, 'cell')})"
                for value, count in found.items()
            ]
            yield f"{what}: {'; '.join(listed)}."
    versions: dict[str, dict[str, int]] = {}
    for cell in cells:
        for name, entrant in cell.verdict.entrants.items():
            options = settings_of(entrant)
            program = program_of(entrant.versions)
            found = versions.setdefault(name, {})
            text = f"{options}; {program}" if program else options
            found[text] = found.get(text, 0) + 1
    for name, counted in versions.items():
        yield f"{name}: {'; '.join(counted)}."


def commands(chosen: Chosen) -> Iterator[str]:
    """Yield the commands that reproduce a cell and this report."""
    yield "swarmrace show FOLDER --full      # compute a cell's verdict again"
    yield "swarmrace verify FOLDER           # check hashes, and every mark against its curve"
    yield "swarmrace run SCENARIO.yaml       # race again; race.json holds the scenario"
    yield "swarmrace report FOLDER... -o report/"


def not_tested(chosen: Chosen) -> Iterator[str]:
    """Yield what these results don't cover."""
    yield "The internet: public DHT, NAT, strangers, churn. Swarms are private and closed."
    yield (
        "Functions beyond moving a file: incentives, storage proofs, erasure coding, durability."
    )
    if any(cell.verdict.backend.startswith("local") for cell in chosen.cells):
        yield "Several machines: peers on one machine share its cores and its disk."
    if all(not cell.network for cell in chosen.cells):
        yield "Limited links, delay and loss: none were set."
    elif not any("delay" in cell.network or "loss" in cell.network for cell in chosen.cells):
        yield "Delay and loss: none were set."
    sizes = [canonical_size(size) for size in chosen.file_sizes]
    yield (
        f"Any sizes other than {_list([str(n) for n in chosen.swarm_sizes])} peers, "
        f"{_list([str(n) for n in chosen.seeders])} seeder{'s' * (chosen.seeders != (1,))}, "
        f"{_list(sizes)}."
    )
    if chosen.planned:
        missing = number_of(len(chosen.planned), "planned cell")
        yield f"{missing} without results: {_list(chosen.planned)}."


def _list(items: Sequence[str]) -> str:
    return ", ".join(items[:-1]) + (f" and {items[-1]}" if len(items) > 1 else "".join(items))
