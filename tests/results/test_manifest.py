"""The manifest lists what a race wrote, and names every later change."""

from __future__ import annotations

import json

import pytest

from meeting import Meeting, scenario
from swarmrace.definitions import BARRIERS
from swarmrace.results import manifest


def raced(folder, repetitions=2):
    race = Meeting(folder, scenario(repetitions=repetitions))
    race.assemble()
    race.all_pass(*BARRIERS[1:])
    return race


def test_a_running_race_is_listed_up_to_its_last_closed_run(tmp_path):
    race = raced(tmp_path)
    found = manifest.read(tmp_path)
    assert not found.complete
    assert list(found.files) == [f"runs/{race.runs[0].id}/run.json"]
    assert manifest.faults(tmp_path, found) == []
    (tmp_path / "runs" / "later.json").write_text("{}")
    assert manifest.faults(tmp_path, found) == [], "a later file is not a fault"


@pytest.mark.parametrize("how", ["finished", "interrupted", "stopped"])
def test_the_manifest_is_complete_however_a_race_ends(tmp_path, how):
    race = raced(tmp_path)
    if how == "finished":
        race.all_pass("open", *BARRIERS[1:], run=1)
    elif how == "interrupted":
        race.conductor.interrupt()
    else:
        race.conductor.stop("the machine")
    if how != "finished":
        for peer in range(3):
            race.arrive(peer, "cleared", run=1)
    assert json.loads((tmp_path / "race.json").read_text())["status"] == how
    found = manifest.read(tmp_path)
    assert found.complete
    assert "race.json" in found.files
    assert len(found.files) == 3
    assert manifest.faults(tmp_path, found) == []


def test_a_restart_forgets_nothing(tmp_path):
    race = raced(tmp_path)
    (tmp_path / "runs" / race.runs[1].id).mkdir()
    (tmp_path / "runs" / race.runs[1].id / "a-1.json").write_text("{}")
    race.restart()
    for peer in range(3):
        race.arrive(peer, "cleared", run=1)
    found = manifest.read(tmp_path)
    assert found.complete
    assert manifest.faults(tmp_path, found) == []
    race.restart()
    found = manifest.read(tmp_path)
    assert found.complete
    assert manifest.faults(tmp_path, found) == []


def test_changed_removed_and_added_files_are_named(tmp_path):
    race = raced(tmp_path)
    race.all_pass("open", *BARRIERS[1:], run=1)
    first, second = (tmp_path / "runs" / run.id / "run.json" for run in race.runs)
    first.write_text(first.read_text().replace('"raced"', '"raced "'))
    second.unlink()
    (first.parent / "a-7.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("a reader's own")
    names = [line.partition(":")[0] for line in manifest.faults(tmp_path, manifest.read(tmp_path))]
    assert names == [
        f"runs/{race.runs[0].id}/run.json",
        f"runs/{race.runs[1].id}/run.json",
        f"runs/{race.runs[0].id}/a-7.json",
    ]


def test_logs_and_verdict_are_listed_once_all_processes_have_ended(tmp_path):
    manifest.extend(tmp_path)  # nothing to extend
    race = raced(tmp_path)
    race.all_pass("open", *BARRIERS[1:], run=1)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a-1.log").write_text("x")
    (tmp_path / "verdict.json").write_text("{}")
    manifest.extend(tmp_path)
    found = manifest.read(tmp_path)
    assert {"logs/a-1.log", "verdict.json"} < set(found.files)
    (tmp_path / "verdict.json").unlink()
    assert manifest.faults(tmp_path, found) == [], "it can be written again"
    (tmp_path / "logs" / "a-1.log").write_text("y")
    assert len(manifest.faults(tmp_path, found)) == 1
