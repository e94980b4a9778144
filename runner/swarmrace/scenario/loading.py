"""Load a scenario from a file or from data, and report all faults at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from swarmrace.errors import Fault, ScenarioError
from swarmrace.faults import faults_of
from swarmrace.scenario import helm_values, yaml_file
from swarmrace.scenario.crossfaults import cross_faults
from swarmrace.scenario.entrants import missing_because_unsound, with_entrants
from swarmrace.scenario.scenario import Global, Race, Scenario
from swarmrace.scenario.soundness import sound_part
from swarmrace.scenario.yaml_file import Document


@dataclass(frozen=True)
class Reading:
    """A scenario that was read, with its faults."""

    source: str
    scenario: Scenario | None
    """The scenario without its faulty keys; None if nothing of it is valid."""
    faults: tuple[Fault, ...]
    unsound: frozenset[str]
    """The faulty keys; `scenario` has meaningless values in their place."""

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
        ScenarioError: the file can't be read or is faulty; the error lists all faults.
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
    """Check a scenario that was read from YAML or JSON. The arguments are those of `examine`.

    Raises:
        ScenarioError: with all faults, each with its key, what was found and what was expected.
    """
    return examine(data, source, stored=stored).checked()


def examine(
    data: Any,
    source: str = "scenario",
    *,
    known: Document | None = None,
    stored: bool = False,
) -> Reading:
    """Return a scenario that was read from YAML or JSON, with its faults.

    Args:
        data: the scenario.
        source: its name in errors.
        known: the document it comes from, with the faults found so far; `data` lacks their keys.
        stored: the scenario is from a results folder. An entrant whose kind isn't installed here
            keeps its options unchecked, and between keys only what a schedule needs is checked. So
            a folder still loads when a later version would no longer race its scenario.
    """
    faults = list(known.faults) if known else []
    unsound = set(known.unsound) if known else set()
    data = without_foreign_keys(data, faults, unsound, stored=stored)
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


def without_foreign_keys(data: Any, faults: list[Fault], unsound: set[str], *, stored: bool) -> Any:
    """Return `data` without nulls, other charts' globals and removed keys. Add a fault for each
    removed or misspelt key, unless the scenario was raced already."""
    if not isinstance(data, dict):
        return data
    shared = data.get("global")
    foreign = helm_values.foreign_keys(shared, Global, Race)
    if not stored:
        found = [*helm_values.moved_faults(data), *(fault for fault in foreign.values() if fault)]
        faults += found
        unsound |= {fault.key for fault in found}
    data = {key: value for key, value in data.items() if key not in helm_values.MOVED}
    if isinstance(shared, dict):
        data["global"] = {key: value for key, value in shared.items() if key not in foreign}
    return helm_values.without_nulls(Scenario, data)
