"""A Codex entrant's pod has what a real node needs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from test_umbrella import ALL, environment, peers, values

from helm_charts import ROOT, Render
from swarmrace.backends.kubernetes import pods as cluster_pods
from swarmrace.errors import Reason, TransferError
from swarmrace.scenario.loading import parse
from swarmrace.systems.codex.options import CodexOptions
from swarmrace.systems.codex.programs import pod_options
from swarmrace.systems.codex.remote import SupervisedCodex
from swarmrace.systems.sidecar import Sidecar

CI = ROOT / "charts" / "swarmrace" / "ci" / "codex-values.yaml"
FAMILIES = {
    "codex": ("codexstorage/nim-codex:0.2.5", "codex", "CODEX_", None),
    "storage": (
        "logosstorage/logos-storage-nim:latest",
        "storage",
        "STORAGE_",
        "--no-bootstrap-node",
    ),
}
"""Image, program, prefix of variables, and the argument of a node that joins no other."""


def node_of(spec: dict[str, Any]) -> dict[str, Any]:
    (node,) = (c for c in spec["initContainers"] if c["name"] == "node")
    return node


def pods(render: Render, given: Any, *arguments: str) -> dict[str, dict[str, Any]]:
    """Pod specs of the entrants that have init containers, by entrant."""
    jobs = peers(render(given, *arguments)).items()
    specs = {entrant: job["spec"]["template"]["spec"] for entrant, job in jobs}
    return {entrant: spec for entrant, spec in specs.items() if "initContainers" in spec}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_node_gets_what_a_real_one_needs(render: Render, family: str) -> None:
    """All of its options and no others. By default API and metrics bind the loopback address,
    metrics are off, the listening port is random, and the node looks for a gateway."""
    image, program, prefix, alone = FAMILIES[family]
    spec = pods(render, values(ALL))[family]
    node = node_of(spec)
    assert node["image"] == image
    assert node["command"] == ["/bin/sh", "/supervisor/supervise.sh"]
    assert node["args"] == ["/docker-entrypoint.sh", program]
    assert node["restartPolicy"] == "Always", "a native sidecar"
    env = environment(node)
    options = {name: value for name, value in env.items() if name.startswith(prefix)}
    assert options == {
        f"{prefix}{name}": value
        for name, value in {
            "DATA_DIR": "/work/node",
            "API_PORT": "8080",
            "API_BINDADDR": "0.0.0.0",
            "DISC_PORT": "8090",
            "LISTEN_ADDRS": "/ip4/$(POD_IP)/tcp/8070",
            "LISTEN_IP": "$(POD_IP)",
            "LISTEN_PORT": "8070",
            "NAT": "extip:$(POD_IP)",
            "METRICS": "true",
            "METRICS_ADDRESS": "0.0.0.0",
            "METRICS_PORT": "8008",
        }.items()
    }
    assert env["POD_IP"] == {"fieldRef": {"fieldPath": "status.podIP"}}
    names = list(env)
    assert all(
        names.index("POD_IP") < names.index(name)
        for name, value in options.items()
        if "$(POD_IP)" in value
    ), "$(…) refers only to variables before it"
    assert env["SUPERVISE_DATA"] == options[f"{prefix}DATA_DIR"]
    arguments, variables = pod_options(CodexOptions(family=family), 1_000_000, None)
    assert arguments == ([alone] if alone else []), "the runner passes it"
    assert variables == {f"{prefix}LOG_LEVEL": "INFO"}
    assert not {"BOOTSTRAP_NODE_URL", "NAT_IP_AUTO"} & set(env), "the runner passes whom to join"
    assert [port["containerPort"] for port in node["ports"]] == [8008]
    probe = node["startupProbe"]["exec"]["command"]
    assert probe == ["/bin/sh", "-c", f"test -s {env['SUPERVISE_CONTROL']}/status"]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_runner_finds_its_node(render: Render, family: str) -> None:
    spec = pods(render, values(ALL))[family]
    node, (runner,) = node_of(spec), spec["containers"]
    env = environment(runner)
    assert env["SWARMRACE_SIDECAR_API"] == "http://127.0.0.1:8080"
    assert env["SWARMRACE_SIDECAR_METRICS"] == "http://127.0.0.1:8008/metrics"
    mounts = [{m["name"]: m["mountPath"] for m in c["volumeMounts"]} for c in (node, runner)]
    assert mounts[0]["control"] == mounts[1]["control"] == env["SWARMRACE_SIDECAR_CONTROL"]
    assert environment(node)["SUPERVISE_CONTROL"] == env["SWARMRACE_SIDECAR_CONTROL"]
    assert spec["shareProcessNamespace"] is True


def test_the_supervising_loop_is_the_file(render: Render) -> None:
    script = (ROOT / "charts/swarm/files/supervise.sh").read_text()
    assert render(values(ALL)).one("ConfigMap", "-supervisor")["data"]["supervise.sh"] == script


def test_the_values_that_race_the_double_race_a_real_node(render: Render) -> None:
    image = FAMILIES["codex"][0]
    real = node_of(pods(render, CI, "--set", f"global.sidecars.codex.image={image}")["codex"])
    double = node_of(pods(render, CI)["codex"])
    assert (double.pop("image"), real.pop("image")) == ("localhost/codex-double:dev", image)
    bare = node_of(pods(render, values(ALL))["codex"])
    bare.pop("image")
    assert double == real
    assert {**double, "resources": None} == {**bare, "resources": None}, "the file is smaller"


def test_another_version_needs_only_values(render: Render) -> None:
    old = {
        "image": "x/codex:0.1.9",
        "command": ["/entry", "codex"],
        "env": {"CODEX_NAT": "$(POD_IP)", "CODEX_METRICS_PORT": "9999", "CODEX_DISC_PORT": None},
        "metricsPort": 9999,
    }
    shared = {"sidecars": {"codex": old}}
    rendered = render(values({"old": {"kind": "codex", "arguments": ["--a=b"]}}, shared=shared))
    spec = peers(rendered)["old"]["spec"]["template"]["spec"]
    node = node_of(spec)
    env = environment(node)
    assert (node["image"], node["args"]) == ("x/codex:0.1.9", ["/entry", "codex", "--a=b"])
    assert (env["CODEX_NAT"], env["CODEX_METRICS_PORT"]) == ("$(POD_IP)", "9999")
    assert "CODEX_DISC_PORT" not in env
    (runner,) = spec["containers"]
    assert environment(runner)["SWARMRACE_SIDECAR_METRICS"] == "http://127.0.0.1:9999/metrics"


def test_a_node_that_exits_at_once_starts_its_pod_and_reports_its_output(
    render: Render, tmp_path: Path
) -> None:
    """With the pod's own script and probe as real processes: the runner starts whatever the node
    does, requests it, and reports why it ended."""
    entrants = {"codex": {"kind": "codex", "arguments": ["--no-such-option"]}}
    rendered = render(values(entrants))
    node = node_of(peers(rendered)["codex"]["spec"]["template"]["spec"])
    script = tmp_path / "supervise.sh"
    script.write_text(rendered.one("ConfigMap", "-supervisor")["data"]["supervise.sh"])
    double = str(ROOT / "images" / "codex-double" / "bin" / "codex")
    command = [sys.executable, double, *node["args"][2:]]
    control = tmp_path / "control"
    places = {"SUPERVISE_CONTROL": str(control), "SUPERVISE_DATA": str(tmp_path / "data")}
    supervisor = subprocess.Popen(
        ["/bin/sh", str(script), *command],
        env={**os.environ, **places},
        stdout=subprocess.PIPE,
        text=True,
    )
    *shell, test = node["startupProbe"]["exec"]["command"]
    probe = [*shell, test.replace("/control", str(control))]

    async def start() -> None:
        sidecar = Sidecar("http://127.0.0.1:9", control, None)
        codex = SupervisedCodex(sidecar, CodexOptions(), 1_000_000)
        try:
            await codex.start(None)
        finally:
            await codex.close()

    try:
        while subprocess.run(probe, check=False).returncode:
            assert supervisor.poll() is None
            time.sleep(0.05)
        with pytest.raises(TransferError) as caught:
            asyncio.run(start())
    finally:
        supervisor.terminate()
        log, _ = supervisor.communicate(timeout=300)
    assert caught.value.reason is Reason.REFUSED
    assert "exit code 1; output: " in caught.value.detail
    assert "no-such-option" in caught.value.detail
    assert "no-such-option" in log, "the container's log has it too"


def test_charts_and_the_model_agree_on_who_has_a_node(render: Render) -> None:
    entrants = {
        "plain": {"kind": "http"},
        "default": {"kind": "codex"},
        "auto": {"kind": "codex", "family": "auto"},
        "storage": {"kind": "codex", "family": "storage"},
        "own": {"kind": "bittorrent"},
    }
    own = {"bittorrent": {"image": "lab/node:1"}, "unused": {"image": "lab/other:1"}}
    given = values(entrants, shared={"sidecars": own})
    scenario = parse(given)
    found = {entrant: node_of(spec)["image"] for entrant, spec in pods(render, given).items()}
    nodes = scenario.global_.sidecars.model_dump()
    named = {entrant: cluster_pods.sidecar_of(scenario, entrant) for entrant in entrants}
    assert found == {entrant: nodes[name]["image"] for entrant, name in named.items() if name}
    assert set(found) == set(entrants) - {"plain"}


def test_two_versions_of_one_family_race(render: Render) -> None:
    entrants = {"old": {"kind": "codex", "image": "x/codex:1"}, "new": {"kind": "codex"}}
    images = {
        entrant: job["spec"]["template"]["spec"]["initContainers"][0]["image"]
        for entrant, job in peers(render(values(entrants))).items()
    }
    assert images == {"old": "x/codex:1", "new": "codexstorage/nim-codex:0.2.5"}


def test_a_file_above_the_nodes_quota_raises_it() -> None:
    _, variables = pod_options(CodexOptions(), 30 * 10**9, "spr:x")
    assert int(variables["CODEX_STORAGE_QUOTA"]) > 30 * 10**9
    assert "CODEX_STORAGE_QUOTA" not in pod_options(CodexOptions(), 10**9, None)[1]
