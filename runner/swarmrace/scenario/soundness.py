"""What is right of something wrong: the rest of a faulty scenario is checked all the same."""

from __future__ import annotations

import copy
from typing import Any

from pydantic import BaseModel, ValidationError

from swarmrace.faults import annotation_at, closest, keys_at, models_of

_ROUNDS = 4
"""Each may only add what the one before lacked: `global`, its entrants, what an item needs."""


def sound_part(
    model: type[BaseModel], data: Any, error: ValidationError
) -> tuple[Any, frozenset[str]]:
    """Return an instance of `model` without the faulty keys of `data`, and these.

    A map that lacks what it needs gets it empty; an item of a list that does is made without. So
    whoever reads the instance leaves alone what depends on a key that is named.

    Args:
        model: what was validated.
        data: from what, by alias.
        error: what came of it.

    Returns:
        None for the instance where nothing can be said, as when `data` is no map.
    """
    unsound: set[str] = set()
    if not isinstance(data, dict):
        return None, frozenset()
    pruned = copy.deepcopy(data)
    for _ in range(_ROUNDS):
        for fault in error.errors(include_url=False):
            loc = list(fault["loc"])
            if fault["type"] == "missing" and _supply(model, pruned, loc):
                unsound.add(_name(loc))
                continue
            wrong = _take_out(model, pruned, loc)
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


def _take_out(model: type[BaseModel], data: dict[Any, Any], loc: list[Any]) -> list[Any]:
    """Take the faulty value out of `data`; return where what was taken out stood.

    That is its key in the nearest map; from a list of maps an item alone is taken.
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


def _supply(model: type[BaseModel], data: dict[Any, Any], loc: list[Any]) -> bool:
    """Put something where a key of a map is missing; return whether that could be done."""
    holder: Any = None
    at: Any = data
    for part in loc[:-1]:
        inside = isinstance(at, dict) and part in at
        inside = inside or (isinstance(at, list) and isinstance(part, int) and part < len(at))
        holder, at = at, at[part] if inside else None
    if not isinstance(at, dict):
        return isinstance(at, BaseModel)  # made for what else it lacked
    wanted = annotation_at(model, [str(part) for part in loc])
    if models_of(wanted) or getattr(wanted, "__origin__", None) is dict:
        at[loc[-1]] = {}
        return True
    item = _model_at(model, loc[:-1])
    if not isinstance(holder, list) or item is None:
        return False
    held = {key: value for key, value in at.items() if isinstance(key, str)}
    holder[loc[-2]] = item.model_construct(**held)
    return True


def _model_at(model: type[BaseModel], loc: list[Any]) -> type[BaseModel] | None:
    return next(iter(models_of(annotation_at(model, [str(part) for part in loc]))), None)
