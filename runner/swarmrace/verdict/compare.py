"""Compare two entrants: whether they may be compared, how, and with which result."""

from __future__ import annotations

from typing import Any, NamedTuple

from swarmrace.recording.records import CURVES, MARK_PERCENTS, WIRE_PERCENTS
from swarmrace.statistics.intervals import CONFIDENCE
from swarmrace.verdict.figures import has_wire_curve
from swarmrace.verdict.model import Comparison, FigureRatio, MarkRatio, Ratio
from swarmrace.verdict.ratios import ByBlock, ratio
from swarmrace.verdict.registry import STABILITY
from swarmrace.verdict.run_numbers import (
    Get,
    done,
    last,
    mark_number,
    numbers,
    publish,
    stall_number,
    variation_number,
    wire_sent,
)
from swarmrace.verdict.sides import Side, but_for, mark_fault, never, other_nodes, unlike
from swarmrace.verdict.wording import sentence


def compare(a: Side, b: Side, *, sequential: bool, confidence: float = CONFIDENCE) -> Comparison:
    """Compare `a` with `b`: ratios are a's time over b's, with intervals of `confidence`."""
    reference = a.standing.baseline != b.standing.baseline
    unequal = unlike(a, b)
    why_not = never(a, b)
    why_not_paired = not_paired(a, b, sequential=sequential)
    paired = not why_not_paired
    over = Over(paired, confidence)
    but_for_it = but_for(a, b)
    facts: dict[str, Any] = {
        "entrant": a.name,
        "of": b.name,
        "headline": (reference or not unequal) and not why_not,
        "unlike": unequal,
        "but_for": but_for_it,
        "reference": reference,
        "paired": paired,
        "why_not_paired": why_not_paired,
    }
    if why_not:
        text = f"{a.label} and {b.label} are not compared: {why_not}"
        return Comparison(**facts, why_not=why_not, text=text)
    t100 = over.ratio(numbers(a, done), numbers(b, done))
    of_last = over.ratio(numbers(a, last), numbers(b, last))
    return Comparison(
        **facts,
        t100=t100,
        last=of_last,
        marks=_marks(a, b, over),
        publish=_publish(a, b, over),
        wire_sent=_figure(a, b, wire_sent, over),
        stability=_stability(a, b, over),
        text=sentence(
            a,
            b,
            t100,
            of_last,
            reference=reference,
            but_for=but_for_it,
            why_not_paired=why_not_paired,
        ),
    )


class Over(NamedTuple):
    """How the numbers of two entrants are compared."""

    paired: bool
    confidence: float

    def ratio(self, a: ByBlock, b: ByBlock) -> Ratio:
        """Return the ratio of two entrants' numbers."""
        return ratio(a, b, paired=self.paired, confidence=self.confidence)


def not_paired(a: Side, b: Side, *, sequential: bool) -> str:
    """Return why the blocks of two entrants are not paired, or an empty string."""
    return "the order was sequential" if sequential else other_nodes(a, b)


def _marks(a: Side, b: Side, over: Over) -> list[MarkRatio]:
    result = []
    for kind in _observed(a, b):
        why_not = mark_fault(a, b, kind)
        for percent in MARK_PERCENTS:
            if why_not:
                result.append(MarkRatio(kind=kind, percent=percent, why_not=why_not))
                continue
            get = mark_number(kind, percent)
            found = over.ratio(numbers(a, get), numbers(b, get))
            result.append(MarkRatio(kind=kind, percent=percent, ratio=found))
    return result + _wire_marks(a, b, over)


def _wire_marks(a: Side, b: Side, over: Over) -> list[MarkRatio]:
    """Compare marks of the wire curve, which every system has; empty if neither was recorded."""
    without = [side.name for side in (a, b) if not has_wire_curve(side.views)]
    if len(without) == 2:
        return []
    why_not = f"{without[0]}'s wire curve was not recorded" if without else ""
    result = []
    for percent in WIRE_PERCENTS:
        get = mark_number("wire", percent)
        found = None if why_not else over.ratio(numbers(a, get), numbers(b, get))
        result.append(MarkRatio(kind="wire", percent=percent, ratio=found, why_not=why_not))
    return result


def _publish(a: Side, b: Side, over: Over) -> Ratio | None:
    """Return the ratio of the first seeders' publishes, if both import the payload."""
    if not (a.observes.upload and b.observes.upload):
        return None
    return _figure(a, b, publish, over)


def _figure(a: Side, b: Side, get: Get, over: Over) -> Ratio | None:
    """Return the ratio of a figure that both have in some run; a failed publish is infinite."""
    one, other = numbers(a, get), numbers(b, get)
    return over.ratio(one, other) if one and other else None


def _observed(a: Side, b: Side) -> list[str]:
    """Return the kinds of curve that at least one of the two observes."""
    return [k for k in CURVES if getattr(a.observes, k) or getattr(b.observes, k)]


def _stability(a: Side, b: Side, over: Over) -> dict[str, FigureRatio]:
    """Compare stalls and variations, each with the same kind of curve."""
    result = {}
    for name, kind in STABILITY.items():
        if kind not in _observed(a, b):
            continue
        why_not = mark_fault(a, b, kind)
        if why_not:
            result[name] = FigureRatio(kind=kind, why_not=why_not)
            continue
        get = stall_number(kind) if name.startswith("longest") else variation_number(kind)
        found = over.ratio(numbers(a, get), numbers(b, get))
        if not name.startswith("longest"):
            found = found.model_copy(update={"difference_seconds": None})
        result[name] = FigureRatio(kind=kind, ratio=found)
    return result
