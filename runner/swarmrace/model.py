"""The base of every model that people write or read as YAML or JSON: camelCase, nothing unknown."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Strict
from pydantic.alias_generators import to_camel

_MOST_SHOWN = 60


def in_yaml(value: Any) -> str:
    """Return a value for a message, short, as YAML has it: null, true, [1, 'a'], {b: 2}."""
    text = _in_yaml(value, 3)
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."


def _in_yaml(value: Any, depth: int) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) >= 10**_MOST_SHOWN:
        return "a number of very many digits"  # Python refuses to write some thousands of them
    if isinstance(value, str):
        return repr(value[: _MOST_SHOWN + 1])
    if not isinstance(value, list | tuple | dict):
        return repr(value)
    if not depth:
        return "..."
    some = list(value.items() if isinstance(value, dict) else value)[:_MOST_SHOWN]
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k}: {_in_yaml(v, depth - 1)}' for k, v in some)}}}"
    return f"[{', '.join(_in_yaml(item, depth - 1) for item in some)}]"


def _number(value: Any) -> Any:
    if isinstance(value, str | bool):
        raise ValueError(f"found {in_yaml(value)}, expected a number")
    return value


NoText = BeforeValidator(_number)
"""For numbers: refuses a text or a truth value that could be read as one; JSON Schema takes none.
It stands after `Field`, or the schema would lose the bounds."""
Flag = Annotated[bool, Strict()]
"""true or false, nothing that could be read as one."""


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
