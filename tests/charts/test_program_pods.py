"""Entrants whose program is in a sidecar by values alone: those of the pages, rendered by Helm."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from test_umbrella import peers

from helm_charts import ROOT, Render
from swarmrace.backends.kubernetes import images, pods
from swarmrace.scenario.loading import parse


def values_of(page: str) -> dict[str, Any]:
    """Return the values in a page's part on clusters."""
    text = (ROOT / "docs" / page).read_text().partition("## On a cluster")[2]
    found = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])
    found["global"]["entrants"]["web"] = {"kind": "http"}
    return found


PAGES = {
    "copy": (
        "exec.md",
        "registry.lab/copy:1.0",
        [
            "/bin/sh",
            "-c",
            'exec "$@" <"$SUPERVISE_CONTROL/in" >"$SUPERVISE_CONTROL/out"',
            "exec",
        ],
        8080,
    ),
    "transmission": (
        "transmission.md",
        "registry.lab/transmission-daemon:3.00",
        ["transmission-daemon"],
        9091,
    ),
}


@pytest.mark.parametrize("entrant", PAGES)
def test_the_values_of_the_page_give_a_sidecar(render: Render, entrant: str) -> None:
    page, image, command, port = PAGES[entrant]
    jobs = peers(render(values_of(page)))
    spec = jobs[entrant]["spec"]["template"]["spec"]
    (node,) = (each for each in spec["initContainers"] if each["name"] == "node")
    assert node["image"] == image
    assert node["command"] == ["/bin/sh", "/supervisor/supervise.sh"]
    assert node["args"] == command
    (runner,) = spec["containers"]
    env = {each["name"]: each.get("value") for each in runner["env"]}
    assert env["SWARMRACE_SIDECAR_API"] == f"http://127.0.0.1:{port}"
    assert env["SWARMRACE_SIDECAR_CONTROL"] == "/control"
    shared = [{m["mountPath"] for m in each["volumeMounts"]} for each in (node, runner)]
    assert {"/control", "/work"} <= shared[0] & shared[1]
    assert "initContainers" not in jobs["web"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("entrant", PAGES)
def test_the_model_reads_the_same_values(entrant: str) -> None:
    page, image, *_ = PAGES[entrant]
    scenario = parse(values_of(page))
    assert pods.sidecar_of(scenario, entrant) == scenario.entrants[entrant].kind
    assert f"node {image}" in images.entrant_images(scenario)[entrant]
    assert pods.sidecar_of(scenario, "web") is None


def test_without_a_sidecar_the_program_is_in_the_runners_image(render: Render) -> None:
    values = values_of("exec.md")
    del values["global"]["sidecars"], values["global"]["entrants"]["copy"]["image"]
    spec = peers(render(values))["copy"]["spec"]["template"]["spec"]
    assert [each["name"] for each in spec["containers"]] == ["runner"]
    assert "initContainers" not in spec
