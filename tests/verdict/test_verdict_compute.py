from __future__ import annotations

import pytest

from made_results import HTTP, INF, TIMES, build, figure, scenario_of, updated, verdict_of
from swarmrace import systems
from swarmrace.cli.verdict_command import to_json
from swarmrace.errors import Reason
from swarmrace.recording.records import Failure, Wire
from swarmrace.results import folder as results
from swarmrace.verdict import Verdict, compute
from swarmrace.verdict.render import text


def test_figures_are_medians_over_runs_of_the_median_leecher(tmp_path):
    found = verdict_of(tmp_path)
    assert figure(found, "t100") == (2.5, 2, 3, 3)
    assert figure(found, "last") == (4, 3, 9, 3)
    assert figure(found, "downloadSpeed") == (4e6, 10e6 / 3, 5e6, 3)
    assert figure(found, "publish") == (0.5, 0.5, 0.5, 3)
    assert figure(found, "arrival50") == (1.25, 1, 1.5, 3)
    assert figure(found, "delivery100") == (2.5, 2, 3, 3)
    assert figure(found, "startLagP99")[0] == 0.0002
    assert figure(found, "spread")[0] == pytest.approx(0.2)
    assert figure(found, "longestStall")[0] == 0.1
    assert figure(found, "longestDeliveryStall")[0] == 0.2
    assert figure(found, "cpuAll")[0] == 10
    assert figure(found, "peakMemory")[0] == 50e6
    assert found.entrants["x"].publish_steps["hash"].value == 0.2
    assert found.entrants["x"].counters["sent_bytes"].value == 4000
    assert found.units["downloadSpeed"] == "byte/second"


def test_a_publish_that_only_starts_to_listen_has_no_upload_speed(tmp_path):
    entrants = {"bt": {"kind": "bittorrent"}, "web": HTTP}
    found = verdict_of(tmp_path, dict.fromkeys(entrants, [[1, 2, 3]] * 3), entrants=entrants)
    assert figure(found, "uploadSpeed", "bt") == (20e6, 20e6, 20e6, 3)
    assert figure(found, "uploadSpeed", "web") is None
    assert figure(found, "publish", "web") == (0.5, 0.5, 0.5, 3)
    [line] = [line for line in text(found).splitlines() if line.startswith("  upload speed ")][:1]
    assert line.endswith("no upload")


def test_every_figure_has_a_unit(tmp_path):
    found = verdict_of(tmp_path, race={"network": {"upload": "80Mbit"}})
    assert set(found.entrants["x"].figures) <= set(found.units)


def test_only_the_seeder_that_published_alone_gives_the_upload_speed(tmp_path):
    found = verdict_of(tmp_path, {"x": [[1, 2]] * 3}, race={"seeders": 2})
    assert figure(found, "publish") == (0.5, 0.5, 0.5, 3)  # the second took 1.5 s


def test_the_second_seeders_publish_never_replaces_the_first(tmp_path):
    def change(result):
        first = result.publish is not None and result.publish.rank == 0
        return result.model_copy(update={"publish": None}) if first else result

    found = verdict_of(tmp_path, {"x": [[1, 2]] * 3}, race={"seeders": 2}, peer=change)
    assert figure(found, "publish") is None
    assert figure(found, "uploadSpeed") is None


def test_failed_runs_count_and_missing_ones_do_not(tmp_path):
    found = verdict_of(tmp_path, {"x": [[1, 2, 3], [INF, INF, 4], None]})
    assert figure(found, "t100") == ("failed", 2, "failed", 2)
    assert figure(found, "downloadSpeed") == ("failed", "failed", 5e6, 2)
    assert figure(found, "arrival10") == (0.6, 0.2, 1, 2)
    assert figure(found, "spread") is None
    reliability = found.entrants["x"].reliability
    assert (
        reliability.runs_scheduled,
        reliability.runs_counted,
        reliability.runs_failed,
        reliability.runs_missing,
    ) == (
        3,
        1,
        1,
        1,
    )
    assert (
        reliability.transfers_started,
        reliability.transfers_completed,
        reliability.transfers_verified,
    ) == (6, 4, 4)
    assert reliability.failures == {"stall in race": 2}


def test_a_publish_that_failed_is_slower_than_any(tmp_path):
    failure = Failure(reason=Reason.TIMEOUT, stage="publish")
    found = verdict_of(
        tmp_path,
        run=updated(status="not raced", failure=failure),
        peer=updated(outcome="failed", failure=failure, publish=None, transfer=None),
    )
    assert figure(found, "publish") == ("failed", "failed", "failed", 3)
    assert figure(found, "t100")[0] == "failed"
    assert found.entrants["x"].reliability.failures == {"timeout in publish": 3}
    assert found.entrants["x"].reliability.transfers_started == 0
    assert [run.status for run in found.runs] == ["failed"] * 3


def test_a_run_that_was_not_raced_counts_only_its_cause(tmp_path):
    def change(result):
        cause = result.peer == 3
        reason, stage = (Reason.REFUSED, "publish") if cause else (Reason.NOT_RUN, "wait")
        return result.model_copy(
            update={
                "outcome": "failed",
                "failure": Failure(reason=reason, stage=stage),
                "transfer": None,
            }
        )

    failure = Failure(reason=Reason.NOT_RUN, stage="publish", detail="peer 3 failed in publish")
    found = verdict_of(tmp_path, run=updated(status="not raced", failure=failure), peer=change)
    assert found.entrants["x"].reliability.failures == {"refused in publish": 3}
    assert [run.status for run in found.runs] == ["failed"] * 3


def test_only_started_transfers_count_as_started(tmp_path):
    """The tracker was lost in run 0 before the start, and in run 1 after it."""
    lost = Failure(reason=Reason.TRACKER_LOST, stage="publish")

    def run(result):
        aborted = {"status": "aborted", "failure": lost} if result.repetition < 2 else {}
        return result.model_copy(update=aborted)

    def peer(result):
        begun = {"transfer": None, "outcome": "failed", "failure": lost}
        return result.model_copy(update=begun if result.repetition == 0 else {})

    reliability = verdict_of(tmp_path, run=run, peer=peer).entrants["x"].reliability
    assert (reliability.transfers_started, reliability.transfers_completed) == (6, 6)
    assert reliability.failures == {"tracker lost in publish": 4}


@pytest.mark.parametrize("told_by", ["failure", "verified"])
def test_wrong_bytes_have_no_marks(tmp_path, told_by):
    """In two of three runs most leechers got wrong bytes, so the median mark is a failed one."""

    def wrong(result):
        if result.transfer is None or result.transfer.done_seconds in (1, 2, 1.5):
            return result
        if told_by == "failure":
            failure = Failure(reason=Reason.WRONG_BYTES, stage="verify")
            return result.model_copy(update={"outcome": "failed", "failure": failure})
        moved = result.transfer.model_copy(update={"verified": False})
        return result.model_copy(update={"transfer": moved})

    found = verdict_of(tmp_path, peer=wrong)
    for name in ("t100", "arrival0", "arrival50", "arrival100", "delivery100"):
        assert figure(found, name)[0] == "failed", name


def test_a_failed_transfer_has_no_mark_at_100_percent(tmp_path):
    """Every block arrived, then the last write failed."""

    def full(result):
        if result.transfer is None:
            return result
        failure = Failure(reason=Reason.DISK_FULL, stage="race")
        return result.model_copy(update={"outcome": "failed", "failure": failure})

    found = verdict_of(tmp_path, peer=full)
    assert figure(found, "arrival100")[0] == figure(found, "t100")[0] == "failed"
    assert figure(found, "arrival90")[0] == 2.25


def wire(sent):
    return Wire(sent_bytes=sent, received_bytes=sent // 2, sent_packets=10, received_packets=5)


def test_wire_is_over_payload_times_leechers(tmp_path):
    found = verdict_of(tmp_path, peer=updated(wire=wire(9_000_000)))
    assert figure(found, "wireSent")[0] == pytest.approx(4 * 9 / 30)
    assert figure(found, "wireReceived")[0] == pytest.approx(4 * 4.5 / 30)
    assert figure(found, "wirePackets")[0] == 40
    assert found.entrants["x"].wire_measured


def test_memory_of_the_runner_is_shown_if_it_is_a_separate_process(tmp_path):
    def apart(result):
        usage = result.usage.model_copy(
            update={"runner_cpu_seconds": 0.5, "runner_peak_memory_bytes": 1000 + result.peer}
        )
        return result.model_copy(update={"usage": usage})

    found = verdict_of(tmp_path / "1", peer=apart)
    assert figure(found, "runnerMemory") == (1003, 1003, 1003, 3)
    assert figure(found, "runnerCpu")[0] == 2
    assert figure(verdict_of(tmp_path / "2"), "runnerMemory") is None


def test_packets_are_counted_as_a_wire_would_carry_them(tmp_path):
    whole = wire(9_000_000).model_copy(
        update={"offload_sent_bytes": 66 * 1000, "offload": {"gso": True}}
    )
    found = verdict_of(tmp_path, peer=updated(wire=whole))
    assert figure(found, "wirePackets")[0] == 4 * (10 + 1000)
    assert found.entrants["x"].offload == {"gso": "on"}


def test_duplicates_are_shown_only_if_observed(tmp_path):
    def seen(count):
        def change(result):
            if result.transfer is None:
                return result
            moved = result.transfer.model_copy(update={"duplicate_bytes": count})
            return result.model_copy(update={"transfer": moved})

        return change

    assert figure(verdict_of(tmp_path / "1", peer=seen(300_000)), "duplicates")[0] == 0.03
    assert figure(verdict_of(tmp_path / "2", peer=seen(None)), "duplicates") is None


def test_wire_of_some_peers_is_not_measured(tmp_path):
    def most(result):
        return result.model_copy(update={"wire": None if result.peer == 2 else wire(1000)})

    found = verdict_of(tmp_path, peer=most)
    assert not found.entrants["x"].wire_measured
    assert any("wire was measured in 9 of 12 records" in flag.text for flag in found.flags)


def test_wire_of_a_run_with_failures_does_not_count_as_overhead(tmp_path):
    found = verdict_of(
        tmp_path, {"x": [[1, 2, INF], [1, 2, 3], [1, 2, 3]]}, peer=updated(wire=wire(9_000_000))
    )
    assert figure(found, "wireSent")[3] == 2


def test_multiples_of_the_minimum(tmp_path):
    found = verdict_of(
        tmp_path,
        race={"network": {"upload": "80Mbit"}},
        entrants={"x": {"kind": "bittorrent"}},
        rates={"upload": 5e6},
    )
    # 10 MB, 5 MB/s each: max(2, 3·10/20) = 2 s; HTTP 6 s; last leechers 3, 4 and 9 s.
    assert figure(found, "minimum")[0] == 2
    assert figure(found, "httpMinimum")[0] == 6
    assert figure(found, "minimumMultiple")[:3] == (2, 1.5, 4.5)
    assert figure(found, "httpMinimumMultiple")[0] == pytest.approx(4 / 6)
    assert not any("minimum" in flag.text for flag in found.flags)


def test_cold_runs_of_a_warm_race_are_part_of_no_figure(tmp_path):
    def first_is_cold(result):
        return result.model_copy(update={"started": "warm" if result.repetition else "cold"})

    found = verdict_of(
        tmp_path,
        {"x": [[9, 9, 9], [2, 2, 2], [3, 3, 3]]},
        race={"coldStart": False},
        peer=first_is_cold,
    )
    assert figure(found, "t100") == (2.5, 2, 3, 2)
    assert [run.status for run in found.runs] == ["missing", "counted", "counted"]
    assert found.runs[0].reason == "peer 0 began cold in a race of warm starts"


def test_an_entrants_verdict_has_its_observations_and_meanings(tmp_path):
    entrants = {"codex": {"kind": "codex"}, "bt": {"kind": "bittorrent"}}
    found = verdict_of(tmp_path, dict.fromkeys(entrants, [[1, 2, 3]] * 3), entrants=entrants)
    codex, bt = found.entrants["codex"], found.entrants["bt"]
    assert (codex.arrival, codex.delivery, codex.in_order) == (False, True, True)
    assert (bt.arrival, bt.delivery, bt.in_order) == (True, True, False)
    assert codex.meanings["done"] != bt.meanings["done"] != ""
    assert codex.meanings["usage"].startswith("only the node's process")
    assert "comparable_by" not in bt.meanings
    assert "arrival50" not in codex.figures
    assert "arrival50" in bt.figures


def test_a_verdict_depends_on_the_records_and_not_on_this_machine(tmp_path, monkeypatch):
    entrants = {"codex": {"kind": "codex", "download": "background"}}
    scenario = scenario_of(entrants)

    def without_progress(result):
        if result.transfer is None:
            return result
        transfer = result.transfer.model_copy(update={"arrival": []})
        return result.model_copy(update={"transfer": transfer})

    times = {"codex": [[1, 2, 3]] * 3}
    with_progress = results.load(build(tmp_path / "1", scenario, times))
    without = results.load(build(tmp_path / "2", scenario, times, peer=without_progress))
    for folder, arrival in ((with_progress, True), (without, False)):
        shown = compute(folder)
        assert shown.entrants["codex"].arrival is arrival
        assert not shown.entrants["codex"].delivery
        monkeypatch.setattr("swarmrace.systems.codex.find_program", lambda options: "/bin/codex")
        assert compute(folder) == shown
        monkeypatch.undo()


def test_a_kind_that_cannot_be_loaded_here_is_judged_by_its_records(tmp_path, monkeypatch):
    monkeypatch.setattr(systems, "find", lambda kind: None)
    found = verdict_of(tmp_path)
    assert found.entrants["x"].arrival
    assert figure(found, "arrival50")[0] == 1.25
    assert found.entrants["x"].unit == "block of 16 KiB"


def test_a_race_of_a_kind_that_is_not_installed_is_shown(tmp_path):
    folder = build(
        tmp_path, scenario_of({"x": {"kind": "synthetic"}, "y": HTTP}), TIMES | {"y": TIMES["x"]}
    )
    race = folder / "race.json"
    race.write_text(race.read_text().replace('"synthetic"', '"gnutella"'))
    found = compute(results.load(folder))
    assert figure(found, "t100") == (2.5, 2, 3, 3)
    assert found.entrants["x"].kind == "gnutella"
    assert found.entrants["x"].meanings == {}
    [flag] = [flag for flag in found.flags if flag.entrant == "x"]
    assert flag.text.startswith("the kind gnutella is not installed here")
    assert "gnutella" in text(found)


def test_changed_options_and_settings_with_reasons(tmp_path):
    found = verdict_of(tmp_path, entrants={"x": HTTP | {"readSize": "64KiB", "profile": "tuned"}})
    entrant = found.entrants["x"]
    assert entrant.options == {"readSize": 65_536, "profile": "tuned"}
    assert (entrant.settings, entrant.reasons) == ({"a": 1}, {"a": "why"})
    assert entrant.versions["program"] == "made up 1"


def test_a_single_entrant_has_its_own_headline(tmp_path):
    assert verdict_of(tmp_path).headline == ["x (stock) raced alone: 3 of 3 runs counted"]


def test_the_same_folder_gives_the_same_verdict_and_json_round_trips(tmp_path):
    scenario = scenario_of({"x": HTTP, "y": HTTP})
    times = TIMES | {"y": [[1, INF, INF], None, [1, 1, 1]]}
    folder = build(tmp_path, scenario, times)
    found = compute(results.load(folder))
    assert compute(results.load(folder)) == found
    assert Verdict.model_validate_json(to_json(found)) == found
    assert '"failed"' in to_json(found)
