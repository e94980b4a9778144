"""Swarm membership compared with a plain model, under any sequence of announces."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from swarmrace.rendezvous.tracker.swarms import Swarms

ENDPOINTS = [bytes([10, 0, 0, k, 0, 1]) for k in range(5)]
ENDPOINTS += [bytes(15) + bytes([k, 0, 1]) for k in range(3)]
HASH = b"h" * 20


class SwarmMachine(RuleBasedStateMachine):
    """Announces, stops and expiry; the model is a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.swarms = Swarms(lambda: self.seconds, expire_seconds=100)
        self.model: dict[bytes, tuple[bytes, bool, float]] = {}

    @rule(
        endpoint=st.sampled_from(ENDPOINTS),
        peer_id=st.sampled_from([b"a", b"b", b"c"]),
        complete=st.booleans(),
    )
    def announce(self, endpoint, peer_id, complete):
        self.expire()
        self.swarms.announce(
            HASH, endpoint, peer_id, complete=complete, stopped=False, completed=False
        )
        self.model[endpoint] = (peer_id, complete, self.seconds)

    @rule(
        endpoint=st.sampled_from(ENDPOINTS),
        peer_id=st.sampled_from([b"a", b"b", b"c"]),
    )
    def stop(self, endpoint, peer_id):
        self.expire()
        self.swarms.announce(HASH, endpoint, peer_id, complete=False, stopped=True, completed=False)
        if self.model.get(endpoint, (b"",))[0] == peer_id:
            del self.model[endpoint]

    @rule(seconds=st.floats(6, 60))
    def wait(self, seconds):
        self.seconds += seconds

    def expire(self):
        self.seconds += 6  # a sweep is due at every call more than 5 s after the last
        self.forget()

    def forget(self):
        old = [e for e, (_, _, heard) in self.model.items() if heard < self.seconds - 100]
        for endpoint in old:
            del self.model[endpoint]

    @invariant()
    def the_counts_and_the_members_are_the_models(self):
        self.forget()
        swarm = self.swarms.get(HASH)
        if swarm is None:
            assert not self.model
            return
        assert set(swarm.members) == set(self.model)
        ids = {peer_id for peer_id, _, _ in self.model.values()}
        complete = {peer_id for peer_id, done, _ in self.model.values() if done}
        assert (swarm.complete, swarm.incomplete) == (len(complete), len(ids - complete))
        assert sorted(swarm.sample(100, b"")) == sorted(swarm.members)
        for wanted in (2, 100):
            drawn = swarm.sample(wanted, b"a")
            others = {e for e, (peer_id, _, _) in self.model.items() if peer_id != b"a"}
            assert len(set(drawn)) == len(drawn) == min(wanted, len(others))
            assert set(drawn) <= others
        for client in (b"a", b"b", b"c"):
            assert swarm.has_completed(client) == (client in complete)


SwarmMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSwarms = SwarmMachine.TestCase
