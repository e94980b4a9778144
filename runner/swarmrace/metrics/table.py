"""The table of all metrics. docs/metrics.md is written from it, and every sample refers to it.

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
"""Labels of the sweep's own metrics."""

LABELS: Final[dict[str, str]] = {
    "race": "the race id, on a cluster the release hash; without it two races in one database "
    "would be the same series",
    "entrant": "the entrant's name in the scenario",
    "peer": "the peer's index in its entrant's swarm, from 0",
    "run": "the run's id, its position in the race and its entrant (`003-codex`); empty between "
    "runs",
    "of": "`arrival` (received, in any order), `written` (written by the node, in any order) or "
    "`delivery` (the verified prefix)",
    "percent": "0 (the first byte), 1, 10, 50, 90 or 100 % of the payload",
    "stage": "the peer's stage (docs/methodology.md)",
    "reason": "why a run failed for this peer (docs/results-format.md)",
    "figure": "the system's own name for it (`redundant_bytes`, `hash_failures`…)",
    "role": "`seeder` or `leecher`",
    "repetition": "the block of the run, from 0",
    "rank": "0 for the seeder that published alone; the others publish after it",
    "kind": "the entrant's kind: `bittorrent`, `codex`, `http`…",
    "profile": "the entrant's profile: `stock` or `tuned`",
    "version": "the version of swarmrace, or of the raced system",
    "node": "the machine on which the peer runs, if known",
    "address": "the peer's own IP address",
    "outcome": "`sent` or `failed`",
    "sweep": "the sweep's name, from its scenario file",
    "cell": "the cell that is being raced (`8x2-100MB`)",
    "attempt": "the number of the cell's attempt, from 1",
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
    """When it is served: `live` during the run, `end` after it, `run` both, `peer` always, `sweep`
    during a sweep."""


class Sample(NamedTuple):
    """One value of one metric."""

    metric: Metric
    labels: tuple[str, ...]
    """Values, in the order of `metric.labels`."""
    value: float
    t_ms: int | None = None
    """Unix time in milliseconds; None for now."""


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
    "Length of the verified prefix that an application can read in order.",
)
VERIFIED = Metric(
    "swarmrace_verified_bytes_total",
    "counter",
    "bytes",
    "Payload bytes verified by length and SHA-256 after the run.",
)
DUPLICATE = Metric(
    "swarmrace_duplicate_bytes_total",
    "counter",
    "bytes",
    "Payload bytes that arrived again.",
)
PAYLOAD = Metric(
    "swarmrace_payload_bytes",
    "gauge",
    "bytes",
    "Size of the payload that this leecher fetches. Seeders have none.",
)
WIRE_SENT = Metric(
    "swarmrace_wire_sent_bytes_total",
    "counter",
    "bytes",
    "Bytes sent over the peer's own interface since the common start, without the runner's own "
    "traffic and scrapes. Absent if the peer has no interface of its own.",
)
WIRE_RECEIVED = Metric(
    "swarmrace_wire_received_bytes_total",
    "counter",
    "bytes",
    "Bytes received over the peer's own interface since the common start, without the runner's own "
    "traffic and scrapes. Absent if the peer has no interface of its own.",
)
SYSTEM_SENT = Metric(
    "swarmrace_system_sent_bytes_total",
    "counter",
    "bytes",
    "Bytes sent by the system's own counter. Each system counts differently: never compare two.",
)
SYSTEM_RECEIVED = Metric(
    "swarmrace_system_received_bytes_total",
    "counter",
    "bytes",
    "Bytes received by the system's own counter. Never compare two systems.",
)
SYSTEM_FIGURE = Metric(
    "swarmrace_system_figure",
    "gauge",
    "as named",
    "Another counter or gauge of the system, by its own name. Those of a Codex node come from its "
    "metrics page, which the runner reads over loopback. If the page were scraped from outside, "
    "its bytes would count as the node's.",
    (*RUN_LABELS, "figure"),
)
CONNECTIONS = Metric(
    "swarmrace_connections",
    "gauge",
    "connections",
    "Peers to which the system is connected.",
    served="live",
)
START = Metric(
    "swarmrace_start_timestamp_seconds",
    "gauge",
    "seconds",
    "Start of this leecher: its own start stamp.",
)
DISCOVERED = Metric(
    "swarmrace_discovered_timestamp_seconds",
    "gauge",
    "seconds",
    "Time at which metadata or manifest were known.",
)
MARK = Metric(
    "swarmrace_mark_timestamp_seconds",
    "gauge",
    "seconds",
    "Time at which this percent of the payload was reached. During the run it is read from the log "
    "from which the result is made; after the run it is that of the result.",
    (*_OF, "percent"),
)
DONE = Metric(
    "swarmrace_done_timestamp_seconds",
    "gauge",
    "seconds",
    "Time at which the transfer was done, by the system's definition of done.",
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
    "Duration of this seeder's publish.",
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
    "CPU time of the runner, if the system is a separate process.",
)
THROTTLED = Metric(
    "swarmrace_cpu_throttled_seconds_total",
    "counter",
    "seconds",
    "Time for which the cgroup's CPU limit kept the peer from running, summed over CPUs.",
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
    "1 for the peer's current stage, 0 for every other.",
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
    "Why the run failed for this peer, and in which stage. Absent if it completed.",
    (*RUN_LABELS, "reason", "stage"),
    served="end",
)
FAILURES = Metric(
    "swarmrace_failures_total",
    "counter",
    "failures",
    "Runs that have failed for this peer; 0 for every reason from the start.",
    (*PEER_LABELS, "reason"),
    served="peer",
)
RUN_INFO = Metric(
    "swarmrace_run_info",
    "gauge",
    "1",
    "The peer's role in the run, and the run's block.",
    (*RUN_LABELS, "role", "repetition"),
)
PEER_INFO = Metric(
    "swarmrace_peer_info",
    "gauge",
    "1",
    "The entrant's kind and profile, swarmrace's version, and where the peer runs.",
    (*PEER_LABELS, "kind", "profile", "version", "node", "address"),
    served="peer",
)
SYSTEM_INFO = Metric(
    "swarmrace_system_info",
    "gauge",
    "1",
    "Version of the raced system, known after the first run.",
    (*PEER_LABELS, "version"),
    served="peer",
)
PUSHES = Metric(
    "swarmrace_pushes_total",
    "counter",
    "pushes",
    "Runs that the push address accepted, and runs that were left after an attempt to push. Those "
    "are kept and pushed with the next one.",
    (*PEER_LABELS, "outcome"),
    served="peer",
)

SWEEP_DONE = Metric(
    "swarmrace_sweep_cells_done",
    "gauge",
    "cells",
    "Cells of the sweep that are done, even if transfers in them failed.",
    SWEEP_LABELS,
    served="sweep",
)
SWEEP_LEFT = Metric(
    "swarmrace_sweep_cells_left",
    "gauge",
    "cells",
    "Cells of the sweep that remain to be raced, including the current one.",
    SWEEP_LABELS,
    served="sweep",
)
SWEEP_FAILED = Metric(
    "swarmrace_sweep_failed_attempts",
    "gauge",
    "attempts",
    "Attempts that the infrastructure ended; their cells are raced again.",
    SWEEP_LABELS,
    served="sweep",
)
SWEEP_SECONDS = Metric(
    "swarmrace_sweep_left_seconds",
    "gauge",
    "seconds",
    "Estimated time left, by the plan and the durations of the cells that are done.",
    SWEEP_LABELS,
    served="sweep",
)
SWEEP_CELL = Metric(
    "swarmrace_sweep_cell_info",
    "gauge",
    "1",
    "The cell that is being raced, and its attempt. Absent between cells.",
    (*SWEEP_LABELS, "cell", "attempt"),
    served="sweep",
)

BYTES: Final = {"arrival": ARRIVED, "written": WRITTEN, "delivery": DELIVERED}
"""The metric of the bytes of each kind of curve."""

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
    """Return samples as metric families of prometheus-client, in the order of the table."""
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
            # The client truncates to whole milliseconds; adding half of one keeps this one.
            t_seconds = None if row.t_ms is None else (row.t_ms + 0.5) / 1e3
            family.add_metric(row.labels, row.value, timestamp=t_seconds)
        found.append(family)
    return found
