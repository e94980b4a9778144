"""Names a cell of a matrix by its scenario."""

from __future__ import annotations

import re
from collections.abc import Iterable

from swarmrace.scenario.scenario import Network, Scenario
from swarmrace.units import canonical_size


def cell_name(scenario: Scenario) -> str:
    """Return the name of a scenario's cell: `8x2-100MB`, with its network if one is set:
    `8x2-100MB-up20Mbit-down20Mbit-delay10ms`."""
    race = scenario.race
    name = f"{race.swarm_size}x{race.seeders}-{canonical_size(race.file_size)}"
    return "-".join([name, *_network(race.network)])


def unique_names(cells: Iterable[tuple[str, str]], separator: str = "-") -> dict[str, str]:
    """Return a unique name for each cell, by its key.

    Different cells have the same name if they differ in something that isn't on the axes, such as
    an entrant's options. All of them but the first get the beginning of their key too.

    Args:
        cells: (key, name) of each cell, in order.
        separator: what is between the name and the beginning of the key.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for key, name in cells:
        candidates = (name, *(f"{name}{separator}{key[:n]}" for n in range(4, len(key) + 1)))
        names[key] = next(each for each in candidates if each not in taken)
        taken.add(names[key])
    return names


def network_label(network: Network) -> str:
    """Return a network's settings in a few words: `up 20 Mbit/s`. Empty if nothing is set."""
    words = []
    for part in _network(network):
        found = re.fullmatch(r"([a-z]+?)(\d.*)", part)
        assert found is not None
        name, amount = found.groups()
        unit = re.sub(r"(\D*bit)$", r" \1/s", amount.replace("ms", " ms"))
        words.append(f"{name.replace('seeders', 'seeders ')} {unit}{' %' * (name == 'loss')}")
    return ", ".join(words)


def _network(network: Network) -> list[str]:
    parts = []
    for whose, link in (("", network), ("seeders", network.seeders)):
        for word, field in (("up", "upload"), ("down", "download")):
            if rate := getattr(link, field, None):
                parts.append(f"{whose}{word}{_bits(rate)}")
    if network.delay_milliseconds:
        parts.append(f"delay{network.delay_milliseconds:g}ms")
    if network.loss_percent:
        parts.append(f"loss{network.loss_percent:g}")
    return parts


def _bits(bytes_per_second: int) -> str:
    bits = bytes_per_second * 8
    for unit, scale in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if bits % scale == 0:
            return f"{bits // scale}{unit}bit"
    return f"{bits}bit"
