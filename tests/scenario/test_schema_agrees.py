"""The model and its JSON Schema, which Helm uses, accept the same values of every key."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import jsonschema
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from swarmrace import systems
from swarmrace.errors import Fault, ScenarioError
from swarmrace.faults import models_of
from swarmrace.scenario import schema
from swarmrace.scenario.entrants import with_entrants
from swarmrace.scenario.loading import parse, without_foreign_keys
from swarmrace.scenario.scenario import Scenario

OPTIONS = {kind: systems.load(kind).options for kind in systems.names()}
REQUIRED: dict[str, dict[str, Any]] = {"exec": {"command": ["a"]}}
BASE: dict[str, Any] = {
    "global": {
        "entrants": {kind: {"kind": kind, **REQUIRED.get(kind, {})} for kind in sorted(OPTIONS)}
    }
}
SCHEMA = schema.scenario_schema(OPTIONS)


def paths(model: type[BaseModel], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield every key of a model and of the maps in it."""
    for name, field in model.model_fields.items():
        path = (*before, field.alias or name)
        if path == ("global", "entrants"):
            continue
        yield path
        for inner in models_of(field.annotation):
            yield from paths(inner, path)


PATHS = [
    *paths(Scenario),
    *(path for kind, m in OPTIONS.items() for path in paths(m, ("global", "entrants", kind))),
]
texts = ["", "x", "yes", "2", "75", "0", "1MB", "100Mbit", "500m", "http://a:1", "b"]
small = [-1, 0, 0.0, 1, 1.0, 1.5, 2, 0.01, 75, 99, 100, 100.0, 300, 301, 1000, 1001, 1024]
large = [65_535, 65_536, 604_800, 604_801, 2**26, 2**26 + 1, 10**7, 2**31, 2**53 - 1, 2**53]
huge = [1e17, 1e300, 2**63 - 1, 2**63, 2**64, 10**400]
"""Values that pydantic's and Python's number types treat differently."""
numbers = [*small, *large, *huge, -0.0, 1e-300, *(-each for each in huge)]
scalars = st.sampled_from([None, True, False, *texts, *numbers])
values = st.one_of(
    scalars,
    st.lists(scalars | st.lists(scalars, max_size=3), max_size=3),
    st.dictionaries(st.sampled_from(["a", "0", "7", "999", "1000", "01", "-1", "upload"]), scalars),
)


def by_model(document: dict[str, Any]) -> list[str]:
    """Return the faults of single keys."""
    faults: list[Fault] = []
    ours = without_foreign_keys(document, faults, set(), stored=False)
    typed = with_entrants(ours, faults, set(), stored=False)
    try:
        Scenario.model_validate(typed, by_alias=True, by_name=False)
    except ValidationError as error:
        faults.append(Fault("", str(error)))
    return list(map(str, faults))


def by_schema(document: dict[str, Any]) -> list[str]:
    return [e.message for e in jsonschema.Draft202012Validator(SCHEMA).iter_errors(document)]


def beyond_json_schema(path: tuple[str, ...], value: Any) -> bool:
    """Whether only the model can judge it: the amount that a string means, or a rising curve."""
    if path[-1] == "curve":
        return isinstance(value, list)
    texts = value if isinstance(value, list) else [value]
    return any(isinstance(text, str) and text[:1].isdigit() for text in texts)


def boundless(node: Any, path: str = "") -> Iterator[str]:
    """Yield every place in a schema where a number lacks a bound."""
    if isinstance(node, list):
        node = dict(enumerate(node))
    if not isinstance(node, dict):
        return
    if node.get("type") in ("integer", "number"):
        if "minimum" not in node and "exclusiveMinimum" not in node:
            yield f"{path} (below)"
        if "maximum" not in node and "exclusiveMaximum" not in node:
            yield f"{path} (above)"
    for key, each in node.items():
        yield from boundless(each, f"{path}/{key}")


@settings(max_examples=1500)
@given(st.sampled_from(PATHS), values)
@example(("monitoring", "enabled"), "yes")
@example(("monitoring", "intervalSeconds"), "2")
@example(("global", "peers", "resources", "limits"), {"a": "1 core"})
@example(("global", "peers", "resources"), None)
@example(("global", "sidecars", "codex", "metricsPort"), "75")
@example(("global", "race", "timeouts"), None)
@example(("verdict", "enabled"), 1)
@example(("global", "race"), {"a": None})
@example(("global", "entrants", "synthetic", "curve"), [["0", 0], [1, True]])
@example(("global", "race", "fileSize"), 0)
@example(("global", "race", "network", "upload"), 0)
@example(("global", "entrants", "http", "readSize"), 100)
@example(("global", "race", "seeders"), 1e300)
@example(("global", "race", "attempt"), 1e17)
@example(("global", "race", "seed"), -0.0)
@example(("global", "race", "timeouts", "prepareSeconds"), 10**400)
@example(("global", "race", "acceptance"), {"entrant": "a", "of": "b", "within": 10**400})
@example(("global", "peers", "spread", "maxSkew"), -1e300)
@example(("global", "entrants", "bittorrent", "settings"), {"a": 1e300})
@example(("global", "entrants", "synthetic", "publishSeconds"), 10**400)
@example(("global", "entrants", "synthetic", "runFactor"), [1e300])
@example(("global", "entrants", "codex", "nodes"), ["a:8080"])
@example(("global", "entrants", "codex", "nodes"), ["http://a:1", "http://a:1"])
def test_model_and_schema_agree_on_every_key(path: tuple[str, ...], value: Any) -> None:
    document = copy.deepcopy(BASE)
    at = document
    for part in path[:-1]:
        at = at.setdefault(part, {})
    at[path[-1]] = value
    with contextlib.suppress(ScenarioError):
        parse(document)
    model = by_model(document)
    if isinstance(value, dict):  # Helm deletes keys that are null before it validates
        at[path[-1]] = {key: item for key, item in value.items() if item is not None}
    said = by_schema(document)
    assert model or not said, f"the schema refuses what the model takes: {said}"
    if not beyond_json_schema(path, value):
        assert said or not model, f"the schema takes what the model refuses: {model}"


def test_every_number_has_a_minimum_and_a_maximum() -> None:
    """Without a maximum, a schema accepts 1e300 as an integer, but pydantic refuses it."""
    assert list(boundless(SCHEMA)) == []
