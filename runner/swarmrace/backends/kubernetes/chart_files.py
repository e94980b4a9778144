"""The files of the charts that are written from the model: `swarmrace schema --write charts`."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
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
from swarmrace.errors import ResultsError
from swarmrace.scenario import cluster
from swarmrace.scenario.scenario import Scenario
from swarmrace.scenario.schema import (
    CHART_VALUES,
    LIBRARY,
    UMBRELLA,
    chart_schema,
    library_schema,
    text_of,
)
from swarmrace.scenario.sidecars import Sidecar, Sidecars
from swarmrace.units import canonical_size, parse_rate, parse_size

SUPERVISOR = Path("swarm/files/supervise.sh")
"""The sidecars' command, below the folder of the charts."""

_AMOUNTS = {parse_size: "size", parse_rate: "rate"}
_AMOUNT_WORDS = {
    "size": "Bytes, or 100MB (10^8), 100MiB or 100Mi (104,857,600).",
    "rate": "Bytes per second, or 100Mbit, 12.5MB.",
}
_HEAD = "# Written from the model by `swarmrace schema --write charts`; don't edit.\n"
_TEMPLATE_HEAD = (
    "{{/* Written from the model by `swarmrace schema --write charts`; don't edit. */}}\n"
)


def write(folder: Path, *, check: bool = False) -> list[Path]:
    """Write every generated file of the charts below `folder`; return those that changed.

    Args:
        folder: the repository's `charts`.
        check: change nothing, only return what would change.
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
    """Return every generated file's text by its path below the folder of the charts.

    Raises:
        ResultsError: the sidecars' supervisor is missing.
    """
    files = {
        f"{LIBRARY}/templates/_generated.tpl": library_template(folder / SUPERVISOR),
        f"{LIBRARY}/values.yaml": _HEAD + "{}\n",
        f"{LIBRARY}/values.schema.json": text_of(library_schema()),
        f"{UMBRELLA}/values.yaml": umbrella_values(),
    }
    for chart, model in CHART_VALUES.items():
        files[f"{chart}/values.yaml"] = _HEAD + "\n".join(_yaml(model(), "")) + "\n"
    for chart in (UMBRELLA, *CHART_VALUES):
        files[f"{chart}/values.schema.json"] = text_of(chart_schema(chart))
    return files


def library_template(supervisor: Path) -> str:
    """Return the templates `swarmrace.constants`, `swarmrace.maps` and `swarmrace.scalars`.

    Values given go over the maps; what a null leaves of the rest goes below them.

    Raises:
        ResultsError: there is no such supervisor.
    """
    try:
        script = supervisor.read_bytes()
    except OSError as error:
        raise ResultsError(f"{supervisor}: expected the supervisor, {error.strerror}") from error
    constants = {
        "version": __version__,
        "trackerPort": cluster.TRACKER_PORT,
        "metricsPort": cluster.METRICS_PORT,
        "supervisor": hashlib.sha256(script).hexdigest()[:16],
    }
    scenario = Scenario.model_validate({"global": {"entrants": {}}})
    sidecars = {f"sidecar-{name}": node for name, node in scenario.global_.sidecars}
    sidecars["sidecar"] = Sidecar(image="none").model_copy(update={"image": None})
    texts = {
        "swarmrace.constants": {"constants": constants},
        "swarmrace.maps": _maps(scenario) | {key: _maps(node) for key, node in sidecars.items()},
        "swarmrace.scalars": _scalars(scenario)
        | {key: _scalars(node) for key, node in sidecars.items()},
    }
    defines = [
        f'{{{{- define "{name}" -}}}}\n{_flow(data)}{{{{- end -}}}}\n'
        for name, data in texts.items()
    ]
    return _TEMPLATE_HEAD + "\n".join(defines)


def _scalars(model: BaseModel) -> dict[str, Any]:
    """Return what is left of a model's values when each was null: no maps."""
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
    """Return the defaults that values.yaml has as comments only (`_optional`)."""
    found: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, Sidecars):
            continue
        if _optional(value):
            found[field.alias or name] = _dumped(value)
        elif isinstance(value, BaseModel) and (inner := _maps(value)):
            found[field.alias or name] = inner
    return found


def _optional(value: Any) -> bool:
    """Whether a value is a map that null empties, and not empty by default.

    Helm 3 and 4 delete a key whose value is null from the values of the chart itself, but a
    sub-chart keeps the default of a map under `global`. So such a default is in no values.yaml.
    """
    return bool(_dumped(value)) and _is_map(value)


def _is_map(value: Any) -> bool:
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return bool(fields) and all(_is_map(getattr(value, name)) for name in fields)
    return isinstance(value, dict)


def _dumped(value: Any) -> Any:
    if not isinstance(value, BaseModel):
        return value
    return {k: v for k, v in value.model_dump(by_alias=True).items() if v}


def _flow(data: dict[str, Any]) -> str:
    """Return a map of maps as YAML, one line for each; of `global` one for each of its keys."""
    lines = []
    for key, value in data.items():
        if key == "global":
            lines += [f"{key}:", *(f"  {k}: {json.dumps(v)}" for k, v in value.items())]
        else:
            lines.append(f"{key}: {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def umbrella_values() -> str:
    """Return the umbrella's values.yaml: every key, its default and what it means."""
    scenario = Scenario.model_validate({"global": {"entrants": {}}})
    lines = _yaml(scenario, "")
    at = next(i for i, line in enumerate(lines) if line.strip() == "entrants: {}")
    examples = list(_entrant_examples("    # "))
    return _HEAD + "\n".join([*lines[: at + 1], *examples, *lines[at + 1 :]]) + "\n"


def _entrant_examples(indent: str) -> Iterator[str]:
    for kind in systems.built_in():
        if systems.load(kind).identity.for_tests:  # of tests only
            continue
        model = systems.load(kind).options
        yield f"{indent}{kind}:"
        for line in _yaml(model(kind=kind), "  ", mark="#"):
            yield indent + line


def _yaml(model: BaseModel, indent: str, mark: str = "# --") -> list[str]:
    """Return a model's fields as YAML lines with their descriptions, as helm-docs reads them."""
    lines = []
    for name, field in type(model).model_fields.items():
        value, key = getattr(model, name), field.alias or name
        optional = _optional(value)
        nested = isinstance(value, BaseModel) and not optional
        first = "#" if nested or optional else mark  # helm-docs lists what is marked
        about = _about(type(model), name, value)
        if value is None and mark == "# --":
            about = f"({_type(field)}) {about}"
        for number, line in enumerate(textwrap.wrap(about, 96 - len(indent))):
            lines.append(f"{indent}{first if number == 0 else '#'} {line}")
        if optional:
            text = yaml.safe_dump(
                {key: _dumped(value)}, sort_keys=False, default_flow_style=None, width=60
            )
            lines += [f"{indent}# {line}" for line in text.splitlines()]
        elif nested:
            lines += [f"{indent}{key}:", *_yaml(value, indent + "  ", mark)]
        else:
            lines.append(f"{indent}{key}: {_scalar(field, value)}")
    return lines or [f"{indent}{{}}"]


def _about(model: type[BaseModel], name: str, value: Any) -> str:
    """Return what a key means: its own words, else its base's, else its type's."""
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
    """Return the type of what is absent by default, in helm-docs' words."""
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
    return json.dumps(value) if not isinstance(value, str) or not _plain(value) else value


def _plain(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z/][A-Za-z0-9_./-]*", text)) and text not in ("null", "true")


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
