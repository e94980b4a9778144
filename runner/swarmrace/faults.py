"""From pydantic's errors to lines for people: the key, what was found, what is allowed."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the nearest known word, or nothing."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {by_lower[close[0]]!r}?)" if close else ""


def faults_of(error: ValueError, model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return one line for each fault in a `ValidationError` of `model`.

    Args:
        error: what validation raised.
        model: the model that was validated; its keys are offered for unknown ones.
        prefix: put before every key, for a part validated on its own.
    """
    if not isinstance(error, ValidationError):
        return [f"{prefix or 'scenario'}: {error}"]
    return [_line(fault, model, prefix) for fault in error.errors(include_url=False)]


def _line(fault: Any, model: type[BaseModel], prefix: str) -> str:
    loc = [str(part) for part in fault["loc"]]
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
    if kind == "model_type" or kind == "model_attributes_type":
        return f"{key}: found {_short(found)}, expected a map of keys"
    message = fault["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{key}: found {_short(found)}, expected {message[:1].lower()}{message[1:]}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


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
