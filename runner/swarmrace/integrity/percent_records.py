"""The percents stored with a transfer against the curve they are of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from swarmrace.recording.arrivals import Curve
from swarmrace.recording.percents import percents_of
from swarmrace.recording.records import Transfer

_ROUNDING = 2e-9
"""Times are whole nanoseconds, stored as decimal seconds."""


def faults(kind: str, transfer: Transfer, curve: Curve) -> Iterator[str]:
    """Yield what a transfer's percents of one kind say that its curve doesn't, one line at most."""
    found = transfer.percents.get(kind)
    if found is None:
        return  # not stored, as before they were
    key = f"transfer.percents.{kind}"
    wanted = percents_of(curve, 0.0)
    seconds, gives = np.array(found.seconds), np.array(wanted.seconds)
    unknown = np.array(found.resolution_seconds)
    if len(seconds) != len(gives) or len(unknown) != len(gives):
        yield f"{key}: found {len(seconds)} percents, its curve gives {len(gives)}"
        return
    wrong = np.flatnonzero(np.abs(seconds - gives) > _ROUNDING)
    if len(wrong):
        at = int(wrong[0])
        yield f"{key} at {at} %: found {seconds[at]:.6g}, its curve gives {gives[at]:.6g}"
    elif np.any(unknown < np.array(wanted.resolution_seconds) - _ROUNDING):
        yield f"{key}: found a resolution below what its curve gives"
    elif found.stall_seconds < wanted.stall_seconds - _ROUNDING or (
        curve.complete and found.stall_seconds > wanted.stall_seconds + _ROUNDING
    ):
        yield (
            f"{key}.stallSeconds: found {found.stall_seconds:.6g}, its curve gives "
            f"{wanted.stall_seconds:.6g}"
        )
