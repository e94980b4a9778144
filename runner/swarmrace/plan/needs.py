"""What a scenario takes on one machine, computed from the needs of one peer of each entrant.

Memory and disk decide whether a race may start (`checks`); rates only affect the time that `plan`
estimates. Each kind declares its needs (`SystemSpec.needs`); benchmarks/ measures them again.
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
CLUSTER_CORES = 4.0
"""Assumed cores of a cluster's race: a guess, which a sweep corrects by the cells that are done."""
RENDEZVOUS_MEMORY_BYTES = 150_000_000
"""Memory of the rendezvous, the command, and the server that peers are forked from."""
DISK_SLACK_BYTES = 50_000_000
"""Disk space for logs, results, and the file system's own needs."""
ARRIVALS_SHARE = 1 / 500
"""Size of a leecher's results over its payload: 24 bytes per block of 16 KiB, uncompressed."""
RUN_SECONDS, RUN_SECONDS_PER_PEER = 1.5, 0.08
"""Time of a run besides publish, race and hashing: barriers, settling, removal."""
START_SECONDS, START_SECONDS_PER_PEER = 1.5, 0.03
"""Time before the first run."""
PREFLIGHT_SECONDS = 0.6
"""Time to measure one rate of one peer; rates are measured one after another."""
HASH_BYTES_PER_SECOND = 1.2e9
"""Rate of writing or hashing a payload, on one core."""


def needs_of(options: EntrantOptions) -> Needs:
    """Return the needs of one peer of an entrant; cautious defaults if its kind isn't installed."""
    spec = systems.find(options.kind)
    return spec.needs(options) if spec is not None else Needs()


def payload_bytes(scenario: Scenario) -> int:
    """Return the maximum disk space for payloads at one time.

    One entrant runs at a time, and its content is removed before the next run.
    """
    race = scenario.race
    copies = 0.0
    for options in scenario.entrants.values():
        peer = needs_of(options)
        copies = max(
            copies, race.seeders * peer.seeder_copies + race.leechers * peer.leecher_copies
        )
    return math.ceil(copies * race.file_size)


def results_bytes(scenario: Scenario) -> int:
    """Return the size of a scenario's results folder."""
    race = scenario.race
    runs = len(race.blocks) * len(scenario.entrants)
    return math.ceil(race.file_size * race.leechers * runs * ARRIVALS_SHARE)


def kept_bytes(cells: Sequence[Scenario]) -> list[int]:
    """Return the total size of all results folders after each cell. Cells are raced one after
    another, and results stay."""
    return list(accumulate(map(results_bytes, cells)))


def disk_bytes(cells: Sequence[Scenario]) -> int:
    """Return the maximum space at one time for cells raced one after another on one disk."""
    return DISK_SLACK_BYTES + max(
        payload_bytes(cell) + kept for cell, kept in zip(cells, kept_bytes(cells), strict=True)
    )


def memory_bytes(scenario: Scenario) -> int:
    """Return the memory of all entrants' processes: all are up at the same time, one entrant races.
    With delay or loss, add the buffers of the relay that the kernel may need."""
    race = scenario.race
    idle = racing = 0.0
    for options in scenario.entrants.values():
        peer = needs_of(options)
        idle += race.swarm_size * peer.memory_bytes
        each = race.file_size * peer.memory_share + peer.racing_memory_bytes
        racing = max(racing, race.swarm_size * each)
    network = race.network  # an overestimate with netem, which needs no relay
    rings = relay.ring_bytes(network.delay_milliseconds) if network.delayed else 0
    return math.ceil(idle + racing) + RENDEZVOUS_MEMORY_BYTES + rings


def open_files(scenario: Scenario, *, namespaces: bool) -> int:
    """Return the maximum number of open files of one process of the race."""
    race, entrants = scenario.race, scenario.entrants
    peers = race.swarm_size * len(entrants)
    # A peer may dial every other and be dialled by it; the rendezvous talks to all.
    peer = max(needs_of(options).files for options in entrants.values()) + 4 * race.swarm_size
    return max(peer, 4 * peers + 128, peers + 128 if namespaces else 0)


def moved_bytes(race: Race, entrants: int) -> int:
    """Return the payload bytes that leechers receive in all runs."""
    return race.file_size * race.leechers * len(race.blocks) * entrants


def run_seconds(race: Race, options: EntrantOptions, cores: float) -> float:
    """Estimate the duration of one run: publish, race, and the stages around them.

    The race takes as long as this machine needs to move the bytes, or as the rates require (the
    bound of Kumar and Ross; if leechers don't serve, the time of the seeders' uploads), whichever
    is longer.
    """
    peer, speed = needs_of(options), max(cores, 0.1) / MEASURED_CORES
    size, leechers = race.file_size, race.leechers
    rate = min(peer.pair_rate * leechers, peer.rate * speed)
    seconds = leechers * size / rate
    limits = bounds.of_run(race.network, {}, range(race.seeders), race.swarm_size, size)
    if limits is not None:
        spec = systems.find(options.kind)
        swarms = spec is None or spec.leechers_serve
        seconds = max(seconds, (limits.minimum_seconds if swarms else limits.http_seconds) / 0.95)
    seconds += peer.wait_seconds
    if peer.race_seconds is not None:
        seconds = peer.race_seconds
    if peer.starts_anew:
        seconds += 0.5 * RUN_SECONDS_PER_PEER * race.swarm_size
    publish = size / peer.publish_rate * (1 if race.seeders == 1 else 1 + race.seeders / cores)
    hashing = (race.seeders + leechers) * size / HASH_BYTES_PER_SECOND / max(cores, 1)
    return publish + seconds + hashing + RUN_SECONDS + RUN_SECONDS_PER_PEER * race.swarm_size


def expected_seconds(scenario: Scenario, cores: float) -> float:
    """Estimate the duration of the whole race on a machine with `cores` cores."""
    race = scenario.race
    runs = sum(run_seconds(race, options, cores) for options in scenario.entrants.values())
    peers = race.swarm_size * len(scenario.entrants)
    links = [
        race.network.link(seeder=not race.rotate_seeders and peer < race.seeders)
        for peer in range(race.swarm_size)
    ]
    rates = sum(bool(link.upload) + bool(link.download) for link in links) * len(scenario.entrants)
    start = START_SECONDS + START_SECONDS_PER_PEER * peers + PREFLIGHT_SECONDS * rates
    return start + len(race.blocks) * runs


def expected_seconds_on_cluster(scenario: Scenario) -> float:
    """Estimate the duration of the whole race on a cluster, whose cores are unknown."""
    return expected_seconds(scenario, CLUSTER_CORES)
