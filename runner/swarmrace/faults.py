"""Turn pydantic's errors into human-readable faults: the key, what was found, what was expected."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from swarmrace.errors import Fault
from swarmrace.model import in_yaml

_SCALARS = ("bool", "constrained-int", "str")
_MAP, _LIST, _NUMBER = "a map of keys", "a list", "a number"
_WHOLE, _STRING, _BOOLEAN = "a whole number", "a string", "true or false"
_WORDS = {
    "model_type": _MAP,
    "model_attributes_type": _MAP,
    "dict_type": _MAP,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "string_type": _STRING,
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "a finite number",
    "invalid_key": "a string as key",
    "string_pattern_mismatch": "a string that matches '{pattern}'",
    "string_too_short": "a string that isn't empty",
    "too_short": "at least {min_length} items",
    "too_long": "at most {max_length} items",
}
"""YAML's words for pydantic's error types whose own messages use Python's words."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is probably meant by `word`, or None."""
    by_lower = {name.lower(): name for name in known}
    plain = word.lower().replace("_", "")
    close = difflib.get_close_matches(plain, by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the closest known word, or an empty string."""
    close = closest(word, known)
    return f" (did you mean {close!r}?)" if close is not None else ""


def faults_of(error: ValueError, model: type[BaseModel], prefix: str = "") -> list[Fault]:
    """Return each fault in a `ValidationError` of `model`.

    Args:
        error: what validation raised.
        model: the model that was validated; unknown keys get a hint from its keys.
        prefix: put before every key, if only a part of the scenario was validated.
    """
    if not isinstance(error, ValidationError):
        return [Fault(prefix or "scenario", str(error))]
    found: dict[Fault, None] = {}
    for fault in error.errors(include_url=False):
        found.setdefault(_fault(fault, model, prefix))
    return list(found)


def _fault(fault: Any, model: type[BaseModel], prefix: str) -> Fault:
    loc = [str(part) for part in fault["loc"] if part != "[key]"]
    scalar = bool(loc) and loc[-1] in _SCALARS and _is_union(model, loc[:-1])
    loc = loc[:-1] if scalar else loc
    key = ".".join([*([prefix] if prefix else []), *loc]) or "scenario"
    found, kind, context = in_yaml(fault.get("input")), fault["type"], fault.get("ctx", {})
    if kind == "extra_forbidden":
        return Fault(key, f"unknown key{_hint(loc, model)}")
    if kind == "missing":
        return Fault(key, "missing, expected a value", missing=True)
    if kind == "value_error":
        return Fault(key, str(context.get("error", fault["msg"])))
    if scalar:
        expected = "true, false, a whole number of 32 bits or a string"
        return Fault(key, f"found {found}, expected {expected}")
    message = _WORDS.get(kind) or fault["msg"].removeprefix("Input should be ")
    message = message.format(**context) if kind in _WORDS else message
    if message == _MAP and (required := _required_at(model, loc)):
        message += f" with {', '.join(required)}"
    return Fault(key, f"found {found}, expected {message[:1].lower()}{message[1:]}")


def _hint(loc: list[str], model: type[BaseModel]) -> str:
    """Return which key was probably meant: one of this name elsewhere, or a similar one here."""
    known = keys_at(model, loc[:-1])
    elsewhere = _path_of_name(loc[-1], model)
    hint = f" (did you mean {elsewhere!r}?)" if elsewhere else nearest(loc[-1], known)
    return f"{hint}; known here: {', '.join(known)}" if known else hint


def _path_of_name(name: str, model: type[BaseModel]) -> str | None:
    """Return the path of the key with this name, or None if there are several or none."""
    level: list[tuple[str, type[BaseModel]]] = [("", model)]
    while level:
        found, below = [], []
        for path, at in level:
            for field_name, field in at.model_fields.items():
                alias = field.alias or field_name
                if alias == name:
                    found.append(path + alias)
                maps = [m for m in _alternatives(field.annotation) if _is_model(m)]
                below += [(f"{path}{alias}.", m) for m in maps]
        if found:
            return found[0] if len(found) == 1 else None
        level = below
    return None


def _is_union(model: type[BaseModel], loc: list[str]) -> bool:
    """Whether any scalar is allowed at `loc`; pydantic then reports one error for each type."""
    return set(_alternatives(annotation_at(model, loc))) == {bool, int, str}


def keys_at(model: type[BaseModel], loc: list[str]) -> list[str]:
    """Return the keys allowed at `loc` below `model`; an empty list if any key is allowed."""
    models = models_of(annotation_at(model, loc))
    return sorted({field.alias or name for m in models for name, field in m.model_fields.items()})


def _required_at(model: type[BaseModel], loc: list[str]) -> list[str]:
    models = models_of(annotation_at(model, loc))
    fields = [item for m in models for item in m.model_fields.items()]
    return sorted({field.alias or name for name, field in fields if field.is_required()})


def annotation_at(model: type[BaseModel], loc: list[str]) -> Any:
    """Return the annotation at `loc` below `model`, or None if there is none."""
    at: Any = model
    for part in loc:
        at = _step(at, part)
    return at


def models_of(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that an annotation allows."""
    return [option for option in _alternatives(annotation) if _is_model(option)]


def _is_model(option: Any) -> bool:
    return isinstance(option, type) and issubclass(option, BaseModel)


def _step(at: Any, part: str) -> Any:
    for option in _alternatives(at):
        if _is_model(option):
            for name, field in option.model_fields.items():
                if part in (name, field.alias):
                    return field.annotation
        elif typing.get_origin(option) in (dict, list):
            return typing.get_args(option)[-1]
    return None


def _alternatives(annotation: Any) -> list[Any]:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return [a for arg in typing.get_args(annotation) for a in _alternatives(arg)]
    if origin is typing.Annotated:
        return _alternatives(typing.get_args(annotation)[0])
    return [annotation]
