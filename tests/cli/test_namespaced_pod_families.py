"""A race by the pods' commands, each pod in a namespace with IPv4 only, IPv6 only or both.

`test_pod_families` has one namespace for all pods, in which some programs can't race.

Codex's discovery listens on IPv4 only (0.0.0.0, seen on v0.2.5). So it races where a pod's first
address is IPv4. Elsewhere it is refused with the reason, and the other entrants race.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import family_pods
from swarmrace import systems
from swarmrace.errors import Exit, Reason
from swarmrace.network import namespaces
from swarmrace.results.folder import load as load_results
from swarmrace.scenario.loading import parse


@pytest.fixture(scope="module", autouse=True)
def permitted() -> None:
    if not namespaces.permitted_here():
        pytest.skip("network namespaces are not permitted here")


def installed(*kinds: str) -> list[str]:
    options = parse({"global": {"entrants": {kind: {"kind": kind} for kind in kinds}}}).entrants
    return [kind for kind in kinds if not systems.load(kind).check(options[kind])]


def raced(folder: Path, families: str, *kinds: str):
    patient = {"heartbeatSeconds": 60, "stallSeconds": 60}
    race = {"swarmSize": 2, "fileSize": "1MB", "repetitions": 1, "timeouts": patient}
    entrants = {kind: {"kind": kind} for kind in kinds}
    scenario = folder / "scenario.yaml"
    scenario.write_text(yaml.safe_dump({"global": {"race": race, "entrants": entrants}}))
    ended = family_pods.race(folder, scenario, families)
    logs = "\n".join(path.read_text()[-3000:] for path in folder.glob("*.log"))
    assert set(ended.values()) == {0}, logs
    return load_results(folder / "data"), logs


def transfers(results, entrant: str) -> list:
    return [
        run.peers[leecher].transfer
        for run in results.runs
        if run.run.entrant == entrant
        for leecher in run.leechers
    ]


@pytest.mark.parametrize("families", ["IPv4 only", "both, IPv4 first"])
def test_every_system_races_where_a_pods_first_address_is_ipv4(tmp_path, families):
    kinds = ("codex", "http", *installed("bittorrent", "ipfs", "transmission"))
    results, logs = raced(tmp_path, families, *kinds)
    for kind in kinds:
        (transfer,) = transfers(results, kind)
        assert transfer is not None, logs
        assert transfer.verified, logs


@pytest.mark.parametrize("families", ["IPv6 only", "both, IPv6 first"])
def test_codex_is_refused_with_the_reason_where_it_is_ipv6(tmp_path, families):
    results, logs = raced(tmp_path, families, "codex", "http")
    (transfer,) = transfers(results, "http")
    assert transfer.verified, logs
    trial = results.info.trials["codex"]
    assert trial.outcome == "never started"
    assert trial.failure.reason is Reason.REFUSED
    assert trial.failure.detail.startswith("codex: expected an IPv4 address, found fd00::")
    assert "\n" not in trial.failure.detail
    command = [sys.executable, "-m", "swarmrace", "show", str(tmp_path / "data")]
    shown = subprocess.run(command, capture_output=True, text=True)
    assert shown.returncode == Exit.UNAVAILABLE
    words = " ".join(shown.stdout.split())
    assert f"codex (stock) never started: refused in prepare: {trial.failure.detail}" in words
