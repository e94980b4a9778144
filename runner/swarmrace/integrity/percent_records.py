"""Check the percents stored with a transfer against its curve."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from swarmrace.recording.arrivals import Curve
from swarmrace.recording.percents import percents_of
from swarmrace.recording.records import Transfer

_ROUNDING = 2e-9
"""Times are whole nanoseconds, stored as decimal seconds."""


def faults(kind: str, transfer: Transfer, curve: Curve) -> Iterator[str]:
    """Yield the first contradiction between a transfer's percents of one kind and its curve."""
    found = transfer.percents.get(kind)
    if found is None:
        return  # folders from before percents were stored
    key = f"transfer.percents.{kind}"
    expected = percents_of(curve, 0.0)
    seconds, expected_seconds = np.array(found.seconds), np.array(expected.seconds)
    resolution = np.array(found.resolution_seconds)
    count = len(expected_seconds)
    if len(seconds) != count or len(resolution) != count:
        yield f"{key}: found {len(seconds)} percents, its curve gives {count}"
        return
    wrong = np.flatnonzero(np.abs(seconds - expected_seconds) > _ROUNDING)
    if len(wrong):
        percent = int(wrong[0])
        yield (
            f"{key} at {percent} %: found {seconds[percent]:.6g}, its curve gives "
            f"{expected_seconds[percent]:.6g}"
        )
    elif np.any(resolution < np.array(expected.resolution_seconds) - _ROUNDING):
        yield f"{key}: found a resolution below what its curve gives"
    elif found.stall_seconds < expected.stall_seconds - _ROUNDING or (
        curve.complete and found.stall_seconds > expected.stall_seconds + _ROUNDING
    ):
        yield (
            f"{key}.stallSeconds: found {found.stall_seconds:.6g}, its curve gives "
            f"{expected.stall_seconds:.6g}"
        )
