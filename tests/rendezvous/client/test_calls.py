"""Calls to the rendezvous: patient while it is away, final when refused."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest

from meeting import RACE_ID, info
from serving import client
from swarmrace.clock import SystemClock
from swarmrace.errors import RendezvousError
from swarmrace.rendezvous.client.client import LostError, RendezvousClient


def scripted(*answers: httpx.Response | Exception) -> tuple[httpx.MockTransport, list[str]]:
    """Return a transport that gives one answer after another, and the requested paths."""
    asked: list[str] = []
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return found

    return httpx.MockTransport(answer), asked


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


def test_being_lost_is_final():
    transport, asked = scripted(httpx.Response(410, json={"error": "lost: killed"}))
    with pytest.raises(LostError, match="lost: killed"):
        asyncio.run(client(transport).heartbeat(None, "wait", 0))
    assert len(asked) == 1


def test_patience_ends(unused_url):
    url = unused_url
    with pytest.raises(RendezvousError, match=rf"{url}.*within 0.2 s"):
        asyncio.run(client(None, url, patience=0.2).hello(info("a", 0)))


def test_an_error_without_a_message_is_named():
    transport, _ = scripted(httpx.ReadTimeout(""))
    with pytest.raises(RendezvousError, match="found ReadTimeout; see whether"):
        asyncio.run(client(transport, patience=0.0).status())
    with pytest.raises(RendezvousError, match="found ReadTimeout; see whether"):
        asyncio.run(client(transport).preflight_download(5))


def test_the_first_answer_may_take_longer():
    """The tracker's pod may start minutes after the peers' pods."""
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
    """After it they grow: many peers may wait for the rendezvous to come back."""
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


def test_goodbye_to_a_rendezvous_that_is_gone_is_no_error(unused_url):
    async def story():
        gone = client(None, unused_url, patience=0.2)
        await gone.goodbye("ended")
        await gone.aclose()

    asyncio.run(story())


@pytest.fixture
def unused_url(address: str) -> str:
    """The URL of an address at which nothing else listens."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return f"http://{address}:{probe.getsockname()[1]}"
