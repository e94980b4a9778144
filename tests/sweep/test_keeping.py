"""Results stored in a sweep's folder by a driver that only starts races."""

from __future__ import annotations

import shutil

import pytest

import made_sweeps
from made_sweeps import attempt, begin
from swarmrace.errors import SweepError
from swarmrace.plan.plan import expand
from swarmrace.sweep import book, keeping, state


@pytest.fixture
def folder(tmp_path):
    begin(tmp_path / "sweep")
    return tmp_path / "sweep"


def cell_scenario(name, **race):
    """Return a cell's scenario, with changes to its race."""
    found = next(c for c in expand(made_sweeps.scenario()) if c.name == name).scenario
    changed = found.race.model_copy(update=race)
    shared = found.global_.model_copy(update={"race": changed})
    return found.model_copy(update={"global_": shared})


def store(place, source):
    """Store results that were raced elsewhere."""
    with place.incoming() as incoming:
        shutil.copytree(source, incoming, dirs_exist_ok=True)
        return place.keep(incoming)


@pytest.fixture
def elsewhere(tmp_path):
    """Return a function that makes a cell's results, by attempt."""

    def make(name, number=1, **info):
        other = tmp_path / f"elsewhere-{number}-{len(list(tmp_path.iterdir()))}"
        begin(other)
        return attempt(other, name, number, **info)

    return make


def test_results_become_the_attempt_of_their_race(folder, elsewhere):
    place = keeping.place(folder, cell_scenario("2x1-1kB"))
    kept = store(place, elsewhere("2x1-1kB"))
    assert (kept.number, kept.state) == (1, "done")
    second = keeping.place(folder, cell_scenario("2x1-1kB", attempt=2))
    assert store(second, elsewhere("2x1-1kB", 2)).number == 2
    found = state.read(folder)
    cell = next(each for each in found.cells if each.cell.name == "2x1-1kB")
    assert [each.number for each in cell.parts[0].attempts] == [1, 2]
    assert cell.parts[0].counted.number == 1
    assert len(found.missing) == 3
    assert found.strays == ()


def test_a_restarted_pod_stores_a_race_only_once(folder, elsewhere):
    place = keeping.place(folder, cell_scenario("2x1-1kB"))
    results = elsewhere("2x1-1kB")
    first = store(place, results)
    again = store(place, results)
    assert again.folder == first.folder
    assert [path.name for path in place.part.iterdir()] == ["attempt-1"]


def test_another_race_of_the_same_attempt_takes_the_next_number(folder, elsewhere):
    """The parent was deleted and created again: the earlier results stay and count."""
    place = keeping.place(folder, cell_scenario("2x1-1kB"))
    store(place, elsewhere("2x1-1kB"))
    later = store(place, elsewhere("2x1-1kB", created_utc="2026-11-29T08:00:00+00:00"))
    assert later.number == 2


def test_results_that_cannot_count_are_stored_with_the_reason(folder):
    place = keeping.place(folder, cell_scenario("2x1-1kB"))
    with place.incoming() as incoming:
        state.record_reason(incoming, "the tracker was never there")
        kept = place.keep(incoming)
    assert kept.state == "ended"
    assert "never there" in kept.why


def test_a_race_with_a_double_is_marked(folder, elsewhere):
    place = keeping.place(folder, cell_scenario("2x1-1kB"))
    assert store(place, elsewhere("2x1-1kB", test_doubles=["bt"])).folder.name == (
        "attempt-1 (test double)"
    )


def test_an_unfinished_folder_is_no_attempt_and_is_removed_by_the_next(folder, elsewhere):
    place = keeping.place(folder, cell_scenario("2x1-1kB"))
    place.part.mkdir(parents=True)
    (place.part / ".incoming-dead" / "runs").mkdir(parents=True)
    assert state.read(folder).failed == ()
    store(place, elsewhere("2x1-1kB"))
    assert [path.name for path in place.part.iterdir()] == ["attempt-1"]


def test_a_failed_download_leaves_nothing(folder):
    place = keeping.place(folder, cell_scenario("2x1-1kB"))
    with pytest.raises(FileNotFoundError), place.incoming() as incoming:
        (incoming / "absent" / "race.json").write_text("{}")
    assert list(place.part.iterdir()) == []


def test_added_blocks_have_their_own_folder(folder):
    book.write(folder, book.with_repetitions(book.read(folder), 4)[0])
    continues = made_sweeps.scenario(
        {}, repetitions=4, swarmSize=2, fileSize="1kB", continues={"blocks": 2, "attempt": 1}
    )
    place = keeping.place(folder, continues)
    assert place.part.name == "blocks-2-3"


def test_a_race_that_is_not_part_of_the_sweep_is_refused(folder):
    with pytest.raises(SweepError, match="expected one of this sweep's 4 cells"):
        keeping.place(folder, cell_scenario("2x1-1kB", seed=9))
    with pytest.raises(SweepError, match="cell 2x1-1kB: found blocks 0 to 2, expected 0 to 1"):
        keeping.place(folder, cell_scenario("2x1-1kB", repetitions=3))
    begin(folder, made_sweeps.scenario(attempt=3))
    with pytest.raises(SweepError, match=r"global\.race\.attempt: found 1, expected at least 3"):
        keeping.place(folder, cell_scenario("2x1-1kB"))
