"""Each figure of a report from a small data set computed by hand; what is seen of known wrongs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from made_matrices import RIVALS, cell
from made_results import HTTP, INF, build, scenario_of, updated
from swarmrace.errors import Exit, ResultsError, UsageError
from swarmrace.export.folders import grouped
from swarmrace.recording.records import Load
from swarmrace.report.answer import geometric_mean
from swarmrace.report.command import made
from swarmrace.report.facts import SEGMENTS, accepted
from swarmrace.report.judging import exit_code, judged
from swarmrace.report.model import Report
from swarmrace.report.panels import level_of, ratio_square
from swarmrace.report.shares import averaged
from swarmrace.verdict.model import Ratio

SIX = [1.0, 1.02, 0.98, 1.01, 0.99, 1.0]


def times(factor: float, count: int = 6) -> list[float]:
    return [factor * value for value in SIX[:count]]


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


def report_of(*folders: Path, accept: tuple[str, ...] = ()) -> Report:
    return made(folders, accept=accept)[0]


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
    # The pairs are equal but for the factor, so each interval is a point.
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
    assert "between 0.500 × [0.500, 0.500] (4x1-10MB) and 4.00 × [4.00, 4.00] (8x2-10MB)" in text
    assert "Geometric mean over 4 cells complete on both sides: 1.41 ×." in text


def test_the_mean_leaves_out_what_is_not_complete_and_names_it(tmp_path):
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


def test_one_cell_that_misses_is_named_by_holm_and_decides(matrix):
    """Of 4 cells with 6 blocks the least p is 4/64 = 0.0625: nothing can be named."""
    report = report_of(matrix, accept=("furps",))
    [found] = report.acceptance
    assert (found.verdict, found.blocks_needed) == ("undecided", 7)
    assert [c.verdict for c in found.cells].count("missed") == 1
    assert any("takes 7 complete blocks at least" in line.text for line in report.warnings)
    chosen, judgements = judged([matrix], ["furps"])
    assert exit_code(chosen, judgements) is Exit.ACCEPTANCE_UNDECIDED
    chosen, judgements = judged([matrix], ["5"])
    assert exit_code(chosen, judgements) is Exit.OK
    assert judgements[0].verdict == "met"


def test_with_enough_blocks_it_is_missed(tmp_path):
    for size, factor in ((4, 1.0), (8, 4.0)):
        blocks = times(1.0) + times(1.03)
        slow = [factor * t for t in blocks]
        cell(tmp_path / "m" / str(size), {"a": slow, "b": blocks}, swarmSize=size)
    _, [found] = judged([tmp_path / "m"], ["furps"])
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


def test_squares_of_what_has_no_ratio():
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
    """a takes as many seconds as there are peers: b = 1; b one second always: b = 0."""
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
    """1 of 4 and 3 of 4 is a half on average, though of all seconds it is 1 + 30 of 44."""
    runs = [{"discovery": 1.0, "to done": 3.0}, {"discovery": 30.0, "to done": 10.0}]
    shares, seconds = averaged(runs)
    assert dict(shares) == pytest.approx({"discovery": 0.5, "to done": 0.5})
    assert seconds == pytest.approx(22.0)


def test_segments_are_of_the_median_leecher(tmp_path):
    """Made transfers know their metadata after 10 ms, and their bytes come evenly: the first after
    1 ms, half after half. The median leecher took 2 s."""
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


@pytest.mark.parametrize(
    ("busy", "share", "seconds", "what"),
    [
        (0.9, 0.5, 9.0, "CPU"),  # whoever used the processors
        (0.2, 0.5, 1.1, "link"),  # the minimum: 3 × 10 MB over 40 MB/s, or 10 over 10: 1 s
        (0.2, 0.5, 2.0, "neither"),
        (0.2, 0.0, 3.1, "link"),  # of seeders only: 3 × 10 MB over 10 MB/s
        (0.2, 0.0, 1.1, "link"),
    ],
)
def test_what_bounded_a_race(tmp_path, busy, share, seconds, what):
    """Four peers at 10 MB/s up and down; the load of eight processors."""

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


# Known wrongs, each of which must be seen.


def test_swapped_labels_turn_the_answer_round(tmp_path):
    cell(tmp_path / "r", {"a": times(2), "b": times(1)})
    cell(tmp_path / "s", {"a": times(1), "b": times(2)})
    right, swapped = report_of(tmp_path / "r"), report_of(tmp_path / "s")
    assert "took 2.00 × b's" in right.answer[0]
    assert "took 0.500 × b's" in swapped.answer[0]
    _, [met] = judged([tmp_path / "s"], ["1.2"])
    _, [missed] = judged([tmp_path / "r"], ["1.2"])
    assert (met.verdict, missed.verdict) == ("met", "missed")


def test_a_file_of_the_other_entrant_is_left_out(tmp_path):
    """Labels swapped on disk: a record under another's name belongs to nobody."""
    folder = cell(tmp_path / "r", {"a": times(2), "b": times(1)})
    run = next(iter(sorted((folder / "runs").glob("*-a"))))
    other = next(iter(sorted((folder / "runs").glob("*-b"))))
    path = next(p for p in run.glob("a-*.json") if json.loads(p.read_text())["role"] == "leecher")
    path.write_bytes((other / path.name.replace("a-", "b-")).read_bytes())
    report = report_of(folder)
    assert any("broken or foreign files" in line.text for line in report.warnings)
    assert sum(r.status == "missing" for r in report.cells[0].facts.verdict.runs) == 1


def test_a_clock_offset_is_flagged(tmp_path):
    """Leechers of one side begin 80 ms late, as a wrong clock would make them."""

    def late(result):
        if result.transfer is None or result.entrant != "a":
            return result
        return updated(transfer=updated(start_lag_seconds=0.08)(result.transfer))(result)

    cell(tmp_path / "r", {"a": times(1), "b": times(1)}, peer=late)
    texts = [line.text for line in report_of(tmp_path / "r").warnings]
    assert any("a: start lag p99 of 80 ms" in text for text in texts)


def test_lost_blocks_are_flagged(tmp_path):
    def lossy(result):
        if result.transfer is None or result.entrant != "a":
            return result
        lost = {"records_complete": False, "received_bytes": 9_000_000}
        return updated(transfer=updated(**lost)(result.transfer))(result)

    cell(tmp_path / "r", {"a": times(1), "b": times(1)}, peer=lossy)
    texts = [line.text for line in report_of(tmp_path / "r").warnings]
    assert any("a: 18 transfers without a record of every byte" in text for text in texts)


def test_bytes_that_were_wrong_void_the_time(tmp_path):
    def wrong(result):
        if result.transfer is None or result.entrant != "a":
            return result
        return updated(transfer=updated(verified=False)(result.transfer))(result)

    cell(tmp_path / "r", {"a": times(1), "b": times(1)}, peer=wrong)
    report = report_of(tmp_path / "r", accept=("furps",))
    assert report.completed[0].startswith("a: 0 of 18 transfers completed (wrong bytes in verify")
    assert report.acceptance[0].verdict == "missed"


def test_one_stall_is_seen_in_the_run_and_in_the_flags(tmp_path):
    """One run of six takes 2.5 times as long because a leecher stood still."""
    stalled = [*times(1)[:5], 2.5]

    def stall(result):
        if result.transfer is None or result.transfer.done_seconds != 2.5:
            return result
        return updated(transfer=updated(longest_stall_seconds=1.5)(result.transfer))(result)

    cell(tmp_path / "r", {"a": stalled, "b": times(1)}, peer=stall)
    report = report_of(tmp_path / "r")
    stability = next(table for table in report.tables if table.slug == "stability")
    row = next(row for row in stability.rows if row[1].text == "a")
    assert "–1500)" in row[stability.head.index("longest stall")].text
    assert row[stability.head.index("slow runs, share")].value == pytest.approx(1 / 6)
    assert any("runs spread widely" in line.text for line in report.warnings)
    assert any("fall into two groups" in line.text for line in report.warnings)


def test_a_late_start_of_one_side_is_flagged_and_named(tmp_path):
    def late(result):
        if result.transfer is None or result.entrant != "b" or result.peer != 1:
            return result
        return updated(transfer=updated(start_lag_seconds=0.5)(result.transfer))(result)

    cell(tmp_path / "r", {"a": times(1), "b": times(1)}, peer=late)
    texts = [line.text for line in report_of(tmp_path / "r").warnings]
    assert any("b: start lag" in text and "did not begin together" in text for text in texts)


def test_a_run_counted_twice_is_left_out(tmp_path):
    folder = cell(tmp_path / "r" / "one", {"a": times(2), "b": times(1)})
    run = next(iter(sorted((folder / "runs").glob("*-a"))))
    shutil.copytree(run, run.with_name("099-a"))
    report = report_of(folder)
    assert len(report.cells[0].facts.verdict.runs) == 12
    assert any("runs/099-a: not a run of this race" in line.text for line in report.warnings)


def test_a_race_counted_twice_is_left_out(tmp_path):
    folder = cell(tmp_path / "r" / "one", {"a": times(2), "b": times(1)})
    shutil.copytree(folder, tmp_path / "r" / "two")
    report = report_of(tmp_path / "r")
    assert len(report.cells) == 1
    assert len(report.left_out) == 1
    assert "two: left out: it holds race" in report.left_out[0]


# Attempts, halves, and what can't be.


def test_the_first_attempt_that_ended_counts_and_others_are_listed(tmp_path):
    for attempt, factor, status in (
        (1, 9.0, "stopped"),
        (2, 2.0, "finished"),
        (3, 1.0, "finished"),
    ):
        folder = tmp_path / "r" / str(attempt)
        cell(folder, {"a": times(factor), "b": times(1)}, attempt=attempt)
        text = (folder / "race.json").read_text()
        (folder / "race.json").write_text(
            text.replace('"status": "finished"', f'"status": "{status}"')
        )
    report = report_of(tmp_path / "r")
    [only] = report.cells
    assert (only.facts.attempt, len(only.attempts)) == (2, 2)
    assert "took 2.00 × b's" in report.answer[0]
    assert "stopped" in only.attempts[0]


def test_a_running_race_is_reported_and_says_so(tmp_path):
    folder = cell(tmp_path / "r", {"a": [1.0, 1.1, None], "b": [1.0, None, None]})
    text = (folder / "race.json").read_text()
    (folder / "race.json").write_text(text.replace('"status": "finished"', '"status": "running"'))
    report = report_of(folder)
    assert report.state == ("4x1-10MB: 3 of 6 runs raced, running",)
    assert any(line.text == "not raced to the end" for line in report.warnings)


def test_a_race_without_any_run_is_reported(tmp_path):
    report = report_of(cell(tmp_path / "r", {"a": [None] * 3, "b": [None] * 3}))
    assert report.cells[0].facts.raced == 0
    assert "nothing to compare" in report.answer[0]
    with pytest.raises(ResultsError, match=r"no race\.json"):
        made([tmp_path / "nothing"])


def sweep_part(folder: Path, first: int, blocks: int, factor: float, attempt: int = 1) -> Path:
    """Write one part of a sweep's cell, as `swarmrace sweep` lays it out."""
    last = first + blocks - 1
    made_ = folder / "cells" / "4x1-10MB-0123456789" / f"blocks-{first}-{last}"
    race: dict = {"attempt": attempt}
    if first > 1:
        race["continues"] = {"blocks": first - 1, "attempt": 1}
        race["repetitions"] = last
    keys = {"swarmSize": 4, "seeders": 1, "fileSize": "10MB", "repetitions": last} | race
    scenario = scenario_of(RIVALS, **keys)
    each = [[factor * SIX[n % 6]] * 3 for n in range(last)]
    ones = [[SIX[n % 6]] * 3 for n in range(last)]
    return build(made_ / f"attempt-{attempt}", scenario, {"a": each, "b": ones})


def test_further_blocks_of_a_sweep_are_one_cell_with_all_of_them(tmp_path):
    sweep_part(tmp_path / "s", 1, 3, 2.0)
    sweep_part(tmp_path / "s", 4, 3, 2.0)
    report = report_of(tmp_path / "s")
    [only] = report.cells
    assert len(only.facts.verdict.runs) == 12
    assert "over 6 blocks" in report.answer[0]
    assert only.attempts == ()
    _, [found] = judged([tmp_path / "s"], ["5"])
    assert found.named("met") == ["4x1-10MB"]


def test_a_part_whose_earlier_blocks_are_missing_is_not_joined(tmp_path):
    first, later = sweep_part(tmp_path / "s", 1, 3, 2.0), sweep_part(tmp_path / "s", 7, 3, 2.0)
    assert grouped([first, later]) == [(first,), (later,)]
    [only] = report_of(tmp_path / "s").cells
    assert len(only.attempts) == 1


def test_a_torn_folder_of_a_sweep_costs_one_cell_and_is_named(tmp_path):
    whole = cell(tmp_path / "s" / "whole", {"a": times(2), "b": times(1)})
    torn = cell(tmp_path / "s" / "torn", {"a": times(2), "b": times(1)}, swarmSize=8)
    (torn / "race.json").write_text("{")
    report = report_of(tmp_path / "s")
    assert [each.facts.folder for each in report.cells] == [whole.name]
    assert report.left_out[0].startswith("torn: left out: ")
    with pytest.raises(ResultsError):
        report_of(torn)


def test_mixed_versions_and_machines_are_warned_of(tmp_path):
    for name, size in (("1", 4), ("2", 8)):
        folder = cell(tmp_path / "r" / name, {"a": times(1), "b": times(1)}, swarmSize=size)
        text = (folder / "race.json").read_text()
        (folder / "race.json").write_text(text.replace("a CPU", f"CPU {name}"))
    texts = [line.text for line in report_of(tmp_path / "r").warnings]
    assert any(text.startswith("cells of 2 machines are mixed") for text in texts)


def test_one_entrant_alone_and_a_reference_alone(tmp_path):
    alone = {"a": RIVALS["a"]}
    one = report_of(cell(tmp_path / "1", {"a": times(1)}, entrants=alone))
    assert one.pairs == ()
    assert "raced alone" in one.answer[0]
    pair = {"b": RIVALS["b"], "web": HTTP}
    two = report_of(cell(tmp_path / "2", {"b": times(1), "web": times(0.5)}, entrants=pair))
    assert two.pairs == (("b", "web"),)
    assert [colour.reference for colour in two.colours] == [False, True]


def test_acceptances_in_words():
    assert accepted((), ["a", "b"], ()) is None
    [found] = accepted(("a:1.5:b",), ["a", "b"], ())
    assert (found.entrant, found.bound, found.of) == ("a", 1.5, "b")
    for text in ("a:furps:c", "soon", "-1"):
        with pytest.raises(UsageError, match="--accept"):
            accepted((text,), ["a", "b"], ())
