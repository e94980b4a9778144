"""A race that ran to its end is done, whatever failed in it; all others are raced again."""

from __future__ import annotations

import json
import shutil

import pytest

from made_sweeps import LOST, attempt, begin, finish, scenario
from swarmrace.errors import Reason, ResultsError
from swarmrace.recording.records import Failure, Trial
from swarmrace.results.manifest import FILE, FileEntry, FolderManifest
from swarmrace.sweep import book, lock, state, text

CELL = "2x1-1kB"


def look(folder, name=CELL):
    found = state.read(folder)
    return next(each for each in found.cells if each.cell.name == name)


def only_attempt(folder):
    (found,) = look(folder).parts[0].attempts
    return found


@pytest.fixture
def folder(tmp_path):
    begin(tmp_path / "sweep")
    return tmp_path / "sweep"


def test_all_cells_of_a_new_sweep_are_missing(folder):
    found = state.read(folder)
    assert [part.cell.id for part in found.missing] == found.sweep.sequence
    assert sorted(part.cell.name for part in found.missing) == [
        "2x1-1kB",
        "2x1-2kB",
        "3x1-1kB",
        "3x1-2kB",
    ]
    assert not found.failed
    assert found.driver is None


def test_a_race_that_ran_to_its_end_is_done_whatever_failed_in_it(folder):
    failed = Failure(reason=Reason.TIMEOUT, stage="prepare", detail="not up within 120 s")
    attempt(folder, CELL, failure=failed)
    assert only_attempt(folder).state == "done"
    assert look(folder).done
    assert CELL not in {part.cell.name for part in state.read(folder).missing}


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"status": "running", "runs": 1}, "cut off after 1 of 4 runs"),
        ({"status": "interrupted", "runs": 2}, "interrupted after 2 of 4 runs"),
        (
            {"status": "stopped", "stopped_by": "/x: no space left"},
            "stopped by the infrastructure: /x: no space left",
        ),
        ({"failure": LOST}, "nothing was raced: infrastructure in race (/work: no space left)"),
        ({"runs": 3}, "its results are damaged: 1 of 4 runs have no record"),
    ],
)
def test_a_part_that_the_infrastructure_ended_is_still_missing(folder, how, why):
    attempt(folder, CELL, **how)
    found = only_attempt(folder)
    assert (found.state, found.why) == ("ended", why)
    assert not look(folder).done
    assert [each.why for each in state.read(folder).failed] == [why]
    assert look(folder).parts[0].next_number == 2


def test_a_race_whose_peers_never_reported_was_ended_by_the_infrastructure(folder):
    lost = Failure(reason=Reason.NOT_RUN, stage="wait", detail="peer 1 lost: never reported")
    attempt(folder, CELL, failure=lost)
    assert "peer 1 lost" in only_attempt(folder).why


def test_a_program_that_never_started_ends_a_local_race_and_is_a_result_on_a_cluster(folder):
    never = Trial(outcome="never started", tried="web", program="p")
    refused = Failure(reason=Reason.NOT_RUN, stage="wait", detail="web never started")
    attempt(folder, CELL, failure=refused, trials={"web": never})
    assert only_attempt(folder).why == "nothing was raced: web never started"
    shutil.rmtree(folder / "cells")
    attempt(folder, CELL, failure=refused, trials={"web": never}, backend="kubernetes")
    assert only_attempt(folder).state == "done"


def test_the_first_attempt_that_ran_to_its_end_counts(folder):
    attempt(folder, CELL, 1, status="running", runs=1)
    attempt(folder, CELL, 2)
    attempt(folder, CELL, 3)
    part = look(folder).parts[0]
    assert [each.state for each in part.attempts] == ["ended", "done", "done"]
    assert part.counted is part.attempts[1]
    assert look(folder).results().info.race_id == part.attempts[1].info.race_id
    assert len({each.info.race_id for each in part.attempts}) == 3, "each attempt has a race id"


def test_a_folder_without_a_race_is_an_attempt_that_ended(folder):
    where = look(folder).parts[0].folder / "attempt-1"
    (where / "logs").mkdir(parents=True)
    assert only_attempt(folder).why == "ended before anything was recorded"
    (where / "race.json").write_text("{")
    assert "not complete JSON" in only_attempt(folder).why


def test_a_finished_race_with_missing_files_is_damaged(folder):
    where = attempt(folder, CELL)
    files = {
        path.relative_to(where).as_posix(): FileEntry(sha256="", size_bytes=path.stat().st_size)
        for path in where.rglob("*.json")
    }
    verdict = {"verdict.txt": FileEntry(sha256="", size_bytes=1)}
    manifest = FolderManifest(race_id="x", complete=True, files=files | verdict)
    (where / FILE).write_text(manifest.model_dump_json())
    assert only_attempt(folder).state == "done", "a verdict can be written again"
    files["runs/a/web-1.json"] = FileEntry(sha256="", size_bytes=7)
    (where / FILE).write_text(manifest.model_copy(update={"files": files}).model_dump_json())
    assert only_attempt(folder).why == (
        "its results are damaged: 1 files missing or incomplete (runs/a/web-1.json, …)"
    )


def test_results_of_another_cell_are_never_counted(folder):
    attempt(folder, CELL)
    shutil.move(look(folder).parts[0].folder, look(folder, "3x1-1kB").parts[0].folder)
    found = look(folder, "3x1-1kB")
    assert not found.done
    assert found.parts[0].attempts[0].why.startswith("belongs to another cell")


def test_a_folder_that_belongs_to_no_cell_is_named(folder):
    attempt(folder, CELL)
    (folder / "cells" / "copy of something").mkdir()
    assert state.read(folder).strays == ("copy of something",)


def test_an_attempt_with_a_test_double_in_its_name_is_read(folder):
    where = attempt(folder, CELL)
    where.rename(where.with_name("attempt-1 (test double)"))
    assert only_attempt(folder).state == "done"


def test_added_blocks_are_a_part_of_their_own_and_continue_the_one_that_counts(folder):
    finish(folder)
    attempt(folder, CELL, 2)  # ran to its end too, and doesn't count
    sweep, grown = book.with_repetitions(book.read(folder), 5)
    book.write(folder, sweep)
    assert grown == 4
    found = state.read(folder)
    assert len(found.missing) == 4
    assert {part.blocks for part in found.missing} == {range(2, 5)}
    attempt(folder, CELL, 1, part=1)
    cell = look(folder)
    assert cell.done
    merged = cell.results()
    assert [record.run.repetition for record in merged.runs] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert len({record.run.id for record in merged.runs}) == 10
    assert all(record.result is not None for record in merged.runs)
    assert merged.scenario.race.repetitions == 5


def test_a_later_part_counts_only_after_the_one_before(folder):
    finish(folder)
    sweep, _ = book.with_repetitions(book.read(folder), 5)
    book.write(folder, sweep)
    attempt(folder, CELL, 1, part=1)
    shutil.rmtree(look(folder).parts[0].folder)
    assert not look(folder).done
    assert look(folder).parts[0].counted is None
    with pytest.raises(ResultsError, match="found none"):
        look(folder).results()


def test_a_folder_without_a_plan_is_no_sweep(tmp_path):
    with pytest.raises(ResultsError, match=r"found no sweep\.json"):
        state.read(tmp_path)
    (tmp_path / "sweep.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ResultsError, match="found sweep format 99, expected 1"):
        state.read(tmp_path)


def test_first_parts_of_all_cells_come_before_added_parts(tmp_path):
    begin(tmp_path, scenario())
    sweep, _ = book.with_repetitions(book.read(tmp_path), 4)
    book.write(tmp_path, sweep)
    starts = [part.blocks.start for part in state.read(tmp_path).missing]
    assert starts == [0, 0, 0, 0, 2, 2, 2, 2]


def test_a_cell_is_running_before_its_attempt_has_a_folder(folder):
    """On a cluster the results are fetched only at the end."""
    with lock.held(folder, "kubernetes", folder) as (held, _):
        held.note(CELL, 1)
        found = state.read(folder)
        states = {cell.cell.name: text.cell_state(cell, found.driver) for cell in found.cells}
        held.note()
        between = state.read(folder)
    assert states.pop(CELL) == "running"
    assert set(states.values()) == {"to do"}
    assert {text.cell_state(cell, between.driver) for cell in between.cells} == {"to do"}


def test_results_whose_list_of_files_was_removed_are_damaged(folder):
    """Reports and verdicts refuse them, so the cell is raced again."""
    attempt(folder, CELL, commit="123")
    assert only_attempt(folder).why == "its results are damaged: manifest.json is missing"
    assert CELL in {part.cell.name for part in state.read(folder).missing}
