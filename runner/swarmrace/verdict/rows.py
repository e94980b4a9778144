"""The rows of the verdict's main table: which figures, in which order, and the text of each
cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from swarmrace.recording.records import CURVES, MARK_PERCENTS, WIRE_PERCENTS
from swarmrace.verdict.entries import entry, ratio_entry
from swarmrace.verdict.layout import Row
from swarmrace.verdict.model import Comparison, EntrantVerdict, Ratio, Reliability, Verdict
from swarmrace.verdict.registry import FIGURES, STABILITY, mark_label
from swarmrace.verdict.wording import RATIO_NOTE

MARKS = {**dict.fromkeys(CURVES, MARK_PERCENTS), "wire": WIRE_PERCENTS}
"""Kinds of marks with their percents, in the order of the table."""

MIN_FOR_P99 = 100
"""With fewer values, the 99th percentile by nearest rank is the maximum."""

_Groups = tuple[tuple[str, tuple[str, ...]], ...]
"""Titles, each with its figures."""
_BEFORE: _Groups = (
    ("Time", ("t100", "last", "downloadSpeed", "discovery")),
    ("Upload", ("publish", "uploadSpeed")),
)
_AFTER: _Groups = (
    (
        "Stability",
        (
            "longestStall",
            "longestWrittenStall",
            "longestDeliveryStall",
            "arrivalVariation",
            "writtenVariation",
            "deliveryVariation",
            "spread",
            "slowRuns",
            "slowestRun",
        ),
    ),
    ("Who serves", ("leechersShare", "leechersShareOfWire", "connectedPeers")),
    ("Wire, over payload × leechers", ("wireSent", "wireReceived", "wirePackets", "duplicates")),
    (
        "Theoretical minimum",
        ("minimumMultiple", "httpMinimumMultiple", "minimum", "httpMinimum"),
    ),
    (
        "Cost",
        (
            "cpuLeecher",
            "cpuSeeder",
            "cpuAll",
            "runnerCpu",
            "peakMemory",
            "runnerMemory",
            "waitingCpu",
            "waitingBytes",
        ),
    ),
    ("Start", ("startLagP99", "startError")),
)


def rows(
    verdict: Verdict, names: Sequence[str], comparison: Comparison | None
) -> tuple[list[Row], list[str]]:
    """Return the main table's rows and its footnotes.

    Args:
        verdict: the verdict.
        names: the entrants of this table.
        comparison: if given, its ratios fill a last column.
    """
    entrants = [verdict.entrants[name] for name in names]
    texts = _notes(verdict, comparison)
    signs = {key: "¹²³⁴⁵"[number] for number, key in enumerate(texts)}
    result: list[Row] = []
    for title, figures in _BEFORE:
        group = list(_group(title, figures, entrants, comparison, signs))
        if title == "Upload" and group:
            group[2:2] = _steps(entrants, comparison)  # below the publish
        result.extend(group)
    for kind in MARKS:
        result.extend(_marks(kind, entrants, comparison, signs))
    for title, figures in _AFTER:
        result.extend(_group(title, figures, entrants, comparison, signs))
    result.extend(_reliability(entrants, comparison))
    shown = " ".join(" ".join([label, *cells]) for label, cells in result)
    notes = [f"{sign} {texts[key]}" for key, sign in signs.items() if sign in shown]
    if comparison is not None and comparison.paired and comparison.t100 is not None:
        notes.insert(0, RATIO_NOTE)
    if "wire not measured" in shown and verdict.backend == "local":
        notes.append(
            "wire not measured: the peers had no interfaces of their own; "
            "`swarmrace run --namespaces` gives them some"
        )
    notes += _incomplete_wire(entrants)
    if any("–" in cells for _, cells in result):
        notes.append("– no run has this figure, or it has no ratio")
    return result, notes


def _notes(verdict: Verdict, comparison: Comparison | None) -> dict[str, str]:
    """Return the footnotes by their subject: a kind of curve, or a group of rows."""
    result = {
        kind: f"{kind} side by side, not compared: {why}"
        for kind, why in not_compared(comparison).items()
    }
    for key, meaning, intro, each in (
        ("publish", "published", "not the same work", "{} is published when {}"),
        ("usage", "usage", "not measured alike", "{}'s is of {}"),
    ):
        meanings = {
            name: e.meanings[meaning]
            for name, e in verdict.entrants.items()
            if meaning in e.meanings
        }
        if len(set(meanings.values())) > 1:
            result[key] = f"{intro}: " + "; ".join(each.format(*item) for item in meanings.items())
    return result


_NOTED = {
    **STABILITY,
    "publish": "publish",
    "uploadSpeed": "publish",
    **dict.fromkeys(("cpuLeecher", "cpuSeeder", "cpuAll", "peakMemory"), "usage"),
}
"""The footnote of each figure that has one."""


def ratio_rows(comparisons: Sequence[Comparison]) -> list[Row]:
    """Return the rows of a table of ratios: one row per figure, one cell per comparison."""
    result: list[Row] = [("Time", [])]
    for name in ("t100", "last"):
        cells = [ratio_entry(_ratio(name, each)) for each in comparisons]
        result.append((FIGURES[name].label, cells))
    for kind, percents in MARKS.items():
        compared = [any(m.kind == kind and m.ratio for m in each.marks) for each in comparisons]
        if not any(compared):
            continue
        result.append((_title(kind), []))
        for percent in percents:
            marks = [{m.percent: m for m in c.marks if m.kind == kind} for c in comparisons]
            cells = [ratio_entry(m[percent].ratio) if percent in m else "–" for m in marks]
            result.append((mark_label(percent), cells))
        for name in (name for name, curve in STABILITY.items() if curve == kind):
            cells = [ratio_entry(_ratio(name, each)) for each in comparisons]
            result.append((FIGURES[name].label, cells))
    return result


def not_compared(comparison: Comparison | None) -> dict[str, str]:
    """Return, for each kind of curve that is not compared, the reason."""
    marks = comparison.marks if comparison is not None else []
    return {mark.kind: mark.why_not for mark in marks if mark.why_not}


def _group(
    title: str,
    figures: Sequence[str],
    entrants: Sequence[EntrantVerdict],
    comparison: Comparison | None,
    signs: Mapping[str, str],
) -> Iterator[Row]:
    shown = [name for name in figures if any(name in e.figures for e in entrants)]
    if title.startswith("Wire") and "wireSent" not in shown and any(map(_counted, entrants)):
        shown.insert(0, "wireSent")
    if not shown:
        return
    yield title, []
    for name in shown:
        sign = signs.get(_NOTED.get(name, ""), "")
        label = f"{_label(name, entrants)}{f' {sign}' if sign else ''}"
        cells = [entry(name, e.figures.get(name), absent=_absent(name, e)) for e in entrants]
        if comparison is not None:
            ratio = _ratio(name, comparison)
            cells.append(ratio_entry(ratio) if ratio or name in ("t100", "last") else "")
        yield label, cells


def _label(name: str, entrants: Sequence[EntrantVerdict]) -> str:
    """Return a figure's label; the p99 of fewer than 100 stamps is the maximum."""
    few = all(e.reliability.transfers_started < MIN_FOR_P99 for e in entrants)
    return "start lag, maximum" if name == "startLagP99" and few else FIGURES[name].label


def _ratio(name: str, comparison: Comparison) -> Ratio | None:
    if name in comparison.stability:
        return comparison.stability[name].ratio
    return {"t100": comparison.t100, "last": comparison.last}.get(name)


def _counted(entrant: EntrantVerdict) -> bool:
    """Return whether any of its runs has figures."""
    return entrant.reliability.runs_missing < entrant.reliability.runs_scheduled


def _absent(name: str, entrant: EntrantVerdict) -> str:
    if not _counted(entrant):
        return "–"
    if name.startswith("wire"):
        if entrant.wire_measured:
            return "no complete run"
        return "incomplete records" if entrant.wire_records else "wire not measured"
    if name == "uploadSpeed" and not entrant.uploads:
        return "no upload"
    if name == "duplicates":
        return "not observed"
    if name.startswith("waiting"):
        return "not measured"
    kind = STABILITY.get(name)
    if kind is not None and not getattr(entrant, kind):
        return "not observed"
    return "–"


def _marks(
    kind: str,
    entrants: Sequence[EntrantVerdict],
    comparison: Comparison | None,
    signs: Mapping[str, str],
) -> Iterator[Row]:
    names = {percent: f"{kind}{percent}" for percent in MARKS[kind]}
    if not any(name in entrant.figures for entrant in entrants for name in names.values()):
        return
    found = {m.percent: m for m in comparison.marks if m.kind == kind} if comparison else {}
    yield f"{_title(kind)}{f' {signs[kind]}' if kind in signs else ''}", []
    for percent, name in names.items():
        cells = [
            entry(name, e.figures.get(name), absent="–" if _observed(e, kind) else "not observed")
            for e in entrants
        ]
        if comparison is not None:
            mark = found.get(percent)
            cells.append(ratio_entry(mark.ratio) if mark and mark.ratio else "")
        yield mark_label(percent), cells


def _incomplete_wire(entrants: Sequence[EntrantVerdict]) -> list[str]:
    """Return a note on entrants whose wire bytes don't include all runs."""
    parts = []
    for entrant in entrants:
        summary, counts = entrant.figures.get("wireSent"), entrant.reliability
        complete = summary.runs if summary else 0
        if entrant.wire_measured and complete < counts.runs_raced:
            parts.append(f"{entrant.name} {complete} of {counts.runs_raced}")
    if not parts:
        return []
    return [f"wire bytes are only of runs in which every leecher completed: {', '.join(parts)}"]


def _title(kind: str) -> str:
    return "Received on the wire" if kind == "wire" else kind.capitalize()


def _observed(entrant: EntrantVerdict, kind: str) -> bool:
    return entrant.wire_measured if kind == "wire" else getattr(entrant, kind)


def _steps(entrants: Sequence[EntrantVerdict], comparison: Comparison | None) -> Iterator[Row]:
    for step in dict.fromkeys(step for e in entrants for step in e.publish_steps):
        cells = [entry("publish", e.publish_steps.get(step)) for e in entrants]
        yield f"  of which {step}", cells + ([""] if comparison else [])


def _reliability(
    entrants: Sequence[EntrantVerdict], comparison: Comparison | None
) -> Iterator[Row]:
    all_of = [entrant.reliability for entrant in entrants]
    blank = [""] if comparison else []
    yield "Reliability", []
    yield (
        "transfers completed",
        [f"{r.transfers_completed} of {r.transfers_started} started" for r in all_of] + blank,
    )
    yield (
        "SHA-256 verified",
        [f"{r.transfers_verified} of {r.transfers_completed} completed" for r in all_of] + blank,
    )
    yield (
        "runs counted",
        [f"{r.runs_counted} of {r.runs_scheduled}{_lost_runs(r)}" for r in all_of] + blank,
    )
    yield (
        "runs complete",
        [
            f"{r.runs_complete} of {r.runs_raced} "
            f"[{100 * r.complete_share_low:.0f}, {100 * r.complete_share_high:.0f} %]"
            for r in all_of
        ]
        + blank,
    )
    yield "retries", [str(r.retries) for r in all_of] + blank
    for reason in dict.fromkeys(reason for r in all_of for reason in r.failures):
        yield f"failure: {reason}", [str(r.failures.get(reason, 0)) for r in all_of] + blank


def _lost_runs(reliability: Reliability) -> str:
    counts = ((reliability.runs_failed, "failed"), (reliability.runs_missing, "missing"))
    parts = [f"{n} {word}" for n, word in counts if n]
    return f" ({', '.join(parts)})" if parts else ""
