"""Writes the charts' files that follow from the model: `swarmrace schema --write charts`."""

from __future__ import annotations

import hashlib
import inspect
import json
import textwrap
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from swarmrace import __version__, systems
from swarmrace.backends.kubernetes import yaml_text
from swarmrace.errors import ResultsError
from swarmrace.scenario import cluster
from swarmrace.scenario.helm_values import dumped, is_optional_map
from swarmrace.scenario.scenario import Scenario
from swarmrace.scenario.schema import (
    CHART_VALUES,
    LIBRARY,
    UMBRELLA,
    chart_schema,
    library_schema,
    to_json,
)
from swarmrace.scenario.sidecars import Sidecars, SidecarValues
from swarmrace.units import canonical_size, parse_rate, parse_size

SUPERVISOR = Path("swarm/files/supervise.sh")
"""The sidecars' command, relative to the folder of the charts."""

_AMOUNTS = {parse_size: "size", parse_rate: "rate"}
_AMOUNT_WORDS = {
    "size": "Bytes, or 100MB (10^8), 100MiB or 100Mi (104,857,600).",
    "rate": "Bytes per second, or 100Mbit, 12.5MB.",
}
_MAX_LINE = 120
"""Of a values file, as `ct lint` requires (.github/ct-lint/lintconf.yaml)."""
_HEAD = "# Written from the model by `swarmrace schema --write charts`; don't edit.\n"
_TEMPLATE_HEAD = (
    "{{/* Written from the model by `swarmrace schema --write charts`; don't edit. */}}\n"
)


def write(folder: Path, *, check: bool = False) -> list[Path]:
    """Write every generated file of the charts below `folder`; return the changed files.

    Args:
        folder: the repository's `charts`.
        check: write nothing, only return the files that would change.
    """
    changed = []
    for name, text in generated(folder).items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            changed.append(path)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    return changed


def generated(folder: Path) -> dict[str, str]:
    """Return the text of every generated file, by its path relative to the charts' folder.

    Raises:
        ResultsError: the sidecars' supervisor is missing.
    """
    files = {
        f"{LIBRARY}/templates/_generated.tpl": library_template(folder / SUPERVISOR),
        f"{LIBRARY}/values.yaml": _HEAD + "{}\n",
        f"{LIBRARY}/values.schema.json": to_json(library_schema()),
        f"{UMBRELLA}/values.yaml": umbrella_values(),
    }
    for chart, model in CHART_VALUES.items():
        files[f"{chart}/values.yaml"] = _HEAD + "\n".join(_yaml(model(), "")) + "\n"
    for chart in (UMBRELLA, *CHART_VALUES):
        files[f"{chart}/values.schema.json"] = to_json(chart_schema(chart))
    return files


def library_template(supervisor: Path) -> str:
    """Return the template `swarmrace.defaults`: constants, and each chart's maps and scalars.

    A user's values go over the maps, where null removes a key, and then over the scalars.

    Raises:
        ResultsError: the supervisor is missing.
    """
    try:
        script = supervisor.read_bytes()
    except OSError as error:
        raise ResultsError(
            f"{supervisor}: found {error.strerror}, expected the sidecars' supervisor; give the "
            "repository's folder charts"
        ) from error
    constants = {
        "version": __version__,
        "trackerPort": cluster.TRACKER_PORT,
        "metricsPort": cluster.METRICS_PORT,
        "supervisor": hashlib.sha256(script).hexdigest()[:16],
    }
    scenario = Scenario.model_validate({"global": {"entrants": {}}})
    sidecars = {f"sidecar-{name}": node for name, node in scenario.global_.sidecars}
    sidecars["sidecar"] = SidecarValues(image="none").model_copy(update={"image": None})
    data = {
        "maps": _maps(scenario) | {key: _maps(node) for key, node in sidecars.items()},
        "scalars": _scalars(scenario) | {key: _scalars(node) for key, node in sidecars.items()},
    }
    lines = [f"constants: {json.dumps(constants)}"]
    for name, values in data.items():
        lines += [f"{name}:", *_lines(values)]
    head, end = '{{- define "swarmrace.defaults" -}}', "{{- end -}}"
    return _TEMPLATE_HEAD + "\n".join([head, *lines, end]) + "\n"


def _scalars(model: BaseModel) -> dict[str, Any]:
    """Return a model's defaults without its maps: they apply to keys whose value is null."""
    found: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, Sidecars):
            continue
        if isinstance(value, BaseModel):
            found[field.alias or name] = _scalars(value)
        elif not isinstance(value, dict) and value is not None:
            found[field.alias or name] = canonical_size(value) if _amount(field) else value
    return found


def _maps(model: BaseModel) -> dict[str, Any]:
    """Return the defaults that values.yaml has only as comments (`_optional`)."""
    found: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, Sidecars):
            continue
        if _optional(value):
            found[field.alias or name] = dumped(value)
        elif isinstance(value, BaseModel) and (inner := _maps(value)):
            found[field.alias or name] = inner
    return found


def _optional(value: Any) -> bool:
    """Return whether a value is a map that null empties and that isn't empty by default.

    If a value is null, Helm 3 and 4 delete its key from the values of the chart itself, but a
    sub-chart keeps the default of a map under `global`. So such a default is in no values.yaml.
    """
    return is_optional_map(value) and bool(dumped(value))


def _lines(data: dict[str, Any]) -> Iterator[str]:
    """Yield a map of maps as indented YAML, one line for each; of `global` one for each key."""
    for key, value in data.items():
        if key == "global":
            yield f"  {key}:"
            yield from (f"    {name}: {json.dumps(each)}" for name, each in value.items())
        elif value:
            yield f"  {key}: {json.dumps(value)}"


def umbrella_values() -> str:
    """Return the umbrella's values.yaml: every key with its default and description."""
    scenario = Scenario.model_validate({"global": {"entrants": {}}})
    lines = _yaml(scenario, "")
    at = next(i for i, line in enumerate(lines) if line.strip() == "entrants: {}")
    examples = list(_entrant_examples("    # "))
    return _HEAD + "\n".join([*lines[: at + 1], *examples, *lines[at + 1 :]]) + "\n"


def _entrant_examples(indent: str) -> Iterator[str]:
    for kind in systems.built_in():
        if systems.load(kind).identity.for_tests:
            continue
        model = systems.load(kind).options
        yield f"{indent}{kind}:"
        fields = model.model_fields.items()
        required = {name: field.examples[0] for name, field in fields if field.examples}
        for line in _yaml(model(kind=kind, **required), "  ", mark="#"):
            yield indent + line


def _yaml(model: BaseModel, indent: str, mark: str = "# --") -> list[str]:
    """Return a model's fields as YAML lines with their descriptions, for helm-docs."""
    lines = []
    for name, field in type(model).model_fields.items():
        value, key = getattr(model, name), field.alias or name
        optional = _optional(value)
        nested = isinstance(value, BaseModel) and not optional
        first = "#" if nested or optional else mark  # helm-docs lists only marked keys
        description = _description(type(model), name, value)
        if value is None and mark == "# --":
            description = f"({_type(field)}) {description}"
        for number, line in enumerate(textwrap.wrap(description, 96 - len(indent))):
            lines.append(f"{indent}{first if number == 0 else '#'} {line}")
        if optional:
            text = yaml.safe_dump(
                {key: dumped(value)}, sort_keys=False, default_flow_style=None, width=60
            )
            lines += [f"{indent}# {line}" for line in text.splitlines()]
        elif nested:
            lines += [f"{indent}{key}:", *_yaml(value, indent + "  ", mark)]
        else:
            line = f"{indent}{key}: {_scalar(field, value)}"
            if len(line) <= _MAX_LINE or isinstance(value, str):
                lines.append(line)
            else:
                text = yaml_text.document({key: list(dumped(value))})
                lines += [f"{indent}{each}" for each in text.splitlines()]
    return lines or [f"{indent}{{}}"]


def _description(model: type[BaseModel], name: str, value: Any) -> str:
    """Return a key's description: its own, or that of its base class, or that of its type."""
    field = model.model_fields[name]
    bases = [b for b in model.__mro__ if issubclass(b, BaseModel) and name in b.model_fields]
    words = next((d for b in bases if (d := b.model_fields[name].description)), None)
    if not words and isinstance(value, BaseModel):
        words = inspect.getdoc(type(value))
    if not words and (amount := _amount(field)):
        words = _AMOUNT_WORDS[amount]
    if not words:
        for option in _options(field.annotation):
            inner = [option, *typing.get_args(option)]
            for kind in inner:
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    words = inspect.getdoc(kind)
    return " ".join((words or "").split())


def _type(field: FieldInfo) -> str:
    """Return the type of a field without a default, by its name in helm-docs."""
    options = _options(field.annotation)
    if any(isinstance(option, type) and issubclass(option, BaseModel) for option in options):
        return "object"
    return "int" if int in options and not _amount(field) else "string"


def _scalar(field: FieldInfo, value: Any) -> str:
    amount = _amount(field)
    if amount and value is not None:
        return canonical_size(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return yaml_text.scalar(value) if isinstance(value, str) else json.dumps(value)


def _amount(field: FieldInfo) -> str | None:
    """Return `size` or `rate` if the field is an amount with a unit."""
    for part in [*field.metadata, *_metadata(field.annotation)]:
        if isinstance(part, BeforeValidator) and part.func in _AMOUNTS:
            return _AMOUNTS[part.func]
    return None


def _metadata(annotation: Any) -> list[Any]:
    found = []
    if typing.get_origin(annotation) is typing.Annotated:
        inner, *parts = typing.get_args(annotation)
        return [*_metadata(inner), *parts]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for option in typing.get_args(annotation):
            found += _metadata(option)
    return found


def _options(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [o for arg in typing.get_args(annotation) for o in _options(arg)]
    if typing.get_origin(annotation) is typing.Annotated:
        return _options(typing.get_args(annotation)[0])
    return [annotation]
