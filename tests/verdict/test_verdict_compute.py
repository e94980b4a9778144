from __future__ import annotations

import math
from importlib import import_module

import pytest
from folder import build, scenario_of

from swarmrace import results
from swarmrace.errors import Reason, UnavailableError
from swarmrace.records import Failure, Usage, Waiting, Wire
from swarmrace.verdict import Verdict, compute
from swarmrace.verdict.command import to_json

INF = math.inf
HTTP = {"kind": "http"}
TIMES = {"x": [[1, 2, 3], [2, 3, 4], [1.5, 2.5, 9]]}


def verdict_of(tmp_path, times=TIMES, *, race=None, entrants=None, **folder):
    scenario = scenario_of(entrants or {"x": HTTP}, **(race or {}))
    return compute(results.load(build(tmp_path, scenario, times, **folder)))


def figure(found, name, entrant="x"):
    summary = found.entrants[entrant].figures.get(name)
    return summary and (summary.value, summary.least, summary.most, summary.runs)


def updated(**fields):
    return lambda model: model.model_copy(update=fields)


def test_figures_are_medians_over_runs_of_the_median_leecher(tmp_path):
    found = verdict_of(tmp_path)
    assert figure(found, "t100") == (2.5, 2, 3, 3)
    assert figure(found, "last") == (4, 3, 9, 3)
    assert figure(found, "downloadSpeed") == (4e6, 10e6 / 3, 5e6, 3)
    assert figure(found, "publish") == (0.5, 0.5, 0.5, 3)
    assert figure(found, "uploadSpeed") == (20e6, 20e6, 20e6, 3)
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


def test_every_figure_has_a_unit(tmp_path):
    found = verdict_of(tmp_path, race={"network": {"upload": "80Mbit"}})
    assert set(found.entrants["x"].figures) <= set(found.units)


def test_only_the_seeder_that_published_alone_gives_the_upload_speed(tmp_path):
    found = verdict_of(tmp_path, {"x": [[1, 2]] * 3}, race={"seeders": 2})
    assert figure(found, "publish") == (0.5, 0.5, 0.5, 3)  # the second took 1.5 s


def test_the_second_seeders_publish_never_stands_in_for_the_first(tmp_path):
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
    told = found.entrants["x"].reliability
    assert (told.runs_scheduled, told.runs_counted, told.runs_failed, told.runs_missing) == (
        3,
        1,
        1,
        1,
    )
    assert (told.transfers_started, told.transfers_completed, told.transfers_verified) == (6, 4, 4)
    assert told.failures == {"stall in race": 2}


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


def test_of_a_run_not_raced_only_the_cause_is_counted(tmp_path):
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


def test_only_transfers_that_were_started_are_said_to_be(tmp_path):
    """The tracker was lost in run 0 before the start, and in run 1 after it."""
    lost = Failure(reason=Reason.TRACKER_LOST, stage="publish")

    def run(result):
        aborted = {"status": "aborted", "failure": lost} if result.repetition < 2 else {}
        return result.model_copy(update=aborted)

    def peer(result):
        begun = {"transfer": None, "outcome": "failed", "failure": lost}
        return result.model_copy(update=begun if result.repetition == 0 else {})

    told = verdict_of(tmp_path, run=run, peer=peer).entrants["x"].reliability
    assert (told.transfers_started, told.transfers_completed) == (6, 6)
    assert told.failures == {"tracker lost in publish": 4}


@pytest.mark.parametrize("told_by", ["failure", "verified"])
def test_of_wrong_bytes_nothing_has_come(tmp_path, told_by):
    """In two runs of three most leechers got wrong bytes: every mark is a failed one's."""

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


def test_a_transfer_that_failed_never_got_to_the_end_whatever_it_had_recorded(tmp_path):
    """Every block came, then the last write failed."""

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


def test_wire_of_some_peers_is_not_measured(tmp_path):
    def most(result):
        return result.model_copy(update={"wire": None if result.peer == 2 else wire(1000)})

    found = verdict_of(tmp_path, peer=most)
    assert not found.entrants["x"].wire_measured
    assert any("wire was measured in 9 of 12 records" in flag.text for flag in found.flags)


def test_wire_of_a_run_with_failures_is_not_told_as_overhead(tmp_path):
    found = verdict_of(
        tmp_path, {"x": [[1, 2, INF], [1, 2, 3], [1, 2, 3]]}, peer=updated(wire=wire(9_000_000))
    )
    assert figure(found, "wireSent")[3] == 2


def test_multiples_of_the_minimum(tmp_path):
    found = verdict_of(
        tmp_path,
        race={"network": {"upload": "80Mbit"}},
        rates={"upload": 5e6},
    )
    # 10 MB, 5 MB/s each: max(2, 3·10/20) = 2 s; HTTP 6 s; last leechers 3, 4 and 9 s.
    assert figure(found, "minimum")[0] == 2
    assert figure(found, "httpMinimum")[0] == 6
    assert figure(found, "minimumMultiple")[:3] == (2, 1.5, 4.5)
    assert figure(found, "httpMinimumMultiple")[0] == pytest.approx(4 / 6)
    assert not any("minimum" in flag.text for flag in found.flags)


def test_no_minimum_without_rates_and_a_flag_below_it(tmp_path):
    assert figure(verdict_of(tmp_path / "1"), "minimumMultiple") is None
    found = verdict_of(tmp_path / "2", race={"network": {"upload": "8Mbit"}})
    texts = [flag.text for flag in found.flags]
    assert any("0.3 × the theoretical minimum: the rates did not hold" in text for text in texts)
    assert any("the preflight measured none" in text for text in texts)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"waiting": Waiting(seconds=10, cpu_seconds=0.3)},
            "above 2 % of a core while others raced, 12 times (most 3.0 %",
        ),
        (
            {"usage": Usage(cpu_seconds=1, peak_memory_bytes=1, throttled_seconds=0.5)},
            "CPU throttled in 12 records (most 500 ms",
        ),
        ({"notes": ["odd thing"]}, "odd thing (12 ×)"),
        ({"system": {"version": "v0.2.5-double"}}, "a test double was raced"),
    ],
)
def test_flags(tmp_path, changes, text):
    found = verdict_of(tmp_path, peer=updated(**changes))
    assert any(text in flag.text and flag.entrant == "x" for flag in found.flags)


def test_quiet_peers_raise_no_flag(tmp_path):
    quiet = updated(waiting=Waiting(seconds=10, cpu_seconds=0.2))
    assert verdict_of(tmp_path, peer=quiet).flags == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"records_complete": False}, "9 transfers without a record of every byte"),
        ({"verified": False}, "9 transfers with wrong length or SHA-256"),
        ({"verified": None}, "9 transfers completed but not verified"),
        ({"start_lag_seconds": 0.02}, "start lag p99 of 20 ms, above 5 ms"),
    ],
)
def test_flags_of_transfers(tmp_path, changes, text):
    def change(result):
        if result.transfer is None:
            return result
        moved = result.transfer.model_copy(update=changes)
        return result.model_copy(update={"transfer": moved})

    found = verdict_of(tmp_path, peer=change)
    assert any(text in flag.text for flag in found.flags)


def test_different_settings_are_flagged_but_not_addresses_of_ones_own(tmp_path):
    def own_address(result):
        command = ["--metrics", f"--api-port={9000 + result.peer}"]
        system = {"settings": {"listen": f"127.0.0.{result.peer}:0", "a": 1, "command": command}}
        return result.model_copy(update={"system": system})

    def odd(result):
        words = ["--cache"] if result.peer == 2 else []
        return result.model_copy(update={"system": {"settings": {"command": words}}})

    assert verdict_of(tmp_path / "1", peer=own_address).flags == []
    found = verdict_of(tmp_path / "2", peer=odd)
    assert any("leechers had 2 different sets of settings" in flag.text for flag in found.flags)


def test_warm_starts_and_torrent_files_are_marked(tmp_path):
    found = verdict_of(
        tmp_path,
        entrants={"x": {"kind": "bittorrent", "reference": "torrent"}},
        race={"coldStart": False},
    )
    texts = [flag.text for flag in found.flags]
    assert any("warm starts" in text for text in texts)
    assert any("held the .torrent file" in text for text in texts)


def test_what_a_system_observes_and_defines_stands_with_it(tmp_path):
    entrants = {"codex": {"kind": "codex"}, "bt": {"kind": "bittorrent"}}
    found = verdict_of(tmp_path, dict.fromkeys(entrants, [[1, 2, 3]] * 3), entrants=entrants)
    codex, bt = found.entrants["codex"], found.entrants["bt"]
    assert (codex.arrival, codex.delivery, codex.in_order) == (False, True, True)
    assert (bt.arrival, bt.delivery, bt.in_order) == (True, True, False)
    assert codex.done_definition != bt.done_definition != ""
    assert "arrival50" not in codex.figures
    assert "arrival50" in bt.figures


def test_what_was_recorded_counts_wherever_it_is_shown(tmp_path, monkeypatch):
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
    def refuse(kind):
        raise UnavailableError(f"{kind}: not installed")

    module = import_module("swarmrace.verdict.compute")  # the package exports the function
    monkeypatch.setattr(module, "load_system", refuse)
    found = verdict_of(tmp_path)
    assert found.entrants["x"].arrival
    assert figure(found, "arrival50")[0] == 1.25
    assert found.entrants["x"].unit == "block of 16 KiB"


def test_options_that_differ_and_settings_with_reasons(tmp_path):
    found = verdict_of(tmp_path, entrants={"x": HTTP | {"readSize": "64KiB", "profile": "tuned"}})
    entrant = found.entrants["x"]
    assert entrant.options == {"readSize": 65_536, "profile": "tuned"}
    assert (entrant.settings, entrant.reasons) == ({"a": 1}, {"a": "why"})
    assert entrant.versions["program"] == "made up 1"


def test_one_entrant_alone_has_a_headline_of_its_own(tmp_path):
    assert verdict_of(tmp_path).headline == ["x (stock) raced alone: 3 of 3 runs counted"]


def test_the_same_folder_gives_the_same_verdict_and_json_gives_it_back(tmp_path):
    scenario = scenario_of({"x": HTTP, "y": HTTP})
    times = TIMES | {"y": [[1, INF, INF], None, [1, 1, 1]]}
    folder = build(tmp_path, scenario, times)
    found = compute(results.load(folder))
    assert compute(results.load(folder)) == found
    assert Verdict.model_validate_json(to_json(found)) == found
    assert '"failed"' in to_json(found)
