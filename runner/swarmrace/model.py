"""The base of every model that people write or read as YAML or JSON: camelCase, nothing unknown."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Strict
from pydantic.alias_generators import to_camel


def _number(value: Any) -> Any:
    if isinstance(value, str | bool):
        raise ValueError(f"found {value!r}, expected a number")
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
