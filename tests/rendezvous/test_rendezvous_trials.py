"""Trials under the conductor: who is tried, what cuts one short, what survives a restart."""

from __future__ import annotations

import pytest

from meeting import Meeting, failure, scenario
from swarmrace.errors import Reason
from swarmrace.plan.trials import program_ids
from swarmrace.recording.records import Failure, Trial
from swarmrace.rendezvous.messages import Claim
from swarmrace.rendezvous.trial_book import TrialPolicy

HELD = TrialPolicy(enabled=True)


class Trials(Meeting):
    """A meeting whose entrant `a` is tried first."""

    def __init__(self, folder, made=None, policy=HELD):
        super().__init__(folder, made or scenario(), policy)

    def at(self, peer, barrier, why=None):
        """Let a peer of `a` arrive in its trial."""
        known = self.conductor.roster.contact("a", peer)
        return self.conductor.arrive(known, "trial-a", barrier, why)

    def hold(self, entrant):
        """Let the trial of an entrant go well."""
        for barrier in ("prepared", "cleared"):
            for peer in (0, 1):
                known = self.conductor.roster.contact(entrant, peer)
                answer = self.conductor.arrive(known, f"trial-{entrant}", barrier, None)
            assert answer.go

    def outcome(self, entrant="a"):
        """Return race.json."""
        return self.store.info.trials[entrant]


def test_a_trial_comes_before_the_first_run_and_takes_two_peers(tmp_path):
    meeting = Trials(tmp_path)
    meeting.assemble()
    assert meeting.at(0, "open").go
    assert meeting.arrive(2, "open") is None  # the first run is not open yet
    for barrier in ("prepared", "cleared"):
        assert meeting.at(0, barrier) is None
        assert meeting.at(1, barrier).go
    assert meeting.outcome().outcome == "started"
    assert meeting.arrive(2, "open").go
    assert not (tmp_path / "runs" / "trial-a").exists()


def test_an_entrant_whose_program_has_failed_already_is_not_tried(tmp_path):
    meeting = Trials(tmp_path, scenario(entrants=("a", "b")))
    meeting.assemble()
    meeting.at(0, "prepared")
    meeting.at(1, "prepared", failure("prepare", "no port"))
    meeting.at(0, "cleared")
    meeting.at(1, "cleared")
    assert meeting.outcome("b").tried == "a"
    assert meeting.conductor.over
    for run in (0, 1):
        written = meeting.written(run)
        assert written.status == "not raced"
        assert "never started: timeout in prepare: no port" in written.failure.detail


def test_a_known_program_is_not_tried_again(tmp_path):
    made = scenario()
    program = program_ids(made)["a"]
    known = Trial(outcome="started", tried="elsewhere", program=program)
    meeting = Trials(tmp_path, made, TrialPolicy(enabled=True, known={program: known}))
    meeting.assemble()
    assert not meeting.at(0, "open").go
    assert meeting.at(0, "open").failure is None
    assert meeting.arrive(0, "open").go
    assert meeting.outcome().tried == "elsewhere"


def test_a_known_program_is_tried_again_beside_an_unknown_one(tmp_path):
    """Otherwise one entrant's peers would have run their program once more often."""
    made = scenario(entrants=("a", "b"))
    equal = program_ids(made)
    options = made.entrants["b"].model_copy(update={"record_size": 8192})
    entrants = {"a": made.entrants["a"], "b": options}
    shared = made.global_.model_copy(update={"entrants": entrants})
    made = made.model_copy(update={"global_": shared})
    assert program_ids(made)["b"] != equal["b"]
    known = Trial(outcome="started", tried="elsewhere", program=equal["a"])
    meeting = Trials(tmp_path, made, TrialPolicy(enabled=True, known={known.program: known}))
    meeting.assemble()
    assert meeting.store.info.trials == {}
    for entrant in ("a", "b"):
        meeting.hold(entrant)
        assert meeting.outcome(entrant).tried == entrant
    assert meeting.arrive(0, "open").go


def test_a_program_known_not_to_start_is_never_raced(tmp_path):
    made = scenario()
    program = program_ids(made)["a"]
    why = Failure(reason=Reason.REFUSED, stage="prepare", detail="exited 1")
    known = Trial(outcome="never started", tried="a", program=program, failure=why)
    meeting = Trials(tmp_path, made, TrialPolicy(enabled=True, known={program: known}))
    meeting.assemble()
    assert meeting.conductor.over
    assert meeting.written().failure.detail == "a never started: refused in prepare: exited 1"


@pytest.mark.parametrize("reached", ["open", "prepared"])
def test_a_restart_cuts_the_trial_short_and_the_race_goes_on(tmp_path, reached):
    meeting = Trials(tmp_path)
    meeting.assemble()
    meeting.at(0, reached)
    meeting.restart()
    assert meeting.outcome().outcome == "unknown"
    assert meeting.outcome().failure.reason is Reason.TRACKER_LOST
    assert not meeting.at(0, "prepared").go
    assert meeting.at(0, "cleared").go
    assert meeting.arrive(0, "open").go


def test_a_restart_after_the_trial_knows_its_outcome(tmp_path):
    meeting = Trials(tmp_path)
    meeting.assemble()
    for barrier in ("prepared", "cleared"):
        meeting.at(0, barrier)
        meeting.at(1, barrier)
    meeting.restart()
    assert meeting.outcome().outcome == "started"
    assert meeting.conductor.flight.run.id == "000-a"


def test_peers_report_the_trial_to_a_rendezvous_without_its_folder(tmp_path):
    meeting = Trials(tmp_path)
    claims = {"trial-a": Claim(status="aborted"), "000-a": Claim(status="raced")}
    for peer in range(3):
        meeting.conductor.hello(
            meeting_info(peer), f"a{peer}", claims if peer < 2 else {"000-a": claims["000-a"]}
        )
    assert meeting.outcome().outcome == "started"
    assert meeting.written().status == "raced"


def test_an_interruption_says_nothing_about_the_program(tmp_path):
    meeting = Trials(tmp_path)
    meeting.assemble()
    meeting.at(0, "open")
    meeting.conductor.interrupt()
    assert not meeting.at(0, "prepared").go
    assert not meeting.at(1, "prepared").go
    meeting.at(0, "cleared")
    meeting.at(1, "cleared")
    assert meeting.conductor.over
    assert meeting.outcome().outcome == "unknown"
    assert not (tmp_path / "runs" / "trial-a").exists()


def test_without_one_of_its_peers_there_is_no_trial(tmp_path):
    meeting = Trials(tmp_path, scenario(entrants=("a", "b")))
    meeting.hello("a", 1)
    meeting.conductor.lose("a", 1, "evicted")
    for entrant, peer in meeting.conductor.roster.peers:
        if (entrant, peer) != ("a", 1):
            meeting.hello(entrant, peer)
    assert meeting.written().failure.detail == "peer 1 lost: evicted"
    answer = meeting.at(0, "open")
    assert not answer.go
    assert answer.over
    assert meeting.store.info.trials == {}
    meeting.hold("b")
    assert meeting.store.info.trials.keys() == {"b"}
    assert meeting.arrive(0, "open", run=1).go


def test_a_peer_that_dies_in_its_trial_is_why_the_program_never_started(tmp_path):
    meeting = Trials(tmp_path)
    meeting.assemble()
    meeting.at(0, "open")
    meeting.conductor.lose("a", 1, "its process ended: killed by signal 11")
    assert not meeting.at(0, "prepared").go
    meeting.at(0, "cleared")
    failed = meeting.outcome()
    assert failed.outcome == "never started"
    assert failed.failure.reason is Reason.PEER_LOST
    assert "signal 11" in failed.failure.detail


def meeting_info(peer):
    from meeting import info

    return info("a", peer)
