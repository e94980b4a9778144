"""What a scenario takes on one machine, from what a peer of each entrant needs.

Memory and disk decide whether a race is started (`checks`), rates only how long `plan` expects it
to take. Each kind states its needs (`SystemSpec.needs`); benchmarks/ measures them again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

from swarmrace import systems
from swarmrace.network import bounds, relay
from swarmrace.scenario.scenario import Race, Scenario
from swarmrace.systems.options import EntrantOptions
from swarmrace.systems.parts import Needs

MEASURED_CORES = 2
RENDEZVOUS_MEMORY_BYTES = 150_000_000
"""The rendezvous, the command itself and the server that peers are forked from."""
DISK_SLACK_BYTES = 50_000_000
"""Logs, results, and what a file system keeps for itself."""
ARRIVALS_SHARE = 1 / 500
"""Results of a leecher, against its payload: 24 bytes a block of 16 KiB, before compression."""
RUN_SECONDS, RUN_SECONDS_A_PEER = 1.5, 0.08
"""What a run takes beside publish, race and hashing: barriers, settling, removal."""
START_SECONDS, START_SECONDS_A_PEER = 1.5, 0.03
PREFLIGHT_SECONDS = 0.6
"""Measuring one rate of one peer; they are measured one after another."""
HASH_BYTES_PER_SECOND = 1.2e9
"""Writing or hashing a payload, on one core."""


def needs_of(options: EntrantOptions) -> Needs:
    """Return what a peer of an entrant needs; careful figures if its kind isn't installed."""
    spec = systems.find(options.kind)
    return spec.needs(options) if spec is not None else Needs()


def payload_bytes(scenario: Scenario) -> int:
    """Return what the peers of a scenario take on disk at most at once.

    One entrant runs at a time, and its content is removed before the next run.
    """
    race = scenario.race
    most = 0.0
    for options in scenario.entrants.values():
        of = needs_of(options)
        most = max(most, race.seeders * of.seeder_copies + race.leechers * of.leecher_copies)
    return math.ceil(most * race.file_size)


def results_bytes(scenario: Scenario) -> int:
    """Return what a scenario leaves in its results folder."""
    race = scenario.race
    runs = len(race.blocks) * len(scenario.entrants)
    return math.ceil(race.file_size * race.leechers * runs * ARRIVALS_SHARE)


def kept_bytes(cells: Sequence[Scenario]) -> list[int]:
    """Return what lies in results folders at the end of each cell: cells come one after another,
    and results stay."""
    return list(accumulate(map(results_bytes, cells)))


def disk_bytes(cells: Sequence[Scenario]) -> int:
    """Return what cells raced one after another take at most at once, all on one disk."""
    return DISK_SLACK_BYTES + max(
        payload_bytes(cell) + kept for cell, kept in zip(cells, kept_bytes(cells), strict=True)
    )


def memory_bytes(scenario: Scenario) -> int:
    """Return what the processes of all entrants take: they stand at once, one races. With delay or
    loss also the rings of the relay that may have to make them."""
    race = scenario.race
    standing = running = 0.0
    for options in scenario.entrants.values():
        of = needs_of(options)
        standing += race.swarm_size * of.memory_bytes
        each = race.file_size * of.memory_share + of.racing_memory_bytes
        running = max(running, race.swarm_size * each)
    network = race.network  # with netem there is no relay, and this too much
    rings = relay.ring_bytes(network.delay_milliseconds) if network.delayed else 0
    return math.ceil(standing + running) + RENDEZVOUS_MEMORY_BYTES + rings


def open_files(scenario: Scenario, *, namespaces: bool) -> int:
    """Return the most files that one process of the race has open."""
    race, entrants = scenario.race, scenario.entrants
    peers = race.swarm_size * len(entrants)
    # a peer may dial and be dialled by every other; the rendezvous talks to all
    peer = max(needs_of(options).files for options in entrants.values()) + 4 * race.swarm_size
    return max(peer, 4 * peers + 128, peers + 128 if namespaces else 0)


def moved_bytes(race: Race, entrants: int) -> int:
    """Return the payload that all runs bring to leechers."""
    return race.file_size * race.leechers * len(race.blocks) * entrants


def run_seconds(race: Race, options: EntrantOptions, cores: float) -> float:
    """Return about how long one run takes: publish, race, and what comes with them.

    The race takes as long as this machine needs to move the bytes, or as the rates set demand
    (Kumar and Ross; what leaves the seeders if leechers serve nobody), whichever is longer.
    """
    of, speed = needs_of(options), max(cores, 0.1) / MEASURED_CORES
    size, leechers = race.file_size, race.leechers
    rate = min(of.pair_rate * leechers, of.rate * speed)
    seconds = leechers * size / rate
    limits = bounds.of_run(race.network, {}, range(race.seeders), race.swarm_size, size)
    if limits is not None:
        spec = systems.find(options.kind)
        swarms = spec is None or spec.leechers_serve
        seconds = max(seconds, (limits.minimum_seconds if swarms else limits.http_seconds) / 0.95)
    if of.race_seconds is not None:
        seconds = of.race_seconds
    if of.starts_anew:
        seconds += 0.5 * RUN_SECONDS_A_PEER * race.swarm_size
    publish = size / of.publish_rate * (1 if race.seeders == 1 else 1 + race.seeders / cores)
    hashing = (race.seeders + leechers) * size / HASH_BYTES_PER_SECOND / max(cores, 1)
    return publish + seconds + hashing + RUN_SECONDS + RUN_SECONDS_A_PEER * race.swarm_size


def expected_seconds(scenario: Scenario, cores: float) -> float:
    """Return about how long the whole race takes on a machine with so many cores."""
    race = scenario.race
    runs = sum(run_seconds(race, options, cores) for options in scenario.entrants.values())
    peers = race.swarm_size * len(scenario.entrants)
    links = [
        race.network.link(seeder=not race.rotate_seeders and peer < race.seeders)
        for peer in range(race.swarm_size)
    ]
    rates = sum(bool(link.upload) + bool(link.download) for link in links) * len(scenario.entrants)
    start = START_SECONDS + START_SECONDS_A_PEER * peers + PREFLIGHT_SECONDS * rates
    return start + len(race.blocks) * runs
