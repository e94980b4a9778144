"""`plan --missing`: ids and axes of the cells that are left."""

from __future__ import annotations

import json

import pytest
import yaml

from made_sweeps import attempt, begin, finish, scenario
from swarmrace.errors import Exit, SweepError
from swarmrace.sweep import book, missing


def test_ids_and_axes_are_listed_in_the_sweeps_order(tmp_path):
    what = scenario()
    everything = missing.missing_axes(what, tmp_path / "not there")
    assert [set(cell) for cell in everything] == [{"id", "swarmSize", "seeders", "fileSize"}] * 4
    assert {"swarmSize": 2, "seeders": 1, "fileSize": "1kB"} in [
        {key: value for key, value in cell.items() if key != "id"} for cell in everything
    ]
    sweep = begin(tmp_path)
    listed = [cell["id"] for cell in missing.missing_axes(what, tmp_path)]
    assert listed == sweep.sequence
    assert [cell["id"] for cell in everything] == listed, "a sweep begins in the same order"
    assert listed != [cell.id for cell in sweep.cells], "it is shuffled"
    finish(tmp_path, but=("2x1-2kB",))
    attempt(tmp_path, "2x1-2kB", status="running", runs=1)
    (left,) = missing.missing_axes(what, tmp_path)
    assert (left["swarmSize"], left["fileSize"]) == (2, "2kB")
    attempt(tmp_path, "2x1-2kB", 2)
    assert missing.missing_axes(what, tmp_path) == []
    book.write(tmp_path, book.with_repetitions(sweep, 3)[0])
    assert len(missing.missing_axes(what, tmp_path)) == 4


def test_a_sweep_that_has_not_begun_can_begin_with_its_cheapest_cell(tmp_path):
    what = scenario({"swarmSize": [8, 2], "fileSize": ["1GB", "1kB"]})
    cells = missing.missing_axes(what, tmp_path, "cheapest-first")
    assert [(cell["swarmSize"], cell["fileSize"]) for cell in cells] == [
        (2, "1kB"),
        (8, "1kB"),
        (2, "1GB"),
        (8, "1GB"),
    ]


def test_a_network_is_an_axis_as_the_scenario_writes_it(tmp_path):
    what = scenario({"network": [{}, {"upload": "8Mbit"}]})
    networks = [cell["network"] for cell in missing.missing_axes(what, tmp_path)]
    assert sorted(networks, key=len) == [{}, {"upload": 1_000_000}]


def test_a_thousand_cells_fit_the_output_of_an_argo_step(tmp_path):
    sizes = [1000 + number for number in range(1000)]
    text = json.dumps(missing.missing_axes(scenario({"fileSize": sizes}), tmp_path))
    assert len(text) < 256_000


def test_the_command_lists_for_people_and_programs(tmp_path, run_cli):
    file = tmp_path / "matrix.yaml"
    what = scenario()
    file.write_text(yaml.safe_dump(book.raced_scenario(what)))
    sweep = begin(tmp_path / "sweep", what)
    finish(tmp_path / "sweep", but=("3x1-2kB",))
    cell = sweep.cell("3x1-2kB")
    done = run_cli("plan", str(file), "--missing", str(tmp_path / "sweep"))
    assert (done.exit_code, done.output) == (0, f"{cell.id}  3x1-2kB\n")
    done = run_cli("plan", str(file), "--missing", str(tmp_path / "sweep"), "--format", "json")
    assert [each["id"] for each in json.loads(done.output)] == [cell.id]


def test_another_matrix_is_refused(tmp_path, run_cli):
    begin(tmp_path / "sweep")
    with pytest.raises(SweepError):
        missing.missing_cells(scenario(seed=9), tmp_path / "sweep")
    file = tmp_path / "matrix.yaml"
    file.write_text(yaml.safe_dump(book.raced_scenario(scenario(seed=9))))
    done = run_cli("plan", str(file), "--missing", str(tmp_path / "sweep"))
    assert done.exit_code == Exit.SWEEP_REFUSED
    assert "began with 1, found 9" in done.output
