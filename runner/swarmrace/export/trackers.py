"""Formats of benchmark trackers: Bencher's JSON and Go's benchmark lines."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence

from swarmrace.export.cells import network_label, unique_names
from swarmrace.export.folders import JudgedRace
from swarmrace.units import canonical_size
from swarmrace.verdict.figures import publish_seconds
from swarmrace.verdict.model import RunVerdict, Verdict
from swarmrace.verdict.runs import RunView, view

_UNITS = {"sec/op": "lower", "B/s": "higher", "last-sec/op": "lower", "publish-sec/op": "lower"}
"""Whether a lower or a higher value is better, by unit."""
_BMF = {
    "t100": ("seconds", 1.0),
    "last": ("last-leecher-seconds", 1.0),
    "publish": ("publish-seconds", 1.0),
    "downloadSpeed": ("download-bytes-per-second", 1.0),
    "uploadSpeed": ("upload-bytes-per-second", 1.0),
    "wireSent": ("wire-sent-per-payload", 1.0),
}
"""Name of the measure and its factor, by figure."""


def bmf(races: Sequence[JudgedRace]) -> str:
    """Return Bencher Metric Format (bencher.dev): for each cell and entrant the median over runs,
    with the minimum and maximum as lower and upper value.

    A failed time has no number and is left out; `complete-runs-share` shows how often.

    Args:
        races: one of each cell.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    names = _names(races, "-")
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
            reliability = entrant.reliability
            if raced := reliability.runs_raced:
                measures["complete-runs-share"] = {"value": reliability.runs_complete / raced}
            if measures:
                found[f"{names[race.key]}/{name}"] = measures
    return json.dumps(found, indent=2) + "\n"


def benchfmt(races: Sequence[JudgedRace]) -> str:
    """Return Go's benchmark format (golang.org/design/14313-benchmark-format) for benchstat, one
    line for each run.

    `benchstat -col /entrant FILE` compares entrants, `benchstat OLD NEW` two files. A failed run
    has no number: a comment names it, and another one counts all failed runs.

    benchstat compares only lines with equal configuration (`key: value`), so what identifies one
    race is in comments. A name must not end in a hyphen and digits, which it would read as the
    number of processors; so the cell, which ends in a unit or in `#` and its key, comes last.

    Args:
        races: one of each cell.
    """
    lines = [f"Unit {unit} better={better}" for unit, better in _UNITS.items()]
    lines.append("")
    failed = 0
    names = _names(races, "#")
    for race in races:
        info, race_ = race.results.info, race.results.scenario.race
        lines += [
            f"# race {info.race_id} of {info.created_utc}: {_line(race.results.folder.name)}",
            f"file-size: {canonical_size(race_.file_size)}",
            f"swarm-size: {race_.swarm_size}",
            f"seeders: {race_.seeders}",
            f"backend: {info.backend}",
            # Without a value it clears that of the race before.
            f"cpu: {_line(info.machine.get('cpu', ''))}".rstrip(),
            "",
        ]
        records = {record.run.id: record for record in race.results.runs}
        for run in _base_first(race.verdict):
            found = list(_values(view(records[run.run_id], race_), run, race_.file_size))
            name = f"BenchmarkTransfer/entrant={run.entrant}/cell={names[race.key]}"
            if found and run.status == "counted":
                lines.append(f"{name} 1 {' '.join(found)}")
            else:
                failed += run.status == "failed"
                lines.append(f"# {name} {run.status}: {_line(run.reason)}")
        lines.append("")
    if failed:
        lines.append(f"# {failed} failed runs have no line: these times are only of the others")
    return "\n".join(lines).rstrip("\n") + "\n"


def _names(races: Sequence[JudgedRace], separator: str) -> dict[str, str]:
    """Return the cells' names by key, in the order in which a report has them."""
    ordered = sorted(races, key=_order)
    return unique_names(((each.key, each.cell) for each in ordered), separator)


def _order(race: JudgedRace) -> tuple[str, int, int, int, str]:
    setting = race.results.scenario.race
    network = network_label(setting.network)
    folder = race.results.folder.name
    return network, setting.file_size, setting.swarm_size, setting.seeders, folder


def _base_first(verdict: Verdict) -> list[RunVerdict]:
    """Return the runs by entrant, first those of the entrant that others are compared with:
    benchstat's base is the first one that it finds."""
    headline = [each for each in verdict.comparisons if each.headline]
    rivals = [each for each in headline if not each.reference]
    bases = Counter(each.of for each in rivals or headline).most_common(1)
    order = list(dict.fromkeys([*(name for name, _ in bases), *verdict.entrants]))
    return sorted(verdict.runs, key=lambda run: order.index(run.entrant))


def _line(text: object) -> str:
    return " ".join(str(text).split())


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
