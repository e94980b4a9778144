"""One address over all cells of a sweep, whichever tracker is up behind it."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import httpx
import pytest

from meeting import RACE_ID, scenario
from patience import PATIENCE_SECONDS
from swarmrace.errors import UnavailableError
from swarmrace.rendezvous.live.front import Front, FrontApp, front_on
from swarmrace.rendezvous.server import ServerConfig, listening
from watching import watching


@pytest.fixture
def front():
    made = Front()
    made.start()
    yield made
    made.close()


@contextlib.asynccontextmanager
async def tracker(folder, race_id=RACE_ID):
    """Serve a tracker on a unix socket too; yield the socket."""
    folder.mkdir(exist_ok=True)
    path = folder / "socket"
    config = ServerConfig(scenario(), race_id, folder / "data", host="127.0.0.1", uds=path)
    async with listening(config):
        yield path


def states(stream):
    return [each["state"] for each in stream.of("link")]


def test_the_page_is_served_on_loopback_only_unless_asked_otherwise(front):
    assert front.host == "127.0.0.1"
    assert not front.is_public
    answer = httpx.get(front.url, timeout=PATIENCE_SECONDS)
    assert answer.status_code == 200
    assert "content-security-policy" in answer.headers
    public = Front("0.0.0.0")
    assert public.is_public
    assert public.url.startswith("http://127.0.0.1:")
    public._bound.close()


def test_an_address_in_use_is_refused_with_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError, match="--watch-on: expected an address"):
            Front("127.0.0.1", port)


@pytest.mark.parametrize("name", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_a_foreign_name_that_leads_here_reads_nothing(front, name):
    for path in ("", "events"):
        answer = httpx.get(front.url + path, headers={"host": name}, timeout=PATIENCE_SECONDS)
        assert answer.status_code == 421
        assert "<title>" not in answer.text


@pytest.mark.parametrize("name", ["localhost:1", "127.0.0.1", "[::1]:80", "192.168.1.7:8090"])
def test_names_of_this_machine_are_answered(front, name):
    assert httpx.get(front.url, headers={"host": name}, timeout=PATIENCE_SECONDS).status_code == 200


def test_a_name_that_was_asked_for_is_answered():
    app = FrontApp("lab7.example")
    assert app._is_ours({"headers": [(b"host", b"LAB7.example:8090")]})
    assert not app._is_ours({"headers": [(b"host", b"lab8.example:8090")]})


def test_only_reading_is_possible(front):
    for path in ("", "events"):
        assert httpx.post(front.url + path, timeout=PATIENCE_SECONDS).status_code == 405
    assert httpx.get(f"{front.url}status", timeout=PATIENCE_SECONDS).status_code == 404


def test_it_follows_one_tracker_after_another_and_says_when_there_is_none(front, tmp_path):
    async def story():
        async with watching(f"{front.url}events") as stream:
            await stream.until(lambda it: states(it) == ["waiting"], "no race")
            for number, race_id in enumerate((RACE_ID, "fedcba3210")):
                async with tracker(tmp_path / str(number), race_id) as path:
                    front.follow(path, race_id)
                    await stream.until(
                        lambda it, wanted=race_id: (
                            it.of("race") and it.of("race")[-1]["id"] == wanted and it.of("now")
                        ),
                        "the race",
                    )
                    front.follow(None)
                    count = number + 2
                    await stream.until(lambda it, n=count: states(it) == ["waiting"] * n, "none")

    asyncio.run(story())


def test_a_tracker_that_dies_is_said_to_be_lost_and_comes_back(front, tmp_path):
    async def story():
        async with watching(f"{front.url}events") as stream:
            async with tracker(tmp_path) as path:
                front.follow(path, RACE_ID)
                await stream.until(lambda it: it.of("now"), "the race")
            await stream.until(lambda it: states(it)[-1] == "lost", "that it is lost")
            seen = len(stream.of("now"))
            async with tracker(tmp_path) as path:
                await stream.until(lambda it: len(it.of("now")) > seen + 1, "it again")

    asyncio.run(story())


def test_the_sweep_is_shown_to_those_who_come_later_too(front):
    async def story():
        front.put_sweep({"name": "s", "done": 1})
        async with watching(f"{front.url}events") as stream:
            await stream.until(lambda it: it.of("sweep") == [{"name": "s", "done": 1}], "it")
            front.put_sweep({"name": "s", "done": 2})
            await stream.until(lambda it: it.of("sweep")[-1]["done"] == 2, "the next")

    asyncio.run(story())


def test_its_end_is_said():
    async def story():
        made = Front()
        made.start()
        async with watching(f"{made.url}events") as stream:
            await stream.until(lambda it: states(it) == ["waiting"], "no race")
            closing = asyncio.ensure_future(asyncio.to_thread(made.close))
            await stream.to_its_end()
            assert states(stream)[-1] == "ended"
            await closing
        with pytest.raises(httpx.ConnectError):
            httpx.get(made.url, timeout=PATIENCE_SECONDS)

    asyncio.run(story())


def test_without_an_address_nothing_is_served():
    with front_on(None) as front:
        assert front is None
