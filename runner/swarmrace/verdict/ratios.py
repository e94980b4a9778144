"""The ratio of two entrants' numbers, its interval and its claim."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from swarmrace.statistics import intervals
from swarmrace.statistics.intervals import CONFIDENCE, MIN_BLOCKS, Interval
from swarmrace.statistics.proportions import sign_test
from swarmrace.statistics.summary import middle
from swarmrace.verdict.model import Claim, Ratio, to_value

ByBlock = Mapping[int, tuple[float, float]]
"""(A run's number, its resolution) by repetition, both in seconds; missing runs are absent."""


def ratio(a: ByBlock, b: ByBlock, *, paired: bool, confidence: float = CONFIDENCE) -> Ratio:
    """Return the ratio of a's times over b's; see docs/methodology.md, "Ratios"."""
    resolution = max(
        middle([resolution for _, resolution in side.values()]) if side else 0.0 for side in (a, b)
    )
    facts: dict[str, Any] = {"resolution_seconds": resolution}
    if paired:
        common = sorted(a.keys() & b.keys())
        both = [block for block in common if math.isinf(a[block][0]) and math.isinf(b[block][0])]
        pairs = [(a[block], b[block]) for block in common if block not in both]
        numbers_a = [number for (number, _), _ in pairs]
        numbers_b = [number for _, (number, _) in pairs]
        facts |= _counts(pairs) | {"both_failed": len(both)}
    else:
        numbers_a = [number for number, _ in a.values()]
        numbers_b = [number for number, _ in b.values()]
    blocks = min(len(numbers_a), len(numbers_b))
    facts |= {"blocks": blocks, "runs": (len(numbers_a), len(numbers_b))}
    if blocks == 0 or min(*numbers_a, *numbers_b) <= 0:
        return Ratio(**facts)
    method = intervals.paired if paired else intervals.unpaired
    found = method(numbers_a, numbers_b, confidence)
    reference = typical(numbers_b)
    difference = None
    if reference is not None and found.estimate is not None and math.isfinite(found.estimate):
        difference = (found.estimate - 1) * reference
    return Ratio(
        **facts,
        estimate=to_value(found.estimate),
        low=to_value(found.low),
        high=to_value(found.high),
        confidence=found.confidence,
        method=found.method,
        claim=_claim(found, reference, resolution) or _all_failed(numbers_a, numbers_b),
        reference_seconds=reference,
        difference_seconds=difference,
    )


def typical(numbers: Sequence[float]) -> float | None:
    """Return the median of the finite numbers, or None if all are infinite."""
    finite = [number for number in numbers if math.isfinite(number)]
    return middle(finite) if finite else None


def beyond(limit: float, bound: float, reference: float | None, resolution: float) -> bool:
    """Return whether a limit of a ratio is above a bound by more than the marks' resolution.

    The bound is a multiple of the reference's time, so the reference's resolution is multiplied
    too.
    """
    if limit <= bound:
        return False
    scale = math.inf if reference is None else reference
    return (limit - bound) * scale > resolution * max(1.0, bound)


def _claim(found: Interval, reference: float | None, resolution: float) -> Claim | None:
    """Return what an interval shows; None without an interval."""
    if found.low is None or found.high is None:
        return None
    scale = math.inf if reference is None else reference
    if beyond(found.low, 1.0, reference, resolution):
        return "slower"
    if found.high < 1 and (1 - found.high) * scale > resolution:
        return "faster"
    widest = max(abs(found.low - 1), abs(found.high - 1))
    return "no difference" if widest * scale <= resolution else "not shown to differ"


def _all_failed(a: Sequence[float], b: Sequence[float]) -> Claim | None:
    """Return the claim if one failed in every block and the other in none. From `MIN_BLOCKS` blocks
    on, this needs no interval."""
    if min(len(a), len(b)) < MIN_BLOCKS:
        return None
    if all(map(math.isinf, a)) and all(map(math.isfinite, b)):
        return "slower"
    if all(map(math.isfinite, a)) and all(map(math.isinf, b)):
        return "faster"
    return None


def _counts(
    pairs: Sequence[tuple[tuple[float, float], tuple[float, float]]],
) -> dict[str, object]:
    slower = faster = ties = 0
    for (a, res_a), (b, res_b) in pairs:
        if abs(a - b) <= max(res_a, res_b):
            ties += 1
        elif a > b:
            slower += 1
        else:
            faster += 1
    p = sign_test(slower, faster) if pairs else None
    return {"slower": slower, "faster": faster, "ties": ties, "sign_p": p}
