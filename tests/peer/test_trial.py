"""A peer's trial of its program: one that can't start or join never started."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from racing_peers import raced, scenario
from swarmrace.errors import Reason, TransferError
from swarmrace.rendezvous.trial_book import TrialPolicy
from swarmrace.systems.synthetic.system import SyntheticSystem

HELD = TrialPolicy(enabled=True)


class Sick(SyntheticSystem):
    """Entrant `a` can't be started by peer 1, in one of many ways."""

    how = "refuses"

    async def prepare(self, run):
        await super().prepare(run)
        if self.context.entrant == "a" and self.context.peer == 1:
            await self._be_sick()

    async def settle(self):
        if self.how == "settle hangs" and self.context.entrant == "a" and self.context.peer == 1:
            await asyncio.Event().wait()

    async def _be_sick(self):
        if self.how == "refuses":
            raise TransferError(Reason.REFUSED, "port 8070 is in use")
        if self.how == "raises":
            raise OSError("libfoo.so.1: cannot open shared object file")
        if self.how == "hangs":
            await asyncio.Event().wait()

    def last_words(self):
        return "its last words"


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("refuses", "refused in prepare: port 8070 is in use; output: its last words"),
        ("raises", "libfoo.so.1: cannot open shared object file; output: its last words"),
        ("hangs", "timeout in prepare: not within 10 s; output: its last words"),
        ("settle hangs", "timeout in settle: not within 10 s; output: its last words"),
    ],
)
def test_a_program_that_never_starts_is_not_raced_and_the_other_is(tmp_path, monkeypatch, how, why):
    monkeypatch.setattr(Sick, "how", how)
    made = scenario(repetitions=2, timeouts={"prepareSeconds": 10})
    found, ends = raced(different(made), tmp_path, using(Sick), trials=HELD)
    assert ends == [None] * 6
    trials = found.info.trials
    assert trials["a"].outcome == "never started"
    assert trials["b"].outcome == "started"
    for run in found.runs:
        if run.run.entrant == "b":
            assert run.result.status == "raced"
            continue
        assert run.result.status == "not raced"
        assert run.result.failure.reason is Reason.NOT_RUN
        assert run.result.failure.detail.startswith("a never started: ")
        assert run.result.failure.detail.endswith(why)


def test_the_other_peer_gives_up_at_once(tmp_path):
    """It would wait two minutes for a peer that has failed to join."""

    class Joined(Sick):
        async def prepare(self, run):
            await super().prepare(run)
            if run.is_trial and self.context.entrant == "a" and self.context.peer == 0:
                await asyncio.Event().wait()

    found, _ = raced(different(scenario()), tmp_path, using(Joined), trials=HELD)
    failure = found.info.trials["a"].failure
    assert failure.reason is Reason.REFUSED
    assert "port 8070 is in use" in failure.detail


def test_nothing_is_raced_if_all_must_start_and_one_does_not(tmp_path):
    policy = TrialPolicy(enabled=True, all_must_start=True)
    made = different(scenario(repetitions=1))
    found, ends = raced(made, tmp_path, using(Sick), trials=policy)
    assert ends == [None] * 6
    assert {run.result.status for run in found.runs} == {"not raced"}
    (other,) = [run.result.failure.detail for run in found.runs if run.run.entrant == "b"]
    assert other == "nothing is raced, because a never started"


def test_a_trial_leaves_nothing_behind_so_that_the_first_run_begins_cold(tmp_path):
    prepared = []

    class Noting(SyntheticSystem):
        async def prepare(self, run):
            prepared.append((run.id, self.context.peer))
            await super().prepare(run)

    made = scenario(coldStart=False, repetitions=1)
    found, _ = raced(made, tmp_path, using(Noting), trials=HELD)
    assert [entry for entry in prepared if entry[0].startswith("trial-")]
    for run in found.runs:
        assert {peer.started for peer in run.peers.values()} == {"cold"}


@pytest.mark.parametrize("equal", [True, False])
def test_before_the_first_run_every_entrants_peers_are_equally_fresh(tmp_path, equal):
    """A peer that was tried has already run its system once in its process. So both entrants are
    tried, even if their options are equal."""
    prepared = {}

    class Noting(SyntheticSystem):
        async def prepare(self, run):
            if run.is_trial:
                prepared.setdefault(self.context.entrant, set()).add(self.context.peer)
            else:
                assert prepared.keys() == {"a", "b"}  # all trials come first
            await super().prepare(run)

    made = scenario(repetitions=1)
    found, _ = raced(made if equal else different(made), tmp_path, using(Noting), trials=HELD)
    assert prepared == {"a": {0, 1}, "b": {0, 1}}
    assert {name: trial.tried for name, trial in found.info.trials.items()} == {"a": "a", "b": "b"}
    assert [run.result.status for run in found.runs] == ["raced"] * 2


def different(made):
    """Return the scenario with a program for `b` that differs from `a`'s."""
    entrants = dict(made.entrants)
    entrants["b"] = entrants["b"].model_copy(update={"record_size": 8192})
    shared = made.global_.model_copy(update={"entrants": entrants})
    return made.model_copy(update={"global_": shared})


def using(system):
    """Return a hook that makes every peer use `system`."""

    def made(peer):
        peer.parts.slot.spec = replace(peer.parts.slot.spec, create=system)

    return made
