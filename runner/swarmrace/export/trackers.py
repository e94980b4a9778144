"""Formats of tools that track benchmarks over time: Bencher's JSON, and Go's benchmark lines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence

from swarmrace.export.folders import Race
from swarmrace.units import canonical_size
from swarmrace.verdict.figures import publish_seconds
from swarmrace.verdict.model import RunVerdict
from swarmrace.verdict.runs import RunView, view

_BMF = {
    "t100": ("seconds", 1.0),
    "last": ("last-leecher-seconds", 1.0),
    "publish": ("publish-seconds", 1.0),
    "downloadSpeed": ("download-bytes-per-second", 1.0),
    "uploadSpeed": ("upload-bytes-per-second", 1.0),
    "wireSent": ("wire-sent-per-payload", 1.0),
}
"""Figure to the measure's name, and its factor."""


def bmf(races: Sequence[Race]) -> str:
    """Return Bencher Metric Format (bencher.dev): for each cell and entrant the median over runs,
    with the least and the most as lower and upper value.

    A failed time has no number and is left out; `complete-runs-share` says how often.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for race in races:
        for name, entrant in race.verdict.entrants.items():
            measures: dict[str, dict[str, float]] = {}
            for figure, (measure, factor) in _BMF.items():
                summary = entrant.figures.get(figure)
                if summary is None or not isinstance(summary.value, float):
                    continue
                measures[measure] = {"value": summary.value * factor}
                if isinstance(summary.least, float):
                    measures[measure]["lower_value"] = summary.least * factor
                if isinstance(summary.most, float):
                    measures[measure]["upper_value"] = summary.most * factor
            told = entrant.reliability
            raced = told.runs_scheduled - told.runs_missing
            if raced:
                measures["complete-runs-share"] = {"value": told.runs_complete / raced}
            if measures:
                found[f"{race.cell}/{name}"] = measures
    return json.dumps(found, indent=2) + "\n"


def benchfmt(races: Sequence[Race]) -> str:
    """Return lines of Go's benchmark format, one for each run: what benchstat reads.

    `benchstat -col /entrant FILE` sets entrants beside each other, `benchstat OLD NEW` two files. A
    failed run has no number; it is named in a comment, and so is how many there are.
    """
    lines = ["Unit sec/op better=lower", "Unit B/s better=higher", ""]
    failed = 0
    for race in races:
        info, race_ = race.results.info, race.results.scenario.race
        lines += [
            f"race: {info.race_id}",
            f"file-size: {canonical_size(race_.file_size)}",
            f"swarm-size: {race_.swarm_size}",
            f"seeders: {race_.seeders}",
            f"backend: {info.backend}",
        ]
        if cpu := info.machine.get("cpu"):
            lines.append(f"cpu: {cpu}")
        lines.append("")
        records = {record.run.id: record for record in race.results.runs}
        for run in race.verdict.runs:
            found = list(_values(view(records[run.run_id], race_), run, race_.file_size))
            name = f"BenchmarkTransfer/cell={race.cell}/entrant={run.entrant}"
            if found and run.status == "counted":
                lines.append(f"{name} 1 {' '.join(found)}")
            else:
                failed += run.status == "failed"
                lines.append(f"# {name} {run.status}: {' '.join(run.reason.split())}")
        lines.append("")
    if failed:
        lines.append(f"# {failed} failed runs have no line: these times are of the others alone")
    return "\n".join(lines).rstrip("\n") + "\n"


def _values(found: RunView, run: RunVerdict, size_bytes: int) -> Iterator[str]:
    t100 = run.t100
    if not isinstance(t100, float) or t100 <= 0:
        return
    yield f"{t100!r} sec/op"
    yield f"{size_bytes / t100!r} B/s"
    if isinstance(run.last, float):
        yield f"{run.last!r} last-sec/op"
    publish = publish_seconds(found)
    if publish is not None and math.isfinite(publish):
        yield f"{publish!r} publish-sec/op"
