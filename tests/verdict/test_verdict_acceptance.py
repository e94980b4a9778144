from __future__ import annotations

import pytest

from made_results import HTTP, INF, build, flat, scenario_of
from swarmrace.errors import Exit
from swarmrace.results import folder as results
from swarmrace.verdict import compute


def verdict_of(tmp_path, x, y, within, *, more=(), keys=None, **folder):
    acceptance = [{"entrant": "x", "within": within, "of": "y"} | (keys or {}), *more]
    scenario = scenario_of({"x": HTTP, "y": HTTP}, acceptance=acceptance, repetitions=len(x))
    return compute(results.load(build(tmp_path, scenario, {"x": x, "y": y}, **folder)))


# Ratios 2, 2.1, 2.2: 2.099 [1.864, 2.362].
ONE, OTHER = flat(2, 2.1, 2.2), flat(1, 1, 1)


@pytest.mark.parametrize(
    ("within", "verdict", "code"),
    [
        (2.4, "met", Exit.OK),
        (2.2, "undecided", Exit.ACCEPTANCE_UNDECIDED),
        (1.9, "undecided", Exit.ACCEPTANCE_UNDECIDED),
        (1.8, "missed", Exit.ACCEPTANCE_MISSED),
    ],
)
def test_met_missed_and_undecided(tmp_path, within, verdict, code):
    found = verdict_of(tmp_path, ONE, OTHER, within)
    [item] = found.acceptance
    assert (item.verdict, found.exit) == (verdict, code)
    assert item.ratio.estimate == pytest.approx((2 * 2.1 * 2.2) ** (1 / 3))
    assert "2.10 × [1.86, 2.36]" in item.text
    assert item.text.startswith(f"{verdict}: x (stock) within {within:g} × ")


DOUBLES = [{"testDouble": True}, {"version": "v0.2.5-double"}]
"""How a folder marks a test double: by its description, or in older folders by its version."""


@pytest.mark.parametrize("within", [2.4, 1.8])
@pytest.mark.parametrize("says", DOUBLES)
@pytest.mark.parametrize("double", ["x", "y"])
def test_a_test_double_decides_nothing(tmp_path, within, says, double):
    """Both numbers would decide it if it were a real program, one for each side."""

    def played(result):
        return result.model_copy(update={"system": says}) if result.entrant == double else result

    found = verdict_of(tmp_path, ONE, OTHER, within, peer=played)
    [item] = found.acceptance
    assert (item.verdict, found.exit) == ("undecided", Exit.ACCEPTANCE_UNDECIDED)
    assert "a test double was raced" in item.text
    [headline] = found.headline
    assert f"{double} (stock) (test double)" in headline.replace("'s", "")
    assert [name for name, each in found.entrants.items() if each.test_double] == [double]


def test_a_synthetic_system_is_not_a_test_double(tmp_path):
    said = {"version": "swarmrace 0.1.0", "testDouble": False}
    found = verdict_of(
        tmp_path, ONE, OTHER, 2.4, peer=lambda r: r.model_copy(update={"system": said})
    )
    assert found.acceptance[0].verdict == "met"
    assert "test double" not in " ".join(found.headline)


def test_the_bound_itself_is_met(tmp_path):
    assert verdict_of(tmp_path, flat(2, 2, 2), OTHER, 2).acceptance[0].verdict == "met"


def test_the_direction_is_the_scenarios_and_not_the_headlines(tmp_path):
    scenario = scenario_of(
        {"x": HTTP, "y": HTTP}, acceptance=[{"entrant": "y", "within": 0.6, "of": "x"}]
    )
    found = compute(results.load(build(tmp_path, scenario, {"x": ONE, "y": OTHER})))
    assert found.comparisons[0].entrant == "x"
    assert found.acceptance[0].verdict == "met"
    assert found.acceptance[0].ratio.estimate < 1


@pytest.mark.parametrize(
    ("x", "y", "verdict", "why"),
    [
        (flat(1, INF, 1), flat(1, 1, 1), "undecided", "no interval below 6 blocks with failed"),
        (flat(INF, INF, INF), flat(1, 1, 1), "missed", "failed in every block"),
        (flat(1, 1, 1), flat(INF, INF, INF), "met", "the other entrant failed in every block"),
        # The runs decide, not only the blocks: 0 of 2 excludes 0.9.
        (
            [*flat(INF, INF), None],
            flat(1, 1, 1),
            "missed",
            "complete in 0 of 2 runs: a share of at most 0.776",
        ),
        ([*flat(1, 1), None], flat(1, 1, 1), "undecided", "1.00 × [no interval below 3 blocks]"),
        ([None] * 3, flat(1, 1, 1), "undecided", "no block has numbers of both"),
    ],
)
def test_failures_and_too_few_blocks(tmp_path, x, y, verdict, why):
    [item] = verdict_of(tmp_path, x, y, 1.2).acceptance
    assert item.verdict == verdict
    assert why in item.text


PART = [0.8, 0.8, INF]  # fewer than half of the leechers fail: the run's number is finite


@pytest.mark.parametrize(
    ("complete", "runs", "verdict"),
    [(1, 4, "missed"), (0, 5, "missed"), (2, 4, "undecided"), (4, 5, "undecided"), (5, 5, "met")],
)
def test_an_acceptance_requires_complete_runs_too(tmp_path, complete, runs, verdict):
    """By the times, a ratio of 0.8, it would be met."""
    x = [*flat(*[0.8] * complete), *[PART] * (runs - complete)]
    y = flat(*[1] * complete) + [[1, 1, INF]] * (runs - complete)
    found = verdict_of(tmp_path, x, y, 1.2)
    [item] = found.acceptance
    assert (item.verdict, item.complete_runs, item.runs) == (verdict, complete, runs)
    if complete < runs:
        assert f"complete in {complete} of {runs} runs" in item.text
        assert f"x failed in {runs - complete} of {3 * runs} transfers" in found.headline[0]


def test_the_scenario_sets_the_required_completion(tmp_path):
    x = [*flat(0.8, 0.8), PART, PART]
    y = [*flat(1, 1), [1, 1, INF], [1, 1, INF]]
    keys = {"completion": 0.5}
    assert verdict_of(tmp_path / "1", x, y, 1.2, keys=keys).acceptance[0].verdict == "met"
    keys = {"completion": 1}
    assert verdict_of(tmp_path / "2", x, y, 1.2, keys=keys).acceptance[0].verdict == "missed"


def test_a_share_of_exactly_the_required_one_is_enough(tmp_path):
    """0.55 × 20 is above 11 in binary."""
    x = [*flat(*[0.8] * 11), *[PART] * 9]
    y = [*flat(*[1] * 11), *[[1, 1, INF]] * 9]
    [item] = verdict_of(tmp_path, x, y, 1.2, keys={"completion": 0.55}).acceptance
    assert (item.verdict, item.complete_runs, item.runs) == ("met", 11, 20)


@pytest.mark.parametrize(("incomplete", "verdict"), [(4, "met"), (5, "undecided")])
def test_undecided_if_the_reference_is_complete_significantly_more_often(
    tmp_path, incomplete, verdict
):
    """5 of 50 against none of 50: 1/32 by the exact sign test, one-sided."""
    x = [*flat(*[0.8] * (50 - incomplete)), *[PART] * incomplete]
    [item] = verdict_of(tmp_path, x, flat(*[1] * 50), 1.2).acceptance
    assert item.verdict == verdict
    assert ("y in 50 of 50: significantly more (p = 0.031)" in item.text) is (incomplete == 5)


@pytest.mark.parametrize(
    ("within", "ratios", "verdict"),
    [
        ("issue895", [1.1] * 6, "met"),
        ("issue895", [1.3] * 6, "missed"),
        ("furps", [1.9] * 6, "met"),
        ("furps", [2.1] * 6, "missed"),
        ("equivalent", [1.2] * 6, "met"),
        ("equivalent", [0.85] * 6, "met"),
        ("equivalent", [0.7] * 6, "missed"),
        ("equivalent", [1.3] * 6, "missed"),
        ("equivalent", [1.0, 1.0, 1.0, 1.0, 1.3, 1.4], "undecided"),
        # At 90 % the 3rd of 21 averages from each end counts, at 95 % the outermost.
        ("equivalent", [0.7, 0.9, 1, 1, 1, 1], "met"),
    ],
)
def test_presets(tmp_path, within, ratios, verdict):
    [item] = verdict_of(tmp_path, flat(*ratios), flat(*[1] * 6), within).acceptance
    assert (item.verdict, item.within) == (verdict, within)
    assert item.bound == {"issue895": 1.2, "furps": 2.0, "equivalent": 1.25}[within]
    assert within in item.text


def test_the_scenario_sets_the_margin_of_equivalence(tmp_path):
    x, y = flat(*[1.3] * 6), flat(*[1] * 6)
    keys = {"margin": 1.5}
    [item] = verdict_of(tmp_path, x, y, "equivalent", keys=keys).acceptance
    assert (item.verdict, item.bound) == ("met", 1.5)
    assert "between 0.667 and 1.5 ×" in item.text


@pytest.mark.parametrize(("resolution", "verdict"), [(0.001, "missed"), (0.1, "undecided")])
def test_exceeding_the_bound_by_less_than_the_resolution_is_not_missed(
    tmp_path, resolution, verdict
):
    found = verdict_of(
        tmp_path, flat(1.05, 1.05, 1.05), flat(1, 1, 1), 1.0, resolution_seconds=resolution
    )
    assert found.acceptance[0].verdict == verdict


def test_a_time_of_zero_gives_no_interval_and_the_reason(tmp_path):
    found = verdict_of(tmp_path, flat(0, 0, 0), OTHER, 1.2)
    assert found.acceptance[0].text == (
        "undecided: x (stock) within 1.2 × y's (stock) time (no interval: a time of zero)"
    )
    assert "a time of zero has no ratio" in found.headline[0]


def test_an_entrant_against_itself_is_undecided(tmp_path):
    """In a folder from before the model refused such an acceptance."""
    scenario = scenario_of(
        {"x": HTTP, "y": HTTP}, acceptance=[{"entrant": "x", "within": 2, "of": "y"}]
    )
    folder = build(tmp_path, scenario, {"x": ONE, "y": OTHER})
    race = folder / "race.json"
    race.write_text(
        race.read_text().replace('"of":"y"', '"of":"x"').replace('"of": "y"', '"of": "x"')
    )
    [item] = compute(results.load(folder)).acceptance
    assert (item.of, item.verdict) == ("x", "undecided")
    assert "with itself" in item.text


def test_equal_times_and_a_bound_below_one(tmp_path):
    found = verdict_of(tmp_path, OTHER, OTHER, 0.9, resolution_seconds=0.01)
    assert found.acceptance[0].verdict == "missed"


def test_the_worst_of_several_decides_the_exit(tmp_path):
    more = [{"entrant": "x", "within": 2.2, "of": "y"}]
    assert verdict_of(tmp_path / "1", ONE, OTHER, 9, more=more).exit is Exit.ACCEPTANCE_UNDECIDED
    assert verdict_of(tmp_path / "2", ONE, OTHER, 1, more=more).exit is Exit.ACCEPTANCE_MISSED
