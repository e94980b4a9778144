"""From pydantic's errors to lines for people: the key, what was found, what is allowed."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

_SCALARS = ("bool", "int", "str")


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` was probably meant to be, or None."""
    by_lower = {name.lower(): name for name in known}
    plain = word.lower().replace("_", "")
    close = difflib.get_close_matches(plain, by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the closest known word, or nothing."""
    close = closest(word, known)
    return f" (did you mean {close!r}?)" if close is not None else ""


def faults_of(error: ValueError, model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return one line for each fault in a `ValidationError` of `model`.

    Args:
        error: what validation raised.
        model: the model that was validated; its keys are offered for unknown ones.
        prefix: put before every key, for a part validated on its own.
    """
    if not isinstance(error, ValidationError):
        return [f"{prefix or 'scenario'}: {error}"]
    lines: dict[str, None] = {}
    for fault in error.errors(include_url=False):
        lines.setdefault(_line(fault, model, prefix))
    return list(lines)


def _line(fault: Any, model: type[BaseModel], prefix: str) -> str:
    loc = [str(part) for part in fault["loc"]]
    scalar = bool(loc) and loc[-1] in _SCALARS and _is_union(model, loc[:-1])
    loc = loc[:-1] if scalar else loc
    key = ".".join([*([prefix] if prefix else []), *loc]) or "scenario"
    found, kind, context = fault.get("input"), fault["type"], fault.get("ctx", {})
    if kind == "extra_forbidden":
        known = keys_at(model, loc[:-1])
        listed = f"; known here: {', '.join(known)}" if known else ""
        return f"{key}: unknown key{nearest(loc[-1], known)}{listed}"
    if kind == "missing":
        return f"{key}: missing, expected a value"
    if kind == "value_error":
        text = str(context.get("error", fault["msg"]))
        return f"{key}: {text}"
    if scalar:
        return f"{key}: found {_short(found)}, expected true, false, a whole number or a text"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"{key}: found {_short(found)}, expected a map of keys"
    message = fault["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{key}: found {_short(found)}, expected {message[:1].lower()}{message[1:]}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_union(model: type[BaseModel], loc: list[str]) -> bool:
    """Whether any scalar is allowed at `loc`; pydantic then says one fault for each kind."""
    at: Any = model
    for part in loc:
        at = _step(at, part)
    return set(_alternatives(at)) == {bool, int, str}


def keys_at(model: type[BaseModel], loc: list[str]) -> list[str]:
    """Return the keys allowed at `loc` below `model`, or nothing where any key is."""
    at: Any = model
    for part in loc:
        at = _step(at, part)
    models = [m for m in _alternatives(at) if isinstance(m, type) and issubclass(m, BaseModel)]
    return sorted({field.alias or name for m in models for name, field in m.model_fields.items()})


def _step(at: Any, part: str) -> Any:
    for option in _alternatives(at):
        if isinstance(option, type) and issubclass(option, BaseModel):
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
