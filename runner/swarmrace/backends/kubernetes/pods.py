"""What a cluster can't race of a scenario, and what a race needs from its pods.

The charts only place values; all judging is done here. They compute storage and deadlines in rough,
generous arithmetic, which must reach the minimums computed here.
"""

from __future__ import annotations

from pydantic.alias_generators import to_camel

from swarmrace import systems
from swarmrace.errors import Fault
from swarmrace.metrics.linger import APART_SECONDS
from swarmrace.scenario.cluster import MonitoringValues
from swarmrace.scenario.scenario import QUEUE_MILLISECONDS, Scenario

STORAGE_ROOM_BYTES = 16 * 1024**2
"""Room besides the payload and a node's copy of it: the curves of a run, until they are uploaded.
"""
RESULTS_DIVISOR = 250
"""Payload / a leecher's results: two logs with 24 bytes for each block of 16 KiB, with some room.
"""
RESULTS_OVERHEAD_BYTES = 256 * 1024**2


def needed_storage_bytes(file_size: int, *, beside_a_node: bool) -> int:
    """Return the minimum size of a peer's volume: the payload, and a node's copy of it."""
    return file_size * (2 if beside_a_node else 1) + STORAGE_ROOM_BYTES


def results_bytes(scenario: Scenario) -> int:
    """Return the maximum size of the results folder: arrivals and deliveries of every leecher."""
    race = scenario.race
    runs = race.repetitions * len(scenario.entrants)
    return race.file_size // RESULTS_DIVISOR * race.leechers * runs + RESULTS_OVERHEAD_BYTES


def sidecar_of(scenario: Scenario, entrant: str) -> str | None:
    """Return the key in `global.sidecars` of the node beside an entrant's runners, or None.

    It is what the option named by the kind's `sidecar_option` says (Codex's family), otherwise the
    kind. The charts have the same rule in the template `swarmrace.sidecar`.
    """
    options = scenario.entrants[entrant]
    option = systems.load(options.kind).pods.sidecar_option
    chosen = getattr(options, option) if option else "auto"
    name = options.kind if chosen in (None, "auto") else chosen
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
    """Return a fault for each axis with several values: a release is one scenario."""
    return [
        Fault(
            f"global.race.matrix.{to_camel(axis)}",
            f"found {len(values)} values, expected one: a release is one scenario; `swarmrace plan "
            "FILE --write DIR` writes a file for each cell; install them one by one",
        )
        for axis, values in scenario.race.matrix or ()
        if len(values) > 1
    ]


def _network_faults(scenario: Scenario) -> list[Fault]:
    """Return a fault for each network condition that annotations can't set."""
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
        text = "found a fraction of Mbit/s, expected whole ones such as 100Mbit for Kube-OVN"
        faults.append(Fault(key, text))
    return faults


def _storage_faults(scenario: Scenario) -> list[Fault]:
    """Return a fault for each volume that is too small for the race's only cell."""
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
    """Return the faults of monitoring: what can't work, and what is set without enabling it."""
    linger, minimum = monitoring.linger_seconds, 2 * monitoring.interval_seconds + APART_SECONDS
    if monitoring.enabled:
        if monitoring.scrape == "none" or not 0 < linger < minimum:
            return []
        text = (
            f"found {linger:g}, expected at least {minimum:g}, or 0 to wait for no scraper: two "
            f"answers at least {APART_SECONDS:g} s apart may take two more "
            "monitoring.intervalSeconds"
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
    push_only = "; add monitoring.scrape: none if nothing scrapes"
    return [
        Fault(
            f"monitoring.{key}",
            f"needs monitoring.enabled: true, because {why} without it"
            + (push_only if key == "push.url" else ""),
        )
        for key, (found, why) in asked.items()
        if found
    ]
