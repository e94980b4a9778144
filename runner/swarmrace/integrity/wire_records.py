"""Check a wire curve's figures against the stored curve.

The curve holds only the samples that showed new bytes. So marks and totals follow from it exactly;
`bytesUntilDone` is one of two values, before or after the first sample at or after done; and for a
mark's resolution only a bound is known.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from swarmrace.recording.arrivals import Curve
from swarmrace.recording.records import WIRE_PERCENTS, WireCurve

_ROUNDING_NS = 2
"""Times are whole nanoseconds, stored as decimal seconds."""


def faults(found: WireCurve, curve: Curve, done_seconds: float | None) -> Iterator[str]:
    """Yield each figure of a wire curve that contradicts the curve or the time of done."""
    if found.received_bytes != curve.total_bytes:
        yield (
            f"wireCurve.receivedBytes: found {found.received_bytes}, its curve gives "
            f"{curve.total_bytes}"
        )
    if found.samples <= curve.records:
        yield (
            f"wireCurve.samples: found {found.samples}, its curve has {curve.records} after the "
            "first"
        )
    until = found.bytes_until_done
    percents = tuple(mark.percent for mark in found.marks)
    if percents != (() if until is None else tuple(WIRE_PERCENTS)):
        yield f"wireCurve.marks: found marks at {list(percents)} %"
    if until is None:
        return
    possible = _bytes_until(curve, done_seconds)
    if until not in possible:
        gives = " or ".join(map(str, possible)) if possible else "none: it was never done"
        yield f"wireCurve.bytesUntilDone: found {until}, its curve gives {gives}"
    if found.percents is not None:
        yield from _percents(found, until, curve)
    for mark in found.marks:
        count = max(1, -(-until * round(mark.percent) // 100))
        expected = curve.time_to_bytes(count)
        if expected is not None and abs(mark.seconds * 1e9 - expected) > _ROUNDING_NS:
            yield (
                f"wireCurve at {mark.percent:g} %: found {mark.seconds:.6g}, its curve gives "
                f"{expected / 1e9:.6g}"
            )
        if not 0 <= mark.resolution_seconds <= found.longest_gap_seconds + _ROUNDING_NS / 1e9:
            yield (
                f"wireCurve at {mark.percent:g} %: found a resolution of "
                f"{mark.resolution_seconds}, expected 0 to {found.longest_gap_seconds}"
            )


def _percents(found: WireCurve, until: int, curve: Curve) -> Iterator[str]:
    assert found.percents is not None
    seconds = found.percents.seconds
    if len(seconds) != 101 or len(found.percents.resolution_seconds) != 101:
        yield f"wireCurve.percents: found {len(seconds)} of 101 percents"
        return
    counts = np.maximum(1, -(-until * np.arange(101) // 100))
    counts = counts[counts <= curve.total_bytes]
    expected = curve.t_ns[np.searchsorted(np.cumsum(curve.length), counts)]
    wrong = np.flatnonzero(np.abs(np.array(seconds[: len(counts)]) * 1e9 - expected) > _ROUNDING_NS)
    if len(wrong):
        percent = int(wrong[0])
        yield (
            f"wireCurve.percents at {percent} %: found {seconds[percent]:.6g}, its curve gives "
            f"{expected[percent] / 1e9:.6g}"
        )


def _bytes_until(curve: Curve, done_seconds: float | None) -> list[int]:
    """Return the possible numbers of bytes received until done."""
    if done_seconds is None:
        return []
    totals = np.concatenate(([0], np.cumsum(curve.length)))
    found = set()
    for rounding in (-_ROUNDING_NS, _ROUNDING_NS):
        at = int(np.searchsorted(curve.t_ns, done_seconds * 1e9 + rounding))
        found |= {int(totals[at]), int(totals[min(at + 1, len(totals) - 1)])}
    return sorted(found)
