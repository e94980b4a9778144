"""Network conditions on a cluster: by tc in a container of their own, or by annotations."""

from __future__ import annotations

import pytest
from test_umbrella import ALL, environment, peers, values

from helm_charts import Render
from swarmrace.scenario.cluster import ANNOTATED_BURST_BYTES


def test_rates_by_tc_need_the_one_exception(render: Render) -> None:
    rendered = render(values(ALL, {"network": {"upload": "40Mbit"}}))
    for job in peers(rendered).values():
        shape = job["spec"]["template"]["spec"]["initContainers"][0]
        assert shape["name"] == "shape"
        assert shape["args"] == ["shape"]
        assert shape["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
    assert all(
        not job["spec"]["template"]["spec"].get("initContainers")
        for job in peers(render(values())).values()
    )


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (
            "cni",
            {
                "kubernetes.io/egress-bandwidth": "40000000",
                "kubernetes.io/ingress-bandwidth": "80000000",
            },
        ),
        (
            "kubeOvn",
            {"ovn.kubernetes.io/egress_rate": "40", "ovn.kubernetes.io/ingress_rate": "80"},
        ),
    ],
)
def test_rates_by_annotations(render: Render, how: str, expected: dict[str, str]) -> None:
    network = {"upload": "40Mbit", "download": "10MB"}
    rendered = render(values(race={"network": network}, shared={"peers": {"conditions": how}}))
    for job in peers(rendered).values():
        template = job["spec"]["template"]
        assert expected.items() <= template["metadata"]["annotations"].items()
        assert "initContainers" not in template["spec"]


def test_annotations_know_no_queue(render: Render) -> None:
    shared = {"peers": {"conditions": "cni"}}
    said = "global.race.network.queueMilliseconds: needs global.peers.conditions: tc"
    race = {"network": {"upload": "40Mbit", "queueMilliseconds": 50}}
    assert said in render(values(race=race, shared=shared), refused=True)
    race["network"]["queueMilliseconds"] = 200
    render(values(race=race, shared=shared))


def test_a_link_that_cannot_be_shaped_can_be_told(render: Render) -> None:
    """The first container reports to the tracker what stands in its own log alone."""
    rendered = render(values(ALL, {"network": {"delayMilliseconds": 5}}))
    for entrant, job in peers(rendered).items():
        spec = job["spec"]["template"]["spec"]
        shape, (runner,) = spec["initContainers"][0], spec["containers"]
        env, known = environment(shape), environment(runner)
        for name in ("RENDEZVOUS", "RACE_ID", "ENTRANT", "PEER", "SCENARIO", "TOKEN_FILE"):
            assert env[f"SWARMRACE_{name}"] == known[f"SWARMRACE_{name}"], entrant
        paths = {m["name"]: m["mountPath"] for m in shape["volumeMounts"]}
        assert env["SWARMRACE_TOKEN_FILE"].startswith(f"{paths['token']}/")


@pytest.mark.parametrize(
    ("how", "burst", "told"),
    [
        ("tc", None, None),
        ("tc", "3MiB", "3145728"),
        ("cni", None, str(ANNOTATED_BURST_BYTES)),
        ("kubeOvn", None, str(ANNOTATED_BURST_BYTES)),
        ("cni", "10MB", "10000000"),
    ],
)
def test_a_peer_is_told_the_burst_it_has_to_use_up(
    render: Render, how: str, burst: str | None, told: str | None
) -> None:
    shared = {"peers": {"conditions": how, "burst": burst}}
    for race, expected in (({"network": {"upload": "40Mbit"}}, told), ({}, None)):
        for job in peers(render(values(race=race, shared=shared))).values():
            (runner,) = job["spec"]["template"]["spec"]["containers"]
            assert environment(runner).get("SWARMRACE_BURST_BYTES") == expected
