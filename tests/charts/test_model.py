"""The library chart gives the model's own answers: hundreds of scenarios through real Helm."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from drawn_scenarios import scenarios
from helm_charts import call
from swarmrace.backends.kubernetes import pods
from swarmrace.errors import ScenarioError
from swarmrace.scenario.entrants import with_entrants
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Scenario
from swarmrace.scenario.schema import chart_schema
from swarmrace.systems.codex.options import CodexOptions

COUNT = 400
AMOUNT_FAULT = re.compile(r"whole number of bytes|expected (less|greater) than( or equal to)? \d")


@pytest.fixture(scope="module")
def consumer(helm: str, checkout: Path) -> Path:
    folder = checkout / "tests" / "charts" / "consumer"
    call(helm, "dependency", "update", folder)
    umbrella = chart_schema("swarmrace")
    schema = {
        "properties": {"scenarios": {"items": {"$ref": "#/$defs/Global"}}},
        "$defs": umbrella["$defs"],
    }
    (folder / "values.schema.json").write_text(json.dumps(schema))
    return folder


@pytest.fixture(scope="module")
def drawn() -> list[dict[str, Any]]:
    return scenarios(COUNT)


def by_model(shared: dict[str, Any]) -> tuple[Scenario | None, list[str]]:
    """The model's answer: the scenario as a cluster races it, or every fault."""
    faults: list[str] = []
    try:
        scenario = parse({"global": shared})
    except ScenarioError as error:
        scenario, faults = None, list(map(str, error.faults))
    if scenario is None:
        faults += _cluster_faults_besides(shared)
    else:
        faults = _without_tracker(pods.cluster_faults(scenario))
    return (None if faults else pods.single_cell(scenario)), [_without_hint(f) for f in faults]


def _cluster_faults_besides(shared: dict[str, Any]) -> list[str]:
    """What a cluster can't race of a scenario that has faults between its keys as well."""
    try:
        return _without_tracker(pods.cluster_faults(Scenario.model_validate(_typed(shared))))
    except ValueError:
        return []


def _without_tracker(faults: list[str]) -> list[str]:
    """The tracker's own key is seen by its own chart alone (test_umbrella.py)."""
    return [fault for fault in faults if not fault.startswith("tracker.")]


def _typed(shared: dict[str, Any]) -> dict[str, Any]:
    return with_entrants({"global": shared}, [], set(), stored=False)


def _without_hint(fault: str) -> str:
    return re.sub(r" \(did you mean '[^']*'\?\)", "", fault)


def by_helm(helm: str, folder: Path, values: dict[str, Any], tmp: Path, *more: str) -> list[Any]:
    file = tmp / "values.json"
    file.write_text(json.dumps(values))
    output = call(helm, "template", "quick", folder, "-f", file, *more)
    return list(yaml.safe_load(output)["data"].values())


def refused_by_schema(helm: str, folder: Path, drawn: list[Any], tmp: Path) -> dict[int, str]:
    """Number of each scenario that the JSON Schema refuses, with what Helm says of it."""
    file = tmp / "values.json"
    file.write_text(json.dumps({"scenarios": drawn}))
    output = call(helm, "template", "quick", folder, "-f", file, refused=True)
    found: dict[int, str] = {}
    for line in output.splitlines():
        match = re.search(r"at '/scenarios/(\d+)", line)
        if match:
            number = int(match[1])
            found[number] = found.get(number, "") + line + "\n"
    return found


def test_helm_gives_the_models_own_answers(
    helm: str, consumer: Path, drawn: list[dict[str, Any]], tmp_path: Path
) -> None:
    refused = refused_by_schema(helm, consumer, drawn, tmp_path)
    for number, said in refused.items():
        _, faults = by_model(drawn[number])
        assert faults, f"Helm's schema refuses what the model takes: {drawn[number]}\n{said}"
    numbers = [number for number in range(COUNT) if number not in refused]
    passed = [drawn[number] for number in numbers]
    answers = by_helm(helm, consumer, {"scenarios": passed}, tmp_path)
    valid = invalid = 0
    for shared, text in zip(passed, answers, strict=True):
        answer = json.loads(text)
        scenario, faults = by_model(shared)
        # Where an amount can't be read, Helm tells that alone; what depends on it comes next.
        expected = [fault for fault in faults if AMOUNT_FAULT.search(fault)] or faults
        assert sorted(answer["faults"]) == sorted(expected), shared
        if scenario is None:
            invalid += 1
            continue
        valid += 1
        derived = facts(scenario, answer["raceId"])
        assert {key: answer[key] for key in derived} == derived, shared
    assert valid >= 120, "too few valid scenarios to prove anything"
    assert invalid >= 40, "too few that only the library can refuse"
    assert len(refused) >= 50, "too few that the schema refuses"


def facts(scenario: Scenario, race_id: str) -> dict[str, Any]:
    resources = scenario.global_.peers.resources
    percent = scenario.global_.codex.node_percent
    storage = pods.split(pods.ephemeral_bytes(scenario), percent)
    shares: dict[str, Any] = {"node": {}, "runner": {}}
    for kind, amounts in (("requests", resources.requests), ("limits", resources.limits)):
        parts = pods.shares(amounts, percent)
        for number, container in enumerate(("node", "runner")):
            found = {"ephemeral-storage": str(storage[number])}
            if parts["cpu"][number]:
                found["cpu"] = f"{parts['cpu'][number]}m"
            if parts["memory"][number]:
                found["memory"] = str(parts["memory"][number])
            shares[container][kind] = found
    codex = {n: o for n, o in scenario.entrants.items() if isinstance(o, CodexOptions)}
    return {
        "raced": json.loads(json.dumps(scenario.canonical())),
        "deadline": str(pods.deadline_seconds(scenario)),
        "burst": "" if (burst := pods.burst_bytes(scenario)) is None else str(burst),
        "storage": str(pods.storage_bytes(scenario)),
        "results": str(pods.results_bytes(scenario)),
        "ephemeral": str(pods.ephemeral_bytes(scenario)),
        "shares": shares,
        "jobs": {name: pods.job_name("quick", name, race_id) for name in scenario.entrants},
        "quotas": {
            name: "" if (quota := pods.node_quota_bytes(scenario, options)) is None else str(quota)
            for name, options in codex.items()
        },
    }


def test_sums_of_timeouts_are_exact(helm: str, consumer: Path, tmp_path: Path) -> None:
    """0.1 + 0.2 in floating point is not 0.3; a deadline must not depend on it."""
    shared = {
        "race": {"repetitions": 10, "timeouts": {"prepareSeconds": 0.1, "verifySeconds": 0.2}},
        "entrants": {"a": {"kind": "http"}},
    }
    (answer,) = by_helm(helm, consumer, {"scenarios": [shared]}, tmp_path)
    scenario = parse({"global": shared})
    assert float(json.loads(answer)["timeouts"]) == float(pods.timeouts_seconds(scenario))


def test_names_fit_with_the_index(helm: str, consumer: Path, tmp_path: Path) -> None:
    releases = [
        "r",
        "quick",
        "a" * 27,
        "a" * 28,
        "x" * 53,
        "1st",
        "a.b.c",
        f"{'a' * 19}-{'b' * 20}",
    ]
    answers = by_helm(helm, consumer, {"releases": releases}, tmp_path)
    bases = set()
    for release, text in zip(releases, answers, strict=True):
        answer = json.loads(text)
        assert answer == {"base": pods.base_name(release), "tracker": pods.tracker_name(release)}
        longest = f"{pods.job_name(release, 'e' * 20, '0123456789')}-999"
        assert len(longest) <= 63
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", longest)
        bases.add(answer["base"])
    assert len(bases) == len(releases), "two releases have one name"


def test_the_race_id_follows_what_is_raced_alone(helm: str, consumer: Path, tmp_path: Path) -> None:
    base = {"race": {"fileSize": "100MB"}, "entrants": {"a": {"kind": "http"}}}
    same = [
        {"race": {"fileSize": 100_000_000}, "entrants": {"a": {"kind": "http"}}},
        {
            "race": {"attempt": 1, "seed": 1},
            "entrants": {"a": {"kind": "http", "profile": "stock"}},
        },
    ]
    other = [
        {"race": {"attempt": 2}, "entrants": {"a": {"kind": "http"}}},
        {"race": {"fileSize": "100MiB"}, "entrants": {"a": {"kind": "http"}}},
        {"race": {}, "entrants": {"a": {"kind": "http", "profile": "tuned"}}},
        {"race": {}, "entrants": {"b": {"kind": "http"}}},
        {**base, "image": {"tag": "other"}},
        {**base, "peers": {"resources": {"limits": {"cpu": 3}}}},
        {**base, "peers": {"nodeSelector": {"disk": "ssd"}}},
        {**base, "peers": {"spread": {"sameNodes": False}}},
        {**base, "token": {"existingSecret": "mine"}},
    ]
    texts = by_helm(helm, consumer, {"scenarios": [base, *same, *other]}, tmp_path)
    ids = [json.loads(text)["raceId"] for text in texts]
    assert all(re.fullmatch("[0-9a-f]{10}", found) for found in ids)
    assert len(set(ids[: 1 + len(same)])) == 1
    assert len(set(ids)) == 1 + len(other)


def test_what_a_template_says_otherwise_is_no_other_race(
    helm: str, consumer: Path, tmp_path: Path
) -> None:
    """A comment, an order or a quote in the pod template must not end a race in progress."""
    scenario = {"race": {}, "entrants": {"a": {"kind": "http"}}}
    ids = []
    for number, (old, new) in enumerate(
        [
            ("", ""),
            ("restartPolicy: Never", "# said otherwise\n  restartPolicy: 'Never'"),
            ("restartPolicy: Never", "restartPolicy: OnFailure"),
        ]
    ):
        folder = tmp_path / str(number) / "charts" / "consumer"
        shutil.copytree(consumer, folder)
        shutil.rmtree(folder / "charts")
        common = folder / "charts" / "common"
        shutil.copytree(consumer.parents[2] / "charts" / "common", common)
        template = common / "templates" / "_pod.tpl"
        assert old in template.read_text()
        template.write_text(template.read_text().replace(old, new, 1))
        (answer,) = by_helm(helm, folder, {"scenarios": [scenario]}, tmp_path)
        ids.append(json.loads(answer)["raceId"])
    assert ids[0] == ids[1] != ids[2]
