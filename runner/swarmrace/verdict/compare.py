"""Two entrants set against each other: which may be, how, and what came out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from swarmrace.entrants import EntrantOptions
from swarmrace.records import MARK_PERCENTS, PeerInfo, Transfer
from swarmrace.systems.abc import Observes
from swarmrace.units import format_seconds
from swarmrace.verdict import stats
from swarmrace.verdict.figures import mark_of_run
from swarmrace.verdict.model import Comparison, MarkRatio, Ratio, to_value
from swarmrace.verdict.runs import RunView, transfer_seconds

_RANK = {"codex": 0, "bittorrent": 2, "http": 3}

ByBlock = Mapping[int, tuple[float, float]]
"""Repetition to (a run's number, its resolution), both in seconds; missing runs are absent."""


@dataclass(frozen=True, slots=True)
class Side:
    """One entrant as a comparison needs it."""

    name: str
    options: EntrantOptions
    observes: Observes
    views: Sequence[RunView]
    infos: Mapping[int, PeerInfo]

    @property
    def label(self) -> str:
        """Name and profile."""
        return f"{self.name} ({self.options.profile})"

    def owner(self, *, reference: bool) -> str:
        """Return the name as an owner: `http's`, or with its profile `codex's (stock)`."""
        return f"{self.name}'s" if reference else f"{self.name}'s ({self.options.profile})"


def orient(a: Side, b: Side) -> tuple[Side, Side]:
    """Return the two as (entrant, of): Codex over BitTorrent, anything over the HTTP reference,
    else in the order of the scenario."""
    rank_a, rank_b = (_RANK.get(side.options.kind, 1) for side in (a, b))
    return (b, a) if rank_b < rank_a else (a, b)


def compare(a: Side, b: Side, *, sequential: bool) -> Comparison:
    """Compare `a` with `b`: ratios are a's time over b's."""
    reference = b.options.kind == "http" and a.options.kind != "http"
    headline = reference or a.options.profile == b.options.profile
    why_not = _never(a, b)
    why_not_paired = _unpaired(a, b, sequential)
    paired = not why_not_paired
    facts = {
        "entrant": a.name,
        "of": b.name,
        "headline": headline and not why_not,
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
    owner = b.owner(reference=reference)
    text = f"{a.label} took {number(found.estimate)} × {owner} time {interval(found)} {over}"
    if isinstance(found.low, float) and isinstance(found.high, float):
        text += "; neither is shown to be faster" if found.low <= 1 <= found.high else ""
    return text + rest


def interval(found: Ratio) -> str:
    """Return the interval in brackets, or why there is none."""
    if isinstance(found.low, float) and isinstance(found.high, float):
        return f"[{number(found.low)}, {number(found.high)}]"
    if found.method == "counts":
        return "[no interval: failed transfers]"
    return f"[no interval below {stats.LEAST_BLOCKS} blocks]"


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


def _never(a: Side, b: Side) -> str:
    for one, other in ((a, b), (b, a)):
        torrent = getattr(one.options, "reference", None) == "torrent"
        if torrent and other.options.kind == "codex":
            return (
                f"{one.name}'s leechers held the .torrent file beforehand, "
                f"{other.name}'s only a CID"
            )
    return ""


def _unpaired(a: Side, b: Side, sequential: bool) -> str:
    if sequential:
        return "the order was sequential"
    for peer in sorted(a.infos.keys() & b.infos.keys()):
        one, other = a.infos[peer].node, b.infos[peer].node
        if one and other and one != other:
            return f"peer {peer} ran on {one} for {a.name} and on {other} for {b.name}"
    return ""


def _marks(a: Side, b: Side, paired: bool) -> list[MarkRatio]:
    result = []
    for kind in ("arrival", "delivery"):
        why_not = mark_fault(a, b, kind)
        for percent in MARK_PERCENTS:
            if why_not:
                result.append(MarkRatio(kind=kind, percent=percent, why_not=why_not))
                continue
            get = _mark(kind, percent)
            found = ratio(_numbers(a, get), _numbers(b, get), paired=paired)
            result.append(MarkRatio(kind=kind, percent=percent, ratio=found))
    return result


def mark_fault(a: Side, b: Side, kind: str) -> str:
    """Return why a kind of marks of two entrants may not be compared, or nothing."""
    for side in (a, b):
        if not getattr(side.observes, kind):
            return f"{side.name} doesn't observe {kind}"
    if kind == "delivery" and a.options.kind != b.options.kind:
        for side, other in ((a, b), (b, a)):
            if not side.observes.in_order:
                return (
                    f"{side.name} doesn't fetch in order, so its delivery is not set against "
                    f"{other.name}'s stream (pieceOrder: sequential makes it comparable); done "
                    "(t100) is"
                )
    return ""


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
    marks = [mark for mark in (*transfer.arrival, *transfer.delivery) if mark.percent == 100]
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
