"""A race that stops once every acceptance is decided: when it looks, and at which confidence."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.coverage import CASES, LOG_NORMAL, pseudo_median
from benchmarks.stopping import wrong

from made_results import HTTP, build, flat, scenario_of
from made_scenarios import faults, make
from swarmrace.errors import Exit
from swarmrace.results.folder import load
from swarmrace.results.parts import first_blocks
from swarmrace.statistics.looks import LIMIT, LOOKS, confidence_at
from swarmrace.verdict.compute import compute
from swarmrace.verdict.stopping import decided

ENTRANTS = {"x": HTTP, "y": {"kind": "bittorrent"}}


def race(folder, x, y, *, within=1.5, repetitions=20, **more):
    """Write a race of two entrants that take the given seconds in each block."""
    acceptance = [{"entrant": "x", "within": within, "of": "y"}]
    what = scenario_of(
        ENTRANTS, repetitions=repetitions, acceptance=acceptance, stopping=True, **more
    )
    times = {
        name: flat(*numbers) + [None] * (repetitions - len(numbers))
        for name, numbers in (
            ("x", x),
            ("y", y),
        )
    }
    for name, numbers in (("x", x), ("y", y)):
        for block, number in enumerate(numbers):
            if number is None:
                times[name][block] = None
    return build(folder, what, times)


CLEAR = [1.0, 1.01, 1.02, 1.03, 1.04, 1.05, 1.06, 1.07, 1.08, 1.09, 1.1, 1.11]


def test_it_stops_at_the_first_look_that_decides_everything(tmp_path):
    folder = race(tmp_path, CLEAR, CLEAR)
    assert [decided(folder, blocks) for blocks in range(1, 13)] == [
        blocks in (6, 10) for blocks in range(1, 13)
    ]


def test_it_continues_while_any_acceptance_is_undecided(tmp_path):
    other = [number * (1.1 if block % 2 else 0.9) for block, number in enumerate(CLEAR)]
    folder = race(tmp_path, CLEAR, other, within=1.0)
    assert not any(decided(folder, blocks) for blocks in range(1, 13))


def test_with_several_acceptances_the_last_one_decides_when_it_stops(tmp_path):
    """One is met at 6 blocks. The other isn't, because of one outlier, until there are 10."""
    slow = [1.3 * number for number in CLEAR]
    slow[2] *= 1.3
    acceptance = [
        {"entrant": "x", "within": 1.5, "of": "y"},
        {"entrant": "z", "within": 1.5, "of": "y"},
    ]
    entrants = {**ENTRANTS, "z": HTTP}
    what = scenario_of(entrants, repetitions=20, acceptance=acceptance, stopping=True)
    times = {"x": CLEAR, "y": CLEAR, "z": slow}
    missing = [None] * (20 - len(CLEAR))
    folder = build(tmp_path, what, {n: flat(*each) + missing for n, each in times.items()})
    assert [blocks for blocks in range(1, 13) if decided(folder, blocks)] == [10]
    for blocks, expected in ((6, ["met", "undecided"]), (10, ["met", "met"])):
        verdict = compute(first_blocks(load(folder), blocks))
        assert [each.verdict for each in verdict.acceptance] == expected
        assert {each.ratio.confidence for each in verdict.acceptance} == {
            verdict.comparisons[0].t100.confidence
        }


def test_it_looks_by_the_number_of_complete_blocks(tmp_path):
    """A block lost to the infrastructure doesn't count."""
    x = [1.0, None, *CLEAR[2:]]
    folder = race(tmp_path, x, CLEAR)
    assert [blocks for blocks in range(1, 13) if decided(folder, blocks)] == [7, 11]


def test_the_interval_has_the_looks_confidence(tmp_path):
    folder = race(tmp_path, CLEAR, CLEAR)
    for blocks in (6, 10):
        verdict = compute(first_blocks(load(folder), blocks))
        (acceptance,) = verdict.acceptance
        assert acceptance.verdict == "met"
        assert acceptance.ratio.blocks == blocks
        assert acceptance.ratio.confidence >= LOOKS[blocks] == verdict.confidence
        (comparison,) = verdict.comparisons
        assert comparison.t100.confidence == acceptance.ratio.confidence
        assert verdict.head_notes[0].startswith(f"stopped after {blocks} of 20 blocks")
        assert f"intervals are of {100 * LOOKS[blocks]:.3g} %" in verdict.head_notes[0]
        assert len(verdict.runs) == 2 * blocks
        assert verdict.exit == Exit.OK


def test_a_race_without_stopping_is_judged_as_before(tmp_path):
    what = scenario_of(ENTRANTS, repetitions=6)
    folder = build(tmp_path, what, {"x": flat(*CLEAR[:6]), "y": flat(*CLEAR[:6])})
    verdict = compute(load(folder))
    assert verdict.confidence == 0.95
    assert not any("stopped after" in note for note in verdict.head_notes)
    assert "stopping" not in what.canonical()["race"]


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"acceptance": []}, "global.race.stopping: needs global.race.acceptance"),
        ({"order": "sequential"}, "global.race.stopping: needs global.race.order: interleaved"),
        ({"repetitions": 12}, "global.race.repetitions: found 12, expected 10 or 20 with"),
        ({"repetitions": 6}, "global.race.repetitions: found 6, expected 10 or 20 with"),
        ({"continues": {"blocks": 3}}, "global.race.stopping: found together with global.race.con"),
    ],
)
def test_a_race_that_cannot_stop_early_is_refused(changed, fault):
    given = {
        "stopping": True,
        "repetitions": 20,
        "acceptance": [{"entrant": "x", "within": 2, "of": "y"}],
    }
    found = faults(make(given | changed, ENTRANTS))
    assert any(str(line).startswith(fault) for line in found), found


def test_each_look_has_its_level():
    assert [confidence_at(n) for n in (1, 6, 7, 10, 11, 20, 40)] == [
        LOOKS[6],
        LOOKS[6],
        LOOKS[10],
        LOOKS[10],
        LOOKS[20],
        LOOKS[20],
        LOOKS[20],
    ]


def test_the_levels_limit_the_risk_and_95_percent_would_not(monkeypatch):
    """benchmarks/stopping.py checks skewed noise, with enough races."""
    rng = np.random.default_rng(7)
    case = CASES[LOG_NORMAL]
    truth = pseudo_median(case, rng)
    shares = [each / 4000 for each in wrong(case, truth, 4000, rng)]
    assert max(shares) < LIMIT
    monkeypatch.setattr("benchmarks.stopping.LOOKS", dict.fromkeys((6, 10, 20), 0.9))
    shares = [each / 4000 for each in wrong(case, truth, 4000, rng)]
    assert min(shares) > LIMIT
