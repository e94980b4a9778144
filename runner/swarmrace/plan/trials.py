"""The trials before a race: a pure function of the scenario.

A trial starts a program twice and lets the second peer join the first. After it, the two peers'
processes are less fresh. So either every entrant of a race has its own trial or none has: one
shared trial would treat two entrants with the same options differently.
"""

from __future__ import annotations

import hashlib
import json

from swarmrace.scenario.scenario import Scenario
from swarmrace.systems.options import EntrantOptions
from swarmrace.systems.run import Run

PEERS = (0, 1)
"""The peers of an entrant that take part in its trial; the second joins the first."""
BARRIERS = ("open", "prepared", "cleared")
"""Their barriers. `prepared`: both are up and have joined. `cleared`: both have ended."""


def program_id(options: EntrantOptions, *, cold_start: bool) -> str:
    """Return the id of a program and its way of starting: 16 hexadecimal digits of a hash.

    A program that has started in one cell's trial isn't tried again in later cells of a matrix.
    """
    options_json = options.model_dump(mode="json")
    text = json.dumps({"options": options_json, "coldStart": cold_start}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def program_ids(scenario: Scenario) -> dict[str, str]:
    """Return the `program_id` of every entrant."""
    cold_start = scenario.race.cold_start
    return {
        name: program_id(options, cold_start=cold_start)
        for name, options in scenario.entrants.items()
    }


def trials(scenario: Scenario) -> list[Run]:
    """Return one trial for each entrant: a run without a payload, `trial-<entrant>`."""
    return [
        Run(
            index=-1,
            id=f"trial-{name}",
            entrant=name,
            repetition=-1,
            seeders=PEERS[:1],
            payload_seed="",
            size_bytes=scenario.race.file_size,
        )
        for name in scenario.entrants
    ]


def takes_part(peer: int, entrant: str, trial: Run) -> bool:
    """Return whether a peer takes part in a trial."""
    return trial.entrant == entrant and peer in PEERS
