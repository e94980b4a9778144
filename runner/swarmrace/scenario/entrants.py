"""Parse each entrant by its kind's options.

An entrant is a name (a key of `global.entrants`), a kind, and that kind's options.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from pydantic import ConfigDict, ValidationError

from swarmrace import systems
from swarmrace.errors import Fault, ScenarioError, UnavailableError
from swarmrace.faults import closest, faults_of
from swarmrace.model import in_yaml
from swarmrace.scenario import helm_values
from swarmrace.scenario.soundness import sound_part
from swarmrace.systems.options import EntrantOptions

NAME_PATTERN = "[a-z]([a-z0-9-]{0,18}[a-z0-9])?"
"""Pattern of an entrant's name, with the same meaning in Python, JSON Schema and Go."""


class StoredOptions(EntrantOptions):
    """Options of an entrant in a results folder whose kind isn't installed here: any keys."""

    model_config = ConfigDict(extra="allow")


def missing_because_unsound(fault: Fault, unsound: Collection[str]) -> bool:
    """Whether the fault only reports a key as missing that was left out because it is faulty."""
    return fault.missing and fault.key in unsound


def with_entrants(data: Any, faults: list[Fault], unsound: set[str], *, stored: bool) -> Any:
    """Return `data` with each entrant parsed by its kind's model; add the faults to `faults`.

    A faulty entrant keeps its valid keys, so that checks between entrants still see it.
    """
    shared = data.get("global") if isinstance(data, dict) else None
    if not isinstance(shared, dict) or not isinstance(raw := shared.get("entrants"), dict):
        return data
    parsed = {}
    for name, value in raw.items():
        key = f"global.entrants.{name}"
        if not isinstance(value, dict):
            unsound.add(key)
            expected = "expected a map such as {kind: http}"
            faults.append(Fault(key, f"found {in_yaml(value)}, {expected}"))
        elif (options := _entrant(key, value, faults, unsound, stored=stored)) is not None:
            parsed[name] = options
    return {**data, "global": {**shared, "entrants": parsed}}


def options_of(value: dict[str, Any]) -> EntrantOptions:
    """Return an entrant's options, written as in a scenario.

    Raises:
        ScenarioError: they are wrong.
    """
    faults: list[Fault] = []
    options = _entrant("", value, faults, set(), stored=False)
    if options is not None and not faults:
        faults = systems.load(options.kind).faults(options)
    if options is None or faults:
        raise ScenarioError([replace(f, key=f.key.lstrip(".")) for f in faults], "the system")
    return options


def _entrant(
    key: str, value: dict[str, Any], faults: list[Fault], unsound: set[str], *, stored: bool
) -> EntrantOptions | None:
    """Return an entrant's valid options; None if its kind is unknown."""
    kind = value.get("kind")
    model, guessed = _model_of(kind, stored=stored), False
    if model is None:
        known, guessed = systems.names(), True
        meant = closest(str(kind), known) if kind is not None else None
        if f"{key}.kind" not in unsound:
            found = f"found {in_yaml(kind)}" if "kind" in value else "missing"
            hint = f" (did you mean {meant!r}?)" if meant else ""
            faults.append(
                Fault(f"{key}.kind", f"{found}{hint}, expected one of {', '.join(known)}")
            )
        unsound.add(key)
        if meant is None:
            return None
        model, value = _model_of(meant, stored=stored), {**value, "kind": meant}
        assert model is not None
    value = helm_values.without_nulls(model, value)
    try:
        options = model.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        faults += [
            fault
            for fault in faults_of(error, model, key)
            if not missing_because_unsound(fault, unsound)
        ]
        options, wrong = sound_part(model, value, error)
        unsound |= {f"{key}.{each}" for each in wrong}
    return None if guessed else options


def _model_of(kind: Any, *, stored: bool) -> type[EntrantOptions] | None:
    try:
        model = systems.find_options(kind)
    except UnavailableError:
        if not stored:
            raise
        model = None
    return StoredOptions if model is None and stored and isinstance(kind, str) else model
