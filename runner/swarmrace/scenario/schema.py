"""JSON Schemas of a scenario file and of every chart's values, generated from the model.

`swarmrace schema` prints the scenario's. `swarmrace schema --write charts` writes the files of
every chart that follow from the model: `values.schema.json`, `values.yaml` with its comments, and
for the library chart the defaults that replace nulls. With `--check` it only reports differences.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from swarmrace import systems
from swarmrace.scenario import cluster, helm_values
from swarmrace.scenario.entrants import NAME_PATTERN
from swarmrace.scenario.scenario import Race, Scenario
from swarmrace.systems import former_charts
from swarmrace.systems.options import EntrantOptions

DIALECT = "https://json-schema.org/draft/2020-12/schema"
CHART_VALUES: dict[str, type[BaseModel]] = {
    "tracker": cluster.TrackerValues,
    "swarm": cluster.SwarmValues,
    "monitoring": cluster.MonitoringValues,
}
UMBRELLA = "swarmrace"
LIBRARY = "common"

_ANY_MAP = {"type": "object"}


def scenario_schema(kinds: Iterable[str] | None = None) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a scenario file.

    Every optional key may be null, which deletes the key. `global` may hold other charts' keys, but
    none that looks like a misspelt key of swarmrace.

    Args:
        kinds: the kinds an entrant may have; all installed kinds if None.
    """
    schema = _with_definitions(Scenario, systems.names() if kinds is None else kinds)
    shared = schema["$defs"]["Global"]
    ours = [*shared["properties"]]
    shared["additionalProperties"] = True
    near = {"pattern": helm_values.misspelling_pattern(ours)}
    never = {"enum": sorted({*_aliases(Race), *former_charts.MOVED_GLOBAL})}
    shared["propertyNames"] = {"anyOf": [{"enum": ours}, {"not": {"anyOf": [near, never]}}]}
    whole: dict[str, Any] = _nullable(schema)
    return whole


def chart_schema(chart: str) -> dict[str, Any]:
    """Return the JSON Schema of a chart's values: its own keys and those that Helm adds.

    Only the umbrella chart checks `global`. It checks the options of built-in kinds; other kinds
    may be in the runner's image.

    Raises:
        KeyError: there is no such chart.
    """
    if chart != UMBRELLA:
        own: dict[str, Any] = _nullable(_with_definitions(CHART_VALUES[chart], ()))
        own["properties"] |= _dependencies()
        return own
    schema = scenario_schema(systems.built_in())
    for model in CHART_VALUES.values():
        schema["$defs"][model.__name__]["properties"] |= _dependencies()
    schema["properties"] |= {LIBRARY: _ANY_MAP, **dict.fromkeys(helm_values.MOVED, True)}
    schema["properties"]["enabled"] = {
        "type": "boolean",
        "description": "For the condition of a chart that depends on this one.",
    }
    # The chart's own checks have better messages for missing entrants and removed keys.
    shared = schema["$defs"]["Global"]
    schema.pop("required", None)
    shared.pop("required", None)
    (_, other) = shared["propertyNames"]["anyOf"]
    other["not"]["anyOf"][1] = {"enum": sorted(_aliases(Race))}
    entrants = shared["properties"]["entrants"]
    entrants["type"] = ["object", "null"]
    for entrant in entrants["patternProperties"].values():
        entrant["properties"]["kind"] = {"type": "string"}
    return schema


def _aliases(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def library_schema() -> dict[str, Any]:
    """Return the JSON Schema of the library chart, which has only the values that Helm adds."""
    properties = {"global": _ANY_MAP}
    return {
        "$schema": DIALECT,
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def to_json(schema: dict[str, Any]) -> str:
    """Return a schema as a chart's file has it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _dependencies() -> dict[str, Any]:
    """Return the keys that Helm adds to a sub-chart's values."""
    return {"global": _ANY_MAP, LIBRARY: _ANY_MAP}


def _nullable(node: Any, name: str = "") -> Any:
    """Allow null for every optional key; null deletes the key."""
    if isinstance(node, list):
        return [_nullable(item) for item in node]
    if not isinstance(node, dict):
        return node
    if name == "$defs":
        return {key: _nullable(value) | _map_or_null(value) for key, value in node.items()}
    node = {key: _nullable(value, key) for key, value in node.items()}
    for part in ("properties", "patternProperties"):
        needed = node.get("required", ()) if part == "properties" else ()
        if isinstance(node.get(part), dict) and name not in ("properties", "patternProperties"):
            node[part] = {
                key: _never_null(value) if key in needed else _or_null(value)
                for key, value in node[part].items()
            }
    if isinstance(node.get("additionalProperties"), dict):
        node["additionalProperties"] = _or_null(node["additionalProperties"])
    if "items" in node:
        node["items"] = _never_null(node["items"])
    return node


def _never_null(value: Any) -> Any:
    """Refuse null for a required map, as its definition allows null for the optional uses."""
    refers = isinstance(value, dict) and "$ref" in value
    return {**value, "type": "object"} if refers else value


def _map_or_null(definition: dict[str, Any]) -> dict[str, Any]:
    return {"type": ["object", "null"]} if definition.get("type") == "object" else {}


def _or_null(value: Any) -> Any:
    if not isinstance(value, dict) or "$ref" in value or not value.keys() - {"description"}:
        return value
    if isinstance(value.get("type"), str) and not value.keys() & {"enum", "const"}:
        return {**value, "type": [value["type"], "null"]} if value["type"] != "null" else value
    if "anyOf" in value:
        some = value["anyOf"]
        return value if {"type": "null"} in some else {**value, "anyOf": [*some, {"type": "null"}]}
    if "enum" in value:
        return {k: v for k, v in value.items() if k != "type"} | {"enum": [*value["enum"], None]}
    return value


def _with_definitions(model: type[BaseModel], kinds: Iterable[str]) -> dict[str, Any]:
    options = {kind: systems.load(kind).options for kind in kinds}
    models: list[type[BaseModel]] = [model, *options.values()]
    refs, whole = models_json_schema([(m, "validation") for m in models], by_alias=True)
    definitions = _without_titles(whole["$defs"])
    top = definitions.pop(refs[(model, "validation")]["$ref"].rpartition("/")[2])
    if options:
        definitions.pop(EntrantOptions.__name__, None)
        names = {kind: refs[(m, "validation")]["$ref"] for kind, m in options.items()}
        for name in names.values():
            definition = definitions[name.rpartition("/")[2]]
            definition["required"] = sorted({"kind", *definition.get("required", [])})
        _set_entrants(definitions.get("Global", top), names)
    return {"$schema": DIALECT, **top, "$defs": definitions}


def _set_entrants(shared: dict[str, Any], refs: dict[str, str]) -> None:
    """Let an entrant's kind choose its options, so that a fault names only the faulty key."""
    shared["properties"]["entrants"] = {
        "type": "object",
        "description": shared["properties"]["entrants"].get("description", ""),
        "additionalProperties": False,
        "patternProperties": {
            f"^{NAME_PATTERN}$": {
                "type": "object",
                "required": ["kind"],
                "properties": {"kind": {"enum": sorted(refs)}},
                "allOf": [
                    {
                        "if": {"required": ["kind"], "properties": {"kind": {"const": kind}}},
                        "then": {"$ref": ref},
                    }
                    for kind, ref in sorted(refs.items())
                ],
            }
        },
    }


def _without_titles(node: Any, *, named: bool = False) -> Any:
    """Remove the titles that pydantic generates from names; keep properties named `title`."""
    if isinstance(node, list):
        return [_without_titles(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _without_titles(value, named=key in ("properties", "$defs"))
        for key, value in node.items()
        if named or key != "title" or not isinstance(value, str)
    }
