"""How time grows with the swarm size, for each file size and number of seeders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from swarmrace.report.facts import Facts
from swarmrace.report.model import Growth, Series
from swarmrace.report.selection import Chosen
from swarmrace.statistics.exponent import exponent
from swarmrace.statistics.summary import middle
from swarmrace.units import canonical_size
from swarmrace.verdict.model import FAILED

_INFINITE = float("inf")


def growth(chosen: Chosen) -> Iterator[Growth]:
    """Yield a figure for each network, file size and number of seeders with several swarm sizes."""
    for network in chosen.networks:
        for file_size in chosen.file_sizes:
            for seeders in chosen.seeders:
                cells = [
                    each
                    for each in chosen.cells
                    if (each.network, each.file_size, each.seeders) == (network, file_size, seeders)
                ]
                sizes = {each.swarm_size for each in cells}
                if len(sizes) < 2:
                    continue
                kept = [chosen.at(size, seeders, file_size, network) for size in sorted(sizes)]
                title = f"{canonical_size(file_size)}, {seeders} seeder" + "s" * (seeders != 1)
                slug = f"{canonical_size(file_size)}-{seeders}"
                if network:
                    title += f", {network}"
                    slug += f"-net{chosen.networks.index(network)}"
                yield Growth(title, slug, seeders, tuple(_series(kept)), tuple(_minimum(kept)))


def _series(sizes: Sequence[Sequence[Facts]]) -> Iterator[Series]:
    """Yield each entrant's series.

    Args:
        sizes: the cells of each swarm size. Of several with an entrant only the first is drawn.
    """
    names = (name for cells in sizes for each in cells for name in each.verdict.entrants)
    for name in dict.fromkeys(names):
        numbers: dict[int, list[float]] = {}
        for cells in sizes:
            each = next((cell for cell in cells if name in cell.verdict.entrants), None)
            if each is None:
                continue
            found = [
                _INFINITE if run.t100 == FAILED else run.t100
                for run in each.verdict.runs
                if run.entrant == name and run.status != "missing" and run.t100 is not None
            ]
            if found:
                numbers[each.swarm_size] = found
        if not numbers:
            continue
        pairs = [(size, value) for size, found in numbers.items() for value in found]
        yield Series(
            entrant=name,
            points=tuple((size, value) for size, value in pairs if value < _INFINITE),
            medians=tuple(
                (size, None if (m := middle(found)) == _INFINITE else m)
                for size, found in numbers.items()
            ),
            failed=tuple(
                (size, count)
                for size, found in numbers.items()
                if (count := sum(value == _INFINITE for value in found))
            ),
            exponent=exponent([size for size, _ in pairs], [value for _, value in pairs]),
        )


def _minimum(sizes: Sequence[Sequence[Facts]]) -> Iterator[tuple[int, float]]:
    """Yield the last leecher's theoretical minimum for each swarm size."""
    for each, *_ in sizes:
        for entrant in each.verdict.entrants.values():
            found = entrant.figures.get("minimum")
            if found is not None and isinstance(found.value, float):
                yield each.swarm_size, found.value
                break
