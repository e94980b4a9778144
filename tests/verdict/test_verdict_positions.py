from __future__ import annotations

import json
import re

import pytest

import made_results as folders
from made_results import HTTP, build, flat, scenario_of, verdict_between
from swarmrace.plan.schedule import schedule
from swarmrace.results import folder as results
from swarmrace.verdict import compute, render

ENTRANTS = {"x": HTTP, "y": HTTP}


def times_by_place(repetitions, first, entrants=ENTRANTS):
    """Every run takes a second and a little, the first of its block `first` times as long."""
    times = {name: [None] * repetitions for name in entrants}
    seen = set()
    for run in schedule(scenario_of(entrants, repetitions=repetitions)):
        factor = 1 if run.repetition in seen else first
        seen.add(run.repetition)
        seconds = factor * (1 + 0.001 * ((run.index * 7) % 5))
        times[run.entrant][run.repetition] = [seconds] * 3
    return times


def flags_of(tmp_path, repetitions, first, entrants=ENTRANTS, **race):
    times = times_by_place(repetitions, first, entrants)
    found = verdict_between(tmp_path, entrants, times, repetitions=repetitions, **race)
    return [flag.text for flag in found.flags if "position" in flag.text]


def test_a_position_effect_is_flagged_with_its_size(tmp_path):
    [text] = flags_of(tmp_path, 8, 1.2)
    assert text.startswith(
        "position effect: of x and y, who came first in a block took 1.2 × the time it would have "
        "taken after the other (p = 0.029, 4 + 4 blocks)"
    )


@pytest.mark.parametrize(("repetitions", "first"), [(8, 1), (6, 1.2)])
def test_none_is_seen_where_none_is_or_too_few_blocks_could_show_it(tmp_path, repetitions, first):
    assert flags_of(tmp_path, repetitions, first) == []


def test_of_several_entrants_each_two_are_looked_at(tmp_path):
    """At a third of 5 % for each of three pairs, 6 + 6 blocks show it of those that come first."""
    three = {"x": HTTP, "y": HTTP, "z": HTTP}
    texts = flags_of(tmp_path, 30, 1.5, three)
    assert len(texts) == 3


def test_sequential_runs_have_no_positions(tmp_path):
    assert flags_of(tmp_path, 8, 1.2, order="sequential") == []


def test_the_place_is_in_the_table_of_runs(tmp_path):
    found = verdict_between(
        tmp_path, ENTRANTS, {"x": flat(1, 1, 1, 1), "y": flat(1, 1, 1, 1)}, repetitions=4
    )
    order = {name: [run.place for run in found.runs if run.entrant == name] for name in ENTRANTS}
    assert sorted(order["x"]) == [1, 1, 2, 2]
    assert [a + b for a, b in zip(order["x"], order["y"], strict=True)] == [3] * 4
    for block in range(4):
        [line] = [
            x for x in render.text(found).splitlines() if x.strip().startswith(f"block {block}")
        ]
        places = [int(place) for place in re.findall(r"#(\d)", line)]
        assert places == [order["x"][block], order["y"][block]]


def test_an_older_folder_is_judged_by_the_order_that_it_was_raced_in(tmp_path, monkeypatch):
    scenario = scenario_of(ENTRANTS, repetitions=12)
    times = {"x": flat(*range(1, 13)), "y": flat(*range(2, 14))}
    new = compute(results.load(build(tmp_path / "new", scenario, times)))
    monkeypatch.setattr(folders, "schedule", lambda scenario: schedule(scenario, draw=1))
    old = build(tmp_path / "old", scenario, times)
    for file in old.rglob("*.json"):
        data = json.loads(file.read_text())
        data.pop("draw", None)
        file.write_text(json.dumps(data | {"format": 2}))
    shown = compute(results.load(old))
    assert [run.run_id for run in shown.runs] != [run.run_id for run in new.runs]
    assert not shown.faults
    assert all(run.status == "counted" for run in shown.runs)
    assert shown.comparisons[0].t100 == new.comparisons[0].t100
