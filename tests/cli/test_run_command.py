"""`swarmrace run` with several cells, one of which fails."""

from __future__ import annotations

import json

import pytest

from swarmrace.cli import run_command as command
from swarmrace.errors import Exit, RaceError
from swarmrace.sweep import driver, state

QUICK = {"kind": "synthetic", "curve": [[0, 0], [0.1, 1]]}


@pytest.fixture
def scenario(tmp_path):
    race = {"swarmSize": 2, "repetitions": 1, "matrix": {"fileSize": ["1MB", "2MB", "3MB"]}}
    path = tmp_path / "x.yaml"
    path.write_text(json.dumps({"global": {"race": race, "entrants": {"a": QUICK}}}))
    return path


@pytest.mark.parametrize(
    ("when", "code", "times", "undone"),
    [("before", Exit.INFRASTRUCTURE, 3, ["2x1-2MB"]), ("after", Exit.OK, 1, [])],
)
def test_a_cell_that_fails_is_retried_and_the_others_are_raced(
    run_cli, scenario, tmp_path, monkeypatch, when, code, times, undone
):
    """The error is printed, but a race counts if its results are complete."""
    real = command.run

    async def run(local, folder, watch):
        second = local.scenario.race.file_size == 2_000_000
        if second and when == "before":
            folder.mkdir(parents=True)
            raise RaceError("rendezvous: died 6 times")
        await real(local, folder, watch)
        if second:
            raise RaceError("rendezvous: died 6 times")

    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(driver, "_PAUSE_SECONDS", (0.0,))
    done = run_cli("run", str(scenario), "--results", str(tmp_path / "results"))
    assert done.exit_code == code, done.output
    errors = [line for line in done.stderr.splitlines() if line.startswith("swarmrace: ")]
    assert errors == ["swarmrace: rendezvous: died 6 times"] * times
    found = state.read(tmp_path / "results" / "x-sweep")
    assert [part.cell.name for part in found.missing] == undone
    for attempt in found.counted:
        assert (attempt.folder / "verdict.json").exists()


def test_an_acceptance_that_can_not_be_decided_is_warned_about(run_cli, tmp_path):
    acceptance = [{"entrant": "a", "within": 9, "of": "b"}]
    race = {"swarmSize": 2, "repetitions": 1, "fileSize": "1MB", "acceptance": acceptance}
    path = tmp_path / "x.yaml"
    path.write_text(json.dumps({"global": {"race": race, "entrants": {"a": QUICK, "b": QUICK}}}))
    done = run_cli("run", str(path), "--results", str(tmp_path / "results"))
    assert done.exit_code == Exit.ACCEPTANCE_UNDECIDED
    assert done.stderr.startswith("! global.race.repetitions: found 1, expected at least 3")
