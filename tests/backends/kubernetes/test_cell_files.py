"""A matrix is written as scenario files that can be raced unchanged."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
import yaml

from paths import SCENARIOS
from swarmrace.backends.kubernetes import cell_files, pods
from swarmrace.errors import Exit, ScenarioError
from swarmrace.plan import plan
from swarmrace.scenario.loading import load

MATRIX = """
global:
  race:
    swarmSize: 4
    fileSize: 1MB
    matrix:
      seeders: [1, 2]
      network: [{}, {upload: 80Mbit, lossPercent: 0.5}]
    timeouts: {stallSeconds: 33}
  entrants:
    one: &same {kind: bittorrent, settings: {user_agent: "010", peer_fingerprint: "1:30:00"}}
    two: *same
  peers: {labels: {note: "y", when: "2026-01-01", who: 'a "b"', odd: "é: #1"}}
tracker: {storage: {kind: emptyDir}}
"""


@pytest.fixture
def matrix(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(MATRIX)
    return path


def test_every_cell_is_a_file_with_the_same_scenario(matrix, tmp_path):
    files = cell_files.write(matrix, tmp_path / "cells")
    cells = plan.expand(load(matrix))
    assert [file.name for file in files] == [f"sweep-{cell.name}.yaml" for cell in cells]
    assert len(files) == 4
    for file, cell in zip(files, cells, strict=True):
        read = load(file)
        assert read == cell.scenario
        assert read.race_id() == cell.scenario.race_id()
        assert pods.cluster_faults(read) == []


def test_a_file_keeps_what_was_written_by_hand(matrix, tmp_path):
    """It has no defaults and no other spellings, so people can read and edit it."""
    last = cell_files.write(matrix, tmp_path / "cells")[-1]
    data, expected = yaml.safe_load(last.read_text()), yaml.safe_load(MATRIX)
    race = expected["global"]["race"]
    network = race.pop("matrix")["network"][1]
    expected["global"]["race"] = {**race, "seeders": 2, "network": network}
    assert data == expected


def test_every_cell_of_the_full_matrix_can_be_installed(tmp_path):
    files = cell_files.write(SCENARIOS / "matrix.yaml", tmp_path)
    assert len(files) == 39
    for file in files:
        assert pods.cluster_faults(load(file)) == [], file.name


def test_a_cell_sets_the_storage_that_its_results_need(matrix, tmp_path):
    text = MATRIX.replace("kind: emptyDir", "kind: emptyDir, size: 1MB")
    matrix.write_text(text)
    for file in cell_files.write(matrix, tmp_path / "cells"):
        storage = yaml.safe_load(file.read_text())["tracker"]["storage"]
        assert storage == {"kind": "emptyDir", "size": "1GiB"}
        assert pods.cluster_faults(load(file)) == []


def test_without_a_matrix_the_scenario_is_its_own_cell(tmp_path):
    (file,) = cell_files.write(SCENARIOS / "quick.yaml", tmp_path)
    assert load(file) == load(SCENARIOS / "quick.yaml")


def test_nothing_is_written_for_an_invalid_scenario(matrix, tmp_path):
    matrix.write_text(MATRIX.replace("seeders: [1, 2]", "seeders: [4, 5]"))
    with pytest.raises(ScenarioError):
        cell_files.write(matrix, tmp_path / "cells")
    assert not (tmp_path / "cells").exists()


def test_the_command_prints_the_files(matrix, tmp_path, run_cli):
    result = run_cli("plan", str(matrix), "--write", str(tmp_path / "cells"))
    assert result.exit_code == Exit.OK
    assert result.stdout.splitlines() == sorted(map(str, (tmp_path / "cells").iterdir()))


TOOLS = {
    "swarmrace": 'echo "swarmrace $*" >>log; [ $1 != plan ] || echo cells/A.yaml cells/B.yaml',
    "helm": 'echo "helm $1 $2" >>log; [ "$1 $2" != "install b" ]',
    "kubectl": 'n=$(wc -l <asked); echo "$*" >>asked; [ $n = 0 ] || echo "$ENDS"',
    "sleep": "exit 0",
}


@pytest.mark.parametrize("ends", ["SuccessCriteriaMet Complete", "FailureTarget Failed"])
def test_the_loop_in_the_docs_continues_however_a_verdict_ends(tmp_path, ends):
    text = (SCENARIOS.parent / "docs" / "kubernetes.md").read_text()
    loop = re.search(r"```\n(for file in .*?)```", text, re.DOTALL)[1]
    (tmp_path / "asked").touch()
    for name, script in TOOLS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "ENDS": ends}
    subprocess.run(["sh", "-c", loop], cwd=tmp_path, env=environment, check=False)
    log = (tmp_path / "log").read_text().splitlines()[1:]
    assert log == [
        "helm install a",
        "swarmrace fetch a -n race",
        "helm uninstall a",
        "helm install b",
    ]
    assert len((tmp_path / "asked").read_text().splitlines()) == 2
