"""The one table of metrics. docs/metrics.md is written from it; every sample names a row of it.

Names follow Prometheus' rules: base units (seconds, bytes), `_total` for counters, `_info` for
facts in labels, `_timestamp_seconds` for Unix time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family

PEER_LABELS: Final = ("race", "entrant", "peer")
RUN_LABELS: Final = (*PEER_LABELS, "run")
SWEEP_LABELS: Final = ("sweep",)
"""Of what a sweep exports of itself, whoever drives it."""

LABELS: Final[dict[str, str]] = {
    "race": "the race id, on a cluster the release hash; without it two races in one database "
    "would be one series",
    "entrant": "the entrant's name in the scenario",
    "peer": "the peer's index in its entrant's swarm, from 0",
    "run": "the run's id, its position in the race and its entrant (`003-codex`); empty between "
    "runs",
    "of": "`arrival` (received, in any order), `written` (written by the node, in any order) or "
    "`delivery` (the verified prefix)",
    "percent": "0 (the first byte), 1, 10, 50, 90 or 100 % of the payload",
    "stage": "one of a peer's stages (docs/methodology.md)",
    "reason": "why a run failed for this peer (docs/results-format.md)",
    "figure": "the system's own name for it (`redundant_bytes`, `hash_failures`…)",
    "role": "`seeder` or `leecher`",
    "repetition": "the block of the run, from 0",
    "rank": "0 published alone, the others after it",
    "kind": "the entrant's kind: `bittorrent`, `codex`, `http`…",
    "profile": "the entrant's profile: `stock` or `tuned`",
    "version": "of swarmrace, or of the system that is raced",
    "node": "the machine the peer runs on, where it is told",
    "address": "the peer's own IP address",
    "outcome": "`sent` or `failed`",
    "sweep": "the sweep's name: its scenario file's",
    "cell": "the cell that is being raced (`8x2-100MB`)",
    "attempt": "which attempt of the cell, from 1",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric."""

    name: str
    type: Literal["counter", "gauge"]
    unit: str
    help: str
    labels: tuple[str, ...] = RUN_LABELS
    served: str = "run"
    """When: `live` while the run is on, `end` once it has ended, `run` both, `peer` always, `sweep`
    while a sweep is driven."""


class Sample(NamedTuple):
    """One value of one metric."""

    metric: Metric
    labels: tuple[str, ...]
    """Values, in the order of `metric.labels`."""
    value: float
    t_ms: int | None = None
    """Unix time in milliseconds, where it isn't now."""


_OF = (*RUN_LABELS, "of")

ARRIVED = Metric(
    "swarmrace_arrived_bytes_total",
    "counter",
    "bytes",
    "Payload bytes that this leecher has received, each counted once.",
)
WRITTEN = Metric(
    "swarmrace_written_bytes_total",
    "counter",
    "bytes",
    "Payload bytes that this leecher's node has written, each counted once.",
)
DELIVERED = Metric(
    "swarmrace_delivered_bytes_total",
    "counter",
    "bytes",
    "Length of the verified prefix that an application could read in order.",
)
VERIFIED = Metric(
    "swarmrace_verified_bytes_total",
    "counter",
    "bytes",
    "Payload bytes found right by length and SHA-256, checked after the run.",
)
DUPLICATE = Metric(
    "swarmrace_duplicate_bytes_total",
    "counter",
    "bytes",
    "Payload bytes that came again.",
)
PAYLOAD = Metric(
    "swarmrace_payload_bytes",
    "gauge",
    "bytes",
    "Payload that this leecher is to fetch. Seeders have none.",
)
WIRE_SENT = Metric(
    "swarmrace_wire_sent_bytes_total",
    "counter",
    "bytes",
    "Sent over the peer's own interface since the common start, the runner's own traffic and "
    "scrapes taken off. Absent where the peer has no interface of its own.",
)
WIRE_RECEIVED = Metric(
    "swarmrace_wire_received_bytes_total",
    "counter",
    "bytes",
    "Received over the peer's own interface since the common start; see the sent bytes.",
)
SYSTEM_SENT = Metric(
    "swarmrace_system_sent_bytes_total",
    "counter",
    "bytes",
    "Sent by the system's own counter. Each system counts what it likes: never compare two.",
)
SYSTEM_RECEIVED = Metric(
    "swarmrace_system_received_bytes_total",
    "counter",
    "bytes",
    "Received by the system's own counter. Never compare two systems.",
)
SYSTEM_FIGURE = Metric(
    "swarmrace_system_figure",
    "gauge",
    "as named",
    "A further counter or gauge of the system, by its own name. A Codex node's come from its "
    "metrics page, which the runner reads over loopback: scraped from outside, the page's bytes "
    "would be charged to the node.",
    (*RUN_LABELS, "figure"),
)
CONNECTIONS = Metric(
    "swarmrace_connections",
    "gauge",
    "connections",
    "Peers that the system is connected to now.",
    served="live",
)
START = Metric(
    "swarmrace_start_timestamp_seconds",
    "gauge",
    "seconds",
    "When this leecher began: its own start stamp.",
)
DISCOVERED = Metric(
    "swarmrace_discovered_timestamp_seconds",
    "gauge",
    "seconds",
    "When metadata or manifest were known.",
)
MARK = Metric(
    "swarmrace_mark_timestamp_seconds",
    "gauge",
    "seconds",
    "When so many percent of the payload were there. While the run is on it is read from the same "
    "log as the result; once the run has ended it is the result's own.",
    (*_OF, "percent"),
)
DONE = Metric(
    "swarmrace_done_timestamp_seconds",
    "gauge",
    "seconds",
    "When the transfer was done by the system's definition of done.",
)
START_LAG = Metric(
    "swarmrace_start_lag_seconds",
    "gauge",
    "seconds",
    "This leecher's start stamp minus the common instant, on its own clock.",
    served="end",
)
PUBLISH = Metric(
    "swarmrace_publish_seconds",
    "gauge",
    "seconds",
    "How long this seeder's publish took.",
    (*RUN_LABELS, "rank"),
    served="end",
)
SINCE_BYTE = Metric(
    "swarmrace_since_last_byte_seconds",
    "gauge",
    "seconds",
    "Time since the last new byte, or since the start, of a transfer that is not done.",
    served="live",
)
STALL = Metric(
    "swarmrace_longest_stall_seconds",
    "gauge",
    "seconds",
    "Longest time without a new byte, after the first.",
    _OF,
    served="end",
)
CPU = Metric(
    "swarmrace_cpu_seconds_total",
    "counter",
    "seconds",
    "CPU time of the system's processes since the common start.",
)
RUNNER_CPU = Metric(
    "swarmrace_runner_cpu_seconds_total",
    "counter",
    "seconds",
    "CPU time of the runner itself, where the system is a process apart.",
)
THROTTLED = Metric(
    "swarmrace_cpu_throttled_seconds_total",
    "counter",
    "seconds",
    "How long the cgroup's CPU limit kept the peer from running, summed over CPUs.",
)
MEMORY = Metric(
    "swarmrace_peak_memory_bytes",
    "gauge",
    "bytes",
    "Highest resident memory of the system's processes in this run.",
)
STAGE = Metric(
    "swarmrace_stage",
    "gauge",
    "1 or 0",
    "1 for the stage this peer is in, 0 for every other.",
    (*RUN_LABELS, "stage"),
    served="live",
)
COMPLETED = Metric(
    "swarmrace_completed",
    "gauge",
    "1 or 0",
    "Whether the run completed for this peer.",
    served="end",
)
FAILURE_INFO = Metric(
    "swarmrace_failure_info",
    "gauge",
    "1",
    "Why the run failed for this peer, and in which stage. Absent where it completed.",
    (*RUN_LABELS, "reason", "stage"),
    served="end",
)
FAILURES = Metric(
    "swarmrace_failures_total",
    "counter",
    "failures",
    "Runs that failed for this peer so far, 0 for every reason from the beginning.",
    (*PEER_LABELS, "reason"),
    served="peer",
)
RUN_INFO = Metric(
    "swarmrace_run_info",
    "gauge",
    "1",
    "The run: this peer's role in it and its block.",
    (*RUN_LABELS, "role", "repetition"),
)
PEER_INFO = Metric(
    "swarmrace_peer_info",
    "gauge",
    "1",
    "The peer: its entrant's kind and profile, swarmrace's version, where it runs.",
    (*PEER_LABELS, "kind", "profile", "version", "node", "address"),
    served="peer",
)
SYSTEM_INFO = Metric(
    "swarmrace_system_info",
    "gauge",
    "1",
    "The system that is raced and its version, known after the first run.",
    (*PEER_LABELS, "version"),
    served="peer",
)
PUSHES = Metric(
    "swarmrace_pushes_total",
    "counter",
    "pushes",
    "Runs that the push address took, and runs that an attempt to send left behind. Those are kept "
    "and sent with the next.",
    (*PEER_LABELS, "outcome"),
    served="peer",
)

SWEEP_DONE = Metric(
    "swarmrace_sweep_cells_done",
    "gauge",
    "cells",
    "Cells of the sweep that ran to their end, whatever failed in them.",
    SWEEP_LABELS,
    served="sweep",
)
SWEEP_LEFT = Metric(
    "swarmrace_sweep_cells_left",
    "gauge",
    "cells",
    "Cells of the sweep that are still to be raced, the one at hand included.",
    SWEEP_LABELS,
    served="sweep",
)
SWEEP_FAILED = Metric(
    "swarmrace_sweep_failed_attempts",
    "gauge",
    "attempts",
    "Attempts that the infrastructure ended; they are tried again.",
    SWEEP_LABELS,
    served="sweep",
)
SWEEP_SECONDS = Metric(
    "swarmrace_sweep_left_seconds",
    "gauge",
    "seconds",
    "About how long the rest takes, by the plan and what the cells that are done took.",
    SWEEP_LABELS,
    served="sweep",
)
SWEEP_CELL = Metric(
    "swarmrace_sweep_cell_info",
    "gauge",
    "1",
    "The cell that is being raced, and which attempt of it. Absent between two cells.",
    (*SWEEP_LABELS, "cell", "attempt"),
    served="sweep",
)

BYTES: Final = {"arrival": ARRIVED, "written": WRITTEN, "delivery": DELIVERED}
"""By kind of curve, the metric of its bytes."""

METRICS: Final[tuple[Metric, ...]] = (
    *(ARRIVED, WRITTEN, DELIVERED, VERIFIED, DUPLICATE, PAYLOAD),
    *(START, DISCOVERED, MARK, DONE, START_LAG, PUBLISH),
    *(SINCE_BYTE, STALL),
    *(WIRE_SENT, WIRE_RECEIVED, SYSTEM_SENT, SYSTEM_RECEIVED, SYSTEM_FIGURE, CONNECTIONS),
    *(CPU, RUNNER_CPU, THROTTLED, MEMORY),
    *(STAGE, COMPLETED, FAILURE_INFO, FAILURES),
    *(RUN_INFO, PEER_INFO, SYSTEM_INFO, PUSHES),
    *(SWEEP_DONE, SWEEP_LEFT, SWEEP_FAILED, SWEEP_SECONDS, SWEEP_CELL),
)


def families(samples: Iterable[Sample]) -> list[Family]:
    """Return samples as prometheus-client's families, in the order of the table."""
    by_metric: dict[Metric, list[Sample]] = {metric: [] for metric in METRICS}
    for sample in samples:
        by_metric[sample.metric].append(sample)
    found: list[Family] = []
    for metric, rows in by_metric.items():
        if not rows:
            continue
        kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
        family = kind(metric.name, metric.help, labels=metric.labels)
        for row in rows:
            # The client cuts to whole milliseconds; half of one more keeps it from cutting one off.
            t_seconds = None if row.t_ms is None else (row.t_ms + 0.5) / 1e3
            family.add_metric(row.labels, row.value, timestamp=t_seconds)
        found.append(family)
    return found
