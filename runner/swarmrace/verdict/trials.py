"""Entrants whose program never started: neither slower nor faster than others."""

from __future__ import annotations

from collections.abc import Iterable

from swarmrace.recording.records import RaceInfo
from swarmrace.rendezvous.trial_book import failure_text
from swarmrace.verdict.sides import Side


def why_never_started(name: str, info: RaceInfo) -> str:
    """Return why an entrant's program never started, or an empty string."""
    trial = info.trials.get(name)
    return failure_text(trial) if trial is not None and trial.outcome == "never started" else ""


def headline(sides: Iterable[Side]) -> list[str]:
    """Return one line for each entrant that never started."""
    return [
        f"{side.label} never started: {side.never_started}" for side in sides if side.never_started
    ]
