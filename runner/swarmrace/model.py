"""The base of every model written or read as YAML or JSON: camelCase keys, no unknown keys."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Strict
from pydantic.alias_generators import to_camel

_MAX_SHOWN = 60


def in_yaml(value: Any) -> str:
    """Return a value as YAML writes it, cut to fit a message: null, true, [1, 'a'], {b: 2}."""
    text = _in_yaml(value, 3)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."


def _in_yaml(value: Any, depth: int) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) >= 10**_MAX_SHOWN:
        return "a number with very many digits"  # Python refuses to print thousands of digits
    if isinstance(value, str):
        return repr(value[: _MAX_SHOWN + 1])
    if not isinstance(value, list | tuple | dict):
        return repr(value)
    if not depth:
        return "..."
    some = list(value.items() if isinstance(value, dict) else value)[:_MAX_SHOWN]
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k}: {_in_yaml(v, depth - 1)}' for k, v in some)}}}"
    return f"[{', '.join(_in_yaml(item, depth - 1) for item in some)}]"


def _number(value: Any) -> Any:
    if isinstance(value, str | bool):
        raise ValueError(f"found {in_yaml(value)}, expected a number")
    return value


NoText = BeforeValidator(_number)
"""For numbers: refuses strings and booleans that pydantic would convert, as JSON Schema does.
Put it after `Field`; otherwise the schema loses the bounds."""
Flag = Annotated[bool, Strict()]
"""true or false; nothing that pydantic would convert to a boolean."""


class Model(BaseModel):
    """A frozen pydantic model whose keys are camelCase outside and snake_case inside."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )
