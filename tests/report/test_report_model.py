"""Each figure of a report, from a small data set computed by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from made_matrices import RIVALS, cell, report_of, times
from made_results import HTTP, INF, updated
from swarmrace.errors import Exit, UsageError
from swarmrace.recording.records import Load
from swarmrace.report.answer import geometric_mean
from swarmrace.report.facts import SEGMENTS, accepted
from swarmrace.report.judging import exit_code, judge_matrix
from swarmrace.report.model import Report
from swarmrace.report.panels import level_of, ratio_square
from swarmrace.report.shares import averaged
from swarmrace.verdict.model import Ratio


@pytest.fixture
def matrix(tmp_path) -> Path:
    """2 × 2 cells: a takes 0.5, 1, 2 and 4 times b's time."""
    for size, seeders, factor in ((4, 1, 0.5), (4, 2, 1.0), (8, 1, 2.0), (8, 2, 4.0)):
        cell(
            tmp_path / "m" / f"{size}x{seeders}",
            {"a": times(factor), "b": times(1.0)},
            swarmSize=size,
            seeders=seeders,
        )
    return tmp_path / "m"


def squares(report: Report, key: str = "t100") -> dict[tuple[int, int], object]:
    [row] = [row for row in report.panels if row.key == key]
    [panel] = row.panels
    return {(each.swarm_size, each.seeders): each for each in panel.squares}


def test_the_matrix_has_ratio_interval_colour_and_verdict(matrix):
    report = report_of(matrix, accept=("furps",))
    found = squares(report)
    assert [found[at].text for at in ((4, 1), (4, 2), (8, 1), (8, 2))] == [
        "0.500 ×",
        "1.00 ×",
        "2.00 ×",
        "4.00 ×",
    ]
    assert [found[at].level for at in ((4, 1), (4, 2), (8, 1), (8, 2))] == [-2, 0, 2, 3]
    # The blocks differ only by the factor, so each interval is a point.
    assert found[4, 1].detail == "[0.500, 0.500]"
    assert [found[at].mark for at in ((4, 1), (4, 2), (8, 1), (8, 2))] == [
        "met",
        "met",
        "met",
        "missed",
    ]
    assert not any(each.hatched or each.failures for each in found.values())


def test_the_answer_counts_claims_and_names_the_mean(matrix):
    """Geometric mean of 0.5, 1, 2 and 4: 4 ** 0.25 = 1.41."""
    text = " ".join(report_of(matrix).answer)
    assert "a against b, over 4 cells: a was slower in 2, faster in 1, not different in 1" in text
    assert "from 0.500 × [0.500, 0.500] (4x1-10MB) to 4.00 × [4.00, 4.00] (8x2-10MB)" in text
    assert "Geometric mean over 4 cells complete on both sides: 1.41 ×." in text


def test_the_mean_leaves_out_incomplete_cells_and_names_them(tmp_path):
    assert geometric_mean([("p", 2.0, True), ("q", 8.0, True), ("r", 1.0, False)]) == (
        pytest.approx(4.0),
        2,
        ["r"],
    )
    assert geometric_mean([("p", 2.0, True), ("q", "failed", True)])[0] is None
    cell(tmp_path / "m" / "1", {"a": times(2), "b": times(1)}, swarmSize=4)
    cell(tmp_path / "m" / "2", {"a": times(8), "b": times(1)}, swarmSize=8)
    broken = [*times(1)[:5], [1.0, INF]]
    cell(tmp_path / "m" / "3", {"a": broken, "b": times(1)}, swarmSize=3)
    text = " ".join(report_of(tmp_path / "m").answer)
    assert "Geometric mean over 2 cells complete on both sides: 4.00 ×; left out: 3x1-10MB." in text


def test_cells_without_a_ratio_are_named_beside_the_range(tmp_path):
    cell(tmp_path / "m" / "1", {"a": times(2), "b": times(1)}, swarmSize=4)
    cell(tmp_path / "m" / "2", {"a": times(8), "b": times(1)}, swarmSize=8)
    cell(tmp_path / "m" / "3", {"a": [[INF] * 15] * 6, "b": times(1)}, swarmSize=16)
    cell(tmp_path / "m" / "4", {"a": [None] * 6, "b": times(1)}, swarmSize=5)
    [line] = [text for text in report_of(tmp_path / "m").answer if "ranges" in text]
    assert line.startswith("The ratio ranges from 2.00 × ")
    assert line.endswith("(8x1-10MB); none in 5x1-10MB, 16x1-10MB (failed or missing runs).")


def test_with_few_blocks_no_cell_is_called_missed(matrix):
    """For 4 cells with 6 blocks the smallest p is 4/64 = 0.0625, which is above 5 %."""
    report = report_of(matrix, accept=("furps",))
    [found] = report.acceptance
    assert (found.verdict, found.blocks_needed) == ("undecided", 7)
    assert [c.verdict for c in found.cells].count("missed") == 1
    assert any("takes at least 7 complete blocks" in line.text for line in report.warnings)
    chosen, judgements = judge_matrix([matrix], ["furps"])
    assert exit_code(chosen, judgements) is Exit.ACCEPTANCE_UNDECIDED
    chosen, judgements = judge_matrix([matrix], ["5"])
    assert exit_code(chosen, judgements) is Exit.OK
    assert judgements[0].verdict == "met"


def test_with_enough_blocks_a_cell_is_called_missed(tmp_path):
    for size, factor in ((4, 1.0), (8, 4.0)):
        blocks = times(1.0) + times(1.03)
        slow = [factor * t for t in blocks]
        cell(tmp_path / "m" / str(size), {"a": slow, "b": blocks}, swarmSize=size)
    _, [found] = judge_matrix([tmp_path / "m"], ["furps"])
    assert (found.verdict, found.named("missed"), found.named("met")) == (
        "missed",
        ["8x1-10MB"],
        ["4x1-10MB"],
    )


@pytest.mark.parametrize(
    ("estimate", "level"),
    [
        (1.0, 0), (1.09, 0), (1.11, 1), (1 / 1.11, -1), (1.6, 2), (2.6, 3), (6.1, 4), (100.0, 4),
        (0.1, -4), ("failed", 4), (0.0, -4), (None, 0),
    ],
)  # fmt: skip
def test_colours_diverge_at_one_on_a_log_scale(estimate, level):
    assert level_of(estimate) == level


def test_squares_without_a_ratio():
    assert ratio_square(1, 4, None).state == "empty"
    assert ratio_square(1, 4, Ratio(both_failed=3)).detail == "both failed"
    wide = Ratio(
        estimate=1.5, low=0.5, high=4.0, method="paired t on logarithms", blocks=3,
        claim="not shown to differ",
    )  # fmt: skip
    assert ratio_square(1, 4, wide).hatched
    counted = Ratio(estimate="failed", method="points", blocks=3, slower=3)
    square = ratio_square(1, 4, counted)
    assert (square.state, square.text, square.detail) == ("failed", "failed", "slower in 3 of 3")
    assert square.level == 4


def test_impossible_and_missing_cells_are_named(tmp_path):
    for size, seeders in ((2, 1), (4, 1), (8, 4)):
        cell(
            tmp_path / "m" / f"{size}-{seeders}", {"a": times(1), "b": times(1)},
            swarmSize=size, seeders=seeders,
        )  # fmt: skip
    found = squares(report_of(tmp_path / "m"))
    states = {at: each.state for at, each in found.items()}
    assert states == {
        (2, 1): "ratio", (4, 1): "ratio", (8, 1): "missing",
        (2, 4): "impossible", (4, 4): "impossible", (8, 4): "ratio",
    }  # fmt: skip


def test_completion_and_failures_are_marked(tmp_path):
    for size in (4, 8):
        last: list = [1.0, INF] if size == 4 else 1.0
        blocks = [*times(1)[:5], [*([1.0] * (size - 2)), INF] if last == [1.0, INF] else 1.0]
        cell(tmp_path / "m" / str(size), {"a": blocks, "b": times(1)}, swarmSize=size)
    report = report_of(tmp_path / "m")
    counts = squares(report, "completion")
    assert (counts[4, 1].text, counts[4, 1].detail) == ("5 / 6", "6 / 6")
    assert counts[4, 1].failures
    assert not counts[8, 1].failures
    assert squares(report)[4, 1].failures
    assert "a: 17 of 18 + 42" not in report.completed
    assert report.completed[0].startswith("a: 59 of 60 transfers completed (stall in race 1 ×)")


def test_growth_has_every_run_and_the_exponent(tmp_path):
    """Entrant a takes as many seconds as there are peers: exponent 1. Entrant b always takes one
    second: exponent 0."""
    for size in (2, 4, 8):
        cell(
            tmp_path / "m" / str(size), {"a": [float(size)] * 3, "b": [1.0] * 3}, swarmSize=size
        )  # fmt: skip
    [found] = report_of(tmp_path / "m").growth
    a, b = found.series
    assert a.points == tuple((size, float(size)) for size in (2, 4, 8) for _ in range(3))
    assert a.medians == ((2, 2.0), (4, 4.0), (8, 8.0))
    assert (a.exponent.value, b.exponent.value) == (pytest.approx(1), pytest.approx(0))
    assert found.minimum == ()


def test_a_failed_median_breaks_the_line_and_has_no_exponent(tmp_path):
    for size in (2, 4, 8):
        a = [INF, INF, 1.0] if size == 4 else [1.0] * 3
        cell(tmp_path / "m" / str(size), {"a": a, "b": [1.0] * 3}, swarmSize=size)
    [found] = report_of(tmp_path / "m").growth
    a = found.series[0]
    assert a.medians == ((2, 1.0), (4, None), (8, 1.0))
    assert a.failed == ((4, 2),)
    assert a.exponent is None


def test_shares_by_hand():
    """Shares of 1/4 and 3/4 average to 1/2, although they are 31 of 44 seconds in total."""
    runs = [{"discovery": 1.0, "to done": 3.0}, {"discovery": 30.0, "to done": 10.0}]
    shares, seconds = averaged(runs)
    assert dict(shares) == pytest.approx({"discovery": 0.5, "to done": 0.5})
    assert seconds == pytest.approx(22.0)


def test_segments_are_of_the_median_leecher(tmp_path):
    """Made transfers have their metadata after 10 ms, and their bytes arrive evenly: the first one
    after 1 ms, half of them after half of the time. The median leecher took 2 s."""
    cell(tmp_path / "m", {"a": [[1.0, 2.0, 9.0]], "b": [1.0]})
    report = report_of(tmp_path / "m")
    [shares] = report.shares
    row = shares.rows[0]
    assert (row.entrant, row.runs, row.seconds) == ("a", 1, pytest.approx(2.0))
    found = {name: share * 2.0 for name, share in row.shares}
    assert found == pytest.approx(
        {"discovery": 0.01, "first byte": 0.0, "to 50 %": 0.99, "to 90 %": 0.8, "to done": 0.2}
    )
    assert shares.segments == SEGMENTS


def test_tables_hold_the_verdict_figures(matrix):
    report = report_of(matrix)
    reliability = next(table for table in report.tables if table.slug == "reliability")
    at = reliability.head.index("complete runs")
    assert {row[at].text for row in reliability.rows} == {"6 of 6"}
    limits = reliability.head.index("share, 95 % (exact)")
    assert {row[limits].text for row in reliability.rows} == {"54 to 100 %"}
    assert report.uploads is not None
    assert {row[2].text for row in report.uploads.rows} == {"500 ms"}


def test_transfers_that_stalled_are_counted(tmp_path):
    """Made transfers come in ten even steps, so one of 20 s has silences of 2 s."""
    times = {"a": [[5.0, 20.0, 30.0], [1.0, 9.0, 11.0]], "b": [[1.0] * 3, None]}
    report = report_of(cell(tmp_path / "r", times))
    stability = next(table for table in report.tables if table.slug == "stability")
    at = stability.head.index("stalled transfers")
    assert [(row[1].text, row[at].text) for row in stability.rows] == [
        ("a", "3 of 6"),
        ("b", "0 of 3"),
    ]


@pytest.mark.parametrize(
    ("busy", "share", "seconds", "what"),
    [
        (0.9, 0.5, 9.0, "CPU"),  # by any process
        (0.2, 0.5, 1.1, "link"),  # minimum 1 s: 3 × 10 MB at 40 MB/s, or 10 MB at 10 MB/s
        (0.2, 0.5, 2.0, "neither"),
        (0.2, 0.0, 3.1, "link"),  # minimum 3 s if only the seeder sends: 3 × 10 MB at 10 MB/s
        (0.2, 0.0, 1.1, "link"),
    ],
)
def test_what_bounded_a_race(tmp_path, busy, share, seconds, what):
    """Four peers with 10 MB/s up and down, on a machine with eight processors."""

    def measured(result):
        load = Load(seconds=10.0, cpus=8, busy_cpu_seconds=80 * busy)
        sent = 1e6 if result.role == "seeder" else 1e6 / 3 * share / (1 - share)
        return updated(load=load, counters={"payload_sent_bytes": sent})(result)

    cell(
        tmp_path / "r", {"a": [seconds] * 3, "b": [1.0] * 3}, peer=measured,
        network={"upload": "10MB", "download": "10MB"}, rotateSeeders=False,
    )  # fmt: skip
    assert report_of(tmp_path / "r").cells[0].facts.bounds["a"].what == what


def test_provenance_and_what_was_not_tested(matrix):
    report = report_of(matrix)
    text = " ".join(report.provenance)
    assert "a CPU, 2" in text
    assert "Master seed: 1." in text
    assert any("delay and loss" in line.lower() for line in report.not_tested)
    assert any("4 and 8 peers, 1 and 2 seeders, 10MB" in line for line in report.not_tested)
    assert dict(report.definitions)["ratio"]


def test_a_single_entrant_and_a_single_reference(tmp_path):
    alone = {"a": RIVALS["a"]}
    one = report_of(cell(tmp_path / "1", {"a": times(1)}, entrants=alone))
    assert one.pairs == ()
    assert "raced alone" in one.answer[0]
    pair = {"b": RIVALS["b"], "web": HTTP}
    two = report_of(cell(tmp_path / "2", {"b": times(1), "web": times(0.5)}, entrants=pair))
    assert two.pairs == (("b", "web"),)
    assert [colour.reference for colour in two.colours] == [False, True]


def test_acceptances_are_parsed():
    assert accepted((), ["a", "b"], ()) is None
    [found] = accepted(("a:1.5:b",), ["a", "b"], ())
    assert (found.entrant, found.bound, found.of) == ("a", 1.5, "b")
    for text in ("a:furps:c", "soon", "-1"):
        with pytest.raises(UsageError, match="--accept"):
            accepted((text,), ["a", "b"], ())
    with pytest.raises(UsageError, match="found a race of only a, expected two entrants"):
        accepted(("furps",), ["a"], ())
