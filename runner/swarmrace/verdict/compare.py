"""Two entrants set against each other: which may be, how, and what came out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from swarmrace.records import CURVES, MARK_PERCENTS, PeerResult, Transfer
from swarmrace.systems.abc import Observes
from swarmrace.units import format_seconds
from swarmrace.verdict import stats
from swarmrace.verdict.figures import mark_of_run, stall, variation
from swarmrace.verdict.model import (
    STABILITY,
    Comparison,
    FigureRatio,
    MarkRatio,
    Ratio,
    to_value,
)
from swarmrace.verdict.runs import RunView, transfer_seconds
from swarmrace.verdict.sides import Side, mark_fault, never, other_nodes, unlike

ByBlock = Mapping[int, tuple[float, float]]
"""Repetition to (a run's number, its resolution), both in seconds; missing runs are absent."""


def compare(a: Side, b: Side, *, sequential: bool) -> Comparison:
    """Compare `a` with `b`: ratios are a's time over b's."""
    reference = b.options.kind == "http" and a.options.kind != "http"
    not_equal = unlike(a, b)
    why_not = never(a, b)
    why_not_paired = "the order was sequential" if sequential else other_nodes(a, b)
    paired = not why_not_paired
    facts = {
        "entrant": a.name,
        "of": b.name,
        "headline": (reference or not not_equal) and not why_not,
        "unlike": not_equal,
        "reference": reference,
        "paired": paired,
        "why_not_paired": why_not_paired,
    }
    if why_not:
        text = f"{a.label} and {b.label} are not compared: {why_not}"
        return Comparison(**facts, why_not=why_not, text=text)
    t100 = ratio(_numbers(a, _done), _numbers(b, _done), paired=paired)
    return Comparison(
        **facts,
        t100=t100,
        last=ratio(_numbers(a, _last), _numbers(b, _last), paired=paired),
        marks=_marks(a, b, paired),
        stability=_stability(a, b, paired),
        text=sentence(a, b, t100, reference=reference, why_not_paired=why_not_paired),
    )


def ratio(a: ByBlock, b: ByBlock, *, paired: bool) -> Ratio:
    """Return a's times over b's; see docs/methodology.md, "Ratios"."""
    if paired:
        common = sorted(a.keys() & b.keys())
        pairs = [(a[block], b[block]) for block in common]
        counts = _counts(pairs)
        numbers_a = [first[0] for first, _ in pairs]
        numbers_b = [second[0] for _, second in pairs]
    else:
        counts = {}
        numbers_a = [number for number, _ in a.values()]
        numbers_b = [number for number, _ in b.values()]
    resolution = max(
        stats.middle([resolution for _, resolution in side.values()]) if side else 0.0
        for side in (a, b)
    )
    blocks = min(len(numbers_a), len(numbers_b))
    facts = {
        "blocks": blocks,
        "runs": [len(numbers_a), len(numbers_b)],
        "resolution_seconds": resolution,
        **counts,
    }
    if blocks == 0:
        return Ratio(**facts)
    both = [*numbers_a, *numbers_b]
    if min(both) <= 0:
        return Ratio(**facts)
    if all(map(math.isfinite, both)):
        return _finite(numbers_a, numbers_b, facts, resolution, paired=paired)
    facts["method"] = "counts"
    if all(map(math.isinf, numbers_a)) and all(map(math.isfinite, numbers_b)):
        return Ratio(**facts, estimate=to_value(math.inf))
    if all(map(math.isfinite, numbers_a)) and all(map(math.isinf, numbers_b)):
        return Ratio(**facts, estimate=0.0)
    return Ratio(**facts)


def sentence(a: Side, b: Side, found: Ratio, *, reference: bool, why_not_paired: str) -> str:
    """Return the sentence for people."""
    unit = "run" if why_not_paired else "block"
    over = f"over {found.blocks} {unit}{'' if found.blocks == 1 else 's'}"
    if why_not_paired:
        over = "over {} and {} runs".format(*found.runs)
    rest = f"; not paired: {why_not_paired}" if why_not_paired else ""
    rest += f"; {b.name} is a reference" if reference else ""
    if found.blocks == 0:
        return f"{a.label} and {b.label}: nothing to compare, no {unit} gave a number of both{rest}"
    if found.method == "counts":
        return f"{a.label} against {b.label} {over}: {_counted(a.name, b.name, found)}{rest}"
    if not isinstance(found.estimate, float):
        return f"{a.label} and {b.label}: a time of zero has no ratio{rest}"
    if found.below_resolution:
        resolution = format_seconds(found.resolution_seconds)
        return (
            f"{a.label} and {b.label}: no difference at the resolution of {resolution} {over}{rest}"
        )
    text = f"{a.label} took {number(found.estimate)} × {b.owner} time {interval(found)} {over}"
    if isinstance(found.low, float) and isinstance(found.high, float):
        text += "; neither is shown to be faster" if found.low <= 1 <= found.high else ""
    return text + rest


def interval(found: Ratio) -> str:
    """Return the interval in brackets, or why there is none."""
    if isinstance(found.low, float) and isinstance(found.high, float):
        return f"[{number(found.low)}, {number(found.high)}]"
    return f"[{no_interval(found)}]"


def no_interval(found: Ratio) -> str:
    """Return why a ratio has no interval."""
    if found.method == "counts":
        return "no interval: failed transfers"
    if found.blocks < stats.LEAST_BLOCKS:
        return f"no interval below {stats.LEAST_BLOCKS} blocks"
    return "no interval: a time of zero"


def number(value: float) -> str:
    """Return a ratio for people: three significant digits, never in exponents below a million."""
    if value == 0 or 0.001 <= abs(value) < 1000:
        return f"{value:#.3g}".rstrip(".")
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.2e}"


def _counted(a: str, b: str, found: Ratio) -> str:
    if found.estimate == "failed":
        text = f"{a} failed in every one, {b} in none"
    elif found.estimate == 0.0:
        text = f"{b} failed in every one, {a} in none"
    else:
        text = "no ratio, because transfers failed"
    if found.sign_p is None:
        return text
    text += f"; {a} was slower in {found.slower}, faster in {found.faster}, equal in {found.ties}"
    return f"{text} (sign test p = {found.sign_p:.2g})"


def _finite(
    a: Sequence[float],
    b: Sequence[float],
    facts: dict[str, object],
    resolution: float,
    *,
    paired: bool,
) -> Ratio:
    found = stats.paired(a, b) if paired else stats.welch(a, b)
    typical_a, typical_b = (math.exp(math.fsum(map(math.log, n)) / len(n)) for n in (a, b))
    method = "paired t on logarithms" if paired else "Welch's t on logarithms"
    return Ratio(
        **facts,  # type: ignore[arg-type]
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        method=method,
        difference_seconds=typical_a - typical_b,
        below_resolution=abs(typical_a - typical_b) <= resolution,
    )


def _counts(pairs: Sequence[tuple[tuple[float, float], tuple[float, float]]]) -> dict[str, object]:
    slower = faster = ties = 0
    for (a, res_a), (b, res_b) in pairs:
        if a == b or abs(a - b) <= max(res_a, res_b):
            ties += 1
        elif a > b:
            slower += 1
        else:
            faster += 1
    p = stats.sign_test(slower, faster) if pairs else None
    return {"slower": slower, "faster": faster, "ties": ties, "sign_p": p}


def _marks(a: Side, b: Side, paired: bool) -> list[MarkRatio]:
    result = []
    for kind in _observed(a, b):
        why_not = mark_fault(a, b, kind)
        for percent in MARK_PERCENTS:
            if why_not:
                result.append(MarkRatio(kind=kind, percent=percent, why_not=why_not))
                continue
            get = _mark(kind, percent)
            found = ratio(_numbers(a, get), _numbers(b, get), paired=paired)
            result.append(MarkRatio(kind=kind, percent=percent, ratio=found))
    return result


def _observed(a: Side, b: Side) -> list[str]:
    """Return the kinds of curve that at least one of the two observes."""
    return [k for k in CURVES if getattr(a.observes, k) or getattr(b.observes, k)]


def _stability(a: Side, b: Side, paired: bool) -> dict[str, FigureRatio]:
    """Stalls and variations, each kind of curve against the same kind.

    What failed counts as worse than any: it would look steady by having ended early. So the longest
    stall of a run with a failed transfer is infinite; its variation, the median leecher's, is so
    where the run has failed.
    """
    result = {}
    for name, kind in STABILITY.items():
        if kind not in _observed(a, b):
            continue
        why_not = mark_fault(a, b, kind)
        if why_not:
            result[name] = FigureRatio(kind=kind, why_not=why_not)
            continue
        get = _stall(kind) if name.startswith("longest") else _variation(kind)
        found = ratio(_numbers(a, get), _numbers(b, get), paired=paired)
        if not name.startswith("longest"):
            found = found.model_copy(update={"difference_seconds": None})
        result[name] = FigureRatio(kind=kind, ratio=found)
    return result


Get = Callable[[RunView, Observes], tuple[float, float] | None]


def _numbers(side: Side, get: Get) -> dict[int, tuple[float, float]]:
    found = {}
    for view in side.views:
        value = get(view, side.observes) if view.status != "missing" else None
        if value is not None:
            found[view.record.run.repetition] = value
    return found


def _done(view: RunView, observes: Observes) -> tuple[float, float] | None:
    if view.number is None:
        return None
    known = [_of_done(transfer, observes) for _, transfer in _finished(view)]
    return view.number, stats.middle(known) if known else 0.0


def done_resolution(side: Side) -> float | None:
    """Return what is unknown of an entrant's t100: the median of its runs'."""
    known = [each for number, each in _numbers(side, _done).values() if math.isfinite(number)]
    return stats.middle(known) if known else None


def _last(view: RunView, observes: Observes) -> tuple[float, float] | None:
    if view.last is None:
        return None
    _, last = max(_finished(view), key=lambda each: each[0], default=(0.0, None))
    return view.last, _of_done(last, observes) if last is not None else 0.0


def _mark(kind: str, percent: float) -> Get:
    def get(view: RunView, _: Observes) -> tuple[float, float] | None:
        number = mark_of_run(view, kind, percent)
        return None if number is None else (number, _of_mark(view, kind, percent))

    return get


def _stall(kind: str) -> Get:
    def get(view: RunView, _: Observes) -> tuple[float, float] | None:
        known = [stall(peer, kind) for peer in view.leechers()]
        if view.status == "failed" or not all(map(math.isfinite, view.times)):
            return math.inf, 0.0
        if not known or None in known:
            return None
        return max(value for value in known if value is not None), _of_mark(view, kind, 100)

    return get


def _variation(kind: str) -> Get:
    def get(view: RunView, _: Observes) -> tuple[float, float] | None:
        def known(peer: PeerResult) -> float | None:
            return variation(peer, kind) if transfer_seconds(peer) < math.inf else None

        number = math.inf if view.status == "failed" else view.median_leecher(known)
        return None if number is None else (number, 0.0)

    return get


def _finished(view: RunView) -> list[tuple[float, Transfer]]:
    """Return time and transfer of each leecher that finished."""
    return [
        (transfer_seconds(peer), peer.transfer)
        for peer in view.leechers()
        if peer.transfer is not None and transfer_seconds(peer) < math.inf
    ]


def _of_done(transfer: Transfer, observes: Observes) -> float:
    """Return what is unknown of a transfer's t100; as format 1 has it, the finer of its marks at
    100 %, or of a system that shows no bytes the poll interval."""
    if transfer.done_resolution_seconds is not None:
        return transfer.done_resolution_seconds
    marks = [
        mark
        for mark in (*transfer.arrival, *transfer.written, *transfer.delivery)
        if mark.percent == 100
    ]
    return min((mark.resolution_seconds for mark in marks), default=observes.poll_seconds)


def _of_mark(view: RunView, kind: str, percent: float) -> float:
    """Return the resolution of a run's mark: its finished leechers' median."""
    known = [
        mark.resolution_seconds
        for _, transfer in _finished(view)
        for mark in getattr(transfer, kind)
        if mark.percent == percent
    ]
    return stats.middle(known) if known else 0.0
