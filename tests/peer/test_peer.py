"""A peer in a race: what it reports when it can't go on, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import threading

import httpx
import pytest

from patience import PATIENCE_SECONDS
from racing_peers import raced, scenario
from swarmrace.clock import VirtualClock
from swarmrace.errors import ConditionError, Reason
from swarmrace.peer.peer import Peer
from swarmrace.peer.state import PeerConfig
from swarmrace.rendezvous.server import Rendezvous, ServerConfig
from swarmrace.results import folder as results
from swarmrace.systems.synthetic.system import SyntheticSystem


def test_peers_upload_again_what_a_tracker_without_its_folder_lacks(tmp_path, monkeypatch):
    """A tracker's pod, whose volume is lost with it, is replaced during the second run."""
    made = scenario(repetitions=3, order="sequential")
    fetch = SyntheticSystem.fetch
    begun: list[int] = []

    async def replace():
        new = ServerConfig(
            scenario=made, race_id=made.race_id(), data_dir=tmp_path / "new", poll_seconds=0.1
        )
        places["now"] = Rendezvous(new, VirtualClock(1 << 60))
        ticking.append(asyncio.ensure_future(places["now"].tick()))

    async def fetching(self, references, record):
        if self.context.entrant == "a":
            begun.append(self.context.peer)
            if len(begun) == 3:  # the first of the second run
                await replace()
        await fetch(self, references, record)

    async def app(scope, receive, send):
        await places.get("now", old).app(scope, receive, send)

    places: dict[str, Rendezvous] = {}
    ticking: list[asyncio.Future] = []
    monkeypatch.setattr(SyntheticSystem, "fetch", fetching)

    async def race():
        nonlocal old
        config = ServerConfig(
            scenario=made, race_id=made.race_id(), data_dir=tmp_path / "old", poll_seconds=0.1
        )
        old = Rendezvous(config, VirtualClock())
        ticking.append(asyncio.ensure_future(old.tick()))
        peers = []
        for entrant in made.entrants:
            for index in range(3):
                work = tmp_path / f"{entrant}-{index}"
                work.mkdir()
                peer = PeerConfig(
                    made, made.race_id(), entrant, index, "http://r", "127.0.0.1", work
                )
                transport = httpx.ASGITransport(app=app)
                peers.append(Peer(peer, clock=VirtualClock(), transport=transport))
        try:
            return await asyncio.gather(*(p.participate() for p in peers), return_exceptions=True)
        finally:
            for each in ticking:
                each.cancel()

    old: Rendezvous = None
    ends = asyncio.run(asyncio.wait_for(race(), PATIENCE_SECONDS))
    assert ends == [None] * 6
    loaded = results.load(tmp_path / "new")
    assert loaded.faults == ()
    assert [(r.run.id, r.result.status) for r in loaded.runs] == [
        ("000-a", "raced"),
        ("001-a", "aborted"),
        ("002-a", "raced"),
        ("003-b", "raced"),
        ("004-b", "raced"),
        ("005-b", "raced"),
    ]
    assert loaded.runs[1].result.failure.reason is Reason.TRACKER_LOST
    for run in loaded.runs:
        assert sorted(run.peers) == [0, 1, 2]
        npz = (tmp_path / "new" / "runs" / run.run.id).glob("*.npz")
        assert len(list(npz)) == 2, "the leechers' arrivals"
    assert loaded.info.status == "finished"
    assert [list(p.iterdir()) for p in tmp_path.glob("[ab]-*")] == [[]] * 6


def test_a_peer_that_can_not_go_on_reports_why_at_once(tmp_path):
    async def refuse():
        raise ConditionError("global.race.network.upload: the limit does not hold here")

    def made(peer):
        if (peer.config.entrant, peer.config.peer) == ("a", 2):
            peer._preflight = refuse

    loaded, ends = raced(scenario(repetitions=2), tmp_path, made)
    assert [type(end) for end in ends if end is not None] == [ConditionError]
    by_entrant = {name: [r.result for r in loaded.runs if r.run.entrant == name] for name in "ab"}
    for result in by_entrant["a"]:
        assert result.failure.reason is Reason.NOT_RUN
        assert "peer 2 lost: ended in stage wait: ConditionError" in result.failure.detail
        assert "the limit does not hold here" in result.failure.detail
    assert [result.failure for result in by_entrant["b"]] == [None, None]


def test_an_impossible_log_is_a_failed_transfer_and_the_race_goes_on(tmp_path, monkeypatch):
    fetch = SyntheticSystem.fetch

    async def beyond(self, references, record):
        await fetch(self, references, record)
        if (self.context.entrant, self.context.peer) == ("a", 1):
            record.arrivals.record(record.size_bytes, 1, record.clock.now_ns())

    monkeypatch.setattr(SyntheticSystem, "fetch", beyond)
    loaded, ends = raced(scenario(repetitions=1), tmp_path)
    assert ends == [None] * 6
    by_entrant = {record.run.entrant: record.peers for record in loaded.runs}
    failure = by_entrant["a"][1].failure
    assert (failure.reason, failure.stage) == (Reason.INTERNAL, "race")
    assert "records outside a payload of 10000 bytes" in failure.detail
    assert [peer.outcome for peer in by_entrant["b"].values()] == ["completed"] * 3


@pytest.mark.parametrize("lost", [False, True])
def test_no_thread_outlives_a_race(tmp_path, lost):
    def made(peer):
        async def refuse():
            raise ConditionError("no")

        if lost and (peer.config.entrant, peer.config.peer) == ("a", 2):
            peer._preflight = refuse

    raced(scenario(repetitions=2), tmp_path, made)
    assert [t.name for t in threading.enumerate() if t.name.startswith("swarmrace")] == []


def test_a_peer_waits_for_its_tracker_as_long_as_a_race_may_take_to_assemble(tmp_path):
    made = scenario(timeouts={"assembleSeconds": 1234})
    config = PeerConfig(made, "0123456789", "a", 0, "http://tracker", "127.0.0.1", tmp_path)
    assert Peer(config).client.first_patience_seconds == 1234
