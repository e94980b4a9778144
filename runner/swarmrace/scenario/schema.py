"""JSON Schemas of a scenario file and of every chart's values, written from the one model.

`swarmrace schema` prints the scenario's. `swarmrace schema --write charts` writes into every chart
what must not be a second copy of the model: `values.schema.json`, `values.yaml` with its comments,
and for the library chart the defaults and limits its templates work with. With `--check` it only
tells what differs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from swarmrace import systems
from swarmrace.scenario import cluster
from swarmrace.scenario.entrants import NAME_PATTERN
from swarmrace.scenario.scenario import Global, Scenario
from swarmrace.systems.options import EntrantOptions

DIALECT = "https://json-schema.org/draft/2020-12/schema"
CHART_KINDS = ("bittorrent", "codex", "http")
"""Kinds that a chart races."""
CHART_VALUES: dict[str, type[BaseModel]] = {
    "tracker": cluster.TrackerValues,
    "bittorrent": cluster.BitTorrentValues,
    "codex": cluster.CodexValues,
    "http": cluster.HttpValues,
    "monitoring": cluster.MonitoringValues,
}
UMBRELLA = "swarmrace"
LIBRARY = "common"

_ANY_MAP = {"type": "object"}


def scenario_schema(kinds: Iterable[str] | None = None) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a scenario file.

    Args:
        kinds: the kinds an entrant may have; all that are installed when absent.
    """
    return _with_definitions(Scenario, systems.names() if kinds is None else kinds)


def chart_schema(chart: str) -> dict[str, Any]:
    """Return the JSON Schema of a chart's values: its own keys, `global`, its dependencies' keys.

    Raises:
        KeyError: there is no such chart.
    """
    if chart == UMBRELLA:
        schema = scenario_schema(CHART_KINDS)
        for name, model in CHART_VALUES.items():
            schema["$defs"][model.__name__]["properties"] |= _dependencies(name)
        schema["properties"][LIBRARY] = _ANY_MAP
        return schema
    own = _with_definitions(CHART_VALUES[chart], (), seed=[])
    shared = _with_definitions(Global, CHART_KINDS)
    definitions = shared.pop("$defs") | own.pop("$defs", {})
    definitions["Global"] = {key: shared[key] for key in shared if key != "$schema"}
    definitions["Global"].pop("required", None)  # a chart alone has no entrants and makes nothing
    own["properties"] |= {"global": {"$ref": "#/$defs/Global"}, LIBRARY: _ANY_MAP}
    return {**own, "$defs": definitions}


def library_schema() -> dict[str, Any]:
    """Return the JSON Schema of the library chart: it has no values but what Helm hands down."""
    properties = {"global": _ANY_MAP}
    return {
        "$schema": DIALECT,
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def text_of(schema: dict[str, Any]) -> str:
    """Return a schema as it lies in a chart."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _dependencies(chart: str) -> dict[str, Any]:
    """What Helm puts under a sub-chart's key besides its own values."""
    return {"global": _ANY_MAP, LIBRARY: _ANY_MAP}


def _with_definitions(
    model: type[BaseModel], kinds: Iterable[str], seed: list[type[BaseModel]] | None = None
) -> dict[str, Any]:
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
    """Let an entrant's kind choose its options, so that a fault names the wrong key alone."""
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
    """Drop the titles pydantic makes of names; a property may still be called `title`."""
    if isinstance(node, list):
        return [_without_titles(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _without_titles(value, named=key in ("properties", "$defs"))
        for key, value in node.items()
        if named or key != "title" or not isinstance(value, str)
    }
