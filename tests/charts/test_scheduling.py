"""Where the pods of a release run."""

from __future__ import annotations

from typing import Any

from test_umbrella import ALL, peers, pod_specs, values

from helm_charts import Render
from swarmrace.backends.kubernetes import pods
from swarmrace.scenario.loading import parse

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
INDEX = "batch.kubernetes.io/job-completion-index"


def test_scheduling(render: Render) -> None:
    settings = {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "race", "operator": "Exists"}],
        "priorityClassName": "high",
        "spread": {"onePerNode": True, "maxSkew": 2},
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "x", "operator": "Exists"}]}]}}},
    }  # fmt: skip
    for job in peers(render(values(ALL, shared={"peers": settings}))).values():
        spec = job["spec"]["template"]["spec"]
        labels = job["spec"]["template"]["metadata"]["labels"]
        for key in ("nodeSelector", "tolerations", "priorityClassName"):
            assert spec[key] == settings[key]
        (spread,) = spec["topologySpreadConstraints"]
        assert spread["maxSkew"] == 2
        assert spread["labelSelector"]["matchLabels"].items() <= labels.items()
        assert "app.kubernetes.io/version" not in spread["labelSelector"]["matchLabels"]
        (term,) = spec["affinity"]["podAntiAffinity"][
            "requiredDuringSchedulingIgnoredDuringExecution"
        ]
        assert term["labelSelector"]["matchLabels"].items() <= labels.items()
        assert term["mismatchLabelKeys"] == [INDEX]
        assert "swarmrace/entrant" not in term["labelSelector"]["matchLabels"]
        assert "nodeAffinity" in spec["affinity"]


def affinities(render: Render, **settings: Any) -> dict[str, dict[str, Any]]:
    jobs = peers(render(values(ALL, shared={"peers": settings})))
    return {e: job["spec"]["template"]["spec"].get("affinity", {}) for e, job in jobs.items()}


def test_peers_of_one_index_run_on_one_node(render: Render) -> None:
    """Peer k of each entrant runs on the node of the other entrants' peer k, and only there."""
    terms = [affinity["podAffinity"][REQUIRED] for affinity in affinities(render).values()]
    assert all(term == terms[0] for term in terms), "the same pods for all"
    ((term,), *_) = terms
    assert term["matchLabelKeys"] == [INDEX]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    rendered = render(values(ALL))
    wanted = term["labelSelector"]["matchLabels"].items()
    for job in peers(rendered).values():
        assert wanted <= job["spec"]["template"]["metadata"]["labels"].items()
    for other in (render(values(ALL, {"attempt": 2})), render(values(ALL), release="other")):
        for job in peers(other).values():
            assert not wanted <= job["spec"]["template"]["metadata"]["labels"].items()
    for _, metadata, _ in pod_specs(rendered):
        matched = wanted <= metadata["labels"].items()
        assert matched == ("swarmrace/entrant" in metadata["labels"])


def test_entrants_may_run_on_different_nodes(render: Render) -> None:
    assert set(map(str, affinities(render, spread={"sameNodes": False}).values())) == {"{}"}


def test_on_different_nodes_a_peer_avoids_only_its_own_entrant(render: Render) -> None:
    for entrant, affinity in affinities(
        render, spread={"sameNodes": False, "onePerNode": True}
    ).items():
        (term,) = affinity["podAntiAffinity"][REQUIRED]
        assert "mismatchLabelKeys" not in term
        assert term["labelSelector"]["matchLabels"]["swarmrace/entrant"] == entrant
        assert "podAffinity" not in affinity


def test_two_rules_that_can_leave_a_peer_no_node_are_refused(render: Render) -> None:
    strict = {"whenUnsatisfiable": "DoNotSchedule"}
    (said,) = pods.cluster_faults(parse(values(shared={"peers": {"spread": strict}})))
    assert "global.peers.spread.whenUnsatisfiable: DoNotSchedule needs " in str(said)
    apart = {"peers": {"spread": {**strict, "sameNodes": False}}}
    alone = {"one": {"kind": "http"}}
    for given in (values(shared=apart), values(alone, shared={"peers": {"spread": strict}})):
        for job in peers(render(given)).values():
            (spread,) = job["spec"]["template"]["spec"]["topologySpreadConstraints"]
            assert spread["whenUnsatisfiable"] == "DoNotSchedule"


def test_the_users_own_affinity_stays(render: Render) -> None:
    mine = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "x"}}}
    weighted = [{"weight": 1, "podAffinityTerm": mine}]
    given = {
        "podAffinity": {
            REQUIRED: [mine],
            "preferredDuringSchedulingIgnoredDuringExecution": weighted,
        },
        "podAntiAffinity": {REQUIRED: [mine]},
        "nodeAffinity": {"x": 1},
    }
    for found in affinities(render, affinity=given, spread={"onePerNode": True}).values():
        for kind in ("podAffinity", "podAntiAffinity"):
            first, second = found[kind].pop(REQUIRED)
            assert first == mine != second
            found[kind][REQUIRED] = [first]
        assert found == given


def test_what_belongs_to_the_tracker_runs_where_it_runs(render: Render) -> None:
    """On a cluster whose nodes are all tainted the verdict and `helm test` must run too."""
    place = {
        "nodeSelector": {"pool": "lab"},
        "tolerations": [{"key": "race", "operator": "Exists"}],
        "priorityClassName": "high",
        "affinity": {"nodeAffinity": {}},
    }
    found = {
        metadata["labels"]["app.kubernetes.io/component"]: {key: spec.get(key) for key in place}
        for _, metadata, spec in pod_specs(render(values(tracker=place)))
    }
    assert found.pop("peer") != place
    assert found == dict.fromkeys(("tracker", "verdict", "test", "judge"), place)


def test_a_pods_own_scheduling_replaces_the_trackers(render: Render) -> None:
    """Merged, the two could leave a pod no node."""
    tracker = {"nodeSelector": {"pool": "lab"}, "priorityClassName": "high"}
    own = {"nodeSelector": {"disk": "ssd"}, "affinity": {"nodeAffinity": {"own": 1}}}
    specs = {
        metadata["labels"]["app.kubernetes.io/component"]: spec
        for _, metadata, spec in pod_specs(render(values(tracker=tracker, verdict=own)))
    }
    assert specs["verdict"]["nodeSelector"] == own["nodeSelector"]
    assert specs["verdict"]["affinity"] == own["affinity"]
    assert specs["verdict"]["priorityClassName"] == "high"
    assert specs["judge"]["nodeSelector"] == tracker["nodeSelector"]
