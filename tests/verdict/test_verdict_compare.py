from __future__ import annotations

import math

import pytest

from made_results import BT, CODEX, HTTP, INF, flat, verdict_between
from swarmrace.errors import Reason
from swarmrace.recording.records import Failure
from swarmrace.verdict.wording import digits


def test_the_ratio_by_hand(tmp_path):
    found = verdict_between(
        tmp_path, {"x": HTTP, "y": HTTP}, {"x": flat(2, 4, 8), "y": flat(1, 2, 2)}
    )
    [pair] = found.comparisons
    assert (pair.entrant, pair.of, pair.headline, pair.paired) == ("x", "y", True, True)
    assert math.log2(pair.t100.estimate) == pytest.approx(4 / 3)
    assert math.log2(pair.t100.high) == pytest.approx(4 / 3 + 4.302653 / 3, rel=1e-6)
    assert (pair.t100.slower, pair.t100.faster, pair.t100.ties) == (3, 0, 0)
    assert pair.t100.method == "paired t on logarithms"
    assert found.headline == [
        "x (stock) took 2.52 × y's (stock) time [0.932, 6.81] over 3 blocks; not shown to differ; "
        "the interval assumes log-normal times"
    ]


def test_the_last_leechers_ratio_is_in_the_sentence(tmp_path):
    times = {"x": [[2, 2, 6]] * 6, "y": [[1, 1, 2]] * 6}
    [line] = verdict_between(tmp_path, {"x": HTTP, "y": HTTP}, times, repetitions=6).headline
    assert line == (
        "x (stock) took 2.00 × y's (stock) time [2.00, 2.00] over 6 blocks; "
        "last leecher 3.00 × [3.00, 3.00]"
    )


def test_only_blocks_with_both_are_paired(tmp_path):
    found = verdict_between(
        tmp_path,
        {"x": HTTP, "y": HTTP},
        {"x": [*flat(2, 2, 2), None], "y": [None, *flat(1, 1, 1)]},
        repetitions=4,
    )
    [pair] = found.comparisons
    assert pair.t100.blocks == 2
    assert pair.t100.estimate == pytest.approx(2)
    assert pair.t100.low is None
    assert "[no interval below 3 blocks] over 2 blocks" in pair.text


@pytest.mark.parametrize(
    ("x", "y", "estimate", "counts", "text"),
    [
        (
            flat(2, INF, 2),
            flat(1, 1, 3),
            "failed",
            (2, 1, 0),
            "transfers failed, no interval below 6 blocks with failed runs; x was slower in 2",
        ),
        (
            flat(INF, INF, INF),
            flat(1, 1, 1),
            "failed",
            (3, 0, 0),
            "x failed in all, y in none",
        ),
        (flat(1, 1, 1), flat(INF, INF, INF), 0.0, (0, 3, 0), "y failed in all, x in none"),
        (flat(INF, 1), flat(2, INF), None, (1, 1, 0), "no interval below 3 blocks"),
    ],
)
def test_failures_in_few_blocks_give_counts_and_no_interval(tmp_path, x, y, estimate, counts, text):
    entrants = {"x": HTTP, "y": HTTP}
    times = {"x": x, "y": y}
    found = verdict_between(tmp_path, entrants, times, repetitions=len(x))
    [pair] = found.comparisons
    assert pair.t100.estimate == estimate
    assert (pair.t100.low, pair.t100.high) == (None, None)
    assert (pair.t100.slower, pair.t100.faster, pair.t100.ties) == counts
    assert pair.t100.method == "points"
    assert text in pair.text


@pytest.mark.parametrize(
    ("x", "text", "low", "high"),
    [
        (
            (INF, 2, 2, 2, 2, 2),
            "x (stock) took 2.00 × y's (stock) time [2.00, failed]",
            2,
            "failed",
        ),
        (
            (INF, INF, INF, INF, INF, 2),
            "x (stock) failed where y (stock) did not, in the typical block [2.00, failed]",
            2,
            "failed",
        ),
    ],
)
def test_from_six_blocks_a_failure_is_slower_than_any(tmp_path, x, text, low, high):
    times = {"x": flat(*x), "y": flat(*[1] * 6)}
    found = verdict_between(tmp_path, {"x": HTTP, "y": HTTP}, times, repetitions=6)
    [pair] = found.comparisons
    assert found.headline[0].startswith(f"{text} over 6 blocks")
    assert (pair.t100.low, pair.t100.high, pair.t100.claim) == (pytest.approx(low), high, "slower")
    assert f"; x failed in {3 * x.count(INF)} of 18 transfers" in found.headline[0]


def test_blocks_in_which_both_failed_are_counted_and_reported(tmp_path):
    times = {"x": flat(INF, *[2] * 6), "y": flat(INF, *[1] * 6)}
    found = verdict_between(tmp_path, {"x": HTTP, "y": HTTP}, times, repetitions=7)
    [pair] = found.comparisons
    assert (pair.t100.blocks, pair.t100.both_failed) == (6, 1)
    assert pair.t100.estimate == pytest.approx(2)
    assert "over 6 blocks; both failed in 1 of 7 blocks; " in (found.headline[0])
    times = {"x": flat(INF, INF, INF), "y": flat(INF, INF, INF)}
    found = verdict_between(tmp_path / "2", {"x": HTTP, "y": HTTP}, times)
    assert found.headline[0].startswith(
        "x (stock) and y (stock): no ratio; both failed in 3 of 3 blocks"
    )


def test_failed_transfers_of_either_side_are_in_the_sentence(tmp_path):
    """Less than half of the leechers fail, so every run has a finite number."""
    times = {"x": [[0.8, 0.8, INF]] * 3, "y": [[1, 1, 1], [1, INF, 1], [1, 1, 1]]}
    [line] = verdict_between(tmp_path, {"x": HTTP, "y": HTTP}, times).headline
    assert line.startswith("x (stock) took 0.800 × y's (stock) time [0.800, 0.800] over 3 blocks")
    assert "; x failed in 3 of 9 transfers; y failed in 1 of 9 transfers" in line


def test_runs_that_an_entrant_kept_from_being_raced_are_in_the_sentence(tmp_path):
    failure = Failure(reason=Reason.REFUSED, stage="publish")

    def run(result):
        if result.entrant != "x" or result.repetition != 1:
            return result
        return result.model_copy(update={"status": "not raced", "failure": failure})

    times = {"x": flat(1, 1, 1), "y": flat(1, 1, 1)}
    folder = {"run": run}
    [line] = verdict_between(tmp_path, {"x": HTTP, "y": HTTP}, times, folder=folder).headline
    assert "; x failed before the start in 1 of 3 runs" in line


def test_entrants_without_a_common_block(tmp_path):
    found = verdict_between(tmp_path, {"x": HTTP, "y": HTTP}, {"x": [None] * 3, "y": flat(1, 1, 1)})
    assert found.comparisons[0].t100.blocks == 0
    assert "nothing to compare, no block has numbers of both" in found.headline[0]


@pytest.mark.parametrize(
    ("x", "resolution", "claim", "text"),
    [
        # All of [1.04, 1.07] is within 100 ms of a second.
        (
            (1.05, 1.06, 1.05),
            0.1,
            "no difference",
            "no difference at the resolution of 100 ms [1.0",
        ),
        ((1.05, 1.06, 1.05), 0.01, "slower", "took 1.05 ×"),
        # It excludes 1, but by less than the resolution, and goes beyond it.
        ((1.05, 1.06, 1.05), 0.05, "not shown to differ", "over 3 blocks; not shown to differ"),
        ((0.95, 0.94, 0.95), 0.01, "faster", "took 0.947 ×"),
        # A wide interval around 1 shows nothing, however close the estimate is.
        ((0.5, 1, 2), 0.001, "not shown to differ", "took 1.00 × y's (stock) time [0.179, 5.59]"),
        ((0.5, 1, 2), 0.1, "not shown to differ", "took 1.00 × y's (stock) time [0.179, 5.59]"),
    ],
)
def test_what_an_interval_shows(tmp_path, x, resolution, claim, text):
    times = {"x": flat(*x), "y": flat(1, 1, 1)}
    folder = {"resolution_seconds": resolution}
    found = verdict_between(tmp_path, {"x": HTTP, "y": HTTP}, times, folder=folder)
    [pair] = found.comparisons
    assert pair.t100.claim == claim
    assert text in pair.text
    assert ("not shown to differ" in pair.text) is (claim == "not shown to differ")


def transfers(change):
    """Change every leecher's transfer: `change` gets its record and returns fields."""

    def peer(result):
        if result.transfer is None:
            return result
        moved = result.transfer.model_copy(update=change(result))
        return result.model_copy(update={"transfer": moved})

    return peer


def resolutions(result):
    """Marks at 100 % with a gap of a minute before them, which is no uncertainty of done."""
    marks = [
        mark.model_copy(update={"resolution_seconds": 60.0}) for mark in result.transfer.arrival
    ]
    return {"arrival": marks, "delivery": marks}


def test_the_resolution_of_done_is_its_own(tmp_path):
    times = {"x": flat(61, 61, 61), "y": flat(1.2, 1.2, 1.2)}
    folder = {"peer": transfers(resolutions), "resolution_seconds": 0.02}
    found = verdict_between(tmp_path, {"x": HTTP, "y": HTTP}, times, folder=folder)
    [pair] = found.comparisons
    assert (pair.t100.resolution_seconds, pair.last.resolution_seconds) == (0.02, 0.02)
    assert pair.t100.claim == "slower"
    assert "took 50.8 ×" in pair.text
    assert marks(found, "x", "y")["arrival"][-1].ratio.resolution_seconds == 60


@pytest.mark.parametrize("of_format_1", [False, True])
def test_without_bytes_the_poll_interval_is_the_resolution_of_done(tmp_path, of_format_1):
    """Codex in background on a node without progress: no log, a poll every 5 s."""
    entrants = {"codex": CODEX | {"download": "background", "pollSeconds": 5}, "bt": BT}

    def unseen(result):
        if result.entrant != "codex":
            return {}
        known = None if of_format_1 else 5.0
        return {"arrival": [], "delivery": [], "done_resolution_seconds": known}

    times = {"codex": flat(11, 11, 11), "bt": flat(10, 10, 10)}
    found = verdict_between(tmp_path, entrants, times, folder={"peer": transfers(unseen)})
    [pair] = found.comparisons
    assert (pair.t100.resolution_seconds, pair.last.resolution_seconds) == (5, 5)
    assert pair.t100.claim == "no difference"
    assert "no difference at the resolution of 5 s" in found.headline[0]


def test_the_last_leechers_number_has_the_last_leechers_resolution(tmp_path):
    def change(result):
        return {"done_resolution_seconds": 0.5 if result.transfer.done_seconds == 3 else 0.01}

    times = {"x": [[1, 2, 3]] * 3, "y": [[1, 2, 2.8]] * 3}
    folder = {"peer": transfers(change)}
    [pair] = verdict_between(tmp_path, {"x": HTTP, "y": HTTP}, times, folder=folder).comparisons
    assert (pair.t100.resolution_seconds, pair.last.resolution_seconds) == (0.01, 0.5)
    assert pair.last.claim == "no difference"


def marks(found, entrant, of):
    [pair] = [p for p in found.comparisons if (p.entrant, p.of) == (entrant, of)]
    return {kind: [m for m in pair.marks if m.kind == kind] for kind in ("arrival", "delivery")}


@pytest.mark.parametrize(("order", "compared"), [("rarestFirst", False), ("sequential", True)])
def test_delivery_is_compared_with_a_stream_only_if_fetched_in_order(tmp_path, order, compared):
    entrants = {"bt": BT | {"pieceOrder": order}, "codex": CODEX, "web": HTTP}
    found = verdict_between(tmp_path, entrants, dict.fromkeys(entrants, flat(1, 2, 3)))
    for pair in (("codex", "bt"), ("bt", "web")):
        delivery = marks(found, *pair)["delivery"]
        assert len(delivery) == 6
        assert all((mark.ratio is not None) is compared for mark in delivery)
        if not compared:
            assert all("pieceOrder: sequential" in mark.why_not for mark in delivery)
    # A stream is a stream; arrival is compared where both observe it and nowhere else.
    assert all(mark.ratio for mark in marks(found, "codex", "web")["delivery"])
    assert all(mark.ratio for mark in marks(found, "bt", "web")["arrival"])
    assert all(
        mark.why_not == "codex doesn't observe arrival"
        for mark in marks(found, "codex", "bt")["arrival"]
    )


def stability(result):
    """Stalls and variations by entrant: x twice as bad as y, for arrival and delivery."""
    by = 2 if result.entrant == "x" else 1
    return {
        "longest_stall_seconds": 0.5 * by,
        "longest_delivery_stall_seconds": 0.7 * by,
        "arrival_variation": 0.1 * by,
        "delivery_variation": 0.3 * by,
    }


def test_stalls_and_variation_are_compared_with_their_own_kind(tmp_path):
    times = {"x": flat(2, 2, 2), "y": flat(1, 1, 1)}
    folder = {"peer": transfers(stability)}
    found = verdict_between(tmp_path, {"x": HTTP, "y": HTTP}, times, folder=folder)
    [pair] = found.comparisons
    assert set(pair.stability) == {
        "longestStall",
        "longestDeliveryStall",
        "arrivalVariation",
        "deliveryVariation",
    }
    for name, each in pair.stability.items():
        assert each.ratio.estimate == pytest.approx(2), name
        assert (each.ratio.difference_seconds is None) is ("Variation" in name)


@pytest.mark.parametrize("order", ["rarestFirst", "sequential"])
def test_stalls_and_variation_of_delivery_are_compared_like_its_marks(tmp_path, order):
    entrants = {"codex": CODEX, "bt": BT | {"pieceOrder": order}}
    times = dict.fromkeys(entrants, flat(1, 2, 3))
    [pair] = verdict_between(tmp_path, entrants, times).comparisons
    for name in ("longestDeliveryStall", "deliveryVariation"):
        each = pair.stability[name]
        assert (each.ratio is not None) is (order == "sequential")
        assert bool(each.why_not) is (order == "rarestFirst")
    for name in ("longestStall", "arrivalVariation"):
        assert pair.stability[name].why_not == "codex doesn't observe arrival"


def test_a_run_that_ended_early_does_not_count_as_steady(tmp_path):
    times = {"x": [[1, 1, INF], *flat(1, 1)], "y": flat(1, 1, 1)}
    [pair] = verdict_between(tmp_path, {"x": HTTP, "y": HTTP}, times).comparisons
    stall = pair.stability["longestStall"].ratio
    assert (stall.claim, stall.method, stall.slower) == (None, "points", 1)
    # Its median leecher finished, so it has a variation.
    assert pair.stability["arrivalVariation"].ratio.estimate == pytest.approx(1)


@pytest.mark.parametrize("name", ["longestStall", "deliveryVariation"])
@pytest.mark.parametrize("raced", [False, True])
def test_a_failed_run_counts_as_less_steady_than_any(tmp_path, name, raced):
    """Whether the entrant kept it from being raced, or most of its transfers failed: of the third,
    that finished, no variation is known."""
    failure = Failure(reason=Reason.TIMEOUT, stage="publish")

    def failing(result):
        return result.entrant == "x" and result.repetition == 1

    def run(result):
        if raced or not failing(result):
            return result
        return result.model_copy(update={"status": "not raced", "failure": failure})

    def peer(result):
        if not failing(result) or result.transfer is None:
            return result
        unknown = {"arrival_variation": None, "delivery_variation": None}
        if raced:
            moved = result.transfer.model_copy(update=unknown)
            return result.model_copy(update={"transfer": moved})
        failed = {"outcome": "failed", "failure": failure, "transfer": None}
        return result.model_copy(update=failed)

    times = {"x": [[1, 1, 1], [INF, INF, 1], [1, 1, 1]], "y": flat(1, 1, 1)}
    folder = {"run": run, "peer": peer}
    [pair] = verdict_between(tmp_path, {"x": HTTP, "y": HTTP}, times, folder=folder).comparisons
    found = pair.stability[name].ratio
    assert (found.blocks, found.method, found.slower, found.ties) == (3, "points", 1, 2)


def test_two_of_a_kind_compare_their_deliveries(tmp_path):
    entrants = {"utp": BT | {"utp": True}, "tcp": BT | {"utp": False}}
    found = verdict_between(tmp_path, entrants, {"utp": flat(2, 2, 2), "tcp": flat(1, 1, 1)})
    delivery = {m.percent: m.ratio for m in marks(found, "utp", "tcp")["delivery"]}
    assert delivery[50].estimate == pytest.approx(2)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.9, "1.90"),
        (0.2749, "0.275"),
        (123.4, "123"),
        (99.96, "100"),
        (54321, "54321"),
        (0, "0.00"),
    ],
)
def test_ratios_have_three_digits(value, text):
    assert digits(value) == text
