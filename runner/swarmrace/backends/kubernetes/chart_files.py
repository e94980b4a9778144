"""The files of the charts that are written from the model: `swarmrace schema --write charts`."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import annotated_types
from pydantic import BaseModel, BeforeValidator
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from swarmrace import __version__, systems
from swarmrace.backends.kubernetes import pods
from swarmrace.errors import ResultsError
from swarmrace.metrics import linger
from swarmrace.scenario import cluster
from swarmrace.scenario.scenario import QUEUE_MILLISECONDS, Global, Scenario
from swarmrace.scenario.schema import (
    CHART_KINDS,
    CHART_VALUES,
    LIBRARY,
    UMBRELLA,
    chart_schema,
    library_schema,
    text_of,
)
from swarmrace.systems.options import EntrantOptions
from swarmrace.units import canonical_size, parse_rate, parse_size

SUPERVISOR = Path("images/codex-supervisor/supervise.sh")
"""The Codex sidecar's command, beside the charts; Helm reads only what lies inside a chart."""

_AMOUNTS = {parse_size: "size", parse_rate: "rate", cluster.parse_cpu: "cpu"}
_AMOUNT_WORDS = {
    "size": "Bytes, or 100MB (10^8), 100MiB or 100Mi (104,857,600).",
    "rate": "Bytes per second, or 100Mbit, 12.5MB.",
    "cpu": "Cores, or thousandths of one: 2, 0.5, 500m.",
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
        ResultsError: the Codex supervisor is missing or can't be carried in a template.
    """
    files = {
        f"{LIBRARY}/templates/_model.tpl": model_template(),
        f"{LIBRARY}/templates/_supervise.tpl": supervise_template(folder.parent / SUPERVISOR),
        f"{LIBRARY}/values.yaml": _HEAD + "{}\n",
        f"{LIBRARY}/values.schema.json": text_of(library_schema()),
        f"{UMBRELLA}/values.yaml": umbrella_values(),
    }
    for chart, model in CHART_VALUES.items():
        head = (
            _HEAD
            + "# What peers' pods are made of stands under `global`, see the chart swarmrace.\n"
        )
        files[f"{chart}/values.yaml"] = head + "\n".join(_yaml(model(), "")) + "\n"
    for chart in (UMBRELLA, *CHART_VALUES):
        files[f"{chart}/values.schema.json"] = text_of(chart_schema(chart))
    return files


def model_template() -> str:
    """Return the templates `common.model` (defaults, amounts, limits) and `common.constants`."""
    model = {
        "global": _spec(Global),
        "kinds": {kind: _spec(systems.load(kind).options) for kind in CHART_KINDS},
        "charts": {name: _spec(model) for name, model in CHART_VALUES.items()},
        "verdict": _spec(cluster.VerdictValues),
        "networkPolicy": _spec(cluster.NetworkPolicyValues),
    }
    constants = {
        "version": __version__,
        "trackerPort": cluster.TRACKER_PORT,
        "metricsPort": cluster.METRICS_PORT,
        "nodeApiPort": cluster.NODE_API_PORT,
        "nodeDiscoveryPort": cluster.NODE_DISCOVERY_PORT,
        "nodeListenPort": cluster.NODE_LISTEN_PORT,
        "nodeQuotaBytes": cluster.NODE_QUOTA_BYTES,
        "userId": cluster.USER_ID,
        "baseLength": pods.BASE_LENGTH,
        "assembleTimes": pods.ASSEMBLE_TIMES,
        "runTimes": {to_camel(bound): times for bound, times in pods.run_times().items()},
        "runExtraSeconds": pods.RUN_EXTRA_SECONDS,
        "slackSeconds": pods.SLACK_SECONDS,
        "storageOverheadBytes": pods.STORAGE_OVERHEAD_BYTES,
        "ephemeralOverheadBytes": pods.EPHEMERAL_OVERHEAD_BYTES,
        "annotatedBurstBytes": cluster.ANNOTATED_BURST_BYTES,
        "queueMilliseconds": QUEUE_MILLISECONDS,
        "resultsDivisor": pods.RESULTS_DIVISOR,
        "resultsOverheadBytes": pods.RESULTS_OVERHEAD_BYTES,
        "scrapesApartSeconds": linger.APART_SECONDS,
    }
    texts = {"common.model": json.dumps(model), "common.constants": json.dumps(constants, indent=1)}
    defines = [f'{{{{- define "{k}" -}}}}\n{v}\n{{{{- end -}}}}\n' for k, v in texts.items()]
    return _TEMPLATE_HEAD + "\n".join(defines)


def supervise_template(script: Path) -> str:
    """Return the template `common.codex.supervise`: the script, word for word.

    Raises:
        ResultsError: there is no such file, or it holds `{{`, which Helm would take for its own.
    """
    try:
        text = script.read_text(encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"{script}: expected the Codex supervisor, {error.strerror}") from error
    if "{{" in text:
        raise ResultsError(f"{script}: found '{{{{', expected none: Helm takes it for its own")
    return f'{_TEMPLATE_HEAD}{{{{- define "common.codex.supervise" -}}}}\n{text}{{{{- end -}}}}\n'


def umbrella_values() -> str:
    """Return the umbrella's values.yaml: every key, its default and what it means."""
    scenario = Scenario.model_validate({"global": {"entrants": {}}})
    lines = _yaml(scenario, "")
    at = next(i for i, line in enumerate(lines) if line.strip() == "entrants: {}")
    examples = list(_entrant_examples("    # "))
    return _HEAD + "\n".join([*lines[: at + 1], *examples, *lines[at + 1 :]]) + "\n"


def _entrant_examples(indent: str) -> Iterator[str]:
    for kind in CHART_KINDS:
        yield f"{indent}{kind}:"
        for line in _yaml(systems.load(kind).options(kind=kind), "  ", mark="#"):
            yield indent + line


def _yaml(model: BaseModel, indent: str, mark: str = "# --") -> list[str]:
    """Return a model's fields as YAML lines with their descriptions, as helm-docs reads them."""
    lines = []
    for name, field in type(model).model_fields.items():
        value, key = getattr(model, name), field.alias or name
        nested = isinstance(value, BaseModel)
        first = "#" if nested else mark  # helm-docs lists what is marked; leaves say it all
        about = _about(type(model), name, value)
        if value is None and mark == "# --":
            about = f"({_type(field)}) {about}"
        for number, line in enumerate(textwrap.wrap(about, 96 - len(indent))):
            lines.append(f"{indent}{first if number == 0 else '#'} {line}")
        if nested:
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
        words = _AMOUNT_WORDS[amount["amount"]]
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
        return _spelled(amount["amount"], value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value) if not isinstance(value, str) or not _plain(value) else value


def _spelled(amount: str, value: int) -> str:
    if amount != "cpu":
        return canonical_size(value)
    return f"{value}m" if value % 1000 else str(value // 1000)


def _plain(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z/][A-Za-z0-9_./-]*", text)) and text not in ("null", "true")


def _spec(model: type[BaseModel]) -> dict[str, Any]:
    """Return what the templates need of a model: its keys, their defaults and amounts."""
    keys = {}
    for name, field in model.model_fields.items():
        if name in ("entrants",):
            continue
        node = _node(field.annotation, field.metadata)
        if not field.is_required():
            node["default"] = _plain_default(field)
        keys[field.alias or name] = node
    return {"keys": keys}


def _plain_default(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return _dumped(value)
    return value


def _dumped(model: BaseModel) -> dict[str, Any]:
    """Return a model's values by alias, amounts as bare numbers."""
    found = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        found[field.alias or name] = _dumped(value) if isinstance(value, BaseModel) else value
    return found


def _node(annotation: Any, metadata: list[Any]) -> dict[str, Any]:
    amount = _amount_of(annotation, metadata)
    if amount:
        return amount
    for option in _options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return _spec(option) if not issubclass(option, EntrantOptions) else {}
        if typing.get_origin(option) is list:
            inner = typing.get_args(option)[0]
            items = _node(inner, [])
            return {"items": items} if items else {}
    return {}


def _amount(field: FieldInfo) -> dict[str, Any] | None:
    return _amount_of(field.annotation, field.metadata)


def _amount_of(annotation: Any, metadata: list[Any]) -> dict[str, Any] | None:
    """Return `{"amount": "size", "ge": 1, …}` where the field is an amount with a unit."""
    found: dict[str, Any] = {}
    for part in [*metadata, *_metadata(annotation)]:
        if isinstance(part, BeforeValidator) and part.func in _AMOUNTS:
            found["amount"] = _AMOUNTS[part.func]
        elif isinstance(part, FieldInfo):
            found |= {k: v for m in part.metadata for k, v in _limits(m).items()}
        else:
            found |= _limits(part)
    return found if "amount" in found else None


def _limits(part: Any) -> dict[str, Any]:
    for kind, name in (
        (annotated_types.Ge, "ge"),
        (annotated_types.Gt, "gt"),
        (annotated_types.Le, "le"),
    ):
        if isinstance(part, kind):
            return {name: getattr(part, name)}
    return {}


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
