"""What the charts derive from a scenario, in the model's own words.

Helm's templates can't call Python, so the library chart `common` derives the same; a test renders
hundreds of scenarios and demands what these functions say. Nothing else may derive them.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from decimal import Decimal

from swarmrace.metrics.linger import APART_SECONDS
from swarmrace.rendezvous.flight import BOUNDS, MARGIN_SECONDS, MOST_LEAD_SECONDS
from swarmrace.scenario.cluster import (
    ANNOTATED_BURST_BYTES,
    MIB,
    NODE_QUOTA_BYTES,
    Amounts,
    MonitoringValues,
)
from swarmrace.scenario.scenario import QUEUE_MILLISECONDS, Scenario
from swarmrace.scenario.schema import CHART_KINDS
from swarmrace.systems.codex.options import CodexOptions

BASE_LENGTH = 27
"""Most characters of the release in a name: with an entrant (20), a race id (10) and an index (3)
and the dashes between it makes 63."""
ASSEMBLE_TIMES = 2
"""`assembleSeconds` bounds a peer's wait for its tracker, and from then on everybody's for all."""
RUN_EXTRA_SECONDS = len(BOUNDS) * MARGIN_SECONDS + MOST_LEAD_SECONDS
"""What the rendezvous adds to a run's timeouts."""
SLACK_SECONDS = 900
"""Pulling images, a tracker that restarts, lingering for a scraper, pushing: what the scenario's
timeouts don't bound."""
STORAGE_OVERHEAD_BYTES = 256 * MIB
EPHEMERAL_OVERHEAD_BYTES = 192 * MIB
"""Logs and /tmp."""
RESULTS_DIVISOR = 250
"""A leecher's results against its payload: two logs of 24 bytes for a block of 16 KiB, and room."""
RESULTS_OVERHEAD_BYTES = 256 * MIB


def run_times() -> dict[str, int]:
    """Return how often each timeout bounds a stage of one run (`rendezvous.flight.BOUNDS`)."""
    found: Counter[str] = Counter()
    for bound, times in BOUNDS.values():
        found[bound] += times
    return dict(found)


def timeouts_seconds(scenario: Scenario) -> Decimal:
    """Return the sum of all that the rendezvous waits for: no peer can have work for longer."""
    times = {key: Decimal(repr(value)) for key, value in scenario.race.timeouts}
    run = sum((often * times[bound] for bound, often in run_times().items()), Decimal(0))
    run += Decimal(repr(RUN_EXTRA_SECONDS))
    # A program's trial takes no longer than a run.
    runs = (scenario.race.repetitions + 1) * len(scenario.entrants)
    return ASSEMBLE_TIMES * times["assemble_seconds"] + runs * run


def deadline_seconds(scenario: Scenario) -> int:
    """Return the Job's `activeDeadlineSeconds`: above the sum, so that peers always end first."""
    return math.ceil(timeouts_seconds(scenario)) + SLACK_SECONDS


def storage_bytes(scenario: Scenario) -> int:
    """Return what a peer's volume holds: payload, the node's copy, and room."""
    given = scenario.global_.peers.storage.size
    if given is not None:
        return given
    return scenario.race.file_size * 9 // 4 + STORAGE_OVERHEAD_BYTES


def ephemeral_bytes(scenario: Scenario) -> int:
    """Return a peer's ephemeral-storage, summed over its containers."""
    claimed = scenario.global_.peers.storage.kind == "persistentVolumeClaim"
    return EPHEMERAL_OVERHEAD_BYTES + (0 if claimed else storage_bytes(scenario))


def results_bytes(scenario: Scenario) -> int:
    """Return what the results folder may come to: arrivals and deliveries of every leecher."""
    race = scenario.race
    runs = race.repetitions * len(scenario.entrants)
    return race.file_size // RESULTS_DIVISOR * race.leechers * runs + RESULTS_OVERHEAD_BYTES


def node_quota_bytes(scenario: Scenario, options: CodexOptions) -> int | None:
    """Return the quota a pod's node is given, or None where its own will do."""
    from swarmrace.systems.codex.programs import quota_bytes

    return quota_bytes(NODE_QUOTA_BYTES, options, scenario.race.file_size)


def burst_bytes(scenario: Scenario) -> int | None:
    """Return the burst a peer is told of, or None: its rates aren't limited, or by tc."""
    peers = scenario.global_.peers
    if not scenario.race.network.limited:
        return None
    known = None if peers.conditions == "tc" else ANNOTATED_BURST_BYTES
    return known if peers.burst is None else peers.burst


def split(total: int, percent: int) -> tuple[int, int]:
    """Return the node's and the runner's share of `total`; they add up exactly."""
    node = total * percent // 100
    return node, total - node


def shares(amounts: Amounts, percent: int) -> dict[str, tuple[int, int]]:
    """Return the node's and the runner's share of CPU (thousandths) and memory (bytes)."""
    return {"cpu": split(amounts.cpu, percent), "memory": split(amounts.memory, percent)}


def base_name(release: str) -> str:
    """Return what stands for a release in names: a DNS label of at most `BASE_LENGTH`."""
    name = release.replace(".", "-")
    if not name[:1].isalpha():
        name = f"r{name}"
    if len(name) > BASE_LENGTH:
        digest = hashlib.sha256(release.encode()).hexdigest()[:6]
        name = f"{name[: BASE_LENGTH - 7].rstrip('-')}-{digest}"
    return name


def job_name(release: str, entrant: str, race_id: str) -> str:
    """Return the name of an entrant's Job and headless Service."""
    return f"{base_name(release)}-{entrant}-{race_id}"


def tracker_name(release: str) -> str:
    """Return the name of the tracker's Deployment, Service and claim."""
    return f"{base_name(release)}-tracker"


def single_cell(scenario: Scenario) -> Scenario:
    """Return the scenario with its only cell in the race's own keys, and no matrix."""
    (cell,) = scenario.race.cells()
    race = scenario.race.model_copy(update={**cell, "matrix": None})
    shared = scenario.global_.model_copy(update={"race": race})
    return scenario.model_copy(update={"global_": shared})


def cluster_faults(scenario: Scenario) -> list[str]:
    """Return what a cluster can't race of a valid scenario."""
    race, faults = scenario.race, []
    found = len(race.cells())
    if found > 1:
        faults.append(
            f"global.race.matrix: found {found} cells, expected one: a release is one scenario; "
            "`swarmrace plan FILE --write DIR` writes a file for each, to be installed one by one"
        )
    for name, options in scenario.entrants.items():
        key = f"global.entrants.{name}"
        if options.kind not in CHART_KINDS:
            faults.append(
                f"{key}.kind: found '{options.kind}', expected one of {', '.join(CHART_KINDS)}: "
                "no chart races it"
            )
        if isinstance(options, CodexOptions) and options.nodes:
            faults.append(
                f"{key}.nodes: found {len(options.nodes)}, expected none: every pod has a node of "
                "its own"
            )
        if isinstance(options, CodexOptions) and options.family == "auto" and options.block_size:
            faults.append(
                f"{key}.blockSize: needs {key}.family: storage, because `auto` is codex on a "
                "cluster, which takes none"
            )
    spread = scenario.global_.peers.spread
    if (
        spread.same_nodes
        and spread.when_unsatisfiable == "DoNotSchedule"
        and len(scenario.entrants) > 1
    ):
        faults.append(
            "global.peers.spread.whenUnsatisfiable: DoNotSchedule needs "
            "global.peers.spread.sameNodes: false, because the two can leave a peer no node"
        )
    network, how = race.network, scenario.global_.peers.conditions
    networks = (race.matrix.network if race.matrix else []) or [network]
    if how != "tc":
        if any(n.seeders for n in networks):
            faults.append(
                "global.race.network.seeders: needs global.peers.conditions: tc, because all pods "
                "of a Job have the same annotations"
            )
        if any(n.delay_milliseconds or n.loss_percent for n in networks):
            faults.append(
                "global.race.network: delay and loss need global.peers.conditions: tc, because "
                "the annotations know rates alone"
            )
        if any(n.limited and n.queue_milliseconds != QUEUE_MILLISECONDS for n in networks):
            faults.append(
                "global.race.network.queueMilliseconds: needs global.peers.conditions: tc, because "
                "the annotations know rates only"
            )
    if how == "kubeOvn" and any(
        r and r % 125_000 for n in networks for r in (n.upload, n.download)
    ):
        faults.append(
            "global.race.network: Kube-OVN knows whole Mbit/s alone; expected rates that are, "
            "such as 100Mbit"
        )
    if any(isinstance(options, CodexOptions) for options in scenario.entrants.values()):
        faults += _share_faults(scenario)
    held, needed = scenario.tracker.storage.size, results_bytes(scenario)
    if found == 1 and held < needed:
        faults.append(
            f"tracker.storage.size: found {held}, expected at least {needed}: the results"
        )
    monitoring = scenario.monitoring
    if not monitoring.enabled:
        faults += _unmonitored_faults(monitoring)
    linger, least = monitoring.linger_seconds, 2 * monitoring.interval_seconds + APART_SECONDS
    if monitoring.enabled and monitoring.scrape != "none" and 0 < linger < least:
        faults.append(
            f"monitoring.lingerSeconds: found {linger:g}, expected at least {least:g}, or 0 to "
            f"wait for no scraper: two answers at least {APART_SECONDS:g} s apart take up to two "
            "of monitoring.intervalSeconds more"
        )
    return faults


def _unmonitored_faults(monitoring: MonitoringValues) -> list[str]:
    """Return what is asked of the monitoring chart though it is not part of the release."""
    push = monitoring.push
    asked = {
        "scrape": (monitoring.scrape not in ("none", "annotations"), "nothing is scraped"),
        "push.url": (bool(push.url), "nothing is pushed"),
        "push.to": (bool(push.to), "nothing is pushed"),
        "push.port": (push.port is not None, "nothing is pushed"),
        "rules.enabled": (monitoring.rules.enabled, "no rules are made"),
    }
    alone = "; add monitoring.scrape: none where nobody scrapes"
    return [
        f"monitoring.{key}: needs monitoring.enabled: true, because {why} without it"
        + (alone if key == "push.url" else "")
        for key, (found, why) in asked.items()
        if found
    ]


def _share_faults(scenario: Scenario) -> list[str]:
    """Return the amounts of which a node's share would round to 0, which sets none."""
    percent, faults = scenario.global_.codex.node_percent, []
    for kind, amounts in scenario.global_.peers.resources:
        for name, unit in (("cpu", "m"), ("memory", "")):
            total = getattr(amounts, name)
            if total and not split(total, percent)[0]:
                faults.append(
                    f"global.peers.resources.{kind}.{name}: found {total}{unit}, expected at least "
                    f"{-(-100 // percent)}{unit}: the node has {percent} % of it "
                    "(global.codex.nodePercent)"
                )
    return faults
