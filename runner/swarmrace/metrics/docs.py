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
in the charts), and `/healthz` for probes. A peer's state is read when it is scraped, in a thread of
its own; nothing of it runs in the hot path of a transfer. A run's values stay served, as its result
says them, until the peer exits. Scrapes' own bytes are taken off the wire bytes.

"""

_SWEEP = """\
A sweep exports its own metrics (`swarmrace sweep --metrics HOST:PORT`, `--push-url`): they are read
from what its driver has looked at last, so a scrape costs the race nothing. A push is sent when a
cell begins and when it ends.

"""

_TIMES = """\
## Times

A `_timestamp_seconds` is Unix time of the peer's host. A run's start stamp is placed on the wall
clock once; every other instant of the run is this start plus a duration of the same host's
monotonic clock. So within one peer and run the difference of two timestamps is the result's own
duration:

    swarmrace_mark_timestamp_seconds{{of="arrival",percent="50"}}
      - on (race, entrant, peer, run) group_left swarmrace_start_timestamp_seconds

VictoriaMetrics keeps about 15 digits of a number, so there the difference is good to some
microseconds. Never subtract timestamps of two peers: two hosts' clocks differ. How far a mark may
be off (its resolution) stands in the results folder, which remains the measurement; metrics are for
watching.

While a run is on, bytes and marks are read from the log that the result is made of. A mark that is
crossed just as bytes come again may appear only at the run's end.

## Nothing is lost at the end

After its last run a peer stays until one scraper has had two complete answers at least
{apart:g} s apart, at most `--linger-seconds` (70 s in the charts), and then exits at once. Requests
that began before the last run's end don't count, nor do those of `kube-probe`.

With `--push-url` a peer also sends each finished run, after its results are accepted and before
the peers meet for the next: all its final values, and its curves (arrival, written, delivery) with
a point at the end of each 100 ms (wider where that would be more than {bins} points) and at each
mark, each true at its own millisecond. The format is Prometheus' text with times, to `{path}`
of VictoriaMetrics or whatever takes it; the address may end before that path. A push is repeated
until it is taken, for at most {budget:g} s; a run that could not be sent is kept and sent with the
next one, and at the end. Sending again sends the same samples. A failed push never fails a race.

The pushed series have the names and labels of the served ones, without those that a scraper adds
(`job`, `instance`, `pod`). So aggregate before you compare, as the dashboard does:
`max by (race, entrant, peer, run) (…)` is right for scraped series, pushed series, and both.

## Dashboard and recording rules

`charts/monitoring/files/dashboard.json` goes into any Grafana with a Prometheus or VictoriaMetrics
data source, `charts/monitoring/files/rules.yaml` into Prometheus or vmalert. The chart `monitoring`
brings both for its own release: rules over its race alone, so that several releases don't record
the same series, and a dashboard with a name and uid of its own that opens at its race. Two releases
of one scenario have one release hash, and their series fall together: raise `attempt` in one of
them.

The dashboard needs no recording rule. Its rates are taken over four scrapes, whatever the data
source in Grafana is set to: the scrape interval stands in each panel and query, 2 s in the file and
`monitoring.intervalSeconds` in the chart. Scrapes show a run as coarsely as they come: of a
transfer that takes a second, a scrape every 2 s sees the marks and little of the curve. For the
curve, push.

What a scrape costs the peer: `python benchmarks/scrape.py`.
"""

_KNOWN = (table.RUN_LABELS, table.PEER_LABELS, table.SWEEP_LABELS)
_KNOWN_ALONE = {table.PEER_LABELS: "no `run`", table.SWEEP_LABELS: "only `sweep`"}
_HEADINGS = {
    "run": "while the run is on and after it",
    "live": "while the run is on",
    "end": "once the run has ended",
    "peer": "always",
    "sweep": "while a sweep is driven",
}


def render() -> str:
    """Return docs/metrics.md."""
    rows = "\n".join(_row(metric) for metric in table.METRICS)
    labels = "\n".join(f"| `{name}` | {text} |" for name, text in table.LABELS.items())
    times = _TIMES.format(
        apart=linger.APART_SECONDS,
        bins=push.MOST_BINS,
        path=push.IMPORT_PATH,
        budget=push.BUDGET_SECONDS,
    )
    run_labels = ", ".join(f"`{name}`" for name in table.RUN_LABELS)
    return (
        f"{_HEAD}{_SWEEP}## The metrics\n\nThe labels {run_labels} are on every metric of a run "
        "and not repeated below.\n\n| metric | type | unit | further labels | served | meaning |\n"
        f"|---|---|---|---|---|---|\n{rows}\n\n## The labels\n\n| label | meaning |\n|---|---|\n"
        f"{labels}\n\n{times}"
    )


def _row(metric: Metric) -> str:
    known = next(of for of in _KNOWN if metric.labels[: len(of)] == of)
    further = ", ".join(f"`{name}`" for name in metric.labels[len(known) :])
    if known in _KNOWN_ALONE:
        further = f"({_KNOWN_ALONE[known]}) {further}"
    cells = (
        f"`{metric.name}`",
        metric.type,
        metric.unit,
        further,
        _HEADINGS[metric.served],
        metric.help,
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render(), encoding="utf-8")
