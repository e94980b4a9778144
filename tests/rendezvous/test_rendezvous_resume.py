"""How a rendezvous continues after a restart on its folder, and after a full disk."""

from __future__ import annotations

import contextlib

import pytest

from meeting import MARGIN_SECONDS, UP_TO_RACED, Meeting, failure, info, scenario
from swarmrace.definitions import BARRIERS
from swarmrace.errors import Reason, ResultsError
from swarmrace.recording.records import RaceInfo
from swarmrace.rendezvous.roster import RefusedError


def test_a_restart_aborts_the_run_in_flight_and_goes_on(tmp_path):
    race = Meeting(tmp_path, scenario(repetitions=3))
    race.assemble()
    race.all_pass(*BARRIERS[1:], run=0)
    race.all_pass("open", *BARRIERS[1:5], run=1)
    race.restart()
    assert race.conductor.boot == 2
    release = race.arrive(0, "raced", run=1)
    assert not release.go
    assert not release.over
    assert release.failure.reason is Reason.TRACKER_LOST
    for barrier in BARRIERS[1:6]:
        assert not race.arrive(1, barrier, run=1).go
    assert race.arrive(1, "cleared", run=0).go, "who had not heard of the last release hears it"
    assert race.arrive(0, "cleared", run=1) is None
    race.all_pass("cleared", run=1)
    race.all_pass("open", *BARRIERS[1:], run=2)
    assert [race.written(run).status for run in range(3)] == ["raced", "aborted", "raced"]
    assert race.written(1).failure.reason is Reason.TRACKER_LOST
    assert (
        RaceInfo.model_validate_json((tmp_path / "race.json").read_bytes()).rendezvous_restarts == 1
    )


def test_a_restart_keeps_who_is_lost_and_who_has_reported(tmp_path):
    race = Meeting(tmp_path, scenario(entrants=("a", "b")))
    race.assemble()
    race.conductor.lose("b", 1, "killed")
    race.restart()
    race.arrive(0, "cleared")
    with pytest.raises(RefusedError, match="killed"):
        race.conductor.roster.contact("b", 1)
    assert race.written(1).failure.detail == "peer 1 lost: killed"
    race.conductor.hello(info("a", 0), "a0")
    with pytest.raises(RefusedError):
        race.conductor.hello(info("a", 0), "another process")


def test_a_restart_between_writing_a_run_and_the_state_keeps_the_run(tmp_path):
    race = Meeting(tmp_path, scenario(repetitions=2))
    race.assemble()
    race.all_pass(*BARRIERS[1:6])
    before = (tmp_path / "state.json").read_bytes()
    race.all_pass("cleared")
    (tmp_path / "state.json").write_bytes(before)
    race.restart()
    assert race.written(0).status == "raced"
    assert race.conductor.flight.run == race.runs[1]


@pytest.mark.parametrize("peers_back", [(0, 1, 2), (0, 1)])
def test_a_restart_after_the_last_leecher_has_ended_costs_nothing(tmp_path, peers_back):
    race = Meeting(tmp_path, scenario(repetitions=2, verifySeconds=20))
    race.assemble()
    for barrier in BARRIERS[1:6]:
        race.clock._now_ns += 500_000_000
        race.all_pass(barrier)
    race.arrive(2, "cleared")
    opened_utc = race.conductor.flight.opened_utc
    race.clock._now_ns = 3_000_000_000  # another machine's clock
    race.restart()
    release = race.arrive(1, "raced")
    assert (release.go, release.failure) == (True, None)
    race.clock._now_ns += 500_000_000
    race.silent = {("a", peer) for peer in range(3) if peer not in peers_back}
    for peer in peers_back:
        race.arrive(peer, "cleared")
    race.wait(0 if len(peers_back) == 3 else 2 * 20 + MARGIN_SECONDS + 30)
    written = race.written()
    assert (written.status, written.failure) == ("raced", None)
    assert written.opened_utc == opened_utc
    assert written.phases == dict.fromkeys(BARRIERS[1:6], 0.5) | {"cleared": 0.5}
    assert written.wall_seconds == 3.0


def test_a_failed_run_stays_failed_over_a_restart(tmp_path):
    race = Meeting(tmp_path, scenario(repetitions=2))
    race.assemble()
    race.all_pass("prepared")
    failed = race.arrive(0, "first", failure("publish"))
    race.restart()
    assert race.arrive(1, "prepared").go
    for barrier in UP_TO_RACED[1:]:
        release = race.arrive(1, barrier)
        assert (release.go, release.failure) == (False, failed.failure), barrier
    race.all_pass("cleared")
    assert race.written().status == "not raced"
    assert race.written().failure.detail == "peer 0 failed in publish: timeout: not within 5 s"


@contextlib.contextmanager
def full_disk(store):
    """Make every write fail for lack of space."""

    def full(name, data):
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store, "_write", full)
        yield


def test_a_full_disk_opens_no_run_with_a_lost_peer(tmp_path):
    race = Meeting(tmp_path, scenario(repetitions=3))
    race.assemble()
    race.all_pass(*BARRIERS[1:5])
    with full_disk(race.store), pytest.raises(OSError, match="No space"):
        race.conductor.lose("a", 2, "killed")
    race.all_pass("raced", "cleared", peers=(0, 1))
    assert race.conductor.over
    for run in (1, 2):
        assert race.written(run).status == "not raced"
        assert race.written(run).failure.detail == "peer 2 lost: killed"


def test_a_full_disk_does_not_let_an_interrupted_race_go_on(tmp_path):
    race = Meeting(tmp_path, scenario(repetitions=3))
    race.assemble()
    race.all_pass(*BARRIERS[1:5])
    with full_disk(race.store), pytest.raises(OSError, match="No space"):
        race.conductor.interrupt()
    race.all_pass("cleared")
    assert race.conductor.over
    for run in range(3):
        assert race.written(run).failure.reason is Reason.INTERRUPTED


def test_peers_have_time_to_find_a_rendezvous_that_has_restarted(tmp_path):
    race = Meeting(tmp_path, scenario(heartbeatSeconds=15))
    race.assemble()
    race.restart()
    race.silent = {("a", peer) for peer in range(3)}
    race.wait(44)
    assert not any(peer.lost for peer in race.conductor.roster.peers.values())
    race.wait(2)
    assert all(peer.lost for peer in race.conductor.roster.peers.values())


def test_a_peer_that_does_not_come_back_after_a_restart_leaves_a_result(tmp_path):
    race = Meeting(tmp_path, scenario(verifySeconds=20, prepareSeconds=20))
    race.assemble()
    race.all_pass(*BARRIERS[1:5])
    race.restart()
    race.silent = {("a", 2)}
    race.arrive(0, "cleared")
    race.arrive(1, "cleared")
    race.wait(46)
    assert race.conductor.over
    assert race.written_peer(2).failure.reason is Reason.PEER_LOST


def test_another_races_folder_is_refused(tmp_path):
    race = Meeting(tmp_path, scenario())
    text = (tmp_path / "state.json").read_text().replace("0123abcdef", "fedcba3210")
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(ResultsError, match="fedcba3210"):
        race.restart()
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(ResultsError, match="another folder"):
        race.restart()
    (tmp_path / "state.json").unlink()
    with pytest.raises(ResultsError, match="results of a race"):
        race.restart()


def test_an_interrupted_race_stays_interrupted_over_a_restart(tmp_path):
    race = Meeting(tmp_path, scenario(repetitions=2))
    race.assemble()
    race.all_pass(*BARRIERS[1:5])
    race.conductor.interrupt()
    race.restart()
    assert race.arrive(0, "raced").over
    race.all_pass("cleared")
    assert race.conductor.over
    assert race.written(0).failure.reason is Reason.INTERRUPTED
    assert race.written(1).failure.reason is Reason.INTERRUPTED
