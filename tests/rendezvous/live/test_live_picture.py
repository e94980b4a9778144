"""What the page is given at each point of a race, by a conductor whose time the test moves."""

from __future__ import annotations

import math

import pytest

from meeting import RACE_ID, UP_TO_RACED, Meeting, failure, result, scenario
from swarmrace.errors import Reason
from swarmrace.recording.records import Failure, Percents, Transfer
from swarmrace.rendezvous.live.curves import MAX_POINTS, Curves
from swarmrace.rendezvous.live.handed_in import HandedIn
from swarmrace.rendezvous.live.live import Live
from swarmrace.rendezvous.live.picture import Picture
from swarmrace.rendezvous.live.time_left import RaceTimeLeft
from swarmrace.rendezvous.live.troubles import MAX_ROWS, MAX_TEXT

BEFORE_START = UP_TO_RACED[:-1]


class Watched(Meeting):
    """A meeting with somebody who looks."""

    def __init__(self, folder, made, **options):
        super().__init__(folder, made, **options)
        self.handed_in = HandedIn()
        self.picture = Picture(made, self.conductor, self.handed_in)

    def at(self, seconds):
        """Let time pass on the race's own clock, and look."""
        self.clock._now_ns += round(seconds * 1e9)
        self.picture.look()

    def beat(self, peer, stage, held, run=0):
        at = self.runs[run]
        known = self.conductor.roster.contact(at.entrant, peer)
        self.conductor.heartbeat(known, at.id, stage, held)

    def now(self):
        return self.picture.now()


@pytest.fixture
def meeting(tmp_path):
    made = Watched(tmp_path, scenario())
    made.assemble()
    return made


def transfer(done, last=101):
    seconds = [done * percent / 100 for percent in range(last)]
    return Transfer(
        start_lag_seconds=0,
        start_error_seconds=0,
        done_seconds=done if last == 101 else None,
        received_bytes=round(1000 * (last - 1)),
        percents={"arrival": Percents(seconds=seconds)},
    )


def hand_in(meeting, run, times):
    """Hand in a run's results: t100 by leecher, None for one that failed half-way."""
    for peer, done in enumerate(times, start=1):
        why = {} if done else {"outcome": "failed", "failure": failure("race", "it stood still")}
        found = transfer(done) if done else transfer(9.0, last=51)
        meeting.handed_in.note(result(meeting.runs[run], peer, transfer=found, **why))


def test_who_has_reported_is_counted(tmp_path):
    made = Watched(tmp_path, scenario())
    assert made.now()["state"] == "assembling"
    made.hello("a", 1)
    assert (made.now()["reported"], made.now()["peers"]) == (1, 3)
    made.hello("a", 0)
    made.hello("a", 2)
    assert made.now()["state"] == "racing"
    assert made.now()["run"]["stage"] == "prepare"


def test_bars_follow_heartbeats_and_are_full_once_done(meeting):
    meeting.all_pass(*BEFORE_START)
    for peer, held in ((1, 25_000), (2, 50_000)):
        meeting.beat(peer, "race", held)
    run = meeting.now()["run"]
    assert run["held"] == [0, 25_000, 50_000]
    assert (run["seeders"], run["done"], run["failed"]) == ([0], [], [])
    meeting.arrive(2, "raced")
    run = meeting.now()["run"]
    assert run["held"] == [0, 25_000, 100_000]
    assert run["done"] == [2]


def test_a_leecher_that_failed_keeps_what_it_had(meeting):
    meeting.all_pass(*BEFORE_START)
    meeting.beat(1, "race", 40_000)
    meeting.arrive(1, "raced", failure("race", "no new byte for 60 s"))
    run = meeting.now()["run"]
    assert (run["held"][1], run["done"], run["failed"]) == (40_000, [], [1])
    meeting.picture.look()
    (row,) = meeting.picture.failures()["rows"]
    assert (row["peer"], row["reason"], row["detail"]) == (1, "timeout", "no new byte for 60 s")


def test_a_peer_that_claims_what_cannot_be_stays_within_its_bar(meeting):
    meeting.all_pass(*BEFORE_START)
    meeting.beat(1, "race", 10**400)
    meeting.beat(2, "x" * 40, -5)
    run = meeting.now()["run"]
    assert run["held"] == [0, 100_000, 0]
    assert run["at_stage"][2] == 0


def test_a_run_that_fails_before_its_start_is_one_failure_of_one_peer(meeting):
    meeting.arrive(1, "prepared", failure("prepare", "no room"))
    meeting.picture.look()
    found = meeting.picture.failures()
    assert [(row["peer"], row["detail"]) for row in found["rows"]] == [(1, "no room")]
    # What the others hand in says only that they heard of it.
    why = Failure(reason=Reason.NOT_RUN, stage="prepare", detail="peer 1 failed")
    for peer in range(3):
        meeting.handed_in.note(result(meeting.runs[0], peer, outcome="failed", failure=why))
    for peer in range(3):
        meeting.arrive(peer, "cleared")
    meeting.picture.look()
    rows = meeting.picture.failures()["rows"]
    assert [(row["peer"], row["reason"]) for row in rows] == [(None, "not run"), (1, "timeout")]


def test_a_lost_peer_is_listed_with_its_reason(meeting):
    meeting.all_pass(*BEFORE_START)
    meeting.conductor.lose("a", 2, "its process ended: killed by signal 9")
    meeting.picture.look()
    assert meeting.now()["lost"] == [["a", 2]]
    (row,) = meeting.picture.failures()["rows"]
    assert (row["reason"], row["detail"]) == ("peer lost", "its process ended: killed by signal 9")


def test_runs_closed_for_one_reason_are_one_row(tmp_path):
    made = Watched(tmp_path, scenario(repetitions=40))
    made.assemble()
    made.conductor.lose("a", 2, "gone")
    [made.arrive(peer, "cleared") for peer in range(2)]
    made.picture.look()
    found = made.picture.failures()
    assert len(found["rows"]) <= 3
    assert max(row["times"] for row in found["rows"]) == 39
    assert made.now()["over"]


def test_rows_are_bounded_and_their_texts_short(tmp_path):
    made = Watched(tmp_path, scenario(size=80))
    made.assemble()
    made.all_pass(*BEFORE_START)
    for peer in range(1, 80):
        made.arrive(peer, "raced", failure("race", f"{peer}\n" + "x" * 5000))
    made.picture.look()
    found = made.picture.failures()
    assert (found["total"], len(found["rows"])) == (79, MAX_ROWS)
    assert found["rows"][0]["peer"] == 79
    assert all(len(row["detail"]) == MAX_TEXT for row in found["rows"])
    assert all("\n" not in row["detail"] for row in found["rows"])


def test_curves_are_seconds_since_the_common_start(meeting):
    meeting.all_pass(*BEFORE_START)
    lead = (meeting.conductor.flight.releases["ready"].start_ns - meeting.clock.now_ns()) / 1e9
    meeting.at(lead)
    for seconds, held in ((1, 10_000), (1, 10_000), (1, 60_000)):
        meeting.beat(1, "race", held)
        meeting.at(seconds)
    meeting.arrive(1, "raced")
    meeting.at(1)
    found = meeting.picture.curves()
    assert found["run"] == "000-a"
    assert found["points"]["1"] == [0, 0, 10, 100, 30, 600, 40, 1000]


def test_before_the_start_there_is_no_curve(meeting):
    meeting.at(5)
    assert meeting.now()["run"]["since"] is None
    assert meeting.picture.curves()["points"] == {}


def test_a_curve_covers_any_time_in_a_bounded_number_of_points():
    curves = Curves(1, 1_000_000)
    for step in range(1001):
        curves.add(1, step, 1000 * step)
    points = curves.to_json()["1"]
    assert len(points) <= 2 * MAX_POINTS
    assert points[:2] == [0, 0]
    assert points[-2:] == [10_000, 1000]
    assert points[::2] == sorted(points[::2])


def test_a_large_swarms_curves_have_fewer_points():
    curves = Curves(999, 1_000_000)
    for peer in range(999):
        for step in range(200):
            curves.add(peer, step, 5000 * step)
    assert sum(map(len, curves.to_json().values())) <= 2 * 9000


def test_results_so_far_are_the_median_leechers(tmp_path):
    made = Watched(tmp_path, scenario(size=4, repetitions=3))
    made.assemble()
    for run, times in enumerate([(1.0, 2.0, 4.0), (3.0, 2.0, None)]):
        made.all_pass(*UP_TO_RACED, run=run)
        hand_in(made, run, times)
        made.all_pass("cleared", run=run)
    made.picture.look()
    found = made.picture.runs()
    assert [(row["median"], row["last"], row["completed"]) for row in found["rows"]] == [
        (2.0, 4.0, 3),
        (3.0, "failed", 2),
    ]
    total = found["entrants"]["a"]
    assert (total["raced"], total["whole"], total["completed"], total["transfers"]) == (2, 1, 5, 6)
    assert (total["median"], total["least"], total["most"]) == (2.5, 2.0, 3.0)
    last = made.picture.last()["a"]
    assert last["run"] == "001-a"
    assert last["seconds"] == {"1": 3.0, "2": 2.0, "3": "failed"}
    assert last["held"] == {"3": 50_000}
    assert last["curve"]["of"] == "arrival"
    assert last["curve"]["times"][-1] == 3.0
    assert last["curve"]["times"][0] == 0


def test_a_run_in_which_most_have_failed_has_no_time(tmp_path):
    made = Watched(tmp_path, scenario(size=4))
    made.assemble()
    made.all_pass(*UP_TO_RACED)
    hand_in(made, 0, (1.0, None, None))
    made.all_pass("cleared")
    (row,) = made.picture.runs()["rows"]
    assert (row["median"], row["completed"]) == ("failed", 1)
    # Half of the file was reached by the median leecher, and no more.
    assert len(made.picture.last()["a"]["curve"]["times"]) == 26


def test_wrong_bytes_are_no_time(meeting):
    meeting.all_pass(*UP_TO_RACED)
    wrong = transfer(1.0).model_copy(update={"verified": False})
    meeting.handed_in.note(result(meeting.runs[0], 1, transfer=wrong))
    assert meeting.handed_in.run_so_far("000-a").seconds == {1: math.inf}


def test_a_trial_shows_its_two_peers_and_no_curves(tmp_path):
    from swarmrace.rendezvous.trial_book import TrialPolicy

    made = Watched(tmp_path, scenario(), trials=TrialPolicy(enabled=True))
    made.assemble()
    made.picture.look()
    run = made.now()["run"]
    assert run["trial"]
    assert len(run["held"]) == 2
    assert made.picture.curves()["points"] == {}


def test_what_is_shown_has_no_token_and_no_address(meeting):
    shown = str([meeting.picture.race(), meeting.now(), meeting.picture.runs()])
    assert RACE_ID in shown
    assert "127.0.0.1" not in shown


def test_time_left_is_the_plans_until_runs_of_the_entrant_are_closed(tmp_path):
    made = scenario(entrants=("a", "b"), repetitions=2)
    meeting = Meeting(tmp_path, made)
    left = RaceTimeLeft(made, planned={"a": 10.0, "b": 20.0}.__getitem__)
    runs = list(meeting.conductor.runs.values())
    assert left.seconds(runs, {}, None, 0) == 60
    assert left.seconds(runs, {}, "000-a", 4) == 56
    assert left.seconds(runs, {}, "000-a", 400) == 50
    meeting.assemble()
    meeting.all_pass(*UP_TO_RACED)
    meeting.clock._now_ns += 6 * 10**9
    meeting.all_pass("cleared")
    closed = dict(meeting.conductor.closed)
    took = closed["000-a"].wall_seconds
    assert left.seconds(runs, closed, "001-b", 0) == pytest.approx(40 + took)


def test_looking_never_changes_the_race(tmp_path):
    made = Watched(tmp_path, scenario())
    made.assemble()
    made.all_pass(*BEFORE_START)
    before = made.conductor.to_state()
    made.picture.look()
    for part in ("race", "now", "runs", "last", "failures", "curves"):
        getattr(made.picture, part)()
    assert made.conductor.to_state() == before


def test_what_goes_wrong_in_a_look_ends_nothing_and_is_logged_once(tmp_path, caplog):
    import asyncio

    made = Meeting(tmp_path, scenario())

    async def story():
        live = Live(made.scenario, made.conductor)
        live.feed.watchers = 1
        live._picture.now = None
        live.look()
        live.look()

    asyncio.run(story())
    assert caplog.text.count("the live page can't be updated") == 1
