"""A peer's client: exact over virtual clocks, and over real sockets."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from meeting import RACE_ID, failure, info, scenario, served_race
from serving import client, on_sockets, until
from swarmrace.clock import Offset, VirtualClock
from swarmrace.definitions import BARRIERS
from swarmrace.errors import Reason, RendezvousError
from swarmrace.rendezvous import app
from swarmrace.rendezvous.client.client import RendezvousClient
from swarmrace.rendezvous.server import ServerConfig, listening

RUN = "000-a"


def test_on_virtual_clocks_all_peers_start_at_exactly_the_same_instant(tmp_path):
    """Three peers' clocks are hours apart; each gets the instant on its own clock."""

    async def story():
        clock = VirtualClock(5_000_000_000)
        async with served_race(tmp_path, scenario(), clock) as at:
            clocks = [VirtualClock(start) for start in (0, 3_600_000_000_000, 86_400_000_000_000)]
            clients = [at.client("a", k, clocks[k]) for k in range(3)]

            async def live(client: RendezvousClient, own: VirtualClock) -> int:
                offset = await client.estimate_offset()
                assert offset == Offset(5_000_000_000 - own.now_ns(), 0)
                await client.hello(info("a", client.peer))
                for barrier in BARRIERS[:5]:
                    release = await client.arrive(RUN, barrier)
                    assert release.go
                assert release.start_ns is not None
                start_ns = offset.to_ours(release.start_ns)
                await own.sleep_until(start_ns)
                return start_ns

            starts = await asyncio.gather(
                *(live(client, own) for client, own in zip(clients, clocks, strict=True))
            )
            lead_ns = 100_000_000 + 3 * 2_000_000
            assert starts == [lead_ns, 3_600_000_000_000 + lead_ns, 86_400_000_000_000 + lead_ns]
            assert [own.now_ns() for own in clocks] == starts

    asyncio.run(story())


def test_on_one_host_there_is_only_one_clock(tmp_path):
    async def story():
        async with served_race(tmp_path, scenario()) as at:
            client, asked = at.client(), []
            send = client._send_once

            async def count(method, path, *others):
                asked.append(path)
                return await send(method, path, *others)

            client._send_once = count
            assert await client.estimate_offset() == Offset(0, 0)
            assert asked == ["clock"], "one exchange shows it"
            other = at.client(clock=VirtualClock(0))
            assert (await other.estimate_offset()).offset_ns > 0

    asyncio.run(story())


def test_a_wait_outlasts_any_number_of_polls(tmp_path):
    async def story():
        async with served_race(tmp_path, scenario(), poll_seconds=0.01) as at:
            clients = await at.clients()
            waiting = [asyncio.ensure_future(c.arrive(RUN, "prepared")) for c in clients[:2]]
            peer = at.rendezvous.conductor.roster.known("a", 0)
            heard = set()
            while len(heard) < 4:
                heard.add(peer.last_heard)
                await asyncio.sleep(0.005)
            assert not any(task.done() for task in waiting)
            release = await clients[2].arrive(RUN, "prepared")
            assert [await task for task in waiting] == [release, release]

    asyncio.run(story())


def test_a_failure_arrives_complete(tmp_path):
    async def story():
        async with served_race(tmp_path, scenario()) as at:
            clients = await at.clients()
            release = await clients[1].arrive(RUN, "prepared", failure("prepare", "no disk"))
            assert not release.go
            assert release.failure.reason is Reason.NOT_RUN
            assert release.failure.detail == "peer 1 failed in prepare: timeout: no disk"
            beat = await clients[0].heartbeat(RUN, "prepare", 0)
            assert beat.aborted == release.failure
            assert (await clients[0].heartbeat(None, "wait", 0)).aborted is None

    asyncio.run(story())


def test_an_interruption_reaches_every_peer(tmp_path):
    async def story():
        async with served_race(tmp_path, scenario(repetitions=2)) as at:
            clients = await at.clients()
            waiting = [asyncio.ensure_future(c.arrive("001-a", "open")) for c in clients]
            await clients[0].heartbeat(RUN, "prepare", 0)
            await at.client().interrupt()
            for release in await asyncio.gather(*waiting):
                assert (release.go, release.over) == (False, True)
                assert release.failure.reason is Reason.INTERRUPTED
            assert (await clients[0].heartbeat(RUN, "prepare", 0)).over
            for client in clients:
                await client.goodbye()
            assert at.rendezvous.conductor.over
            peers = at.rendezvous.conductor.roster.peers
            assert all(peers["a", client.peer].has_left for client in clients)

    asyncio.run(story())


def test_a_peer_reports_again_to_a_rendezvous_that_has_forgotten_it(tmp_path):
    async def story():
        async with served_race(tmp_path, scenario()) as at:
            clients = await at.clients()
            at.rendezvous.conductor.roster.known("a", 1).info = None
            await clients[1].heartbeat(RUN, "prepare", 5)
            assert at.rendezvous.conductor.roster.known("a", 1).info == info("a", 1)

    asyncio.run(story())


def test_tcp_and_unix_socket_reach_the_same_race(tmp_path):
    async def story(running, url):
        over_tcp, over_unix = client(None, url), client(None, f"unix:{tmp_path / 's'}")
        await over_tcp.hello(info("a", 0))
        status = await over_unix.status()
        assert [peer["stage"] for peer in status["peers"]] == ["wait", None, None]
        assert over_unix.control_bytes() == (0, 0), "a unix socket has no wire"
        await over_tcp.aclose()
        await over_unix.aclose()

    on_sockets(tmp_path, story)
    assert not (tmp_path / "s").exists()


class Trickle(httpx.AsyncByteStream):
    """Ten parts of 1000 bytes, one every 10 ms of a virtual clock."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    async def __aiter__(self):
        for _ in range(10):
            await self._clock.sleep_until(self._clock.now_ns() + 10_000_000)
            yield bytes(1000)


@pytest.mark.parametrize("skip_bytes", [0, 1, 999, 4_500])
def test_an_upload_is_measured_where_it_arrives(tmp_path, skip_bytes):
    async def story():
        clock = VirtualClock(5)
        async with served_race(tmp_path, scenario(), clock) as at:
            answer = await at.http.post(
                f"/{RACE_ID}/preflight", content=Trickle(clock), params={"skip": skip_bytes}
            )
            assert answer.json() == {"bytes": 10_000, "bytes_per_second": 100_000}

    asyncio.run(story())


@pytest.mark.parametrize("skip_bytes", [0, 1, 999, 4_500])
def test_a_download_is_measured_where_it_arrives(skip_bytes):
    async def story():
        clock = VirtualClock(5)
        transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Trickle(clock)))
        mover = RendezvousClient("http://x", RACE_ID, "a", 0, clock, transport=transport)
        assert await mover.preflight_download(10_000, skip_bytes) == 100_000

    asyncio.run(story())


def test_rates_over_a_socket_are_those_of_the_received_bytes(tmp_path):
    """The measured part is the whole call without its first chunk."""

    async def story(running, url):
        mover = client(None, url)
        for measure in (mover.preflight_upload, mover.preflight_download):
            began = time.monotonic()
            rate = await measure(20_000_000)
            assert rate >= 10_000_000 / (time.monotonic() - began)
        await mover.aclose()

    on_sockets(tmp_path, story)


def test_a_long_poll_of_a_dead_peer_is_no_contact(tmp_path, monkeypatch):
    monkeypatch.setattr(app, "_UNWATCHED_SECONDS", 0.02)

    async def story(running, url):
        peers = [client(None, url)]
        await peers[0].hello(info("a", 0))
        known = running.conductor.roster.known("a", 0)
        _, writer = await asyncio.open_connection("127.0.0.1", running.port)
        body = b'{"run_id":"000-a","barrier":"open"}'
        head = f"POST /{RACE_ID}/peers/a/0/arrive HTTP/1.1\r\nhost: x\r\ncontent-length: "
        writer.write(head.encode() + b"%d\r\n\r\n" % len(body) + body)
        await until(lambda: known.polls == 1)
        await asyncio.sleep(0.1)
        assert known.polls == 1, "it goes on once disconnections are watched for"
        writer.transport.abort()
        await until(lambda: known.polls == 0)
        await peers[0].aclose()

    on_sockets(tmp_path, story, poll_seconds=100_000.0)  # so the poll itself doesn't end


def test_ending_answers_waiting_peers_at_once(tmp_path):
    async def story(running, url):
        peer = client(None, url, patience=0.3)
        await peer.hello(info("a", 0))
        waiting = asyncio.ensure_future(peer.arrive(RUN, "open"))
        await until(lambda: running.conductor.roster.known("a", 0).polls == 1)
        story.waiting, story.peer = waiting, peer

    async def main():
        config = ServerConfig(scenario(), RACE_ID, tmp_path, host="127.0.0.1", poll_seconds=600.0)
        async with listening(config) as running:
            await story(running, f"http://127.0.0.1:{running.port}")
        with pytest.raises(RendezvousError):
            await story.waiting
        await story.peer.aclose()

    asyncio.run(main())


def test_an_address_in_use_is_reported_in_one_line(tmp_path):
    async def story(running, url):
        config = ServerConfig(
            scenario(), RACE_ID, tmp_path / "other", host="127.0.0.1", port=running.port
        )
        with pytest.raises(RendezvousError, match=f"127.0.0.1:{running.port}"):
            async with listening(config):
                pass

    on_sockets(tmp_path, story)
