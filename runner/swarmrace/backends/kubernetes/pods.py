"""What a cluster can't race of a scenario, and what a race needs of its pods.

Judged here only: the charts place values. They compute storage and deadlines in rough arithmetic,
generously; what that must reach is here.
"""

from __future__ import annotations

from collections import Counter

from pydantic.alias_generators import to_camel

from swarmrace import systems
from swarmrace.errors import Fault
from swarmrace.metrics.linger import APART_SECONDS
from swarmrace.rendezvous.flight import BOUNDS, MARGIN_SECONDS, MOST_LEAD_SECONDS
from swarmrace.scenario.cluster import MonitoringValues
from swarmrace.scenario.scenario import QUEUE_MILLISECONDS, Scenario

ASSEMBLE_TIMES = 2
"""`assembleSeconds` bounds a peer's wait for its tracker, and from then on everybody's for all."""
RUN_EXTRA_SECONDS = len(BOUNDS) * MARGIN_SECONDS + MOST_LEAD_SECONDS
"""What the rendezvous adds to a run's timeouts."""
STORAGE_ROOM_BYTES = 16 * 1024**2
"""Beside the payload and a node's copy of it: the curves of a run, until they are handed in."""
RESULTS_DIVISOR = 250
"""A leecher's results against its payload: two logs of 24 bytes for a block of 16 KiB, and room."""
RESULTS_OVERHEAD_BYTES = 256 * 1024**2


def timeouts_seconds(scenario: Scenario) -> float:
    """Return the sum of all that the rendezvous waits for: no peer can have work for longer.

    A Job's deadline must be above it, so that peers always end first.
    """
    times = {key: float(value) for key, value in scenario.race.timeouts}
    bounds: Counter[str] = Counter()
    for bound, often in BOUNDS.values():
        bounds[bound] += often
    run = sum(often * times[bound] for bound, often in bounds.items()) + RUN_EXTRA_SECONDS
    # A program's trial takes no longer than a run.
    runs = (scenario.race.repetitions + 1) * len(scenario.entrants)
    return ASSEMBLE_TIMES * times["assemble_seconds"] + runs * run


def needed_storage_bytes(file_size: int, *, beside_a_node: bool) -> int:
    """Return what a peer's volume must hold at least: the payload, and a node's copy of it."""
    return file_size * (2 if beside_a_node else 1) + STORAGE_ROOM_BYTES


def results_bytes(scenario: Scenario) -> int:
    """Return what the results folder may come to: arrivals and deliveries of every leecher."""
    race = scenario.race
    runs = race.repetitions * len(scenario.entrants)
    return race.file_size // RESULTS_DIVISOR * race.leechers * runs + RESULTS_OVERHEAD_BYTES


def sidecar_of(scenario: Scenario, entrant: str) -> str | None:
    """Return the key in `global.sidecars` of the node beside an entrant's runners, or None."""
    spec = systems.load(scenario.entrants[entrant].kind)
    name = spec.pods.sidecar(scenario.entrants[entrant])
    return name if name in scenario.global_.sidecars.model_dump() else None


def cluster_faults(scenario: Scenario) -> list[Fault]:
    """Return what a cluster can't race of a valid scenario."""
    faults = _matrix_faults(scenario)
    for name, options in scenario.entrants.items():
        pods = systems.load(options.kind).pods
        faults += [fault.below(f"global.entrants.{name}") for fault in pods.faults(options)]
    spread = scenario.global_.peers.spread
    if (
        spread.same_nodes
        and spread.when_unsatisfiable == "DoNotSchedule"
        and len(scenario.entrants) > 1
    ):
        faults.append(
            Fault(
                "global.peers.spread.whenUnsatisfiable",
                "DoNotSchedule needs global.peers.spread.sameNodes: false, because the two can "
                "leave a peer no node",
            )
        )
    faults += _network_faults(scenario)
    if not _matrix_faults(scenario):
        faults += _storage_faults(scenario)
    return [*faults, *_monitoring_faults(scenario.monitoring)]


def _matrix_faults(scenario: Scenario) -> list[Fault]:
    """Return the axes that have several values: a release is one scenario."""
    return [
        Fault(
            f"global.race.matrix.{to_camel(axis)}",
            f"found {len(values)} values, expected one: a release is one scenario; `swarmrace plan "
            "FILE --write DIR` writes a file for each cell, to be installed one by one",
        )
        for axis, values in scenario.race.matrix or ()
        if len(values) > 1
    ]


def _network_faults(scenario: Scenario) -> list[Fault]:
    """Return the network conditions that annotations can't set."""
    race, how = scenario.race, scenario.global_.peers.conditions
    networks = (race.matrix.network if race.matrix else []) or [race.network]
    key, needs, faults = "global.race.network", "needs global.peers.conditions: tc, because", []
    if how != "tc":
        if any(n.seeders for n in networks):
            text = f"{needs} all pods of a Job have the same annotations"
            faults.append(Fault(f"{key}.seeders", text))
        if any(n.delay_milliseconds or n.loss_percent for n in networks):
            faults.append(Fault(key, f"delay and loss: {needs} the annotations set rates only"))
        if any(n.limited and n.queue_milliseconds != QUEUE_MILLISECONDS for n in networks):
            text = f"{needs} the annotations set rates only"
            faults.append(Fault(f"{key}.queueMilliseconds", text))
    if how == "kubeOvn" and any(
        r and r % 125_000 for n in networks for r in (n.upload, n.download)
    ):
        text = "Kube-OVN sets whole Mbit/s only; expected such rates, 100Mbit for example"
        faults.append(Fault(key, text))
    return faults


def _storage_faults(scenario: Scenario) -> list[Fault]:
    """Return which volume is too small for the race's only cell."""
    if len(cells := scenario.race.cells()) != 1:
        return []
    race = scenario.race.model_copy(update=cells[0])
    shared = scenario.global_.model_copy(update={"race": race})
    scenario = scenario.model_copy(update={"global_": shared})
    faults = []
    beside = any(sidecar_of(scenario, name) for name in scenario.entrants)
    given, needed = (
        shared.peers.storage.size,
        needed_storage_bytes(race.file_size, beside_a_node=beside),
    )
    if given is not None and given < needed:
        held = "the payload, a node's copy of it, and room" if beside else "the payload, and room"
        text = f"found {given}, expected at least {needed}: {held}"
        faults.append(Fault("global.peers.storage.size", text))
    held_bytes, needed = scenario.tracker.storage.size, results_bytes(scenario)
    if held_bytes < needed:
        text = f"found {held_bytes}, expected at least {needed}: the results"
        faults.append(Fault("tracker.storage.size", text))
    return faults


def _monitoring_faults(monitoring: MonitoringValues) -> list[Fault]:
    """Return what of the monitoring can't work, or is asked for though it is not enabled."""
    linger, minimum = monitoring.linger_seconds, 2 * monitoring.interval_seconds + APART_SECONDS
    if monitoring.enabled:
        if monitoring.scrape == "none" or not 0 < linger < minimum:
            return []
        text = (
            f"found {linger:g}, expected at least {minimum:g}, or 0 to wait for no scraper: two "
            f"answers at least {APART_SECONDS:g} s apart take up to two of "
            "monitoring.intervalSeconds more"
        )
        return [Fault("monitoring.lingerSeconds", text)]
    push = monitoring.push
    asked = {
        "scrape": (monitoring.scrape not in ("none", "annotations"), "nothing is scraped"),
        "push.url": (bool(push.url), "nothing is pushed"),
        "push.to": (bool(push.to), "nothing is pushed"),
        "push.port": (push.port is not None, "nothing is pushed"),
        "rules.enabled": (monitoring.rules.enabled, "no rules are made"),
    }
    only = "; add monitoring.scrape: none if nobody scrapes"
    return [
        Fault(
            f"monitoring.{key}",
            f"needs monitoring.enabled: true, because {why} without it"
            + (only if key == "push.url" else ""),
        )
        for key, (found, why) in asked.items()
        if found
    ]
