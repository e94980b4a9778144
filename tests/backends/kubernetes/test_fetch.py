"""A results folder travels whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from swarmrace.backends.kubernetes.fetch import SUMS, Cluster, archive, folder_of, races, unpack
from swarmrace.errors import ResultsError, UnavailableError
from swarmrace.results import manifest, pod_facts


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "data"
    (folder / "runs" / "000-a").mkdir(parents=True)
    (folder / "race.json").write_text('{"raceId": "0123456789"}')
    (folder / "state.json").write_text("{}")
    (folder / "runs" / "000-a" / "a-0.arrivals.npz").write_bytes(bytes(range(256)) * 500)
    (folder / "runs" / "000-a" / ".half-written").write_bytes(b"x")
    return folder


@pytest.fixture
def stream(folder):
    out = io.BytesIO()
    archive(folder, out)
    out.seek(0)
    return out


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def test_round_trip_leaves_out_what_is_private(folder, stream, tmp_path):
    unpack(stream, tmp_path / "there" / "results")
    arrived = files(tmp_path / "there" / "results")
    sent = files(folder)
    assert set(arrived) == {"race.json", "runs/000-a/a-0.arrivals.npz"}
    assert all(sent[name] == data for name, data in arrived.items())


@pytest.mark.parametrize("cut", [0, 100, 60_000, -11_000])
def test_a_stream_cut_short_leaves_nothing(stream, tmp_path, cut):
    short = io.BytesIO(stream.getvalue()[:cut])
    with pytest.raises(ResultsError, match=r"cut short|damaged"):
        unpack(short, tmp_path / "there")
    assert not (tmp_path / "there").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_a_changed_byte_is_found(stream, tmp_path):
    data = bytearray(stream.getvalue())
    data[data.index(bytes(range(256))) + 7] ^= 1
    with pytest.raises(ResultsError, match=r"a-0.arrivals.npz did not arrive whole"):
        unpack(io.BytesIO(bytes(data)), tmp_path / "there")


def test_never_writes_outside_its_folder(tmp_path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo("../evil")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    out.seek(0)
    with pytest.raises(ResultsError):
        unpack(out, tmp_path / "there")
    assert not (tmp_path / "evil").exists()


def test_an_existing_folder_is_kept(stream, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").write_text("x")
    with pytest.raises(ResultsError, match="exists already"):
        unpack(stream, tmp_path / "there")
    assert (tmp_path / "there" / "mine").read_text() == "x"


def test_no_race_no_archive(tmp_path):
    with pytest.raises(ResultsError, match=r"no race\.json"):
        archive(tmp_path, io.BytesIO())


def test_the_sums_are_what_sha256sum_reads(stream):
    with tarfile.open(fileobj=stream) as tar:
        last = tar.getmembers()[-1]
        assert last.name == SUMS
        lines = tar.extractfile(last).read().decode().splitlines()
    assert len(lines) == 2
    assert all(len(line.split("  ")[0]) == 64 for line in lines)


KUBECTL = """#!{python}
import json, os, pathlib, subprocess, sys
place = pathlib.Path(__file__).parent
with (place / "asked").open("a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
if "get" in sys.argv:
    print((place / "pods.json").read_text())
else:
    inside = [sys.executable, "-m", *sys.argv[sys.argv.index("swarmrace"):]]
    environment = {{**os.environ, "SWARMRACE_DATA_DIR": str(place / "data" / "bbbbbbbbbb")}}
    sys.exit(subprocess.run(inside, env=environment).returncode)
"""


PEER = {
    "metadata": {
        "name": "quick-codex-3-xyz",
        "annotations": {"batch.kubernetes.io/job-completion-index": "3"},
    },
    "spec": {
        "nodeName": "worker-2",
        "initContainers": [
            {"name": "node", "image": "lab/codex:mine", "resources": {"limits": {"cpu": "1500m"}}}
        ],
        "containers": [
            {
                "name": "runner",
                "image": "registry.lab/swarmrace:7",
                "env": [{"name": "SWARMRACE_ENTRANT", "value": "codex"}],
            }
        ],
    },
    "status": {
        "phase": "Running",
        "initContainerStatuses": [
            {
                "name": "node",
                "imageID": "lab/codex@sha256:aa",
                "state": {"running": {}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
            }
        ],
        "containerStatuses": [{"name": "runner", "imageID": ""}],
    },
}


def pod(name, phase="Running", **metadata):
    return {"metadata": {"name": name, **metadata}, "status": {"phase": phase}}


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A release with two races, behind a kubectl that runs here what it is to run there."""
    place = tmp_path / "cluster"
    for race, status in (("aaaaaaaaaa", "finished"), ("bbbbbbbbbb", "running")):
        folder = place / "data" / race
        folder.mkdir(parents=True)
        head = {"raceId": race, "status": status, "createdUtc": f"2026-01-01T00:00:00+{race[0]}"}
        (folder / "race.json").write_text(json.dumps(head))
    (place / "data" / "lost+found").mkdir()
    (place / "kubectl").write_text(KUBECTL.format(python=sys.executable))
    (place / "kubectl").chmod(0o755)
    pods = [
        pod("old", deletionTimestamp="2026-01-01T00:00:00Z"),
        pod("new", phase="Pending"),
        pod("there"),
        PEER,
    ]
    (place / "pods.json").write_text(json.dumps({"items": pods}))
    monkeypatch.setenv("PATH", str(place), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    return place


def asked(cluster):
    return [json.loads(line) for line in (cluster / "asked").read_text().splitlines()]


def test_the_present_race_is_fetched_and_said_to_go_on(cluster, run_cli):
    result = run_cli("fetch", "quick", "--namespace", "lab")
    assert result.exit_code == 0, result.output
    assert result.stdout == "results/quick-bbbbbbbbbb\n"
    assert "race bbbbbbbbbb goes on" in result.stderr
    get, fetch, facts = asked(cluster)
    assert facts[2:6] == ["get", "pods", "-l", "app.kubernetes.io/part-of=swarmrace-bbbbbbbbbb"]
    assert get[:2] == fetch[:2] == ["--namespace", "lab"]
    assert fetch[2:4] == ["exec", "there"], "neither the one that ends nor the one to come"


def test_a_fetched_folder_says_that_a_test_double_was_raced(cluster, run_cli):
    head = cluster / "data" / "bbbbbbbbbb" / "race.json"
    head.write_text(json.dumps({**json.loads(head.read_text()), "testDoubles": ["codex"]}))
    result = run_cli("fetch", "quick")
    assert result.stdout == "results/quick (test double)-bbbbbbbbbb\n"


def test_images_and_limits_of_the_pods_are_read_with_their_source(cluster, run_cli):
    assert run_cli("fetch", "quick").exit_code == 0
    facts = pod_facts.read(Path("results/quick-bbbbbbbbbb"))
    assert "kubectl get pods" in facts.source
    (peer,) = facts.pods
    assert (peer.entrant, peer.peer, peer.node) == ("codex", 3, "worker-2")
    node, runner = peer.containers["node"], peer.containers["runner"]
    assert (node.image, node.digest) == ("lab/codex:mine", "lab/codex@sha256:aa")
    assert node.limits == {"cpu": "1500m"}
    assert (runner.digest, runner.limits) == ("unknown", {})
    of_codex, killed, of_web = pod_facts.lines(facts, ["codex", "web"], 4)
    assert "node lab/codex:mine (lab/codex@sha256:aa; limits cpu 1500m)" in of_codex
    assert "of 3 of 4 pods unknown: they are gone" in of_codex
    assert killed == "pod codex-3: its container node ended: OOMKilled, exit code 137"
    assert of_web.startswith("pods of web: unknown; ")


def test_what_was_read_of_the_pods_is_hashed_with_the_rest(cluster, run_cli):
    head = cluster / "data" / "bbbbbbbbbb" / "race.json"
    sha256 = hashlib.sha256(head.read_bytes()).hexdigest()
    listed = {"race.json": {"sha256": sha256, "sizeBytes": head.stat().st_size}}
    whole = {"raceId": "bbbbbbbbbb", "complete": True, "files": listed}
    (head.parent / manifest.FILE).write_text(json.dumps(whole))
    assert run_cli("fetch", "quick").exit_code == 0
    folder = Path("results/quick-bbbbbbbbbb")
    assert manifest.faults(folder, manifest.read(folder)) == []
    (folder / pod_facts.FILE).write_text("{}")
    (fault,) = manifest.faults(folder, manifest.read(folder))
    assert fault.startswith("pods.json: changed after the race")


def test_pods_that_can_not_be_read_are_unknown(cluster, run_cli):
    text = (cluster / "kubectl").read_text()
    refusal = 'sys.exit("pods is forbidden") if "part-of" in str(sys.argv) else None\n'
    (cluster / "kubectl").write_text(text.replace("place =", f"{refusal}place =", 1))
    result = run_cli("fetch", "quick")
    assert result.exit_code == 0, result.output
    facts = pod_facts.read(Path("results/quick-bbbbbbbbbb"))
    assert facts.pods == []
    assert "pods is forbidden" in facts.trouble
    (line,) = pod_facts.lines(facts, ["codex"], 4)
    assert line.startswith("images and limits of the pods: unknown (kubectl get pods: ")
    assert "unknown (nobody has read them" in pod_facts.lines(None, ["codex"], 4)[0]


def test_an_earlier_race_is_still_there(cluster, run_cli):
    result = run_cli("fetch", "quick", "--list")
    assert [line.split()[:3] for line in result.stdout.splitlines()] == [
        ["aaaaaaaaaa", "-", "finished"],
        ["bbbbbbbbbb", "-", "running"],
    ]
    result = run_cli("fetch", "quick", "--race-id", "aaaaaaaaaa")
    assert (result.stdout, result.stderr) == ("results/quick-aaaaaaaaaa\n", "")
    result = run_cli("fetch", "quick", "--race-id", "cccccccccc")
    assert result.exit_code == 4
    assert "cccccccccc: expected a results folder" in result.stderr


def test_a_race_is_found_by_its_own_id_or_the_releases_hash(tmp_path):
    """On a cluster a folder has the release's hash; two may hold the same scenario."""
    for number, name in enumerate(("aaaaaaaaaa", "bbbbbbbbbb")):
        head = {"raceId": "0123456789", "releaseHash": name, "status": "finished"}
        head["createdUtc"] = f"2026-11-2{number}T00:00:00"
        (tmp_path / name).mkdir()
        (tmp_path / name / "race.json").write_text(json.dumps(head))
    here = tmp_path / "cccccccccc"
    assert [race["releaseHash"] for race in races(here)] == ["aaaaaaaaaa", "bbbbbbbbbb"]
    assert folder_of(here, "aaaaaaaaaa").name == "aaaaaaaaaa"
    assert folder_of(here, "0123456789").name == "bbbbbbbbbb", "the newest"
    assert folder_of(here, "dddddddddd").name == "dddddddddd"


def test_what_kubectl_says_is_one_line(cluster, run_cli):
    refused = "The connection to the server localhost:8080 was refused"
    logged = "E1125 22:00:00.000000 7 memcache.go:265] Unhandled Error err=refused"
    lines = [f"echo '{line}' >&2\n" for line in [logged] * 5 + [refused]]
    (cluster / "kubectl").write_text(f"#!/bin/sh\n{''.join(lines)}exit 1\n")
    result = run_cli("fetch", "x")
    assert result.exit_code == 4
    assert result.stderr == f"swarmrace: kubectl get pods…: exit code 1: {refused}\n"


def test_a_release_without_a_tracker_is_said(cluster):
    (cluster / "pods.json").write_text('{"items": []}')
    with pytest.raises(UnavailableError, match=r"release quick: found no running tracker pod"):
        Cluster("quick", None, None).races()


def test_without_kubectl_it_says_so(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(UnavailableError, match=r"kubectl: not found"):
        Cluster("quick", None, None)
