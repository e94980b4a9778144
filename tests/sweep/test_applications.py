"""`plan --format argocd`: the list of cells for the chart app-of-apps."""

from __future__ import annotations

import pytest
import yaml

import made_sweeps
from made_sweeps import attempt, begin
from paths import SCENARIOS
from swarmrace.errors import Exit, ScenarioError, SweepError
from swarmrace.plan.plan import expand
from swarmrace.scenario.loading import load, parse
from swarmrace.sweep import applications, book

MATRIX = """
global:
  race:
    seeders: 1
    repetitions: 2
    matrix: {swarmSize: [2, 3], fileSize: [1kB, 2kB]}
  entrants: {web: {kind: http}, bt: {kind: bittorrent}}
  peers: {nodeSelector: {pool: race}}
"""


@pytest.fixture
def matrix(tmp_path):
    path = tmp_path / "made.yaml"
    path.write_text(MATRIX)
    return path


def sweeps_of(*arguments):
    return yaml.safe_load(applications.listing(*arguments))["sweeps"]


def test_a_matrix_is_a_sweep_of_its_cells_in_the_order_of_a_sweep(matrix, tmp_path):
    (sweep,) = sweeps_of([matrix])
    begun = begin(tmp_path / "folder", load(matrix))
    assert [cell["id"] for cell in sweep["cells"]] == begun.sequence
    assert sweep["name"] == "made"
    assert sweep["scenario"] == yaml.safe_load(MATRIX)


def test_each_cells_values_agree_with_its_id_and_keep_the_clusters_values(matrix):
    (sweep,) = sweeps_of([matrix])
    cells = {cell.scenario.cell_id(): cell for cell in expand(load(matrix))}
    for listed in sweep["cells"]:
        found = parse(listed["values"])
        assert found == cells[listed["id"]].scenario
        assert found.global_.peers.node_selector == {"pool": "race"}
        assert listed["attempt"] == 1
    names = [cell["name"] for cell in sweep["cells"]]
    assert sorted(names) == ["2x1-1kb", "2x1-2kb", "3x1-1kb", "3x1-2kb"]


def test_several_files_are_separate_sweeps_with_distinct_cell_names(matrix):
    one, two = sweeps_of([SCENARIOS / "quick.yaml", matrix])
    assert [cell["name"] for cell in one["cells"]] == ["quick"]
    assert {cell["name"] for cell in two["cells"]} == {
        f"made-{name}" for name in ("2x1-1kb", "2x1-2kb", "3x1-1kb", "3x1-2kb")
    }


def test_names_that_fit_a_cluster_stay_distinct(tmp_path):
    files = []
    for name in ("My Race", "my_race", "a-name-of-far-more-than-forty-characters-in-all"):
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text((SCENARIOS / "quick.yaml").read_text())
    names = [sweep["name"] for sweep in sweeps_of(files)]
    assert len(set(names)) == 3
    assert all(len(name) <= 40 and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
               for name in names)  # fmt: skip


def test_two_files_with_the_same_name_are_refused(matrix, tmp_path):
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "made.yaml"
    other.write_text(MATRIX)
    with pytest.raises(ScenarioError, match=r"found the same name made .*, expected different"):
        applications.listing([matrix, other])


def test_a_folders_missing_cells_are_listed_with_their_next_attempt(matrix, tmp_path):
    folder = tmp_path / "folder"
    begin(folder, load(matrix))
    done, cut, *_ = (cell.name for cell in book.read(folder).ordered())
    attempt(folder, done)
    attempt(folder, cut, status="running")
    (sweep,) = sweeps_of([matrix], folder)
    attempts = {cell["name"]: cell["attempt"] for cell in sweep["cells"]}
    assert len(attempts) == 3
    assert done.lower() not in attempts
    assert attempts.pop(cut.lower()) == 2
    assert set(attempts.values()) == {1}


def test_added_blocks_are_listed_as_a_race_that_continues(matrix, tmp_path):
    folder = tmp_path / "folder"
    sweep = begin(folder, load(matrix))
    made_sweeps.finish(folder)
    book.write(folder, book.with_repetitions(sweep, 4)[0])
    (listed,) = sweeps_of([matrix], folder)
    for cell in listed["cells"]:
        race = parse(cell["values"]).race
        assert race.blocks == range(2, 4)
        assert race.continues is not None


def test_another_scenarios_folder_is_refused(matrix, tmp_path):
    begin(tmp_path / "folder", made_sweeps.scenario(seed=7))
    with pytest.raises(SweepError, match="another"):
        applications.listing([matrix], tmp_path / "folder")


def test_the_command_writes_values(matrix, run_cli, tmp_path):
    result = run_cli("plan", str(SCENARIOS / "quick.yaml"), str(matrix), "--format", "argocd")
    assert result.exit_code == Exit.OK, result.output
    assert len(yaml.safe_load(result.stdout)["sweeps"]) == 2
    for more in ([], ["--format", "argocd", "--missing", str(tmp_path)]):
        refused = run_cli("plan", str(SCENARIOS / "quick.yaml"), str(matrix), *more)
        assert refused.exit_code == Exit.USAGE
        assert "found 2 scenarios, expected one" in refused.output
