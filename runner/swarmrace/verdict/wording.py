"""Ratios and their claims in words."""

from __future__ import annotations

from collections.abc import Iterator

from swarmrace.statistics.intervals import (
    LOG_NORMAL,
    MIN_BLOCKS,
    MIN_RANKED_BLOCKS,
    MIN_RANKED_RUNS,
)
from swarmrace.units import format_seconds
from swarmrace.verdict.completion import losses
from swarmrace.verdict.model import FAILED, Ratio, Value
from swarmrace.verdict.sides import Side

OTHER_FAILED = "other failed"
"""A ratio of 0: the reference failed."""


def sentence(
    a: Side,
    b: Side,
    found: Ratio,
    last: Ratio | None,
    *,
    reference: bool,
    but_for: str,
    why_not_paired: str,
) -> str:
    """Return the sentence about two entrants: the result and its caveats.

    Args:
        a: the entrant.
        b: the entrant that it is compared with.
        found: the ratio of their runs' numbers.
        last: the ratio of their last leechers' times.
        reference: whether one of them is a reference and not a rival.
        but_for: the only option by which they differ, if there is one.
        why_not_paired: empty if blocks are paired.
    """
    parts = [_result(a, b, found, why_not_paired)]
    if found.claim == "not shown to differ":
        parts.append("not shown to differ")
    if found.has_interval and found.method in LOG_NORMAL:
        parts.append("the interval assumes log-normal times")
    if (
        last is not None
        and last.estimate is not None
        and not counted(last)
        and not _same(last, found)
    ):
        parts.append(f"last leecher {ratio_text(last)}")
    if found.both_failed:
        blocks = found.blocks + found.both_failed
        parts.append(f"both failed in {found.both_failed} of {blocks} blocks")
    parts += [text for side in (a, b) for text in _failures(side)]
    if why_not_paired:
        parts.append(f"not paired: {why_not_paired}")
    if but_for and not reference:
        parts.append(f"equal except for one option, {but_for}")
    if reference:
        parts.append(f"{(b if b.standing.baseline else a).name} is a reference")
    return "; ".join(parts)


RATIO_NOTE = (
    "ratio: that of the typical block (each run over the other entrant's run in the same block), "
    "so it is not the quotient of the medians"
)
"""Why a ratio of paired blocks is not the quotient of the table's medians."""


def ratio_text(found: Ratio) -> str:
    """Return a ratio with its interval, or the reason why it has none: `1.90 × [1.75, 2.06]`."""
    times = " ×" if isinstance(found.estimate, float) and found.estimate else ""
    return f"{value(found.estimate)}{times} {interval(found)}"


def interval(found: Ratio) -> str:
    """Return the interval in brackets, or the reason why there is none."""
    if found.has_interval:
        return f"[{value(found.low)}, {value(found.high)}]"
    return f"[{no_interval(found)}]"


def no_interval(found: Ratio) -> str:
    """Return why a ratio has no interval."""
    if found.method == "none":
        return "no interval: a time of zero" if found.blocks else "no interval: nothing to compare"
    if found.blocks < MIN_BLOCKS:
        return f"no interval below {MIN_BLOCKS} blocks"
    paired = found.sign_p is not None
    minimum = (
        f"{MIN_RANKED_BLOCKS} blocks" if paired else f"{MIN_RANKED_RUNS} + {MIN_RANKED_RUNS} runs"
    )
    return f"no interval below {minimum} with failed runs"


def counted(found: Ratio) -> bool:
    """Return whether blocks are counted because there is no ratio: transfers failed, and there are
    too few blocks for an interval."""
    return found.method == "points" and (
        found.blocks >= MIN_BLOCKS or found.estimate in (FAILED, 0.0, None)
    )


def value(number: Value) -> str:
    """Return a ratio or one of its limits as text."""
    if number is None:
        return "–"
    if isinstance(number, str):
        return FAILED
    return digits(number) if number else OTHER_FAILED


def digits(number: float) -> str:
    """Return a number with three significant digits, without an exponent below a million."""
    if number == 0 or 0.001 <= abs(number) < 1000:
        return f"{number:#.3g}".rstrip(".")
    return f"{number:.0f}" if 1000 <= abs(number) < 1e6 else f"{number:.2e}"


def _result(a: Side, b: Side, found: Ratio, why_not_paired: str) -> str:
    unit = "run" if why_not_paired else "block"
    over = f"over {found.blocks} {unit}{'' if found.blocks == 1 else 's'}"
    if why_not_paired:
        over = "over {} and {} runs".format(*found.runs)
    if found.blocks == 0:
        if found.both_failed:
            return f"{a.label} and {b.label}: no ratio"
        return f"{a.label} and {b.label}: nothing to compare, no {unit} has numbers of both"
    if found.method == "none":
        return f"{a.label} and {b.label}: a time of zero has no ratio"
    if counted(found):
        return f"{a.label} against {b.label} {over}: {_counts(a.name, b.name, found)}"
    if found.claim == "no difference":
        resolution = format_seconds(found.resolution_seconds)
        return (
            f"{a.label} and {b.label}: no difference at the resolution of {resolution} "
            f"{interval(found)} {over}"
        )
    if found.estimate is None:
        return (
            f"{a.label} and {b.label}: both failed too often for a ratio {interval(found)} {over}"
        )
    if found.estimate in (FAILED, 0.0):
        bad, good = (a, b) if found.estimate == FAILED else (b, a)
        return (
            f"{bad.label} failed where {good.label} did not, in the typical block "
            f"{interval(found)} {over}"
        )
    return f"{a.label} took {value(found.estimate)} × {b.owner} time {interval(found)} {over}"


def _counts(a: str, b: str, found: Ratio) -> str:
    if found.claim is None:
        text = f"transfers failed, {no_interval(found)}"
    else:
        bad, good = (a, b) if found.claim == "slower" else (b, a)
        text = f"{bad} failed in all, {good} in none"
    if found.sign_p is None:
        return text
    text += f"; {a} was slower in {found.slower}, faster in {found.faster}, equal in {found.ties}"
    return f"{text} (sign test p = {found.sign_p:.2g})"


def _failures(side: Side) -> Iterator[str]:
    """Yield the failed transfers and runs of one side, which belong to the result."""
    failed, started, not_raced = losses(side.views)
    if failed:
        yield f"{side.name} failed in {failed} of {started} transfers"
    if not_raced:
        runs = sum(view.status != "missing" for view in side.views)
        yield f"{side.name} failed before the start in {not_raced} of {runs} runs"


def _same(one: Ratio, other: Ratio) -> bool:
    """Return whether two ratios read the same, as with one leecher."""
    return ratio_text(one) == ratio_text(other)
