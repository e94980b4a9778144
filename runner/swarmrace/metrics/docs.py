"""Writes docs/metrics.md from the table: `python -m swarmrace.metrics.docs docs/metrics.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from swarmrace.metrics import linger, push, table
from swarmrace.metrics.table import Metric

_HEAD = """\
# Metrics

<!-- Written from runner/swarmrace/metrics by `python -m swarmrace.metrics.docs docs/metrics.md`;
don't edit. -->

Each peer serves `/metrics` in Prometheus' text format (`swarmrace peer --metrics-port`, port 9200
in the charts), and `/healthz` for probes. A peer's state is read when it is scraped, in a separate
thread and outside the hot path of a transfer. After a run its values are those of its result; they
are served until the peer exits. The bytes of scrapes are subtracted from the wire bytes.

"""

_SWEEP = """\
A sweep exports its own metrics (`swarmrace sweep --metrics HOST:PORT`, `--push-url`). A scrape
returns the state that the sweep's driver read last, so it costs the race nothing. A push is sent
when a cell begins and when it ends.

"""

_TIMES = """\
## Times

A `_timestamp_seconds` is Unix time of the peer's host. A run's start stamp is converted to wall
time once; every other instant of the run is this start plus a duration of the same host's monotonic
clock. So within one peer and run the difference of two timestamps is the duration in the result:

    swarmrace_mark_timestamp_seconds{{of="arrival",percent="50"}}
      - on (race, entrant, peer, run) group_left swarmrace_start_timestamp_seconds

VictoriaMetrics stores about 15 digits of a number, so there the difference is accurate to some
microseconds. Never subtract timestamps of two peers: the clocks of two hosts differ. The resolution
of a mark is only in the results folder, which remains the measurement; metrics are for watching.

During a run, bytes and marks are read from the log from which the result is made. A mark that is
crossed while duplicate bytes arrive may appear only at the run's end.

## The last scrape and the push

After its last run a peer waits until one scraper has had two complete answers at least
{apart:g} s apart, at most `--linger-seconds` (70 s in the charts), and then exits at once. Requests
that began before the last run's end don't count, and neither do those of `kube-probe`.

With `--push-url` a peer also pushes each finished run, after its results are accepted and before
the peers meet for the next run: all final values, and its curves (arrival, written, delivery) with
a point at the end of each 100 ms (wider if there would be more than {bins} points) and at each
mark. Each point is exact at its own millisecond. The format is Prometheus' text with timestamps,
sent to `{path}` of VictoriaMetrics or a compatible server; the address may end before that path. A
push is repeated until it is accepted, for at most {budget:g} s. A run that could not be pushed is
kept and pushed with the next one, and at the end. Repeated pushes send the same samples. A failed
push never fails a race.

The pushed series have the names and labels of the served ones, without those that a scraper adds
(`job`, `instance`, `pod`). So aggregate before you compare, as the dashboard does:
`max by (race, entrant, peer, run) (…)` is correct for scraped series, pushed series, and both.

## Dashboard and recording rules

`charts/monitoring/files/dashboard.json` can be imported into any Grafana with a Prometheus or
VictoriaMetrics data source, `charts/monitoring/files/rules.yaml` into Prometheus or vmalert. The
chart `monitoring` installs both for its own release: rules that cover only its race, so that
several releases don't record the same series, and a dashboard with its own name and uid that opens
at its race. Two releases of the same scenario have the same release hash, so their series are
mixed: raise `attempt` in one of them.

The dashboard needs no recording rules. Its rates cover four scrapes, whatever the data source in
Grafana is set to: each panel and query names the scrape interval, 2 s in the file and
`monitoring.intervalSeconds` in the chart. Scrapes only show a run at their own interval: if a
transfer takes a second, a scrape every 2 s shows the marks but little of the curve. Push to see the
curve.

`python -m benchmarks.scrape` measures what a scrape costs the peer.
"""

_KNOWN = (table.RUN_LABELS, table.PEER_LABELS, table.SWEEP_LABELS)
_EXCEPTIONS = {table.PEER_LABELS: "no `run`", table.SWEEP_LABELS: "only `sweep`"}
_SERVED = {
    "run": "during and after the run",
    "live": "during the run",
    "end": "after the run",
    "peer": "always",
    "sweep": "during a sweep",
}


def render() -> str:
    """Return docs/metrics.md."""
    rows = "\n".join(_row(metric) for metric in table.METRICS)
    labels = "\n".join(f"| `{name}` | {text} |" for name, text in table.LABELS.items())
    times = _TIMES.format(
        apart=linger.APART_SECONDS,
        bins=push.MAX_BINS,
        path=push.IMPORT_PATH,
        budget=push.BUDGET_SECONDS,
    )
    run_labels = ", ".join(f"`{name}`" for name in table.RUN_LABELS)
    return (
        f"{_HEAD}{_SWEEP}## The metrics\n\nEvery metric of a run has the labels {run_labels}, "
        "which are not repeated below.\n\n"
        "| metric | type | unit | further labels | served | meaning |\n"
        f"|---|---|---|---|---|---|\n{rows}\n\n## The labels\n\n| label | meaning |\n|---|---|\n"
        f"{labels}\n\n{times}"
    )


def _row(metric: Metric) -> str:
    known = next(labels for labels in _KNOWN if metric.labels[: len(labels)] == labels)
    further = ", ".join(f"`{name}`" for name in metric.labels[len(known) :])
    if known in _EXCEPTIONS:
        further = f"({_EXCEPTIONS[known]}) {further}"
    cells = (
        f"`{metric.name}`",
        metric.type,
        metric.unit,
        further,
        _SERVED[metric.served],
        metric.help,
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render(), encoding="utf-8")
