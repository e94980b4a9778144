"""A results folder is fetched completely or not at all."""

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

from swarmrace.backends.kubernetes.download import pause_seconds
from swarmrace.backends.kubernetes.fetch import (
    SUMS,
    Cluster,
    archive,
    folder_of,
    races,
    unpack,
)
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


def test_a_round_trip_leaves_out_private_files(folder, stream, tmp_path):
    unpack(stream, tmp_path / "there" / "results")
    arrived = files(tmp_path / "there" / "results")
    sent = files(folder)
    assert set(arrived) == {"race.json", "runs/000-a/a-0.arrivals.npz"}
    assert all(sent[name] == data for name, data in arrived.items())


def test_results_that_a_sweep_has_not_stored_yet_are_left_out(tmp_path):
    """Their files still change, so their sums would not fit."""
    for name in ("sweep.json", "cells/a/attempt-1/race.json", "cells/a/.incoming-1/race.json"):
        (tmp_path / "sweep" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sweep" / name).write_text("{}")
    out = io.BytesIO()
    archive(tmp_path / "sweep", out, head="sweep.json")
    out.seek(0)
    unpack(out, tmp_path / "there", head="sweep.json")
    assert set(files(tmp_path / "there")) == {"sweep.json", "cells/a/attempt-1/race.json"}


def test_a_python_whose_tarfile_has_no_filters_unpacks_too(folder, stream, tmp_path, monkeypatch):
    """Python before 3.11.4, as Debian 12 has it."""
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    monkeypatch.delattr(tarfile.TarFile, "extractall")
    unpack(stream, tmp_path / "there")
    assert (tmp_path / "there" / "race.json").read_bytes() == (folder / "race.json").read_bytes()


@pytest.mark.parametrize("cut", [0, 100, 60_000, -11_000])
def test_an_incomplete_stream_leaves_nothing(stream, tmp_path, cut):
    short = io.BytesIO(stream.getvalue()[:cut])
    with pytest.raises(ResultsError, match=r"incomplete|damaged"):
        unpack(short, tmp_path / "there")
    assert not (tmp_path / "there").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_a_changed_byte_is_found(stream, tmp_path):
    data = bytearray(stream.getvalue())
    data[data.index(bytes(range(256))) + 7] ^= 1
    with pytest.raises(ResultsError, match=r"a-0\.arrivals\.npz is incomplete"):
        unpack(io.BytesIO(bytes(data)), tmp_path / "there")


@pytest.mark.parametrize("name", ["../evil", "/evil", "runs/../../evil", "link"])
def test_nothing_is_written_outside_the_folder(tmp_path, name):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo(name)
        if name == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "../evil"
            tar.addfile(member)
        else:
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
    out.seek(0)
    with pytest.raises(ResultsError):
        unpack(out, tmp_path / "there")
    assert not (tmp_path / "evil").exists()


def test_an_existing_folder_is_kept(stream, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").write_text("x")
    with pytest.raises(ResultsError, match="already exists"):
        unpack(stream, tmp_path / "there")
    assert (tmp_path / "there" / "mine").read_text() == "x"


def test_a_folder_without_a_race_is_not_archived(tmp_path):
    with pytest.raises(ResultsError, match=r"no race\.json"):
        archive(tmp_path, io.BytesIO())


def test_the_sums_have_the_format_of_sha256sum(stream):
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
    """A release with two races, and a kubectl that runs the pod's commands on this machine."""
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


def test_the_current_race_is_fetched_and_reported_as_running(cluster, run_cli):
    result = run_cli("fetch", "quick", "--namespace", "lab")
    assert result.exit_code == 0, result.output
    assert result.stdout == "results/quick-bbbbbbbbbb\n"
    assert "race bbbbbbbbbb is still running" in result.stderr
    get, fetch, facts = asked(cluster)
    assert facts[2:6] == ["get", "pods", "-l", "app.kubernetes.io/part-of=swarmrace-bbbbbbbbbb"]
    assert get[:2] == fetch[:2] == ["--namespace", "lab"]
    assert fetch[2:4] == ["exec", "there"], "neither the ending pod nor the pending one"


def test_a_fetched_folder_is_named_after_its_test_double(cluster, run_cli):
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
    assert "unknown for 3 of 4 pods, which are gone" in of_codex
    assert killed == "pod codex-3: container node ended: OOMKilled, exit code 137"
    assert of_web.startswith("pods of web: unknown; ")


def test_the_pods_file_is_in_the_manifest(cluster, run_cli):
    head = cluster / "data" / "bbbbbbbbbb" / "race.json"
    sha256 = hashlib.sha256(head.read_bytes()).hexdigest()
    listed = {"race.json": {"sha256": sha256, "sizeBytes": head.stat().st_size}}
    data = {"raceId": "bbbbbbbbbb", "complete": True, "files": listed}
    (head.parent / manifest.FILE).write_text(json.dumps(data))
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
    assert "unknown (not read yet" in pod_facts.lines(None, ["codex"], 4)[0]


def test_an_earlier_race_can_be_fetched(cluster, run_cli):
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
    """On a cluster a folder is named by its release's hash; two may hold the same scenario."""
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


def test_an_error_of_kubectl_is_one_line(cluster, run_cli):
    refused = "The connection to the server localhost:8080 was refused"
    logged = "E1125 22:00:00.000000 7 memcache.go:265] Unhandled Error err=refused"
    lines = [f"echo '{line}' >&2\n" for line in [logged] * 5 + [refused]]
    (cluster / "kubectl").write_text(f"#!/bin/sh\n{''.join(lines)}exit 1\n")
    result = run_cli("fetch", "x")
    assert result.exit_code == 4
    assert result.stderr == f"swarmrace: kubectl get pods…: exit code 1: {refused}\n"


def test_a_release_without_a_tracker_is_reported(cluster):
    (cluster / "pods.json").write_text('{"items": []}')
    with pytest.raises(UnavailableError, match=r"release quick: found no running tracker pod"):
        Cluster("quick", None, None).races()


def test_a_missing_kubectl_is_reported(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(UnavailableError, match=r"kubectl: not found"):
        Cluster("quick", None, None)


def test_a_race_is_watched_closely_only_after_its_last_transfer():
    def run(index, barrier):
        return {"run": {"index": index, "total": 2, "barrier": barrier}}

    usual = {pause_seconds(status) for status in ({"run": None}, run(0, "cleared"))}
    assert usual == {pause_seconds(run(1, "raced"))}
    assert pause_seconds(run(1, "cleared")) < usual.pop()
