"""How time grows with the swarm, by file size and number of seeders."""

from __future__ import annotations

from collections.abc import Iterator

from swarmrace.report.facts import Facts
from swarmrace.report.model import Growth, Series
from swarmrace.report.selection import Chosen
from swarmrace.statistics.exponent import exponent
from swarmrace.statistics.summary import middle
from swarmrace.units import canonical_size
from swarmrace.verdict.model import FAILED

_INFINITE = float("inf")


def growth(chosen: Chosen) -> Iterator[Growth]:
    """Yield a figure for each network, file size and number of seeders with two swarm sizes."""
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
                # Of two cells with the same axes the first stands for both, as in the panels.
                first = {size: chosen.at(size, seeders, file_size, network) for size in sizes}
                kept = [each for _, each in sorted(first.items()) if each is not None]
                title = f"{canonical_size(file_size)}, {seeders} seeder" + "s" * (seeders != 1)
                slug = f"{canonical_size(file_size)}-{seeders}"
                if network:
                    title += f", {network}"
                    slug += f"-net{chosen.networks.index(network)}"
                yield Growth(title, slug, seeders, tuple(_series(kept)), tuple(_minimum(kept)))


def _series(cells: list[Facts]) -> Iterator[Series]:
    for name in dict.fromkeys(name for each in cells for name in each.verdict.entrants):
        numbers: dict[int, list[float]] = {}
        for each in cells:
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


def _minimum(cells: list[Facts]) -> Iterator[tuple[int, float]]:
    """Yield the theoretical minimum of each swarm size: that of the last leecher."""
    for each in cells:
        for entrant in each.verdict.entrants.values():
            found = entrant.figures.get("minimum")
            if found is not None and isinstance(found.value, float):
                yield each.swarm_size, found.value
                break
