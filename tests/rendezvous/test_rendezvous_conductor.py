"""The order of runs, lost peers and what they cost, interruption."""

from __future__ import annotations

import asyncio

import pytest

from meeting import MARGIN_SECONDS, Meeting, info, scenario
from swarmrace.definitions import BARRIERS
from swarmrace.errors import Reason
from swarmrace.recording.records import RaceInfo
from swarmrace.rendezvous.roster import RefusedError
from swarmrace.rendezvous.substitutes import BY_RENDEZVOUS


def test_the_first_run_opens_once_every_peer_of_every_entrant_has_reported(tmp_path):
    race = Meeting(tmp_path, scenario(entrants=("a", "b")))
    for peer in range(3):
        race.hello("a", peer)
    race.hello("b", 0)
    race.hello("b", 1)
    assert race.arrive(0, "open") is None
    race.hello("b", 2)
    assert race.arrive(0, "open").go
    assert race.arrive(0, "open", run=1) is None, "one run at a time"


def test_a_peer_that_has_not_reported_in_time_is_lost_and_the_other_entrants_race(tmp_path):
    race = Meeting(tmp_path, scenario(entrants=("a", "b"), assembleSeconds=60))
    for entrant, peer in [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2)]:
        race.hello(entrant, peer)
    race.wait(59)
    assert race.arrive(0, "open", run=1) is None
    race.wait(1)
    assert race.arrive(0, "open", run=1).go
    closed = race.written(0)
    assert (closed.entrant, closed.status) == ("a", "not raced")
    assert closed.failure.reason is Reason.NOT_RUN
    assert closed.failure.detail == "peer 2 lost: not reported within 60 s"
    release = race.arrive(0, "open", run=0)
    assert not release.go
    assert release.over


def test_a_peer_lost_before_the_start_ends_only_its_entrants_runs(tmp_path):
    race = Meeting(tmp_path, scenario(entrants=("a", "b"), repetitions=2))
    race.assemble()
    race.all_pass("prepared")
    race.conductor.roster.known("a", 1).stage = "publish"
    race.conductor.lose("a", 1, "killed by signal 9")
    release = race.arrive(0, "first")
    assert not release.go
    assert release.failure.detail == "peer 1 lost in publish: killed by signal 9"
    race.all_pass("cleared", peers=(0, 2))
    assert race.written(0).status == "not raced"
    assert race.written(0).lost == {1: "killed by signal 9"}
    assert race.written(1).status == "not raced"
    assert race.written(1).failure.detail == "peer 1 lost: killed by signal 9"
    for run in (2, 3):
        race.all_pass("open", *BARRIERS[1:], run=run)
        assert race.written(run).status == "raced"
    assert race.conductor.over


def test_a_peer_lost_after_the_start_costs_the_run_only_its_result(tmp_path):
    race = Meeting(tmp_path, scenario(repetitions=2))
    race.assemble()
    race.all_pass(*BARRIERS[1:5])
    lost = race.conductor.roster.known("a", 2)
    race.conductor.heartbeat(lost, race.runs[0].id, "race", 4321)
    race.conductor.lose("a", 2, "killed by signal 9")
    race.all_pass("raced", "cleared", peers=(0, 1))
    assert race.written(0).status == "raced"
    assert race.written(0).failure is None
    assert race.written(0).lost == {2: "killed by signal 9"}
    left = race.written_peer(2)
    assert (left.outcome, left.failure.reason) == ("failed", Reason.PEER_LOST)
    assert left.failure.stage == "race"
    assert BY_RENDEZVOUS in left.notes
    assert "last reported 4321 of 100000 bytes" in left.notes
    assert race.written(1).status == "not raced"
    assert race.written(1).failure.detail == "peer 2 lost: killed by signal 9"
    assert race.conductor.over


def test_results_that_a_lost_peer_uploaded_before_are_kept(tmp_path):
    from meeting import result

    race = Meeting(tmp_path, scenario())
    race.assemble()
    race.all_pass(*BARRIERS[1:6])
    race.store.write_result(result(race.runs[0], 2, notes=["its own"]))
    race.conductor.lose("a", 2, "killed")
    race.all_pass("cleared", peers=(0, 1))
    assert race.written_peer(2).notes == ["its own"]


def test_all_peers_lost_ends_the_race(tmp_path):
    race = Meeting(tmp_path, scenario(repetitions=3))
    race.assemble()
    race.all_pass(*BARRIERS[1:5])
    for peer in range(3):
        race.conductor.lose("a", peer, "gone")
    assert race.conductor.over
    assert race.written(0).status == "raced"
    assert all(peer.lost for peer in race.conductor.roster.peers.values())


def test_a_silent_peer_is_lost_unless_it_has_an_open_poll(tmp_path):
    race = Meeting(tmp_path, scenario(heartbeatSeconds=15))
    race.assemble()
    race.silent = {("a", 1), ("a", 2)}
    race.conductor.roster.known("a", 1).polls = 1
    race.wait(15)
    assert race.conductor.roster.known("a", 2).lost is None
    race.wait(1)
    assert race.conductor.roster.known("a", 2).lost == "not heard from for 15 s"
    assert race.conductor.roster.known("a", 1).lost is None


def test_silence_is_not_counted_while_the_rendezvous_itself_paused(tmp_path):
    race = Meeting(tmp_path, scenario(heartbeatSeconds=15))
    race.assemble()
    race.wait(5)
    race.seconds += 100
    race.conductor.tick()
    assert not any(peer.lost for peer in race.conductor.roster.peers.values())


def test_every_request_of_a_lost_peer_is_refused(tmp_path):
    race = Meeting(tmp_path, scenario())
    race.assemble()
    race.conductor.lose("a", 1, "killed")
    for ask in (
        lambda: race.conductor.roster.contact("a", 1),
        lambda: race.conductor.hello(info("a", 1), "a1"),
        lambda: race.conductor.hello(info("a", 1), "another"),
    ):
        with pytest.raises(RefusedError, match="killed") as caught:
            ask()
        assert caught.value.status == 410


def test_another_process_may_take_a_peers_place_only_before_the_first_run(tmp_path):
    race = Meeting(tmp_path, scenario())
    race.hello("a", 0, instance="first")
    race.hello("a", 0, instance="second")
    with pytest.raises(RefusedError) as caught:
        race.conductor.roster.contact("a", 0, "first")
    assert caught.value.status == 410
    race.hello("a", 1)
    race.hello("a", 2, instance="third")
    race.hello("a", 2, instance="third")
    with pytest.raises(RefusedError) as caught:
        race.conductor.hello(info("a", 2), "fourth")
    assert caught.value.status == 410
    assert "another one took its place" in race.conductor.roster.known("a", 2).lost


def test_goodbye_before_the_end_is_a_loss_and_goodbye_when_done_is_not(tmp_path):
    race = Meeting(tmp_path, scenario(entrants=("a", "b")))
    race.assemble()
    race.all_pass(*BARRIERS[1:])
    roster = race.conductor.roster
    race.conductor.goodbye(roster.contact("a", 0), None)
    race.conductor.goodbye(roster.contact("b", 0), None)
    race.conductor.goodbye(roster.contact("a", 1), "ended in stage wait")
    assert roster.known("a", 0).has_left
    assert roster.known("a", 0).lost is None
    assert roster.known("b", 0).lost == "said goodbye before its last run"
    assert roster.known("a", 1).lost == "ended in stage wait"


def test_the_last_release_is_marked_as_over(tmp_path):
    race = Meeting(tmp_path, scenario(repetitions=2))
    race.assemble()
    race.all_pass(*BARRIERS[1:], run=0)
    assert not race.arrive(0, "cleared", run=0).over
    race.all_pass("open", *BARRIERS[1:], run=1)
    assert race.arrive(0, "cleared", run=1).over
    head = RaceInfo.model_validate_json((tmp_path / "race.json").read_bytes())
    assert head.status == "finished"
    assert [peer.peer for peer in head.peers] == [0, 1, 2]


def test_at_a_run_that_is_not_open_no_peer_goes_on_and_none_is_lost(tmp_path):
    race = Meeting(tmp_path, scenario(entrants=("a", "b"), repetitions=2))
    race.assemble()
    release = race.arrive(0, "prepared", run=1)
    assert not release.go
    assert release.failure.reason is Reason.TRACKER_LOST
    assert "001-a is not open" in release.failure.detail
    assert race.arrive(0, "open", run=1) is None, "it will come"
    peer = race.conductor.roster.contact("b", 0)
    for run_id, barrier in [("000-a", "open"), ("009-b", "open"), ("002-b", "nonsense")]:
        with pytest.raises(RefusedError) as caught:
            race.conductor.arrive(peer, run_id, barrier, None)
        assert caught.value.status == 404


def test_an_interruption_aborts_the_run_in_flight_and_the_rest_is_not_raced(tmp_path):
    race = Meeting(tmp_path, scenario(entrants=("a", "b")))
    race.assemble()
    race.all_pass(*BARRIERS[1:5])
    assert race.arrive(0, "raced") is None
    race.conductor.interrupt()
    release = race.arrive(0, "raced")
    assert not release.go
    assert release.over
    assert release.failure.reason is Reason.INTERRUPTED
    beat = race.conductor.heartbeat(race.conductor.roster.contact("a", 1), "000-a", "race", 5)
    assert beat.over
    assert beat.aborted.reason is Reason.INTERRUPTED
    assert race.written(0).status == "aborted", "on disk before the peers have cleared up"
    assert not race.conductor.over, "results are still to come"
    race.all_pass("cleared")
    assert race.conductor.over
    assert race.written(0).status == "aborted"
    assert race.written(1).status == "not raced"
    assert race.written(1).failure.reason is Reason.INTERRUPTED
    assert not race.arrive(0, "open", run=1).go
    assert RaceInfo.model_validate_json((tmp_path / "race.json").read_bytes()).status == (
        "interrupted"
    )


def test_an_interruption_while_results_come_in_leaves_the_run_raced(tmp_path):
    race = Meeting(tmp_path, scenario())
    race.assemble()
    race.all_pass(*BARRIERS[1:6])
    race.conductor.interrupt()
    race.all_pass("cleared")
    assert race.written(0).status == "raced"


def test_a_wait_ends_with_the_release_and_counts_as_contact(tmp_path):
    race = Meeting(tmp_path, scenario())
    race.assemble()

    async def story():
        waiting = race.conductor.roster.contact("a", 0)
        assert race.arrive(0, "prepared") is None
        task = asyncio.ensure_future(race.conductor.wait(waiting, "000-a", "prepared", 60))
        await asyncio.sleep(0)
        assert waiting.polls == 1
        race.arrive(1, "prepared")
        race.arrive(2, "prepared")
        assert (await task).go
        assert waiting.polls == 0
        assert await race.conductor.wait(waiting, "000-a", "first", 0.01) is None
        race.conductor.stop_waiting()
        assert await race.conductor.wait(waiting, "000-a", "first", 60) is None

    asyncio.run(story())


def test_the_deadline_of_cleared_leaves_time_to_peers_still_in_their_stage(tmp_path):
    from meeting import failure

    race = Meeting(tmp_path, scenario(prepareSeconds=100, verifySeconds=10))
    race.assemble()
    race.arrive(0, "prepared", failure("prepare"))
    race.arrive(0, "cleared")
    race.arrive(1, "cleared")
    race.wait(2 * 100 + 2 * 10 + MARGIN_SECONDS)
    assert not race.conductor.closed, "peer 2 may prepare for as long as it may"
    race.wait(MARGIN_SECONDS)
    assert race.conductor.closed
