"""A wire curve's figures against the stored curve.

The curve holds the samples at which bytes had come, not those between that showed nothing new. So
marks and totals follow from it exactly; what had come until done is one of two values, before and
after the first sample from done on; and a mark's resolution has a bound only.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from swarmrace.recording.arrivals import Curve
from swarmrace.recording.records import WIRE_PERCENTS, WireCurve

_ROUNDING_NS = 2
"""Times are whole nanoseconds, stored as decimal seconds."""


def faults(found: WireCurve, curve: Curve, done_seconds: float | None) -> Iterator[str]:
    """Yield what of a wire curve's figures contradicts the curve or when the transfer was done."""
    if found.received_bytes != curve.total_bytes:
        yield (
            f"wireCurve.receivedBytes: found {found.received_bytes}, its curve gives "
            f"{curve.total_bytes}"
        )
    if found.samples <= curve.records:
        yield (
            f"wireCurve.samples: found {found.samples}, its curve has {curve.records} besides the "
            "first"
        )
    until = found.bytes_until_done
    percents = tuple(mark.percent for mark in found.marks)
    if percents != (() if until is None else tuple(WIRE_PERCENTS)):
        yield f"wireCurve.marks: found marks at {list(percents)} %"
    if until is None:
        return
    possible = _until(curve, done_seconds)
    if until not in possible:
        given = " or ".join(map(str, possible)) if possible else "none of a transfer never done"
        yield f"wireCurve.bytesUntilDone: found {until}, its curve gives {given}"
    if found.percents is not None:
        yield from _percents(found, until, curve)
    for mark in found.marks:
        count = max(1, -(-until * round(mark.percent) // 100))
        wanted = curve.time_to_bytes(count)
        if wanted is not None and abs(mark.seconds * 1e9 - wanted) > _ROUNDING_NS:
            yield (
                f"wireCurve at {mark.percent:g} %: found {mark.seconds:.6g}, its curve gives "
                f"{wanted / 1e9:.6g}"
            )
        if not 0 <= mark.resolution_seconds <= found.longest_gap_seconds + _ROUNDING_NS / 1e9:
            yield (
                f"wireCurve at {mark.percent:g} %: found a resolution of {mark.resolution_seconds}"
            )


def _percents(found: WireCurve, until: int, curve: Curve) -> Iterator[str]:
    assert found.percents is not None
    seconds = found.percents.seconds
    if len(seconds) != 101 or len(found.percents.resolution_seconds) != 101:
        yield f"wireCurve.percents: found {len(seconds)} of 101 percents"
        return
    counts = np.maximum(1, -(-until * np.arange(101) // 100))
    counts = counts[counts <= curve.total_bytes]
    wanted = curve.t_ns[np.searchsorted(np.cumsum(curve.length), counts)]
    wrong = np.flatnonzero(np.abs(np.array(seconds[: len(counts)]) * 1e9 - wanted) > _ROUNDING_NS)
    if len(wrong):
        percent = int(wrong[0])
        yield (
            f"wireCurve.percents at {percent} %: found {seconds[percent]:.6g}, its curve gives "
            f"{wanted[percent] / 1e9:.6g}"
        )


def _until(curve: Curve, done_seconds: float | None) -> list[int]:
    """Return what may have come until done."""
    if done_seconds is None:
        return []
    totals = np.concatenate(([0], np.cumsum(curve.length)))
    found = set()
    for rounding in (-_ROUNDING_NS, _ROUNDING_NS):
        at = int(np.searchsorted(curve.t_ns, done_seconds * 1e9 + rounding))
        found |= {int(totals[at]), int(totals[min(at + 1, len(totals) - 1)])}
    return sorted(found)
