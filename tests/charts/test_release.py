"""A release's names and hash, what null means, and the chart as a dependency."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_security import VERSIONS, schema_of
from test_umbrella import ALL, TWO, peers, pod_specs, values

from helm_charts import Render, Rendered, call
from swarmrace.errors import ScenarioError
from swarmrace.faults import models_of
from swarmrace.scenario.cluster import Spread
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Global, Timeouts
from swarmrace.scenario.sidecars import Sidecars

HASHED = re.compile(r"app.kubernetes.io/part-of\W+swarmrace-([0-9a-f]{10})|:8080/([0-9a-f]{10})")


def hashes(rendered: Rendered) -> set[str]:
    """Every release hash in it: each chart computes it by itself."""
    found = HASHED.findall(json.dumps(list(rendered)))
    return {either or other for either, other in found}


def names(rendered: Rendered) -> set[tuple[str, str]]:
    return {(thing["kind"], thing["metadata"]["name"]) for thing in rendered}


def test_the_hash_follows_what_is_raced_and_every_peers_template(render: Render) -> None:
    base = {"fileSize": "100MB"}
    one = render(values(ALL, base)).release_hash
    same = [
        render(values(ALL, base), release="another").release_hash,
        render(values(ALL, base), "--set", "global.fullnameOverride=other").release_hash,
        render(values(ALL, base), "--set", "global.nameOverride=other").release_hash,
        render(values(ALL, base, tracker={"nodeSelector": {"a": "b"}})).release_hash,
        render(values(ALL, base, verdict={"enabled": False})).release_hash,
        render(values(ALL, base, swarm={"annotations": {"a": "b"}})).release_hash,
        render(values(ALL, {**base, "seed": 1, "attempt": 1})).release_hash,
    ]
    assert set(same) == {one}
    others = [
        render(given).release_hash
        for given in (
            values(ALL, {**base, "attempt": 2}),
            values(ALL, {"fileSize": "100MiB"}),
            values({**ALL, "http": {"kind": "http", "profile": "tuned"}}, base),
            values(TWO, base),
            values(ALL, base, shared={"image": {"tag": "other"}}),
            values(ALL, base, shared={"imageRegistry": "registry.lab"}),
            values(ALL, base, shared={"peers": {"resources": {"limits": {"cpu": 3}}}}),
            values(ALL, base, shared={"peers": {"nodeSelector": {"disk": "ssd"}}}),
            values(ALL, base, shared={"sidecars": {"codex": {"env": {"CODEX_LOG_LEVEL": "X"}}}}),
            values(ALL, base, shared={"token": {"existingSecret": "mine"}}),
        )
    ]
    assert len({one, *others}) == 1 + len(others)


def test_a_template_with_the_same_meaning_is_the_same_race(
    helm: str, checkout: Path, tmp_path: Path
) -> None:
    """A new comment or quote in the pod template must not end a race in progress."""
    found = []
    for number, (old, new) in enumerate(
        [
            ("", ""),
            ("restartPolicy: Never", "# written differently\n  restartPolicy: 'Never'"),
            ("restartPolicy: Never", "restartPolicy: OnFailure"),
        ]
    ):
        folder = tmp_path / str(number)
        shutil.copytree(checkout / "charts", folder)
        shutil.rmtree(folder / "swarmrace/charts")
        for chart in ("common", "tracker", "swarm", "monitoring"):
            shutil.copytree(folder / chart, folder / "swarmrace/charts" / chart)
        template = folder / "swarmrace/charts/common/templates/_peer.tpl"
        assert old in template.read_text()
        template.write_text(template.read_text().replace(old, new, 1))
        file = tmp_path / "values.json"
        file.write_text(json.dumps(values()))
        output = call(helm, "template", "race", folder / "swarmrace", "-f", file)
        found.append(Rendered(o for o in yaml.safe_load_all(output) if o).release_hash)
    assert found[0] == found[1] != found[2]


def test_the_verdicts_job_has_a_hash_of_its_own_spec(render: Render) -> None:
    """A Job can't be changed: another node selector must make another Job, but no new race."""
    one = render(values())
    two = render(values(tracker={"nodeSelector": {"pool": "infra"}}))
    assert one.release_hash == two.release_hash
    assert (
        one.one("Job", "-verdict-")["metadata"]["name"]
        != (two.one("Job", "-verdict-")["metadata"]["name"])
    )
    assert peers(one) == peers(two)
    three = render(values(monitoring={"enabled": True}))
    assert three.one("Job", "-verdict-") == one.one("Job", "-verdict-")


@pytest.mark.parametrize(
    ("release", "other"),
    [("my.release", "my-release"), ("a.b.c", "a-b.c"), ("1st", "r1st"), ("x" * 53, "x" * 52)],
)
def test_no_two_releases_share_a_name(render: Render, release: str, other: str) -> None:
    given = values(ALL, monitoring={"enabled": True})
    assert not names(render(given, release=release)) & names(render(given, release=other))


@pytest.mark.parametrize("release", ["r", "quick", "a" * 27, "a" * 28, "x" * 53, "1st", "a.b.c",
                                     f"{'a' * 19}-{'b' * 20}"])  # fmt: skip
def test_names_fit_with_the_index(render: Render, release: str) -> None:
    entrants = {"e" * 20: {"kind": "http"}, "codex": {"kind": "codex"}}
    rendered = render(values(entrants), release=release)
    for thing in rendered:
        name = thing["metadata"]["name"]
        longest = f"{name}-999" if thing["kind"] == "Job" else name
        assert len(longest) <= 63
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", longest), longest


def test_names_can_be_overridden(render: Render) -> None:
    shared = {"nameOverride": "p2p"}
    rendered = render(values(ALL, shared=shared), release="lab")
    assert all(name.startswith("lab-p2p-") for _, name in names(rendered))
    for thing in rendered:
        assert thing["metadata"]["labels"]["app.kubernetes.io/name"] == "p2p"
    shared["fullnameOverride"] = "codex-lab"
    rendered = render(values(ALL, shared=shared), release="lab")
    assert all(name.startswith("codex-lab-") for _, name in names(rendered))
    tracker = rendered.one("Deployment")["metadata"]["name"]
    for job in peers(rendered).values():
        assert f"http://{tracker}:8080/" in str(job["spec"]["template"])


@pytest.mark.parametrize("name", ["p2p lab", "a/b", "-a", "a-", "a" * 64])
def test_an_override_that_is_no_label_is_refused(render: Render, name: str) -> None:
    given = values(shared={"nameOverride": name})
    assert "/global/nameOverride" in render(given, refused=True)
    with pytest.raises(ScenarioError, match=r"global\.nameOverride"):
        parse(given)


def nulls() -> Iterator[Any]:
    """Values of `global` with one key null, or with all keys below it null."""
    for name, field in Global.model_fields.items():
        key = field.alias or name
        if key != "entrants":
            yield pytest.param({key: None}, id=key)
            inner = models_of(field.annotation)
            below = [f.alias or n for each in inner for n, f in each.model_fields.items()]
            if below:
                yield pytest.param({key: dict.fromkeys(below)}, id=f"{key}.*")
    timeouts = {field.alias: None for field in Timeouts.model_fields.values()}
    yield pytest.param({"race": {"timeouts": timeouts}}, id="race.timeouts.*")
    spread = {field.alias: None for field in Spread.model_fields.values()}
    yield pytest.param({"peers": {"spread": spread, "storage": {"kind": None}}}, id="peers.*.*")
    codex = {
        field.alias: None
        for field in Sidecars.model_fields["codex"].annotation.model_fields.values()
    }
    yield pytest.param({"sidecars": {"codex": codex}}, id="sidecars.codex.*")


@pytest.mark.parametrize("shared", list(nulls()))
def test_null_is_as_if_the_key_were_deleted(render: Render, shared: dict[str, Any]) -> None:
    """In the umbrella, in the sub-charts, to which Helm passes another `global`, and in `plan`."""
    document = {"global": {"entrants": ALL, **shared}}
    rendered = render(document)
    assert hashes(rendered) == {rendered.release_hash}
    assert parse(document).race_id() == parse(values(ALL)).race_id()
    if not {"peers", "sidecars"} & set(shared):
        assert rendered.release_hash == render(values(ALL)).release_hash


def test_null_empties_maps_and_removes_entrants(render: Render) -> None:
    entrants = {**TWO, "gone": None}
    none = {"resources": {"limits": None}, "nodeSelector": None, "podSecurityContext": None,
            "securityContext": {"capabilities": None}}  # fmt: skip
    rendered = render(values(entrants, shared={"peers": none}))
    assert set(peers(rendered)) == set(TWO) == set(parse(values(entrants)).entrants)
    for job in peers(rendered).values():
        spec = job["spec"]["template"]["spec"]
        assert "securityContext" not in spec
        (runner,) = spec["containers"]
        assert set(runner["resources"]) == {"requests"}
        assert set(runner["securityContext"]) == {
            "allowPrivilegeEscalation",
            "readOnlyRootFilesystem",
        }


def test_every_pod_has_what_a_user_adds(render: Render) -> None:
    pod = {
        "labels": {"team": "p2p"},
        "annotations": {"note": "x"},
        "extraEnv": [{"name": "A", "value": "b"}],
        "extraVolumes": [{"name": "more", "emptyDir": {"sizeLimit": "1Mi"}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "podSecurityContext": None,
        "securityContext": None,
        "serviceAccountName": "mine",
        "resources": {"requests": {"cpu": "7m"}, "limits": {"cpu": "77m", "memory": "77Mi"}},
    }
    own = dict.fromkeys(("tracker", "verdict", "judge", "test"), pod)
    pods = pod_specs(render(values(shared={"peers": pod}, **own)))
    assert len(pods) == 2 + 4
    for name, metadata, spec in pods:
        assert metadata["labels"]["team"] == "p2p", name
        assert metadata["annotations"]["note"] == "x", name
        assert "securityContext" not in spec, name
        assert spec["serviceAccountName"] == "mine", name
        assert pod["extraVolumes"][0] in spec["volumes"], name
        (container,) = spec["containers"]
        assert pod["extraEnv"][0] in container["env"], name
        assert pod["extraVolumeMounts"][0] in container["volumeMounts"], name
        assert "securityContext" not in container, name
        limits = container["resources"]["limits"]
        assert (limits["cpu"], limits["memory"]) == ("77m", "77Mi"), name


def test_every_pod_has_what_a_quota_requires(render: Render) -> None:
    """Except for the tracker's CPU limit, which would slow the race."""
    for name, _, spec in pod_specs(render(values(ALL))):
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            for kind in ("requests", "limits"):
                wanted = {"cpu", "memory"} - ({"cpu"} if name.endswith("-tracker") else set())
                assert wanted <= set(container["resources"][kind]), name


def test_one_registry_for_all_images(render: Render) -> None:
    shared = {"imageRegistry": "registry.lab:5000/mirror/"}
    images = {
        container["image"]
        for _, _, spec in pod_specs(render(values(ALL, shared=shared)))
        for container in [*spec.get("initContainers", []), *spec["containers"]]
    }
    assert images == {
        "registry.lab:5000/mirror/swarmrace:0.1.0",
        "registry.lab:5000/mirror/codexstorage/nim-codex:0.2.5",
        "registry.lab:5000/mirror/logosstorage/logos-storage-nim:latest",
    }


@pytest.mark.parametrize("looks_like", ["123", "true", "1e3"])
def test_a_string_that_looks_like_a_number_stays_one(render: Render, looks_like: str) -> None:
    shared = {"nameOverride": looks_like, "token": {"existingSecret": looks_like}}
    shared["sidecars"] = {"codex": {"env": {"ON": looks_like}}}
    for thing in render(values(ALL, shared=shared)):
        schema = schema_of(thing["kind"], thing["apiVersion"], VERSIONS[-1])
        assert schema is not None
        schema.validate(thing)


@pytest.fixture(scope="module")
def parent(helm: str, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chart that depends on ours twice, each under another name and with a condition."""
    folder = tmp_path_factory.mktemp("parent") / "parent"
    folder.mkdir()
    where = {"version": "0.1.0", "repository": f"file://{checkout / 'charts/swarmrace'}"}
    instances = [
        {"name": "swarmrace", **where, "alias": alias, "condition": f"{alias}.enabled"}
        for alias in ("race", "other")
    ]
    chart = {"apiVersion": "v2", "name": "parent", "version": "0.1.0", "dependencies": instances}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(chart))
    call(helm, "dependency", "update", "--skip-refresh", folder)
    return folder


def test_it_works_as_a_dependency_with_one_alias(helm: str, parent: Path, tmp_path: Path) -> None:
    file = tmp_path / "values.json"
    given = {"global": values(ALL)["global"], "other": {"enabled": False}}
    nodes = {"nodeSelector": {"a": "b"}}
    given["race"] = {"enabled": True, "tracker": nodes, "monitoring": {"enabled": True}}
    file.write_text(json.dumps(given))
    output = call(helm, "template", "race", parent, "-f", file)
    rendered = Rendered(o for o in yaml.safe_load_all(output) if o)
    assert hashes(rendered) == {rendered.release_hash}
    assert set(peers(rendered)) == set(ALL)
    assert rendered.one("Deployment")["spec"]["template"]["spec"]["nodeSelector"] == {"a": "b"}
    off = {**given, "race": {"enabled": False}}
    file.write_text(json.dumps(off))
    assert call(helm, "template", "race", parent, "-f", file).strip() == ""


def test_two_instances_in_one_release_are_refused(helm: str, parent: Path, tmp_path: Path) -> None:
    file = tmp_path / "values.json"
    both: dict[str, Any] = {"race": {"enabled": True}, "other": {"enabled": True}}
    file.write_text(json.dumps({"global": values()["global"], **both}))
    said = call(helm, "template", "race", parent, "-f", file, refused=True)
    assert "found it twice in one release" in said
    assert "install the second race as a release of its own" in said
