"""Scenarios made from the keys that matter to a test, and the faults of invalid ones."""

from __future__ import annotations

import pytest

from swarmrace.errors import ScenarioError
from swarmrace.scenario.loading import parse


def make(race=None, entrants=None, **more):
    return {
        "global": {
            "race": race or {},
            "entrants": {"bt": {"kind": "bittorrent"}} if entrants is None else entrants,
        },
        **more,
    }


def faults(data) -> tuple[str, ...]:
    with pytest.raises(ScenarioError) as caught:
        parse(data)
    return tuple(map(str, caught.value.faults))


def only_fault(data) -> str:
    (line,) = faults(data)
    return line
