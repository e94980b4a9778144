"""The one place that puts a ratio and its claim into words."""

from __future__ import annotations

from collections.abc import Iterator

from swarmrace.statistics.intervals import LEAST_BLOCKS, LEAST_RANKED, LEAST_RANKED_RUNS, LOG_NORMAL
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
    """Return the sentence about two entrants: what came out, and what must be known with it.

    Args:
        a: the entrant.
        b: what it is set against.
        found: the ratio of their runs' numbers.
        last: that of their last leechers.
        reference: whether `b` is no rival.
        but_for: the one option by which they are no equals.
        why_not_paired: empty where blocks are paired.
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
        parts.append(f"both failed in {_of(found.both_failed, found.blocks + found.both_failed)}")
    parts += [text for side in (a, b) for text in _failures(side)]
    if why_not_paired:
        parts.append(f"not paired: {why_not_paired}")
    if but_for and not reference:
        parts.append(f"equals but for one option, {but_for}")
    if reference:
        parts.append(f"{b.name} is a reference")
    return "; ".join(parts)


RATIO_NOTE = (
    "ratio: the typical block's (each run over the other's of its own block), so it is not the "
    "quotient of the medians beside it"
)
"""Why a ratio of paired blocks and a table of medians don't divide."""


def ratio_text(found: Ratio) -> str:
    """Return a ratio with its interval, or why it has none: `1.90 × [1.75, 2.06]`."""
    times = " ×" if isinstance(found.estimate, float) and found.estimate else ""
    return f"{value(found.estimate)}{times} {interval(found)}"


def interval(found: Ratio) -> str:
    """Return the interval in brackets, or why there is none."""
    if found.has_interval:
        return f"[{value(found.low)}, {value(found.high)}]"
    return f"[{no_interval(found)}]"


def no_interval(found: Ratio) -> str:
    """Return why a ratio has no interval."""
    if found.method == "none":
        return "no interval: a time of zero" if found.blocks else "no interval: nothing to compare"
    if found.blocks < LEAST_BLOCKS:
        return f"no interval below {LEAST_BLOCKS} blocks"
    paired = found.sign_p is not None
    least = (
        f"{LEAST_RANKED} blocks" if paired else f"{LEAST_RANKED_RUNS} + {LEAST_RANKED_RUNS} runs"
    )
    return f"no interval below {least} with failed runs"


def counted(found: Ratio) -> bool:
    """Return whether blocks are counted instead of a ratio given: transfers failed, in too few
    blocks for an interval."""
    return found.method == "points" and (
        found.blocks >= LEAST_BLOCKS or found.estimate in (FAILED, 0.0, None)
    )


def value(number: Value) -> str:
    """Return a ratio or a limit of one."""
    if number is None:
        return "–"
    if isinstance(number, str):
        return FAILED
    return digits(number) if number else OTHER_FAILED


def digits(number: float) -> str:
    """Return a number with three significant digits, never in exponents below a million."""
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
        return f"{a.label} and {b.label}: nothing to compare, no {unit} gave a number of both"
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
        text = f"{bad} failed in every one, {good} in none"
    if found.sign_p is None:
        return text
    text += f"; {a} was slower in {found.slower}, faster in {found.faster}, equal in {found.ties}"
    return f"{text} (sign test p = {found.sign_p:.2g})"


def _failures(side: Side) -> Iterator[str]:
    """Failed transfers of either side belong to what is said of the two."""
    failed, started, not_raced = losses(side.views)
    if failed:
        yield f"{side.name} failed in {failed} of {started} transfers"
    if not_raced:
        runs = sum(view.status != "missing" for view in side.views)
        yield f"{side.name} failed before the start in {not_raced} of {runs} runs"


def _same(one: Ratio, other: Ratio) -> bool:
    """Return whether two ratios read alike, as with one leecher."""
    return ratio_text(one) == ratio_text(other)


def _of(count: int, whole: int) -> str:
    return f"{count} of {whole} blocks"
