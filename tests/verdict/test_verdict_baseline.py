"""`race.baseline`: six entrants have five ratios, each to one of them, and a page one can read."""

from __future__ import annotations

import pytest

from made_results import BT, CODEX, HTTP, build, flat, scenario_of, verdict_between
from racing import race, scenario_file
from swarmrace.errors import ScenarioError
from swarmrace.report import build as reports
from swarmrace.report.facts import accepted, gather
from swarmrace.report.selection import choose
from swarmrace.results import folder as results
from swarmrace.scenario.loading import parse
from swarmrace.verdict import compute, render, short

ENTRANTS = {
    "codex": CODEX,
    "bt": BT,
    "other": BT | {"pieceSize": "64KiB"},
    "third": BT,
    "a-name-of-20-letters": CODEX,
    "web": HTTP,
}
FACTORS = {"codex": 3.0, "bt": 1.0, "other": 1.5, "third": 2.0, "a-name-of-20-letters": 4.0}
TIMES = {
    name: flat(*(FACTORS.get(name, 0.25) * (10 + block) for block in range(6))) for name in ENTRANTS
}


def verdict(tmp_path, baseline="bt", entrants=ENTRANTS):
    race = {"repetitions": 6} | ({"baseline": baseline} if baseline else {})
    times = {name: TIMES[name] for name in entrants}
    return verdict_between(tmp_path, entrants, times, **race)


def test_each_is_compared_with_the_baseline_and_nothing_else(tmp_path):
    found = verdict(tmp_path)
    others = [name for name in ENTRANTS if name != "bt"]
    assert [(each.entrant, each.of) for each in found.comparisons] == [(n, "bt") for n in others]
    for each in found.comparisons:
        assert each.t100.estimate == pytest.approx(FACTORS.get(each.entrant, 0.25))
    assert len(verdict(tmp_path / "all", None).comparisons) == 15


def test_a_baseline_of_any_standing_is_what_the_others_are_over(tmp_path):
    """Codex is otherwise set over BitTorrent, and anything over HTTP."""
    for baseline in ("codex", "web"):
        found = verdict(tmp_path / baseline, baseline)
        assert {each.of for each in found.comparisons} == {baseline}
        assert len(found.comparisons) == 5


def test_http_is_a_reference_on_either_side(tmp_path):
    found = verdict(tmp_path)
    (web,) = (each for each in found.comparisons if each.entrant == "web")
    assert web.reference
    assert web.headline
    assert web.text.endswith("web is a reference")
    assert [name for name, each in found.entrants.items() if each.reference] == ["web"]
    assert all(each.reference for each in verdict(tmp_path / "web", "web").comparisons)


def test_the_headline_still_compares_equals(tmp_path):
    found = verdict(tmp_path)
    (other,) = (each for each in found.comparisons if each.entrant == "other")
    assert other.unlike == "settings were changed"
    assert other.text not in found.headline
    assert len(found.headline) == 4


@pytest.mark.parametrize("width", [80, 120])
def test_the_pages_are_readable_with_six(tmp_path, width):
    found = verdict(tmp_path)
    page = short.text(found).splitlines()
    assert max(map(len, page)) <= 80
    assert len(page) <= 38
    (head,) = (line for line in page if line.startswith("median over runs"))
    assert "× bt" in head
    for name, ratio in (("third", "2.00 ["), ("web", "0.250 ["), ("bt", "1 ")):
        (row,) = (line for line in page if line.startswith(f"{name} "))
        assert ratio in row
    full = render.text(found, width=width)
    assert "codex / bt" in full
    assert "third / codex" not in full


def test_without_one_there_is_no_such_column(tmp_path):
    assert "× " not in next(
        line
        for line in short.text(verdict(tmp_path, None)).splitlines()
        if line.startswith("median over runs")
    )


def test_the_report_has_every_pair_with_the_baseline(tmp_path):
    scenario = scenario_of(ENTRANTS, repetitions=6, baseline="bt")
    folder = build(tmp_path, scenario, TIMES)
    chosen = choose([gather((folder,))])
    pairs = reports.pairs_of(chosen)
    headline = [name for name in ENTRANTS if name not in ("bt", "other")]
    assert sorted(pairs) == sorted((name, "bt") for name in headline)
    colours = {each.entrant: each.reference for each in reports._colours(chosen)}
    assert [name for name, reference in colours.items() if reference] == ["web"]


def test_an_acceptance_from_the_command_line_is_for_rivals_only(tmp_path):
    found = verdict(tmp_path)
    items = accepted(["1.2"], list(ENTRANTS), found.comparisons)
    assert {item.of for item in items} == {"bt"}
    assert "web" not in {item.entrant for item in items}


def test_it_changes_nothing_that_is_raced():
    one, other = (scenario_of(ENTRANTS, baseline=name) for name in ("bt", "codex"))
    assert one.race_id() == other.race_id() == scenario_of(ENTRANTS).race_id()
    assert one.cell_id() == scenario_of(ENTRANTS).cell_id()


def test_one_that_does_not_race_is_refused():
    with pytest.raises(ScenarioError) as caught:
        parse({"global": {"race": {"baseline": "btt"}, "entrants": {"bt": BT, "web": HTTP}}})
    (fault,) = caught.value.faults
    assert str(fault) == (
        "global.race.baseline: found 'btt' (did you mean 'bt'?), expected one of bt, web"
    )


def test_a_folder_whose_baseline_is_not_installed_here_is_judged(tmp_path):
    scenario = scenario_of({"bt": BT, "web": HTTP}, baseline="bt", repetitions=6)
    folder = build(tmp_path, scenario, {name: TIMES[name] for name in ("bt", "web")})
    race = folder / "race.json"
    race.write_text(race.read_text().replace('"bittorrent"', '"gnutella"'))
    found = compute(results.load(folder))
    assert [(each.entrant, each.of) for each in found.comparisons] == [("web", "bt")]


def test_a_real_race_keeps_it_in_its_folder(tmp_path):
    """`show` knows the scenario from what the race has left."""
    quick = {"kind": "synthetic", "curve": [[0, 0], [0.1, 1]]}
    entrants = dict.fromkeys("abc", quick)
    scenario = scenario_file(tmp_path, entrants, baseline="b")
    with race(tmp_path, scenario) as running:
        assert running.end() == 0, running.output()
        found = compute(results.load(running.folder))
    assert [(each.entrant, each.of) for each in found.comparisons] == [("a", "b"), ("c", "b")]
