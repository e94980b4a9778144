"""A scenario's loading: from a file or from data to the model, with every fault at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from swarmrace.errors import Fault, ScenarioError
from swarmrace.faults import faults_of
from swarmrace.scenario import given, yaml_file
from swarmrace.scenario.crossfaults import cross_faults
from swarmrace.scenario.entrants import missing_because_unsound, with_entrants
from swarmrace.scenario.scenario import Global, Race, Scenario
from swarmrace.scenario.soundness import sound_part
from swarmrace.scenario.yaml_file import Document


@dataclass(frozen=True)
class Reading:
    """What a scenario file comes to, its faults included."""

    source: str
    scenario: Scenario | None
    """The scenario without its faulty keys; None where nothing is left of it."""
    faults: tuple[Fault, ...]
    unsound: frozenset[str]
    """The faulty keys: nothing follows from what `scenario` has in their place."""

    def checked(self) -> Scenario:
        """Return the scenario.

        Raises:
            ScenarioError: it has faults.
        """
        if self.faults or self.scenario is None:
            raise ScenarioError(self.faults, self.source)
        return self.scenario


def load(path: Path) -> Scenario:
    """Read and check a scenario file.

    Raises:
        ScenarioError: the file can't be read or is wrong; it lists all faults at once.
    """
    return read(path).checked()


def read(path: Path) -> Reading:
    """Read a scenario file with all its faults.

    Raises:
        ScenarioError: the file can't be read or isn't YAML.
    """
    document = yaml_file.read(path)
    return examine(document.data, str(path), known=document)


def parse(data: Any, source: str = "scenario", *, stored: bool = False) -> Scenario:
    """Check a scenario already read from YAML or JSON; `examine` says what is taken.

    Raises:
        ScenarioError: with every fault, each naming its key, what was found and what is allowed.
    """
    return examine(data, source, stored=stored).checked()


def examine(
    data: Any,
    source: str = "scenario",
    *,
    known: Document | None = None,
    stored: bool = False,
) -> Reading:
    """Return what a scenario already read from YAML or JSON comes to.

    Args:
        data: the scenario.
        source: named with the faults.
        known: faults found already, whose keys `data` lacks.
        stored: it was raced and is in a results folder: an entrant whose kind is not installed
            here keeps its options as they are, and between keys nothing is checked but what a
            schedule needs. So a folder still loads when a later version would no longer race it.
    """
    faults = list(known.faults) if known else []
    unsound = set(known.unsound) if known else set()
    data = ours_of(data, faults, unsound, stored=stored)
    typed = with_entrants(data, faults, unsound, stored=stored)
    scenario: Scenario | None = None
    try:
        scenario = Scenario.model_validate(typed, by_alias=True, by_name=False)
    except ValidationError as error:
        faults += [
            fault
            for fault in faults_of(error, Scenario)
            if not missing_because_unsound(fault, unsound)
        ]
        scenario, wrong = sound_part(Scenario, typed, error)
        unsound |= wrong
    if scenario is not None:
        raw = data["global"].get("entrants") if isinstance(data.get("global"), dict) else None
        names = list(map(str, raw)) if isinstance(raw, dict) else []
        faults += cross_faults(scenario, names=names, unsound=unsound, stored=stored)
    return Reading(source, scenario, tuple(faults), frozenset(unsound))


def ours_of(data: Any, faults: list[Fault], unsound: set[str], *, stored: bool) -> Any:
    """Return `data` without nulls, other charts' globals and keys that are no more; note the faults
    of the last. What was raced may have such keys."""
    if not isinstance(data, dict):
        return data
    shared = data.get("global")
    foreign = given.foreign(shared, Global, Race)
    if not stored:
        found = [*given.moved_faults(data), *(fault for fault in foreign.values() if fault)]
        faults += found
        unsound |= {fault.key for fault in found}
    data = {key: value for key, value in data.items() if key not in given.MOVED}
    if isinstance(shared, dict):
        data["global"] = {key: value for key, value in shared.items() if key not in foreign}
    return given.without_nulls(Scenario, data)
