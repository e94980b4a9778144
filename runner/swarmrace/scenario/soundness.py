"""The valid part of a faulty scenario, so that the rest of it is still checked."""

from __future__ import annotations

import copy
from typing import Any

from pydantic import BaseModel, ValidationError

from swarmrace.faults import annotation_at, closest, keys_at, models_of

_ROUNDS = 4
"""Each round can add only one missing level: `global`, its entrants, the keys of an item."""


def sound_part(
    model: type[BaseModel], data: Any, error: ValidationError
) -> tuple[Any, frozenset[str]]:
    """Return an instance of `model` without the faulty keys of `data`, and the names of these keys.

    A missing map is added empty. An item of a list that lacks a key is built without validation.
    So the caller must not judge anything that depends on one of the returned keys.

    Args:
        model: the model that was validated.
        data: the data that was validated, by alias.
        error: the error that validation raised.

    Returns:
        The instance, or None if there is no valid part (`data` isn't a map, for example); and the
        faulty keys.
    """
    unsound: set[str] = set()
    if not isinstance(data, dict):
        return None, frozenset()
    pruned = copy.deepcopy(data)
    for _ in range(_ROUNDS):
        for fault in error.errors(include_url=False):
            loc = list(fault["loc"])
            if fault["type"] == "missing" and _add_missing(model, pruned, loc):
                unsound.add(_name(loc))
                continue
            wrong = _remove(model, pruned, loc)
            unsound.add(_name(wrong))
            meant = closest(str(wrong[-1]), keys_at(model, [str(part) for part in wrong[:-1]]))
            if meant is not None:
                unsound.add(_name([*wrong[:-1], meant]))
        try:
            return model.model_validate(pruned, by_alias=True, by_name=False), frozenset(unsound)
        except ValidationError as again:
            error = again
    return None, frozenset(unsound)


def _name(loc: list[Any]) -> str:
    return ".".join(map(str, loc))


def _remove(model: type[BaseModel], data: dict[Any, Any], loc: list[Any]) -> list[Any]:
    """Remove the faulty value from `data`; return the location of what was removed.

    That is the key in the nearest map or, in a list of maps, the item.
    """
    at: Any = data
    key: tuple[dict[Any, Any], int] = (data, 0)
    for depth, part in enumerate(loc):
        last = depth == len(loc) - 1
        if isinstance(at, dict):
            key = (at, depth)
            if last or not isinstance(at.get(part), dict | list):
                at.pop(part, None)
                return loc[: depth + 1]
            at = at[part]
        elif isinstance(at, list) and isinstance(part, int) and part < len(at):
            if not isinstance(at[part], dict) and _model_at(model, loc[: depth + 1]):
                at[part] = _model_at(model, loc[: depth + 1]).model_construct()  # type: ignore[union-attr]
                return loc[: depth + 1]
            if last or not isinstance(at[part], dict):
                break
            at = at[part]
        else:
            break
    holder, depth = key
    holder.pop(loc[depth], None)
    return loc[: depth + 1]


def _add_missing(model: type[BaseModel], data: dict[Any, Any], loc: list[Any]) -> bool:
    """Add an empty value for a missing key; return whether that was possible."""
    holder: Any = None
    at: Any = data
    for part in loc[:-1]:
        inside = isinstance(at, dict) and part in at
        inside = inside or (isinstance(at, list) and isinstance(part, int) and part < len(at))
        holder, at = at, at[part] if inside else None
    if not isinstance(at, dict):
        return isinstance(at, BaseModel)  # already built for another missing key
    annotation = annotation_at(model, [str(part) for part in loc])
    if models_of(annotation) or getattr(annotation, "__origin__", None) is dict:
        at[loc[-1]] = {}
        return True
    item = _model_at(model, loc[:-1])
    if not isinstance(holder, list) or item is None:
        return False
    values = {key: value for key, value in at.items() if isinstance(key, str)}
    holder[loc[-2]] = item.model_construct(**values)
    return True


def _model_at(model: type[BaseModel], loc: list[Any]) -> type[BaseModel] | None:
    return next(iter(models_of(annotation_at(model, [str(part) for part in loc]))), None)
