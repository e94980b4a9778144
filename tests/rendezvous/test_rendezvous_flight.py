"""The barriers of one run: which peers are waited for, what is released, and what ends a run."""

from __future__ import annotations

import itertools

import pytest

from deadlines import timeouts_seconds
from meeting import MARGIN_SECONDS, UP_TO_RACED, Meeting, failure, scenario
from swarmrace.definitions import BARRIERS
from swarmrace.errors import Reason
from swarmrace.plan import trials
from swarmrace.rendezvous.trial_book import TrialPolicy


@pytest.fixture
def race(tmp_path):
    made = Meeting(tmp_path, scenario(repetitions=2))
    made.assemble()
    return made


@pytest.mark.parametrize("barrier", BARRIERS[1:])
def test_a_barrier_waits_for_the_last_peer_and_then_releases_all(race, barrier):
    race.all_pass(*BARRIERS[1 : BARRIERS.index(barrier)])
    assert race.arrive(2, barrier) is None
    assert race.arrive(0, barrier) is None
    assert race.arrive(0, barrier) is None, "arriving twice is arriving once"
    assert race.arrive(1, barrier).go
    assert race.arrive(0, barrier).go
    assert race.arrive(2, barrier).go


def test_a_race_without_faults_leaves_raced_runs_with_their_phases(race):
    for barrier in BARRIERS[1:]:
        race.clock._now_ns += 500_000_000
        race.all_pass(barrier)
    written = race.written()
    assert (written.status, written.failure, written.lost) == ("raced", None, {})
    assert written.phases == dict.fromkeys(BARRIERS[1:], 0.5)
    assert written.wall_seconds == 3.0
    assert race.conductor.flight.run == race.runs[1]


@pytest.mark.parametrize("barrier", BARRIERS[1:5])
def test_a_failure_before_the_start_means_not_raced_for_all(race, barrier):
    race.all_pass(*BARRIERS[1 : BARRIERS.index(barrier)])
    assert race.arrive(0, barrier) is None
    release = race.arrive(2, barrier, failure("publish"))
    for answer in (release, race.arrive(0, barrier), race.arrive(1, barrier)):
        assert not answer.go
        assert answer.failure.reason is Reason.NOT_RUN
        assert answer.failure.detail == "peer 2 failed in publish: timeout: not within 5 s"
        assert answer.failure.stage == "publish"
        assert answer.start_ns is None
    for later in UP_TO_RACED[UP_TO_RACED.index(barrier) :]:
        assert not race.arrive(1, later).go, "no peer waits for a run that has failed"
    race.all_pass("cleared")
    assert race.written().status == "not raced"
    assert race.written().failure == release.failure
    assert race.conductor.flight.run == race.runs[1], "one bad run does not end the race"


def test_a_failed_transfer_is_an_arrival_like_any_other(race):
    race.all_pass(*BARRIERS[1:5])
    assert race.arrive(0, "raced") is None
    assert race.arrive(1, "raced", failure("race")) is None
    assert race.arrive(2, "raced").go
    race.all_pass("cleared")
    assert race.written().status == "raced"
    assert race.written().failure is None


@pytest.mark.parametrize(
    ("barrier", "seconds"),
    [("prepared", 2 * 20), ("first", 30), ("published", 30), ("ready", 5)],
)
def test_a_deadline_missed_before_the_start_means_not_raced(tmp_path, barrier, seconds):
    bounds = {"prepareSeconds": 20, "publishSeconds": 30, "settleSeconds": 5}
    race = Meeting(tmp_path, scenario(**bounds))
    race.assemble()
    race.all_pass(*BARRIERS[1 : BARRIERS.index(barrier)])
    assert race.arrive(0, barrier) is None
    race.wait(seconds + MARGIN_SECONDS - 1)
    assert race.arrive(0, barrier) is None, "a peer's own timeout comes first"
    race.wait(1)
    release = race.arrive(0, barrier)
    assert not release.go
    assert release.failure.reason is Reason.NOT_RUN
    assert "peers 1, 2" in release.failure.detail
    assert barrier in release.failure.detail


def test_a_leecher_is_waited_for_no_longer_than_a_transfer_may_take(tmp_path):
    race = Meeting(tmp_path, scenario(transferSeconds=60, verifySeconds=30))
    race.assemble()
    race.all_pass(*BARRIERS[1:5])
    assert race.arrive(0, "raced") is None
    assert race.arrive(1, "raced") is None
    race.wait(60 + MARGIN_SECONDS)
    assert race.arrive(0, "raced") is None, "the start itself comes a moment after the release"
    race.wait(1)
    assert race.arrive(0, "raced").go
    assert race.arrive(0, "cleared") is None
    assert race.arrive(1, "cleared") is None
    race.wait(2 * 30 + MARGIN_SECONDS)
    assert race.written().status == "raced"
    late = race.written_peer(2)
    assert late.outcome == "failed"
    assert late.failure.reason is Reason.TIMEOUT
    assert race.written().lost == {}, "it was heard from all the time"


def test_the_start_is_delayed_by_swarm_size_and_by_the_worst_clock(tmp_path):
    race = Meeting(tmp_path, scenario(size=10))
    for peer in range(10):
        race.hello("a", peer, clock_error_seconds=0.05 if peer == 4 else 0.001)
    race.all_pass(*BARRIERS[1:5])
    start_ns = race.arrive(0, "ready").start_ns
    assert start_ns == race.clock.now_ns() + round((0.1 + 10 * 0.002 + 2 * 0.05) * 1e9)


def test_the_start_is_never_more_than_two_seconds_ahead(tmp_path):
    race = Meeting(tmp_path, scenario())
    for peer in range(3):
        race.hello("a", peer, clock_error_seconds=30)
    race.all_pass(*BARRIERS[1:5])
    assert race.arrive(0, "ready").start_ns == race.clock.now_ns() + 2_000_000_000


def test_only_the_release_of_ready_carries_a_start(race):
    for barrier in BARRIERS[1:-1]:
        race.all_pass(barrier)
        assert (race.arrive(0, barrier).start_ns is not None) == (barrier == "ready")


def test_a_jobs_deadline_exceeds_the_longest_race_that_the_barriers_allow(tmp_path):
    """Every peer arrives at every barrier at the last moment, and the start is far ahead."""
    bounds = {"prepareSeconds": 7, "publishSeconds": 11, "settleSeconds": 13, "transferSeconds": 17,
              "verifySeconds": 19, "assembleSeconds": 23, "heartbeatSeconds": 10**5}  # fmt: skip
    made = scenario(entrants=("a", "b"), repetitions=3, **bounds)
    race = Meeting(tmp_path, made, TrialPolicy(enabled=True))
    began = race.seconds
    race.seconds += 23
    for entrant, peer in race.conductor.roster.peers:
        race.hello(entrant, peer, clock_error_seconds=30)
    for entrant, barrier in itertools.product(made.entrants, trials.BARRIERS[1:]):
        assert race.conductor.flight.barrier == barrier
        race.seconds = race.conductor.flight.deadline - 0.001
        for peer in trials.PEERS:
            known = race.conductor.roster.known(entrant, peer)
            race.conductor.arrive(known, f"trial-{entrant}", barrier, None)
    tried = race.seconds - began - 23
    for number in range(len(race.runs)):
        for barrier in BARRIERS[1:]:
            assert race.conductor.flight.barrier == barrier
            race.seconds = race.conductor.flight.deadline - 0.001
            race.conductor.tick()
            race.all_pass(barrier, run=number)
    assert race.conductor.over
    assert all(race.written(number).status == "raced" for number in range(len(race.runs)))
    longest = race.seconds - began
    sum_of_bounds = timeouts_seconds(made) - 23  # in which the tracker may come
    run = (sum_of_bounds - 23) / 8  # three repetitions and a trial, of two entrants
    assert 0 < tried <= 2 * run
    assert longest - tried <= sum_of_bounds - 2 * run <= longest - tried + 1
