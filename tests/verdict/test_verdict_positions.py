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
    """Every run takes about a second; the first run of a block takes `first` times as long."""
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
        "position effect: of x and y, the first in a block took 1.2 × the time that it would have "
        "taken after the other (p = 0.029, 4 + 4 blocks)"
    )


@pytest.mark.parametrize(("repetitions", "first"), [(8, 1), (6, 1.2)])
def test_no_position_effect_without_one_or_with_too_few_blocks(tmp_path, repetitions, first):
    assert flags_of(tmp_path, repetitions, first) == []


def test_every_pair_of_entrants_is_tested(tmp_path):
    """Each of three pairs is tested at a third of 5 %, and 6 + 6 blocks show the effect."""
    three = {"x": HTTP, "y": HTTP, "z": HTTP}
    texts = flags_of(tmp_path, 30, 1.5, three)
    assert len(texts) == 3


def test_sequential_runs_have_no_positions(tmp_path):
    assert flags_of(tmp_path, 8, 1.2, order="sequential") == []


def test_the_position_is_in_the_table_of_runs(tmp_path):
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


def test_an_older_folder_is_judged_by_its_own_order(tmp_path, monkeypatch):
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
