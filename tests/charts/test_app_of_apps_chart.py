"""The chart `app-of-apps`: its cells are races that the umbrella takes, its Job runs a command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from test_security import VERSIONS, faults_of_restricted, schema_of
from test_umbrella import CI

from helm_charts import ROOT, Render, Rendered, call, run_unit_tests
from swarmrace.backends.kubernetes import images, judge
from swarmrace.backends.kubernetes.release import _images
from swarmrace.cli import begin_run
from swarmrace.cli.main import main
from swarmrace.scenario.loading import load, parse
from swarmrace.sweep import applications, book

CHART = ROOT / "charts" / "app-of-apps"
VALUES = CHART / "ci" / "two-values.yaml"
ARGO_CD = CHART / "argocd"


@pytest.fixture
def rendered(helm: str) -> Rendered:
    output = call(helm, "template", "lab", CHART, "-n", "races", "-f", VALUES)
    return Rendered(o for o in yaml.safe_load_all(output) if o)


def values_of(application: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = application["spec"]["source"]["helm"]["valuesObject"]
    return values


def test_unit_tests(helm: str) -> None:
    assert run_unit_tests(CHART) >= 20


def test_the_list_in_ci_is_what_plan_writes(tmp_path: Path) -> None:
    given = yaml.safe_load(VALUES.read_text())["sweeps"]
    file = tmp_path / f"{given[0]['name']}.yaml"
    file.write_text(yaml.safe_dump(given[0]["scenario"], sort_keys=False))
    assert yaml.safe_load(applications.listing([file]))["sweeps"] == given


def test_each_cell_is_a_race_that_the_umbrella_takes(rendered: Rendered, render: Render) -> None:
    applied = rendered.of("Application")
    assert len(applied) == 2
    for application in applied:
        values, name = values_of(application), application["metadata"]["name"]
        assert judge.faults_of(values) == []
        assert parse(values).cell_id() == application["metadata"]["labels"]["swarmrace/cell"]
        release = application["spec"]["source"]["helm"]["releaseName"]
        assert release == name
        race = render(values, release=release)
        (ignored,) = application["spec"]["ignoreDifferences"]
        assert ignored["name"] == race.one("Deployment")["metadata"]["name"]
        assert race.of("Secret") == [], "nothing random: Argo CD would see it differ each time"
        assert race.of("Job", "-judge") == [], "the first Job has judged all cells"
        (verdict,) = race.of("Job", "-verdict-")
        schema_of("Job", "batch/v1", VERSIONS[-1]).validate(verdict)  # type: ignore[union-attr]
        spec = verdict["spec"]["template"]["spec"]
        assert faults_of_restricted(spec) == []
        environment = {each["name"]: each for each in spec["containers"][0]["env"]}
        assert environment["SWARMRACE_TRACKER"]["value"] == ignored["name"]


def test_only_the_verdicts_job_decides_a_cells_health(rendered: Rendered, render: Render) -> None:
    """Argo CD judges Jobs, Deployments, claims and Services; a lost peer must not end a sweep."""
    judged = {"Job", "Deployment", "PersistentVolumeClaim"}
    for application in rendered.of("Application"):
        race = render(values_of(application), release=application["metadata"]["name"])
        decide = [
            thing["metadata"]["name"]
            for thing in race
            if thing["kind"] in judged
            and (thing["metadata"].get("annotations") or {}).get(
                "argocd.argoproj.io/ignore-healthcheck"
            )
            != "true"
        ]
        assert len(decide) == 1
        assert "-verdict-" in decide[0]


def test_rendered_twice_it_is_the_same(helm: str) -> None:
    command = (helm, "template", "lab", CHART, "-n", "races", "-f", VALUES)
    assert call(*command) == call(*command)
    for template in (CHART / "templates").iterdir():
        assert not re.search(
            r"\b(rand[A-Z]\w+|uuidv4|gen\w+Cert\w*|now|lookup)\b", template.read_text()
        )


def test_the_first_job_begins_the_sweep_with_what_is_handed_over(
    rendered: Rendered, tmp_path: Path
) -> None:
    file = tmp_path / "sweeps.json"
    file.write_text(rendered.one("ConfigMap")["data"]["sweeps.json"])
    listing = begin_run.read(file)
    handed = [cell.values for cell in listing.sweeps[0].cells]
    assert handed == [values_of(each) for each in rendered.of("Application")]
    begin_run.run(listing, tmp_path)
    assert len(book.read(tmp_path / "two").cells) == 2


def test_its_command_has_the_options_that_it_is_given(rendered: Rendered, tmp_path: Path) -> None:
    job = rendered.one("Job")
    spec = job["spec"]["template"]["spec"]
    assert faults_of_restricted(spec) == []
    name, _, _, *options = spec["containers"][0]["args"]
    command = main.get_command(click.Context(main), name)
    assert command is not None
    command.make_context(name, [str(VALUES), f"--folder={tmp_path}", *options])


def test_kubernetes_takes_what_is_rendered(rendered: Rendered) -> None:
    for thing in rendered:
        for version in VERSIONS:
            schema = schema_of(thing["kind"], thing["apiVersion"], version)
            assert schema is not None or thing["kind"] == "Application"
            if schema is not None:
                schema.validate(thing)


def test_the_health_check_is_the_same_for_both_ways_to_install_argo_cd() -> None:
    by_helm = yaml.safe_load((ARGO_CD / "values.yaml").read_text())["configs"]["cm"]
    by_hand = yaml.safe_load((ARGO_CD / "argocd-cm-patch.yaml").read_text())["data"]
    assert by_helm == by_hand
    begin_run.require_health_check(by_hand, "argocd/argocd-cm")
    label = begin_run.HEALTH_MARK
    assert f'labels["{label}"]' in by_hand[begin_run.HEALTH_KEY]


@pytest.mark.parametrize("file", CI, ids=lambda file: file.stem)
def test_the_images_that_are_pinned_are_those_of_the_pods(render: Render, file: Path) -> None:
    scenario = load(file)
    if len(scenario.race.cells()) == 1:
        assert images.entrant_images(scenario) == dict(_images(render(file)))


def test_images_from_another_registry_and_by_digest(render: Render) -> None:
    values = {
        "global": {
            "imageRegistry": "registry.lab/",
            "image": {"tag": "1", "digest": f"sha256:{'0' * 64}"},
            "race": {"network": {"upload": "40Mbit"}},
            "entrants": {
                "old": {"kind": "codex", "family": "codex", "image": "docker.io/a/codex:1"},
                "new": {"kind": "codex", "family": "storage"},
                "web": {"kind": "http"},
            },
        }
    }
    found = images.entrant_images(parse(values))
    assert found == dict(_images(render(json.loads(json.dumps(values)))))
    assert "registry.lab/a/codex:1" in found["old"]
    assert found["web"].count(f"registry.lab/swarmrace:1@sha256:{'0' * 64}") == 2


def test_a_list_that_no_config_map_holds_is_refused(helm: str, tmp_path: Path) -> None:
    listed = yaml.safe_load(VALUES.read_text())
    listed["sweeps"][0]["scenario"]["note"] = "x" * 1_000_000
    file = tmp_path / "large.json"
    file.write_text(json.dumps(listed))  # PyYAML leaves 598400e222, a number to Go, unquoted
    error = call(helm, "template", "lab", CHART, "-n", "races", "-f", file, refused=True)
    assert "expected at most 1000000, because a ConfigMap holds no more: split the list" in error
