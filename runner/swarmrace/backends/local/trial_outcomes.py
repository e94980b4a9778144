"""The outcomes of trials on one machine. A program that never started ends the race."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swarmrace.errors import NeverStartedError
from swarmrace.plan.trials import PEERS
from swarmrace.recording.records import Trial
from swarmrace.rendezvous.trial_book import failure_text

_LINES, _CHARACTERS = 5, 600


def started_programs(trials: Mapping[str, Any], folder: Path) -> dict[str, Trial]:
    """Return the trials of the programs that have started, by `program_id`.

    Args:
        trials: the trials by entrant, from the rendezvous' status.
        folder: the results folder, which holds the peers' logs.

    Raises:
        NeverStartedError: some programs never started; the message has a line for each, with its
            last words.
    """
    found = {name: Trial.model_validate(trial) for name, trial in trials.items()}
    failed = {name: trial for name, trial in found.items() if trial.outcome == "never started"}
    if not failed:
        outcomes = reversed(found.values())  # keep the first entrant's trial of a program
        return {trial.program: trial for trial in outcomes if trial.outcome == "started"}
    lines = [
        f"  {name}: {failure_text(trial)}{_log(folder, trial)}" for name, trial in failed.items()
    ]
    count = f"{len(failed)} of {len(found)} entrants never started"
    head = f"nothing was raced: {count}; start the program by hand, fix it, and race again"
    raise NeverStartedError("\n".join([head, *lines]))


def _log(folder: Path, trial: Trial) -> str:
    """Return the last log lines of the trial's peers: their programs have no other output."""
    for peer in PEERS:
        file = folder / "logs" / f"{trial.tried}-{peer}.log"
        try:
            written = file.read_text(errors="replace").splitlines()
        except OSError:
            continue
        last = deque((" ".join(line.split()) for line in written if line.strip()), _LINES)
        if last:
            return f"; peer {peer} wrote: {' | '.join(last)[-_CHARACTERS:]}"
    return ""
