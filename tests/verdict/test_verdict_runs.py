from __future__ import annotations

import pytest

from made_results import INF, STALL, build, scenario_of, updated
from swarmrace.errors import Reason
from swarmrace.plan.schedule import schedule
from swarmrace.recording.records import Failure
from swarmrace.results import folder as results
from swarmrace.verdict.runs import view

SCENARIO = scenario_of({"a": {"kind": "synthetic"}}, repetitions=1)


def judged(tmp_path, times, *, swarm=SCENARIO, **changes):
    [record] = results.load(build(tmp_path, swarm, {"a": [times]}, **changes)).runs
    return view(record, swarm.race)


def leecher(number, **fields):
    """Change the record of leecher `number`."""
    seen = []

    def change(result):
        if result.role == "seeder":
            return result
        seen.append(result.peer)
        return result.model_copy(update=fields) if len(seen) == number + 1 else result

    return change


@pytest.mark.parametrize(
    ("times", "number", "last", "status"),
    [
        ([3, 1, 2], 2, 3, "counted"),
        ([3, INF, 2], 3, INF, "counted"),
        ([INF, INF, 2], INF, INF, "failed"),
    ],
)
def test_a_run_is_its_median_leecher_with_the_last_beside_it(tmp_path, times, number, last, status):
    found = judged(tmp_path, times)
    assert (found.number, found.last, found.status) == (number, last, status)


@pytest.mark.parametrize(
    ("times", "number", "status"),
    [([1, 3], 2, "counted"), ([1, INF], INF, "failed")],
)
def test_an_even_number_of_leechers(tmp_path, times, number, status):
    found = judged(
        tmp_path, times, swarm=scenario_of({"a": {"kind": "synthetic"}}, swarmSize=3, repetitions=1)
    )
    assert (found.number, found.status) == (number, status)


def test_failures_of_a_counted_run_are_listed(tmp_path):
    found = judged(tmp_path, [3, INF, 2])
    [(peer, failure)] = found.failures
    assert failure == STALL
    assert found.reason == f"peer {peer}: stall in race (no byte for 120 s)"


def test_wrong_bytes_are_a_failure_in_every_form_of_record(tmp_path):
    times = [1, 2, 3]
    transfers = []

    def wrong(result):
        if result.role == "leecher" and not transfers:
            transfers.append(result.transfer.model_copy(update={"verified": False}))
            return result.model_copy(update={"transfer": transfers[0]})
        return result

    found = judged(tmp_path, times, peer=wrong)
    assert sorted(found.times) == [2, 3, INF]
    assert found.failures[0][1].reason is Reason.WRONG_BYTES


def test_completed_without_a_time_is_an_internal_error_and_not_slow(tmp_path):
    found = judged(tmp_path, [1, 2, 3], peer=leecher(0, transfer=None))
    assert found.status == "missing"
    assert "internal error in race (completed without a time)" in found.reason


def own(reason, stage):
    return Failure(reason=reason, stage=stage, detail="d")


@pytest.mark.parametrize(
    ("reason", "stage", "status"),
    [
        (Reason.TIMEOUT, "publish", "failed"),
        (Reason.REFUSED, "prepare", "failed"),
        (Reason.NODE_DIED, "settle", "failed"),
        (Reason.DISK_FULL, "prepare", "failed"),
        (Reason.TIMEOUT, "prepare", "failed"),
        (Reason.DISK_FULL, "make", "missing"),  # writing the payload is the runner's own work
        (Reason.TIMEOUT, "make", "missing"),
        (Reason.TRACKER_LOST, "publish", "missing"),
        (Reason.INTERRUPTED, "prepare", "missing"),
        (Reason.NOT_RUN, "", "missing"),
        (Reason.PEER_LOST, "prepare", "missing"),
        (Reason.INTERNAL, "publish", "missing"),
    ],
)
@pytest.mark.parametrize("told_by", ["run", "peers"])
def test_not_raced_is_slow_only_if_the_entrant_failed(tmp_path, reason, stage, status, told_by):
    failure = own(reason, stage)
    found = judged(
        tmp_path,
        [1, 2, 3],
        run=updated(status="not raced", failure=failure if told_by == "run" else None),
        peer=updated(
            outcome="failed",
            failure=failure if told_by == "peers" else own(Reason.NOT_RUN, ""),
            transfer=None,
        ),
    )
    assert found.status == status
    assert found.number == (INF if status == "failed" else None)
    assert found.last == found.number
    assert str(reason) in found.reason


def test_the_entrants_own_failure_comes_first(tmp_path):
    seen = []

    def change(result):
        seen.append(result)
        reason = Reason.REFUSED if len(seen) == 3 else Reason.TRACKER_LOST
        return result.model_copy(
            update={"outcome": "failed", "failure": own(reason, "publish"), "transfer": None}
        )

    found = judged(tmp_path, [1, 2, 3], run=updated(status="not raced"), peer=change)
    assert (found.status, found.reason) == ("failed", "refused in publish (d)")


def test_aborted_runs_are_missing_even_with_completed_transfers(tmp_path):
    failure = own(Reason.TRACKER_LOST, "race")
    found = judged(tmp_path, [1, 2, INF], run=updated(status="aborted", failure=failure))
    assert (found.status, found.number, found.times) == ("missing", None, ())
    assert found.reason == "tracker lost in race (d)"


def test_a_run_without_a_record_is_missing_and_counts_its_peers_records(tmp_path):
    found = judged(tmp_path, [1, 2, 3], run=lambda result: None)
    assert (found.status, found.reason) == ("missing", "no record of the run; 4 peers left records")


@pytest.mark.parametrize("reason", [Reason.TRACKER_LOST, Reason.INTERRUPTED])
def test_a_leecher_lost_to_the_infrastructure_makes_the_run_missing(tmp_path, reason):
    change = leecher(1, outcome="failed", failure=own(reason, "race"))
    found = judged(tmp_path, [1, 2, 3], peer=change)
    assert found.status == "missing"
    assert str(reason) in found.reason


@pytest.mark.parametrize(
    ("reason", "stage", "status"),
    [
        (Reason.TIMEOUT, "verify", "missing"),  # the runner was too slow to read it back
        (Reason.NODE_DIED, "verify", "counted"),
        (Reason.TIMEOUT, "race", "counted"),
    ],
)
@pytest.mark.parametrize("verified", [None, False])  # format 1 wrote False for all of them
def test_a_transfer_not_verified_in_time_is_missing_and_not_slow(
    tmp_path, reason, stage, status, verified
):
    def change(result):
        if result.role == "seeder" or seen:
            return result
        seen.append(result.peer)
        moved = result.transfer.model_copy(update={"verified": verified})
        return result.model_copy(
            update={"outcome": "failed", "failure": own(reason, stage), "transfer": moved}
        )

    seen = []
    found = judged(tmp_path, [1, 2, 3], peer=change)
    assert found.status == status
    assert f"{reason} in {stage} (d)" in found.reason
    if status == "counted":
        assert sorted(found.times) == [2, 3, INF]


WARM = scenario_of({"a": {"kind": "synthetic"}}, repetitions=1, coldStart=False)


@pytest.mark.parametrize(
    ("swarm", "first", "others", "status"),
    [
        (WARM, "cold", "warm", "missing"),
        (WARM, "cold", "cold", "missing"),
        (WARM, "warm", "warm", "counted"),
        (WARM, None, None, "counted"),  # not told
        (SCENARIO, "cold", "cold", "counted"),
    ],
)
def test_cold_and_warm_runs_are_never_mixed(tmp_path, swarm, first, others, status):
    def change(result):
        started = first if result.peer == 0 else others
        return result.model_copy(update={"started": started})

    found = judged(tmp_path, [1, 2, 3], swarm=swarm, peer=change)
    assert found.status == status
    if status == "missing":
        assert found.reason == "peer 0 began cold in a race of warm starts"


def test_an_internal_error_after_the_start_does_not_excuse_the_entrant(tmp_path):
    change = leecher(1, outcome="failed", failure=own(Reason.INTERNAL, "race"))
    found = judged(tmp_path, [1, 2, 3], peer=change)
    assert found.status == "counted"
    assert sorted(found.times)[-1] == INF
    assert "internal error in race" in found.reason


def test_a_peer_lost_during_the_race_is_a_failed_transfer(tmp_path):
    lost = next(p for p in range(4) if p not in schedule(SCENARIO)[0].seeders)
    folder = build(
        tmp_path / "x", SCENARIO, {"a": [[1, 2, 3]]}, run=updated(lost={lost: "not heard of"})
    )
    [path] = folder.rglob(f"a-{lost}.json")
    path.unlink()
    [record] = results.load(folder).runs
    found = view(record, SCENARIO.race)
    assert sorted(found.times) == [2, 3, INF]
    assert found.failures == (
        (lost, Failure(reason=Reason.PEER_LOST, stage="race", detail="not heard of")),
    )


def test_a_missing_leechers_record_makes_the_run_missing(tmp_path):
    gone = next(p for p in range(4) if p not in schedule(SCENARIO)[0].seeders)
    folder = build(tmp_path / "x", SCENARIO, {"a": [[1, 2, 3]]})
    [path] = folder.rglob(f"a-{gone}.json")
    path.unlink()
    [record] = results.load(folder).runs
    found = view(record, SCENARIO.race)
    assert (found.status, found.reason) == ("missing", f"leecher {gone} has no readable record")


def test_marks_of_the_median_leecher_count_failed_ones_as_slower(tmp_path):
    found = judged(tmp_path, [3, INF, 2])

    def at(percent):
        return found.median_leecher(
            lambda p: next((m.seconds for m in p.transfer.arrival if m.percent == percent), None)
        )

    # The failed one had 10 % at 1 s, then nothing more: 0.3, 0.2, 1 and 1.5, 1, infinite.
    assert at(10) == pytest.approx(0.3)
    assert at(50) == pytest.approx(1.5)
    assert found.median_leecher(lambda p: None) is None
