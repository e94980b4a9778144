"""What a values file may hold that the model does not: nulls, other charts' globals, old keys.

Helm deletes a key whose value is null. So `null` is as if the key were deleted, here as there: a
scalar has its default, an optional map (limits, labels, a node selector) is empty, an entrant is
gone. `global` is shared by all charts of a release, so keys of other charts are ignored in it,
unless they look like one of ours misspelt.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from swarmrace.errors import Fault
from swarmrace.faults import closest, models_of

MOVED = dict(  # noqa: C408 (keys of values, of which three were charts)
    bittorrent="`swarm`",
    codex="`swarm`",
    http="`swarm`",
    nameOverride="`global.nameOverride`",
    fullnameOverride="`global.fullnameOverride`",
)
"""Keys at the top that are no more, and where to look; checks.yaml of the chart has them too."""
MOVED_GLOBAL = dict(  # noqa: C408
    codex="the families of nodes are under `global.sidecars`, with CPU and memory of the node "
    "(`resources`) and of the runner beside it (`runnerResources`)"
)


def without_nulls(model: type[BaseModel], data: Any) -> Any:
    """Return `data` for `model` as if its null keys were deleted."""
    if not isinstance(data, dict):
        return data
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    found = {}
    for key, value in data.items():
        field = fields.get(key)
        if field is None:
            extra = typing.get_type_hints(model).get("__pydantic_extra__")
            value = _plain(extra, value)
        elif value is None and not field.is_required():
            if field.default is None or not _holds_maps(field.annotation):
                continue
            value = _emptied(field.annotation)
        else:
            value = _plain(field.annotation, value)
        if value is not None or (field is not None and field.is_required()):
            found[key] = value
    return found


def moved_faults(data: dict[str, Any]) -> list[Fault]:
    """Return a fault for each key at the top that is no more."""
    return [Fault(key, f"no such values; see {MOVED[key]}") for key in data if key in MOVED]


def foreign(shared: Any, model: type[BaseModel], race: type[BaseModel]) -> dict[str, Fault | None]:
    """Return the keys of `global` that are no part of the model: each with its fault, or None if it
    is another chart's.

    Args:
        shared: the value of `global`.
        model: what is ours in it.
        race: what is below its `race`; such a key is never another chart's.
    """
    ours, below = _aliases(model), _aliases(race)
    found: dict[str, Fault | None] = {}
    for key in shared if isinstance(shared, dict) else ():
        if key in ours or not isinstance(key, str):
            continue
        name = f"global.{key}"
        if key in MOVED_GLOBAL:
            found[key] = Fault(name, f"no such values; {MOVED_GLOBAL[key]}")
        elif key in below:
            found[key] = Fault(name, f"unknown key (did you mean 'global.race.{key}'?)")
        elif re.search(near_pattern(ours), key):
            meant = closest(key, ours) or min(ours)
            found[key] = Fault(name, f"unknown key (did you mean {meant!r}?)")
        else:
            found[key] = None
    return found


def near_pattern(words: Iterable[str]) -> str:
    """Return a regular expression, for Go's engine as well, of what is near to one of the words:
    one letter missing, too many, another, or in another case, or two swapped."""
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
    """Return what a list or map of that type holds."""
    for option in (annotation, *typing.get_args(annotation)):
        if typing.get_origin(option) in (list, dict):
            return typing.get_args(option)[-1]
    return None


def _holds_maps(annotation: Any) -> bool:
    return bool(models_of(annotation)) or typing.get_origin(annotation) is dict


def _emptied(annotation: Any) -> Any:
    """Return what is left of a map: its own maps empty, its scalars at their defaults."""
    models = models_of(annotation)
    if not models:
        return {}
    nulls = {field.alias or name: None for name, field in models[0].model_fields.items()}
    return without_nulls(models[0], nulls)


def _aliases(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]
