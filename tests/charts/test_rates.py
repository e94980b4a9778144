"""Network conditions on a cluster: by tc in an init container, or by annotations."""

from __future__ import annotations

import pytest
from test_umbrella import ALL, environment, peers, values

from helm_charts import Render
from swarmrace.backends.kubernetes import pods
from swarmrace.cli.parameters import Bytes
from swarmrace.scenario.loading import parse
from swarmrace.units import parse_size


def test_rates_by_tc_need_a_privileged_container(render: Render) -> None:
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


def test_annotations_set_no_queue() -> None:
    shared = {"peers": {"conditions": "cni"}}
    said = "global.race.network.queueMilliseconds: needs global.peers.conditions: tc"
    race = {"network": {"upload": "40Mbit", "queueMilliseconds": 50}}
    (fault,) = pods.cluster_faults(parse(values(race=race, shared=shared)))
    assert str(fault).startswith(said)
    race["network"]["queueMilliseconds"] = 200
    assert pods.cluster_faults(parse(values(race=race, shared=shared))) == []


def test_the_shape_container_can_report_to_the_tracker(render: Render) -> None:
    """So a link that can't be shaped is in the results, and not only in the container's log."""
    rendered = render(values(ALL, {"network": {"delayMilliseconds": 5}}))
    for entrant, job in peers(rendered).items():
        spec = job["spec"]["template"]["spec"]
        shape, (runner,) = spec["initContainers"][0], spec["containers"]
        env, known = environment(shape), environment(runner)
        for name in ("RENDEZVOUS", "RELEASE_HASH", "ENTRANT", "PEER", "SCENARIO", "TOKEN_FILE"):
            assert env[f"SWARMRACE_{name}"] == known[f"SWARMRACE_{name}"], entrant
        paths = {m["name"]: m["mountPath"] for m in shape["volumeMounts"]}
        assert env["SWARMRACE_TOKEN_FILE"].startswith(f"{paths['token']}/")


@pytest.mark.parametrize("how", ["tc", "cni", "kubeOvn"])
@pytest.mark.parametrize("burst", [None, "3MiB", 10_000_000])
def test_a_peer_knows_its_burst(render: Render, how: str, burst: str | None) -> None:
    shared = {"peers": {"conditions": how, "burst": burst}}
    for race, expected in (({"network": {"upload": "40Mbit"}}, how), ({}, None)):
        for job in peers(render(values(race=race, shared=shared))).values():
            (runner,) = job["spec"]["template"]["spec"]["containers"]
            found = environment(runner)
            assert found.get("SWARMRACE_CONDITIONS") == expected
            if expected:
                given = found["SWARMRACE_BURST"]  # empty counts as absent
                assert bool(given) == bool(burst)
                assert not given or Bytes().convert(given, None, None) == parse_size(burst)
