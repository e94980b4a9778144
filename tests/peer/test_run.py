"""One peer's part in a run: the stages it records, when its figures begin, what it can't judge."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from racing_peers import raced, scenario
from swarmrace.errors import Reason, TransferError
from swarmrace.host.usage import UsageMeter
from swarmrace.peer import run as peer_run
from swarmrace.peer.parts import PeerParts
from swarmrace.peer.run import PeerRun
from swarmrace.rendezvous.client.client import LostError, RendezvousClient
from swarmrace.systems.abc import Counters
from swarmrace.systems.synthetic.system import SyntheticSystem


def every_peer(loaded):
    return [peer for record in loaded.runs for peer in record.peers.values()]


def test_each_stage_is_timed_once_and_in_order(tmp_path):
    loaded, _ = raced(scenario(repetitions=1), tmp_path)
    for peer in every_peer(loaded):
        names = [stage.name for stage in peer.stages]
        own = ["race", "serve", "verify"] if peer.role == "leecher" else ["serve"]
        first = ["prepare"] if peer.role == "leecher" else ["make", "prepare", "publish"]
        assert names == [*first, "settle", *own, "remove", "upload"]
        began = [stage.began_seconds for stage in peer.stages]
        assert began == sorted(began)


def test_a_file_that_can_not_be_made_fails_in_make(tmp_path, monkeypatch):
    async def full(self):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PeerRun, "_make", full)
    loaded, _ = raced(scenario(repetitions=1), tmp_path)
    for record in loaded.runs:
        failure = record.peers[0].failure
        assert (failure.reason, failure.stage) == (Reason.INFRASTRUCTURE, "make")
        assert "other programs filled it" in failure.detail, "the peers hold almost nothing"
        assert record.result.failure.stage == "make"


def test_seeders_record_their_connections_at_the_start_too(tmp_path, monkeypatch):
    monkeypatch.setattr(SyntheticSystem, "counters", lambda self: Counters(connections=7))
    loaded, _ = raced(scenario(repetitions=1), tmp_path)
    for peer in every_peer(loaded):
        assert peer.counters["connections_at_start"] == 7


def test_figures_count_from_just_before_the_common_start(tmp_path, monkeypatch):
    """The up to 2 s between the release and the start don't count."""
    starts, bases = {}, {}
    race = PeerRun._race

    async def noting(self, release):
        release_ns = self.clock.now_ns()
        instant_ns = self.offset.to_ours(release.start_ns)
        assert instant_ns - release_ns > 100_000_000
        starts[self.run.id, self.peer.config.peer] = instant_ns
        await race(self, release)

    class Meter(UsageMeter):
        def start(self):
            system = self._pids.__self__
            bases[system.context.entrant, system.context.peer] = system.context.clock.now_ns()
            super().start()

    monkeypatch.setattr(PeerRun, "_race", noting)
    monkeypatch.setattr(peer_run, "UsageMeter", Meter)
    raced(scenario(repetitions=1), tmp_path)
    assert len(starts) == len(bases) == 6
    for (run_id, peer), instant_ns in starts.items():
        assert instant_ns - bases[run_id.partition("-")[2], peer] == 53_000_000


def test_no_thread_begins_between_the_release_of_ready_and_the_start(tmp_path, monkeypatch):
    """A new thread may be scheduled late, and the thread that begins it waits for that."""
    prompt: set[asyncio.Task | None] = set()
    begun: list[str] = []

    def current():
        with contextlib.suppress(RuntimeError):  # in a thread without a loop
            return asyncio.current_task()
        return None

    def before(module, name, do):
        real = getattr(module, name)

        def changed(*args, **kwargs):
            do(current())
            return real(*args, **kwargs)

        monkeypatch.setattr(module, name, changed)

    def note(task):
        if task in prompt:
            begun.append(str(task))

    before(peer_run, "raise_priority", prompt.add)
    before(peer_run, "lower_priority", prompt.discard)
    before(peer_run.transfer, "race", prompt.discard)
    before(threading.Thread, "start", note)
    # Of a peer with its own interface, the wire recorder has a thread.
    before(PeerParts, "wire_recorder", note)
    raced(scenario(repetitions=1), tmp_path)
    assert not begun


def test_cpu_and_memory_are_watched_throughout_the_race(tmp_path, monkeypatch):
    watched = threading.Event()

    class Meter(UsageMeter):
        def __init__(self, pids):
            super().__init__(pids)
            self.sample_seconds = 0.01

        def watch(self):
            watched.set()
            super().watch()

    async def fetch(self, references, record):
        assert await asyncio.to_thread(watched.wait, 300)
        await real(self, references, record)

    real = SyntheticSystem.fetch
    monkeypatch.setattr(peer_run, "UsageMeter", Meter)
    monkeypatch.setattr(SyntheticSystem, "fetch", fetch)
    loaded, _ = raced(scenario(repetitions=1), tmp_path)
    assert {peer.outcome for peer in every_peer(loaded)} == {"completed"}


def test_a_warm_race_records_which_systems_began_cold(tmp_path, monkeypatch):
    fetch = SyntheticSystem.fetch
    runs = []

    async def failing(self, references, record):
        if (self.context.entrant, self.context.peer) == ("a", 1):
            runs.append(self)
            if len(runs) == 2:
                raise TransferError(Reason.REFUSED, "no")
        await fetch(self, references, record)

    monkeypatch.setattr(SyntheticSystem, "fetch", failing)
    made = scenario(repetitions=4, coldStart=False)
    loaded, _ = raced(made, tmp_path)
    starts = {
        (name, index): [r.peers[index].started for r in loaded.runs if r.run.entrant == name]
        for name in "ab"
        for index in range(3)
    }
    assert starts.pop(("a", 1)) == ["cold", "warm", "cold", "warm"]
    assert set(map(tuple, starts.values())) == {("cold", "warm", "warm", "warm")}


def test_in_a_cold_race_every_system_begins_cold(tmp_path, monkeypatch):
    monkeypatch.setattr(SyntheticSystem, "found_running", True)
    loaded, _ = raced(scenario(repetitions=2), tmp_path)
    assert {peer.started for peer in every_peer(loaded)} == {"cold"}


def test_programs_that_were_up_before_begin_warm(tmp_path, monkeypatch):
    monkeypatch.setattr(SyntheticSystem, "found_running", True)
    loaded, _ = raced(scenario(repetitions=2, coldStart=False), tmp_path)
    assert {peer.started for peer in every_peer(loaded)} == {"warm"}


def test_the_runners_traffic_while_others_race_is_recorded_without_an_interface(tmp_path):
    def made(peer):
        sent = iter(range(0, 10**6, 1000))
        peer.parts.control.append(lambda: (next(sent), 5))

    loaded, _ = raced(scenario(repetitions=2), tmp_path, made)
    for peer in every_peer(loaded):
        assert peer.waiting.wire_bytes is None
        assert peer.waiting.control_bytes == 1000


def test_content_that_was_not_verified_in_time_is_not_called_wrong(tmp_path, monkeypatch):
    digest = SyntheticSystem.digest

    async def slow(self):
        if (self.context.entrant, self.context.peer) == ("a", 1):
            await asyncio.Event().wait()
        return await digest(self)

    monkeypatch.setattr(SyntheticSystem, "digest", slow)
    loaded, _ = raced(scenario(repetitions=1, timeouts={"verifySeconds": 15}), tmp_path)
    slowed = next(r for r in loaded.runs if r.run.entrant == "a").peers[1]
    assert (slowed.failure.reason, slowed.failure.stage) == (Reason.TIMEOUT, "verify")
    assert slowed.transfer.verified is None
    others = [p for p in every_peer(loaded) if p.role == "leecher" and p is not slowed]
    assert {peer.transfer.verified for peer in others} == {True}


@pytest.mark.parametrize(("blind", "stage"), [(1, "publish"), (2, "settle")])
def test_an_empty_board_is_a_failure(tmp_path, monkeypatch, blind, stage):
    references = RendezvousClient.references

    async def none_for_one(self, run_id):
        found = await references(self, run_id)
        return [] if (self.entrant, self.peer) == ("a", blind) else found

    monkeypatch.setattr(RendezvousClient, "references", none_for_one)
    loaded, ends = raced(scenario(seeders=2, repetitions=1), tmp_path)
    assert ends == [None] * 6
    record = next(record for record in loaded.runs if record.run.entrant == "a")
    assert record.result.status == "not raced"
    assert f"peer {blind} failed in {stage}: internal" in record.result.failure.detail
    failure = record.peers[blind].failure
    assert (failure.reason, failure.stage) == (Reason.INTERNAL, stage)


def test_a_peer_that_is_lost_while_it_waits_leaves_no_thread_behind(tmp_path, monkeypatch):
    arrive = RendezvousClient.arrive
    watching = []

    async def lost(self, run_id, barrier, failure=None):
        if (self.entrant, self.peer, barrier) == ("a", 1, "raced"):
            watching.append("swarmrace-usage" in {t.name for t in threading.enumerate()})
            raise LostError("given up")
        return await arrive(self, run_id, barrier, failure)

    monkeypatch.setattr(RendezvousClient, "arrive", lost)
    _, ends = raced(scenario(repetitions=1), tmp_path)
    assert watching == [True]
    assert [type(end) for end in ends].count(LostError) == 1
    assert "swarmrace-usage" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("trouble", ["", "the tracker: out to lunch"])
def test_a_timeout_names_the_trouble_that_was_retried_until_then(tmp_path, monkeypatch, trouble):
    async def never(self, file, first):
        await asyncio.Event().wait()

    monkeypatch.setattr(SyntheticSystem, "publish", never)
    monkeypatch.setattr(SyntheticSystem, "trouble", trouble)
    loaded, _ = raced(scenario(repetitions=1, timeouts={"publishSeconds": 0.2}), tmp_path)
    for record in loaded.runs:
        failure = record.peers[0].failure
        assert (failure.reason, failure.stage) == (Reason.TIMEOUT, "publish")
        assert failure.detail == "not within 0.2 s" + (f"; {trouble}" if trouble else "")
