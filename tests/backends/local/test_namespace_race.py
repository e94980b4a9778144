"""Races of a system whose peers need their own source addresses, from the command line: as nobody,
if the kernel forbids namespaces, and if the user does."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from codex_double.testing import program

import racing
from unprivileged import NOBODY, as_nobody, forbidden, needs_user_namespaces, open_folder, run

RATE = 1_000_000


def swarmrace(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "swarmrace", *map(str, arguments)]


def scenario(folder: Path, **race: object) -> Path:
    entrants = {
        "codex": {"kind": "codex", "program": str(program(folder / "bin"))},
        "http": {"kind": "http"},
    }
    return racing.scenario_file(folder, entrants, **race)


@needs_user_namespaces
def test_a_user_without_root_rights_races_in_a_user_namespace_with_rates():
    """Every peer of every entrant has its own network, and all files belong to the user."""
    with open_folder() as folder:
        (folder / "work").mkdir(mode=0o777)
        (folder / "work").chmod(0o777)
        limited = {"upload": f"{RATE * 8 // 1_000_000}Mbit"}
        file = scenario(folder, fileSize="500kB", network=limited)
        command = swarmrace("run", file, "--results", folder / "results", "--work-dir",
                            folder / "work")  # fmt: skip
        done = run(as_nobody(command), cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        [results] = (folder / "results").iterdir()
        user = NOBODY if os.geteuid() == 0 else os.geteuid()
        assert {path.stat().st_uid for path in results.rglob("*")} == {user}
        assert list((folder / "work").iterdir()) == []
        head = json.loads((results / "race.json").read_text())
        assert head["backend"] == "local with network namespaces"
        assert len({peer["address"] for peer in head["peers"]}) == 6
        assert all(peer["rates"]["upload"] <= 1.1 * RATE for peer in head["peers"])
        for entrant in ("codex", "http"):
            [record] = results.glob(f"runs/*/{entrant}-1.json")
            result = json.loads(record.read_text())
            assert result["outcome"] == "completed"
            assert result["wire"]["interface"] == "eth0"


@needs_user_namespaces
def test_if_the_kernel_forbids_namespaces_the_race_is_refused_and_the_plan_warns(tmp_path):
    file = scenario(tmp_path)
    done = run(forbidden(swarmrace("run", file, "--results", tmp_path / "results")))
    assert done.returncode == 4, done.stderr
    assert "global.entrants.codex: needs a network namespace for each peer: " in done.stderr
    assert "`sysctl -w user.max_user_namespaces=15000`" in done.stderr
    assert not (tmp_path / "results").exists()
    planned = run(forbidden(swarmrace("plan", file, "--format", "json")))
    warnings = json.loads(planned.stdout)["warnings"]
    assert any("global.entrants.codex: needs a network namespace" in line for line in warnings)
    looked = run(forbidden(swarmrace("doctor", "--format", "json")))
    rows = {row["name"]: row for row in json.loads(looked.stdout)}
    assert rows["network namespaces"]["state"] == "warn"
    assert "user.max_user_namespaces is 0" in rows["network namespaces"]["fix"]
    assert rows["system codex"]["state"] == "warn"
    assert "needs a network namespace for each peer: " in rows["system codex"]["fix"]


@needs_user_namespaces
def test_systems_that_can_share_an_address_race_without_namespaces(tmp_path):
    file = racing.scenario_file(tmp_path, {"http": {"kind": "http"}})
    planned = run(forbidden(swarmrace("plan", file, "--format", "json")))
    assert json.loads(planned.stdout)["warnings"] == []
    done = run(forbidden(swarmrace("run", file, "--results", tmp_path / "results")))
    assert done.returncode == 0, done.stderr
    [head] = (tmp_path / "results").glob("*/race.json")
    assert json.loads(head.read_text())["backend"] == "local"


def test_without_namespaces_the_race_is_refused_with_the_reason(tmp_path, run_cli):
    done = run_cli("run", str(scenario(tmp_path)), "--no-namespaces", "--results", str(tmp_path))
    assert done.exit_code == 4
    assert "global.entrants.codex: needs a network namespace for each peer: a node's" in done.output
    assert "leave out --no-namespaces" in done.output


def test_a_peer_by_hand_is_refused_a_loopback_address(tmp_path, run_cli):
    """There it would wait for other peers until its stage's timeout."""
    done = run_cli(
        "peer",
        "--rendezvous=http://127.0.0.1:9",
        "--race-id=0123456789",
        f"--scenario={scenario(tmp_path)}",
        "--entrant=codex",
        "--peer=1",
        "--address=127.0.77.2",
        f"--work-dir={tmp_path / 'work'}",
    )
    assert done.exit_code == 4
    assert "--address: found 127.0.77.2: a node's discovery answers from" in done.output
