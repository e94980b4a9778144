from __future__ import annotations

import pytest

from made_results import BT, CODEX, HTTP, build, flat, scenario_of, verdict_between
from paths import SCENARIOS
from swarmrace.plan.schedule import schedule
from swarmrace.results import folder as results
from swarmrace.scenario.loading import load
from swarmrace.systems.abc import Observes
from swarmrace.systems.options import EntrantOptions
from swarmrace.verdict import compute
from swarmrace.verdict.sides import Side, mark_fault


def test_sequential_order_is_reported_as_not_paired(tmp_path):
    times = {"x": flat(2, 4, 8), "y": flat(1, 1, 8)}
    found = verdict_between(tmp_path, {"x": HTTP, "y": HTTP}, times, order="sequential")
    [pair] = found.comparisons
    assert not pair.paired
    assert pair.t100.method == "Welch's t on logarithms"
    assert pair.t100.estimate == pytest.approx(2)
    assert pair.t100.sign_p is None
    assert "over 3 and 3 runs; " in pair.text
    assert "; not paired: the order was sequential" in pair.text


def test_blocks_are_not_paired_if_nodes_differ(tmp_path):
    times = {"x": flat(2, 4, 8), "y": flat(1, 2, 4)}
    entrants = {"x": HTTP, "y": HTTP}
    apart = {"nodes": lambda entrant, peer: "n2" if (entrant, peer) == ("y", 1) else "n1"}
    found = verdict_between(tmp_path / "1", entrants, times, folder=apart, rotateSeeders=False)
    [pair] = found.comparisons
    assert not pair.paired
    why = "peers ran on 4 × n1 for x and on 3 × n1, n2 for y"
    assert pair.why_not_paired.endswith(why)
    assert f"not paired: in block 0 {why}" in pair.text
    assert f"x and y are not paired: in block 0 {why}" in [flag.text for flag in found.flags]
    together = {"nodes": lambda entrant, peer: f"n{peer}"}
    [pair] = verdict_between(tmp_path / "2", entrants, times, folder=together).comparisons
    assert pair.paired


@pytest.mark.parametrize("seeder_elsewhere", [False, True])
def test_only_the_seeders_nodes_are_matched_by_role(tmp_path, seeder_elsewhere):
    """Peer 0 seeds. The leechers' nodes are the same, in another order."""

    def nodes(entrant, peer):
        order = {"x": ["n0", "n1", "n2", "n2"], "y": ["n0", "n2", "n1", "n2"]}
        if seeder_elsewhere:
            order["y"] = ["n1", "n2", "n0", "n2"]
        return order[entrant][peer]

    found = verdict_between(
        tmp_path,
        {"x": HTTP, "y": HTTP},
        {"x": flat(2, 4, 8), "y": flat(1, 2, 4)},
        folder={"nodes": nodes},
        rotateSeeders=False,
    )
    [pair] = found.comparisons
    assert pair.paired is not seeder_elsewhere
    if seeder_elsewhere:
        assert pair.why_not_paired == "in block 0 seeders ran on n0 for x and on n1 for y"


def test_nodes_in_blocks_that_only_one_raced_are_ignored(tmp_path):
    """With rotating seeders the seeders' nodes differ from block to block."""
    nodes = {"x": ["n0", "n1", "n2", "n3"], "y": ["n0", "n1", "n3", "n2"]}
    folder = {"nodes": lambda entrant, peer: nodes[entrant][peer]}
    entrants = {"x": HTTP, "y": HTTP}
    times = {"x": flat(1, 1, 1, 1), "y": flat(1, 1, 1, 1)}
    [whole] = verdict_between(
        tmp_path / "1", entrants, times, folder=folder, repetitions=4
    ).comparisons
    assert not whole.paired
    seeders = {
        run.repetition: run.seeders[0] for run in schedule(scenario_of(entrants, repetitions=4))
    }
    times["y"] = [None if seeders[block] > 1 else [1, 1, 1] for block in range(4)]
    [part] = verdict_between(
        tmp_path / "2", entrants, times, folder=folder, repetitions=4
    ).comparisons
    assert part.paired


def test_the_headline_compares_equal_profiles_and_names_the_reference(tmp_path):
    entrants = {
        "bt": BT,
        "fast": BT | {"profile": "tuned"},
        "web": HTTP,
        "codex": CODEX,
    }
    found = verdict_between(tmp_path, entrants, dict.fromkeys(entrants, flat(1, 2, 3)))
    pairs = {(p.entrant, p.of): p for p in found.comparisons}
    assert len(pairs) == 6
    assert {key for key, pair in pairs.items() if pair.headline} == {
        ("codex", "bt"),
        ("bt", "web"),
        ("fast", "web"),
        ("codex", "web"),
    }
    assert {key for key, pair in pairs.items() if pair.reference} == {
        ("bt", "web"),
        ("fast", "web"),
        ("codex", "web"),
    }
    assert found.headline[0] == pairs["codex", "bt"].text
    assert all("web is a reference" in line for line in found.headline[1:])
    assert pairs["bt", "fast"].text not in found.headline


def test_a_changed_side_is_not_equal_to_an_unchanged_one(tmp_path):
    entrants = {
        "bt": BT | {"utp": False, "settings": {"aio_threads": 4}},
        "codex": CODEX,
        "web": HTTP,
    }
    acceptance = [{"entrant": "codex", "within": 9, "of": "bt"}]
    times = dict.fromkeys(entrants, flat(1, 1, 1))
    found = verdict_between(tmp_path, entrants, times, acceptance=acceptance)
    pairs = {(p.entrant, p.of): p for p in found.comparisons}
    rivals = pairs["codex", "bt"]
    assert not rivals.headline
    assert rivals.unlike == "settings were changed"
    assert "bt (stock, changed: utp=false, settings)" in rivals.text
    assert found.entrants["bt"].changed == {"utp": "false", "settings": ""}
    # The reference is set against anything, and both sides are named.
    assert pairs["bt", "web"].headline
    assert pairs["bt", "web"].text.startswith("bt (stock, changed: utp=false, settings) ")
    assert found.acceptance[0].text.endswith("; settings were changed")


@pytest.mark.parametrize(
    ("one", "other", "headline"),
    [
        ({"utp": True}, {"utp": False}, True),
        ({"utp": True}, {"encryption": False}, True),  # stock has uTP on: one option is changed
        ({"utp": False}, {"encryption": False}, False),
        ({"utp": True}, {}, True),
        ({"utp": False}, {}, True),
        ({"utp": False}, {"utp": False, "encryption": False}, True),
        ({"settings": {"aio_threads": 1}}, {}, True),
        ({"settings": {"aio_threads": 1, "file_pool_size": 9}}, {}, False),
        ({"utp": True, "profile": "tuned"}, {"utp": True}, False),
        ({"settings": {"aio_threads": 1}}, {"settings": {"aio_threads": 2}}, True),
        ({"pieceOrder": "sequential"}, {}, True),
    ],
)
def test_two_of_a_kind_that_change_the_same_option_are_a_deliberate_comparison(
    tmp_path, one, other, headline
):
    found = verdict_between(
        tmp_path, {"x": BT | one, "y": BT | other}, {"x": flat(2, 2, 2), "y": flat(1, 1, 1)}
    )
    [pair] = found.comparisons
    assert pair.headline is headline
    if headline:
        assert found.headline == [pair.text]
    else:
        assert found.headline == ["no headline: no two entrants have equal profiles"]


@pytest.mark.parametrize("changed", [{"utp": False}, {"pieceOrder": "sequential"}])
def test_a_pair_equal_except_for_one_option_is_the_headline_and_names_it(tmp_path, changed):
    entrants = {"bt": BT | changed, "codex": CODEX, "web": HTTP}
    found = verdict_between(tmp_path, entrants, dict.fromkeys(entrants, flat(1, 1, 1)))
    [name] = changed
    assert found.headline[0].startswith("codex (stock) and bt (stock, changed: ")
    assert f"; equal except for one option, {name}" in found.headline[0]
    assert len(found.headline) == 3


def test_a_changed_pair_is_no_headline_if_rivals_are_equal(tmp_path):
    entrants = {"bt": BT, "tcp": BT | {"utp": False}, "codex": CODEX}
    found = verdict_between(tmp_path, entrants, dict.fromkeys(entrants, flat(1, 1, 1)))
    [line] = found.headline
    assert line.startswith("codex (stock) and bt (stock): no difference")


def test_the_example_of_utp_keeps_its_headline_and_names_both_sides(tmp_path):
    example = load(SCENARIOS / "bittorrent-utp.yaml")
    times = {"utp": flat(8, 8, 8, 8, 8), "tcp": flat(2, 2, 2, 2, 2)}
    [line] = compute(results.load(build(tmp_path, example, times))).headline
    assert line.startswith("utp (tuned, changed: utp=true) took 4.00 × tcp's (tuned) time ")


def test_the_references_profile_is_named(tmp_path):
    entrants = {"bt": BT | {"profile": "tuned"}, "web": HTTP | {"profile": "tuned"}}
    found = verdict_between(tmp_path, entrants, {"bt": flat(2, 2, 2), "web": flat(1, 1, 1)})
    assert found.headline[0].startswith("bt (tuned) took 2.00 × web's (tuned) time ")


def test_a_torrent_file_is_never_compared_with_codex(tmp_path):
    entrants = {"bt": BT | {"reference": "torrent"}, "codex": CODEX, "web": HTTP}
    found = verdict_between(
        tmp_path,
        entrants,
        dict.fromkeys(entrants, flat(1, 2, 3)),
        acceptance=[{"entrant": "codex", "within": 10, "of": "bt"}],
    )
    pairs = {(p.entrant, p.of): p for p in found.comparisons}
    barred = pairs["codex", "bt"]
    assert (barred.t100, barred.last, barred.marks, barred.headline) == (None, None, [], False)
    assert "bt's leechers held the .torrent file" in barred.why_not
    assert pairs["bt", "web"].t100 is not None
    [item] = found.acceptance
    assert item.verdict == "undecided"
    assert ".torrent file" in item.text


def test_a_third_partys_system_gets_no_hint_about_bittorrents_options():
    """Each kind names its own option that makes a delivery comparable."""

    def side(kind, how=""):
        observes = Observes(arrival=True, delivery=True, unit="x", in_order=kind == "http")
        options = EntrantOptions(kind=kind)
        return Side(kind, options, observes, [], {}, comparable_by=how)

    assert mark_fault(side("gnutella"), side("http"), "delivery") == (
        "gnutella doesn't fetch in order, so its delivery is not compared with http's stream; "
        "done (t100) is compared"
    )
    assert "(inOrder: true makes it comparable)" in mark_fault(
        side("gnutella", "inOrder: true"), side("http"), "delivery"
    )
