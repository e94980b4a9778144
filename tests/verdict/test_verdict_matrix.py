"""Judging many cells at once, by hand and against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_results import INF, flat, scenario_of
from swarmrace.errors import Exit
from swarmrace.statistics.exponent import exponent
from swarmrace.statistics.intervals import paired as paired_interval
from swarmrace.statistics.proportions import fewer_p
from swarmrace.statistics.significance import blocks_needed, p_above, p_below
from swarmrace.verdict.matrix import exit_of, holm, judge
from swarmrace.verdict.model import AcceptanceVerdict


def test_holm_by_hand():
    """Sorted 0.01, 0.02, 0.04: times 3, 2 and 1, and never below the one before."""
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_an_unknown_cell_still_counts_in_the_family():
    assert holm([0.01, None, None]) == [pytest.approx(0.03), None, None]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_none_and_bonferroni(p_values):
    found = holm(p_values)
    for p, adjusted in zip(p_values, found, strict=True):
        assert p <= adjusted <= min(1.0, p * len(p_values)) + 1e-12


def test_39_cells_need_10_blocks_and_11_at_half_the_level():
    assert blocks_needed(39) == 10
    assert blocks_needed(39, 0.025) == 11
    assert 39 * 2**-10 <= 0.05 < 39 * 2**-9
    assert blocks_needed(1) == 5


RATIOS = st.lists(st.floats(0.2, 5), min_size=6, max_size=14, unique=True)


@given(RATIOS)
def test_p_is_the_signed_rank_test_of_scipy(ratios):
    from scipy.stats import wilcoxon

    found = p_below(ratios, [1.0] * len(ratios), 1.0, paired=True)
    logs = np.log(ratios)
    if np.any(logs == 0) or len(np.unique(np.abs(logs))) < len(logs):
        return  # ties, which scipy treats otherwise
    assert found == pytest.approx(wilcoxon(logs, alternative="less", method="exact").pvalue)


@given(RATIOS, st.floats(0.5, 2))
def test_p_and_interval_agree(ratios, bound):
    ones = [1.0] * len(ratios)
    found = paired_interval(ratios, ones)
    below = p_below(ratios, ones, bound, paired=True)
    above = p_above(ratios, ones, bound, paired=True)
    tail = (1 - found.confidence) / 2
    assert (found.high < bound) == (below <= tail + 1e-12)
    assert (found.low > bound) == (above <= tail + 1e-12)


@given(
    st.lists(st.floats(0.2, 5), min_size=5, max_size=9, unique=True),
    st.lists(st.floats(0.2, 5), min_size=5, max_size=9, unique=True),
)
def test_unpaired_p_is_the_rank_sum_test_of_scipy(a, b):
    from scipy.stats import mannwhitneyu

    if set(np.log(a)) & set(np.log(b)):  # ties, also those that only the logarithms have
        return
    found = p_below(a, b, 1.0, paired=False)
    assert found == pytest.approx(mannwhitneyu(a, b, alternative="less", method="exact").pvalue)


def test_few_blocks_have_no_p_and_failures_count():
    assert p_below([1, 2, 3], [2, 3, 4], 1.0, paired=True) is None
    six = [1.0] * 6
    assert p_below(six, [2.0] * 6, 1.0, paired=True) == 2**-6
    # One failed run of six: the five others can't show it any more at 5 %.
    assert p_below([*six[1:], INF], [2.0] * 6, 1.0, paired=True) > 0.05
    assert p_above([INF] * 6, six, 1.0, paired=True) == 2**-6
    assert fewer_p(0, 3, 0.9) == pytest.approx(0.1**3)


def acceptance_of(tmp_path, times, **wanted) -> AcceptanceVerdict:
    """Return the verdict of x within 2 × y's time."""
    from made_results import build
    from swarmrace.results import folder as results
    from swarmrace.verdict.compute import compute

    scenario = scenario_of(
        {"x": {"kind": "synthetic"}, "y": {"kind": "bittorrent"}},
        repetitions=len(times["x"]),
        acceptance=[{"entrant": "x", "within": 2, "of": "y", **wanted}],
    )
    [found] = compute(results.load(build(tmp_path, scenario, times))).acceptance
    return found


def test_an_acceptance_has_its_p_values(tmp_path):
    found = acceptance_of(tmp_path, {"x": flat(*[1.0] * 6), "y": flat(*[1.0] * 6)})
    assert (found.verdict, found.p_met, found.p_missed) == ("met", 2**-6, 1.0)
    assert found.p_incomplete == 1.0


def made(verdict="met", p_met=None, p_missed=None, p_incomplete=1.0) -> AcceptanceVerdict:
    return AcceptanceVerdict(
        entrant="x",
        within="furps",
        bound=2.0,
        of="y",
        completion=0.9,
        verdict=verdict,
        ratio=None,
        complete_runs=10,
        runs=10,
        p_met=p_met,
        p_missed=p_missed,
        p_incomplete=p_incomplete,
        text="text",
    )


def test_met_in_every_cell_needs_no_correction():
    """By intersection–union: 39 cells at 2.5 % each, none of which could be named individually."""
    found = judge({f"c{n}": made(p_met=0.02) for n in range(39)}, made())
    assert found.verdict == "met"
    assert found.named("met") == []
    assert found.text.startswith("in each of 39 cells: x within furps: 2 × y's time")
    assert exit_of([found]) is Exit.OK


def test_a_single_cell_is_named_only_by_holm():
    cells = {f"c{n}": made(p_met=0.02) for n in range(39)}
    weak = judge(cells | {"c0": made("missed", p_missed=0.01)}, made())
    assert (weak.verdict, weak.named("missed")) == ("undecided", [])
    assert (
        "no cell can be named individually (by its times, that takes at least 10 complete"
        in weak.text
    )
    strong = judge(cells | {"c0": made("missed", p_missed=0.001)}, made())
    assert (strong.verdict, strong.named("missed")) == ("missed", ["c0"])
    assert exit_of([strong]) is Exit.ACCEPTANCE_MISSED
    by_completion = judge(cells | {"c0": made("missed", p_incomplete=0.001)}, made())
    assert by_completion.named("missed") == ["c0"]


def test_a_missing_cell_is_not_met():
    found = judge({"c0": made(p_met=0.001), "c1": None}, made())
    assert found.verdict == "undecided"
    assert [cell.verdict for cell in found.cells] == ["met", "missing"]
    assert "1 met, 1 missing" in found.text
    assert exit_of([found]) is Exit.ACCEPTANCE_UNDECIDED


def test_a_matrix_of_one_cell_has_that_cells_verdict():
    for verdict in ("met", "missed", "undecided"):
        assert judge({"c": made(verdict)}, made()).verdict == verdict


def test_an_exponent_by_hand():
    """t = 3 · n²: through every point, without spread."""
    found = exponent([2, 4, 8], [12, 48, 192])
    assert (found.value, found.sizes, found.runs) == (pytest.approx(2), 3, 3)
    assert (found.low, found.high) == (pytest.approx(2), pytest.approx(2))
    # log2 t = 0, 1, 3, 2 at log2 n = 1, 1, 2, 3: slope 1.25, by the normal equations.
    noisy = exponent([2, 2, 4, 8], [1, 2, 8, 4])
    x, y = np.array([1, 1, 2, 3.0]), np.array([0, 1, 3, 2.0])
    slope, _ = np.polyfit(x, y, 1)
    assert noisy.value == pytest.approx(slope)
    from scipy.stats import linregress, t

    fit = linregress(x, y)
    assert noisy.high - noisy.value == pytest.approx(fit.stderr * t.ppf(0.975, 2))


@pytest.mark.parametrize(
    ("sizes", "seconds"), [([2, 4], [1, 2]), ([2, 4, 8], [1, 2, math.inf]), ([2, 4, 8], [1, 0, 1])]
)
def test_inputs_without_an_exponent(sizes, seconds):
    assert exponent(sizes, seconds) is None
