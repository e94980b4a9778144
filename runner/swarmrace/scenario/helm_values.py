"""Keys of a Helm values file that the model doesn't have: nulls, other charts' globals, old keys.

Helm deletes a key whose value is null. Here, too, `null` deletes the key: a scalar gets its
default, an optional map (limits, labels, a node selector) is empty, an entrant doesn't race. All
charts of a release share `global`, so other charts' keys in it are ignored, unless they look like a
misspelt key of swarmrace.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from swarmrace.errors import Fault
from swarmrace.faults import closest, models_of
from swarmrace.systems import former_charts

MOVED = {
    **former_charts.MOVED,
    "nameOverride": "`global.nameOverride`",
    "fullnameOverride": "`global.fullnameOverride`",
}
"""Removed top-level keys, and the keys that replace them; the chart's checks.yaml has them too."""


def without_nulls(model: type[BaseModel], data: Any) -> Any:
    """Return `data` for `model` as Helm reads it: optional maps merged into their defaults, null
    keys deleted."""
    if not isinstance(data, dict):
        return data
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    found = {}
    for key, value in data.items():
        field = fields.get(key)
        if field is None:
            extra = typing.get_type_hints(model).get("__pydantic_extra__")
            value = _plain(extra, value)
        elif field.is_required():
            value = _plain(field.annotation, value)
        elif is_optional_map(field.default):
            value = {} if value is None else _merged(dumped(field.default), value)
        elif value is not None:
            value = _plain(field.annotation, value)
        if value is not None or (field is not None and field.is_required()):
            found[key] = value
    return found


def is_optional_map(default: Any) -> bool:
    """Whether null empties a value: a map, or a model that has only maps."""
    if isinstance(default, BaseModel):
        fields = type(default).model_fields
        return bool(fields) and all(is_optional_map(getattr(default, name)) for name in fields)
    return isinstance(default, dict)


def dumped(default: Any) -> Any:
    """Return an optional map's default as a values file has it, without what is empty in it."""
    if not isinstance(default, BaseModel):
        return default
    return {key: value for key, value in default.model_dump(by_alias=True).items() if value}


def moved_faults(data: dict[str, Any]) -> list[Fault]:
    """Return a fault for each removed top-level key."""
    return [Fault(key, f"found a removed key; see {MOVED[key]}") for key in data if key in MOVED]


def foreign_keys(
    shared: Any, model: type[BaseModel], race: type[BaseModel]
) -> dict[str, Fault | None]:
    """Return the keys of `global` that the model doesn't have: each with its fault, or None if it
    is another chart's.

    Args:
        shared: the value of `global`.
        model: the model of swarmrace's own keys in it.
        race: the model of `global.race`; its keys directly under `global` are misplaced.
    """
    ours, below = _aliases(model), _aliases(race)
    found: dict[str, Fault | None] = {}
    for key in shared if isinstance(shared, dict) else ():
        if key in ours or not isinstance(key, str):
            continue
        name = f"global.{key}"
        if key in former_charts.MOVED_GLOBAL:
            found[key] = Fault(name, f"found a removed key; {former_charts.MOVED_GLOBAL[key]}")
        elif key in below:
            found[key] = Fault(name, f"unknown key (did you mean 'global.race.{key}'?)")
        elif re.search(misspelling_pattern(ours), key):
            meant = closest(key, ours) or min(ours)
            found[key] = Fault(name, f"unknown key (did you mean {meant!r}?)")
        else:
            found[key] = None
    return found


def misspelling_pattern(words: Iterable[str]) -> str:
    """Return a regular expression, for Python and Go, that matches likely misspellings of `words`:
    a missing, additional or wrong letter, wrong case, or two swapped letters."""
    forms: dict[str, None] = {}
    for word in words:
        letters = [f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in word]
        for at in range(len(word) + 1):
            head, rest = "".join(letters[:at]), letters[at:]
            forms.setdefault(head + "." + "".join(rest))
            if rest:
                forms.setdefault(head + ".?" + "".join(rest[1:]))
            if len(rest) > 1:
                forms.setdefault(head + rest[1] + rest[0] + "".join(rest[2:]))
    return f"^({'|'.join(forms)})$"


def _plain(annotation: Any, value: Any) -> Any:
    models = models_of(annotation)
    if isinstance(value, BaseModel):
        return value
    if isinstance(value, dict):
        if len(models) == 1:
            return without_nulls(models[0], value)
        return {k: _plain(_item(annotation), v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_plain(_item(annotation), item) for item in value]
    return value


def _item(annotation: Any) -> Any:
    """Return the type of the items of a list or map annotation."""
    for option in (annotation, *typing.get_args(annotation)):
        if typing.get_origin(option) in (list, dict):
            return typing.get_args(option)[-1]
    return None


def _merged(default: dict[str, Any], value: Any) -> Any:
    """Return a map over its default, without the keys that are null."""
    if not isinstance(value, dict):
        return value
    found = dict(default)
    for key, item in value.items():
        below = default.get(key)
        found[key] = _merged(below if isinstance(below, dict) else {}, item)
    return {key: item for key, item in found.items() if item is not None}


def _aliases(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]
