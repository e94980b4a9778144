"""A peer's side: exact over virtual clocks, patient over real sockets, final when refused."""

from __future__ import annotations

import asyncio
import socket
import time

import httpx
import pytest

from meeting import RACE_ID, failure, house, info, scenario
from swarmrace.clock import Offset, SystemClock, VirtualClock
from swarmrace.definitions import BARRIERS
from swarmrace.errors import Reason, RendezvousError
from swarmrace.rendezvous import app
from swarmrace.rendezvous.client.client import LostError, RendezvousClient
from swarmrace.rendezvous.client.wire import CountingTransport
from swarmrace.rendezvous.server import ServerConfig, listening

RUN = "000-a"


def test_on_virtual_clocks_everybody_starts_at_the_same_instant_exactly(tmp_path):
    """Three peers' clocks lie hours apart; each gets the instant on its own."""

    async def story():
        clock = VirtualClock(5_000_000_000)
        async with house(tmp_path, scenario(), clock) as at:
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


def test_on_one_host_there_is_but_one_clock(tmp_path):
    async def story():
        async with house(tmp_path, scenario()) as at:
            assert await at.client().estimate_offset() == Offset(0, 0)
            other = at.client(clock=VirtualClock(0))
            assert (await other.estimate_offset()).offset_ns > 0

    asyncio.run(story())


def test_a_wait_outlasts_any_number_of_polls(tmp_path):
    async def story():
        async with house(tmp_path, scenario(), poll_seconds=0.01) as at:
            clients = await at.clients()
            waiting = [asyncio.ensure_future(c.arrive(RUN, "prepared")) for c in clients[:2]]
            peer = at.rendezvous.conductor.roster.known("a", 0)
            heard = set()
            while len(heard) < 4:
                heard.add(peer.heard)
                await asyncio.sleep(0.005)
            assert not any(task.done() for task in waiting)
            release = await clients[2].arrive(RUN, "prepared")
            assert [await task for task in waiting] == [release, release]

    asyncio.run(story())


def test_a_failure_travels_whole(tmp_path):
    async def story():
        async with house(tmp_path, scenario()) as at:
            clients = await at.clients()
            release = await clients[1].arrive(RUN, "prepared", failure("prepare", "no disk"))
            assert not release.go
            assert release.failure.reason is Reason.NOT_RUN
            assert release.failure.detail == "peer 1 failed in prepare: timeout: no disk"
            beat = await clients[0].heartbeat(RUN, "prepare", 0)
            assert beat.aborted == release.failure
            assert (await clients[0].heartbeat(None, "wait", 0)).aborted is None

    asyncio.run(story())


def test_interrupting_reaches_everybody(tmp_path):
    async def story():
        async with house(tmp_path, scenario(repetitions=2)) as at:
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
            assert all(peers["a", client.peer].gone for client in clients)

    asyncio.run(story())


def scripted(*answers: httpx.Response | Exception) -> tuple[httpx.MockTransport, list[str]]:
    """Return a transport that gives one answer after another, and what was asked."""
    asked: list[str] = []
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return found

    return httpx.MockTransport(answer), asked


def client(transport: httpx.AsyncBaseTransport | None, url="http://tracker", patience=5.0):
    return RendezvousClient(
        url, RACE_ID, "a", 0, SystemClock(), transport=transport, patience_seconds=patience
    )


def test_calls_are_repeated_through_errors_of_connection_and_server():
    transport, asked = scripted(
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("late"),
        httpx.RemoteProtocolError("cut"),
        httpx.Response(503, text="away"),
        httpx.Response(200, json={"over": True}),
    )
    assert asyncio.run(client(transport).status()) == {"over": True}
    assert asked == [f"/{RACE_ID}/status"] * 5


@pytest.mark.parametrize("status", [400, 401, 404, 409, 413, 422])
def test_a_refusal_is_final(status):
    transport, asked = scripted(httpx.Response(status, json={"error": "because"}))
    with pytest.raises(RendezvousError, match=f"{status}: because"):
        asyncio.run(client(transport).status())
    assert len(asked) == 1


def test_being_given_up_is_final():
    transport, asked = scripted(httpx.Response(410, json={"error": "lost: killed"}))
    with pytest.raises(LostError, match="lost: killed"):
        asyncio.run(client(transport).heartbeat(None, "wait", 0))
    assert len(asked) == 1


def test_patience_ends(unused_port):
    url = f"http://127.0.0.1:{unused_port}"
    with pytest.raises(RendezvousError, match=rf"{url}.*within 0.2 s"):
        asyncio.run(client(None, url, patience=0.2).hello(info("a", 0)))


def test_a_fault_without_words_is_named():
    transport, _ = scripted(httpx.ReadTimeout(""))
    with pytest.raises(RendezvousError, match="found ReadTimeout; see whether"):
        asyncio.run(client(transport, patience=0.0).status())
    with pytest.raises(RendezvousError, match="found ReadTimeout; see whether"):
        asyncio.run(client(transport).preflight_download(5))


def test_the_first_answer_may_take_longer():
    """Its pod may come minutes after its peers'."""
    away = httpx.ConnectError("refused")
    transport, asked = scripted(away, away, away, httpx.Response(200, json={}), away)
    peer = RendezvousClient(
        "http://tracker", RACE_ID, "a", 0, SystemClock(), transport=transport,
        patience_seconds=0.0, first_patience_seconds=60.0,
    )  # fmt: skip

    async def story():
        await peer.status()
        assert len(asked) == 4
        with pytest.raises(RendezvousError, match="within 0 s"):
            await peer.status()

    asyncio.run(story())


def test_pauses_are_short_until_the_first_answer(monkeypatch):
    """Then a rendezvous that many peers wait for may take its time to come back."""
    away, there = httpx.ConnectError("refused"), httpx.Response(200, json={})
    transport, _ = scripted(*[away] * 12, there, *[away] * 12, there)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("swarmrace.rendezvous.client.client.asyncio.sleep", sleep)

    async def story() -> None:
        peer = client(transport)
        await peer.status()
        await peer.status()

    asyncio.run(story())
    before, after = pauses[:12], pauses[12:]
    assert max(before) <= 0.4
    assert max(after) > 1


def test_goodbye_to_a_rendezvous_that_is_gone_is_no_error(unused_port):
    async def story():
        gone = client(None, f"http://127.0.0.1:{unused_port}", patience=0.2)
        await gone.goodbye("ended")
        await gone.aclose()

    asyncio.run(story())


def test_a_rendezvous_that_has_forgotten_a_peer_is_told_again(tmp_path):
    async def story():
        async with house(tmp_path, scenario()) as at:
            clients = await at.clients()
            at.rendezvous.conductor.roster.known("a", 1).info = None
            await clients[1].heartbeat(RUN, "prepare", 5)
            assert at.rendezvous.conductor.roster.known("a", 1).info == info("a", 1)

    asyncio.run(story())


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def on_sockets(tmp_path, story, **options):
    """Run `story` with a rendezvous that listens on TCP and on a unix socket."""

    async def main():
        config = ServerConfig(
            scenario(),
            RACE_ID,
            tmp_path / "results",
            host="127.0.0.1",
            uds=tmp_path / "s",
            **options,
        )
        async with listening(config) as running:
            await story(running, f"http://127.0.0.1:{running.port}")

    asyncio.run(main())


def test_tcp_and_unix_socket_reach_the_same_race(tmp_path):
    async def story(running, url):
        over_tcp, over_unix = client(None, url), client(None, f"unix:{tmp_path / 's'}")
        await over_tcp.hello(info("a", 0))
        status = await over_unix.status()
        assert [peer["stage"] for peer in status["peers"]] == ["wait", None, None]
        assert over_unix.control_bytes() == (0, 0), "a unix socket is no wire"
        await over_tcp.aclose()
        await over_unix.aclose()

    on_sockets(tmp_path, story)
    assert not (tmp_path / "s").exists()


def test_control_bytes_count_both_ways_and_outlive_their_connections(tmp_path):
    async def story(running, url):
        counted = client(None, url)
        assert counted.control_bytes() == (0, 0)
        await counted.status()
        before = counted.control_bytes()
        await counted.preflight_upload(500_000)
        sent, received = counted.control_bytes()
        # How many segments and acknowledgements there are is the kernel's affair.
        assert 500_000 < sent - before[0] < 750_000
        assert 0 < received - before[1] < 100_000
        await counted.preflight_download(300_000)
        sent_2, received_2 = counted.control_bytes()
        assert 300_000 < received_2 - received < 450_000
        assert sent_2 > sent
        await counted.aclose()
        assert counted.control_bytes() >= (sent_2, received_2)

    on_sockets(tmp_path, story)


class Trickle(httpx.AsyncByteStream):
    """Ten parts of 1000 bytes, one each 10 ms of a virtual clock."""

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
        async with house(tmp_path, scenario(), clock) as at:
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


def test_rates_over_a_socket_are_those_of_the_bytes_that_came(tmp_path):
    """The measured part lasts no longer than the call, and is all of it but the first chunk."""

    async def story(running, url):
        mover = client(None, url)
        for measure in (mover.preflight_upload, mover.preflight_download):
            began = time.monotonic()
            rate = await measure(20_000_000)
            assert rate >= 10_000_000 / (time.monotonic() - began)
        await mover.aclose()

    on_sockets(tmp_path, story)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", httpx.RemoteProtocolError),
        (None, httpx.ConnectError),
    ],
)
def test_what_breaks_on_a_counted_connection_is_an_error_of_httpx(answer, error):
    async def respond(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def story():
        server = await asyncio.start_server(respond, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        if answer is None:
            server.close()
            await server.wait_closed()
        async with httpx.AsyncClient(transport=CountingTransport(), trust_env=False) as http:
            with pytest.raises(error):
                await http.get(f"http://127.0.0.1:{port}/")
        server.close()

    asyncio.run(story())


def test_a_long_poll_whose_peer_has_died_is_no_contact(tmp_path, monkeypatch):
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
        assert known.polls == 1
        began = time.monotonic()
        writer.transport.abort()
        await until(lambda: known.polls == 0)
        assert time.monotonic() - began < 50, "not only when the poll would have ended"
        await peers[0].aclose()

    on_sockets(tmp_path, story, poll_seconds=100.0)


def test_ending_sends_those_who_wait_away_at_once(tmp_path):
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


def test_an_address_in_use_is_said_in_one_line(tmp_path):
    async def story(running, url):
        config = ServerConfig(
            scenario(), RACE_ID, tmp_path / "other", host="127.0.0.1", port=running.port
        )
        with pytest.raises(RendezvousError, match=f"127.0.0.1:{running.port}"):
            async with listening(config):
                pass

    on_sockets(tmp_path, story)


async def until(condition) -> None:
    """Return once `condition` holds; the test's own timeout ends a wait in vain."""
    while not condition():
        await asyncio.sleep(0.005)
