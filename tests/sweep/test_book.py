"""A sweep's plan: what it fixes, and which changes it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_sweeps import begin, scenario
from swarmrace.errors import SweepError
from swarmrace.plan.schedule import schedule
from swarmrace.scenario.scenario import Continues
from swarmrace.sweep import book
from swarmrace.sweep.order import sequence


def changed(what, **race):
    shared = what.global_.model_copy(update={"race": what.race.model_copy(update=race)})
    return what.model_copy(update={"global_": shared})


def test_a_cell_id_is_the_same_in_every_attempt_and_with_more_blocks():
    one = scenario(matrix={})
    for race in (
        {"attempt": 7},
        {"repetitions": 9},
        {"repetitions": 9, "continues": Continues(blocks=2, attempt=3)},
    ):
        other = changed(one, **race)
        assert other.cell_id() == one.cell_id()
        assert other.race_id() != one.race_id()
    for race in ({"seed": 2}, {"swarm_size": 5}, {"file_size": 7}, {"cold_start": False}):
        assert changed(one, **race).cell_id() != one.cell_id()


def test_the_plan_is_written_once_and_read_back(tmp_path):
    written = begin(tmp_path)
    assert book.read(tmp_path) == written
    assert written.seed == scenario().race.seed
    assert set(written.sequence) == {cell.id for cell in written.cells}
    assert set(written.expanded()) == set(written.sequence)
    assert [cell.name for cell in written.cells] == ["2x1-1kB", "2x1-2kB", "3x1-1kB", "3x1-2kB"]


def test_a_duplicate_cell_is_refused(tmp_path):
    with pytest.raises(SweepError, match=r"found 2x1-1kB-again1 and .*expected every cell once"):
        begin(tmp_path, scenario({"fileSize": ["1kB", 1000]}, swarmSize=2))


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (
            scenario({"swarmSize": [2, 3], "fileSize": ["1kB"]}),
            r"global\.race\.matrix\.fileSize: began with \[1000, 2000\], found \[1000\]",
        ),
        (scenario(seed=4), r"global\.race\.seed: began with 1, found 4"),
        (scenario(attempt=2), r"global\.race\.attempt: began with 1, found 2"),
        (scenario(repetitions=3), r"repetitions: began with 2, found 3 \(use --repetitions"),
    ],
)
def test_another_scenario_is_refused_with_what_differs(tmp_path, other, named):
    sweep = begin(tmp_path)
    with pytest.raises(SweepError, match=named):
        book.refuse_other_scenario(tmp_path, sweep, other)
    book.refuse_other_scenario(tmp_path, sweep, scenario())


def test_repetitions_are_added_and_never_removed(tmp_path):
    sweep = begin(tmp_path)
    grown, count = book.with_repetitions(sweep, 6)
    assert count == 4
    assert all(cell.parts() == [range(2), range(2, 6)] for cell in grown.cells)
    assert book.with_repetitions(grown, 6) == (grown, 0)
    one, count = book.with_repetitions(grown, 8, [grown.cells[1].id])
    assert (count, [len(cell.parts()) for cell in one.cells]) == (1, [2, 3, 2, 2])
    with pytest.raises(SweepError, match="found 5, expected at least 6"):
        book.with_repetitions(grown, 5)
    book.refuse_other_scenario(tmp_path, grown, scenario())
    book.refuse_other_scenario(tmp_path, grown, scenario(repetitions=6))


def test_a_sequential_sweep_gets_no_blocks(tmp_path):
    sweep = begin(tmp_path, scenario(order="sequential"))
    with pytest.raises(SweepError, match=r"needs global\.race\.order: interleaved"):
        book.with_repetitions(sweep, 6)


def test_a_cell_is_found_by_name_and_by_id(tmp_path):
    sweep = begin(tmp_path)
    cell = sweep.cells[2]
    assert sweep.cell(cell.id) == sweep.cell(cell.name) == cell
    with pytest.raises(SweepError, match="expected one of this sweep's 4 cells"):
        sweep.cell("9x9-1kB")


@given(st.integers(0, 2**53 - 1), st.integers(1, 9), st.integers(1, 6), st.integers(2, 4))
def test_added_blocks_are_those_of_one_longer_race(seed, first, more, attempt):
    """The order stays balanced, the seeders keep rotating, and no payload is raced twice."""
    one = scenario(matrix={}, seed=seed, repetitions=first + more, swarmSize=4)
    whole = schedule(one)
    part = schedule(changed(one, continues=Continues(blocks=first, attempt=1), attempt=attempt))
    rest = whole[first * 2 :]
    assert [(r.id, r.entrant, r.repetition, r.seeders) for r in part] == [
        (r.id, r.entrant, r.repetition, r.seeders) for r in rest
    ]
    assert not {run.payload_seed for run in part} & {run.payload_seed for run in whole}


@given(st.dictionaries(st.text("abc", min_size=1), st.floats(1, 1e6)), st.integers(0, 99))
def test_the_order_is_drawn_from_the_seed_or_by_cost(costs, seed):
    shuffled = sequence(costs, "shuffled", seed)
    assert sorted(shuffled) == sorted(costs)
    assert shuffled == sequence(dict(reversed(costs.items())), "shuffled", seed)
    paid = [costs[each] for each in sequence(costs, "cheapest-first", seed)]
    assert paid == sorted(paid)


def test_other_seeds_give_other_orders():
    costs = {str(number): 1.0 for number in range(12)}
    assert len({tuple(sequence(costs, "shuffled", seed)) for seed in range(20)}) == 20
