"""What a cell of a matrix is called, by its scenario alone."""

from __future__ import annotations

import hashlib
import json
import re

from swarmrace.scenario.scenario import Network, Scenario
from swarmrace.units import canonical_size


def cell_name(scenario: Scenario) -> str:
    """Return the name of a scenario's cell: `8x2-100MB`, and its network where one is set:
    `8x2-100MB-up20Mbit-down20Mbit-delay10ms`."""
    race = scenario.race
    name = f"{race.swarm_size}x{race.seeders}-{canonical_size(race.file_size)}"
    return "-".join([name, *_network(race.network)])


def cell_key(scenario: Scenario) -> str:
    """Return what tells a cell from every other one: a hash of all that is raced, without the
    attempt and the number of blocks.

    Two attempts at one cell have the same key, and another race id.
    """
    data = scenario.canonical()
    for free in ("attempt", "repetitions", "continues"):
        data["race"].pop(free, None)
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def network_label(network: Network) -> str:
    """Return what is set of a network in few words; empty where nothing is: `up 20 Mbit/s`."""
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
