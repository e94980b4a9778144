"""Many watchers, one of them slow, stuck or gone: nobody waits for it and nothing piles up."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from patience import PATIENCE_SECONDS
from swarmrace.rendezvous.http_server import Server
from swarmrace.rendezvous.live.feed import Feed
from swarmrace.rendezvous.server import bind
from watching import parse, watching

LARGE = "x" * 200_000


class Browser:
    """A watcher over ASGI, which takes data when the test lets it."""

    def __init__(self, feed: Feed, last_event_id: str = "", slow: bool = False) -> None:
        self.takes, self.left = asyncio.Event(), asyncio.Event()
        self.status, self.text, self.sent = 0, "", 0
        if not slow:
            self.takes.set()
        headers = [(b"last-event-id", last_event_id.encode())] if last_event_id else []
        scope = {"type": "http", "headers": headers}
        self.task = asyncio.ensure_future(feed.stream(scope, self.receive, self.send))

    async def receive(self):
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        self.sent += 1
        if self.sent > 1:  # the head of the stream always has room
            await self.takes.wait()
        self.text += message.get("body", b"").decode()

    @property
    def events(self):
        return parse(self.text)

    def of(self, kind):
        return [each.data for each in self.events if each.kind == kind]


async def settled():
    for _ in range(20):
        await asyncio.sleep(0)


def run(story):
    asyncio.run(asyncio.wait_for(story(), PATIENCE_SECONDS))


def test_a_newcomer_gets_the_newest_of_every_kind_in_the_order_it_came():
    async def story():
        feed = Feed()
        feed.put("runs", 1)
        feed.put("now", 1)
        feed.put("runs", 2)
        browser = Browser(feed)
        await settled()
        assert [(each.kind, each.data) for each in browser.events] == [("now", 1), ("runs", 2)]
        feed.stop()
        await browser.task

    run(story)


def test_the_same_again_is_no_event():
    async def story():
        feed = Feed()
        browser = Browser(feed)
        for number in (1, 1, 2):
            feed.put("now", number)
            await settled()
        assert browser.of("now") == [1, 2]
        feed.stop()
        await browser.task

    run(story)


def test_a_slow_watcher_skips_to_the_newest_while_others_get_all():
    async def story():
        feed = Feed()
        slow, quick = Browser(feed, slow=True), Browser(feed)
        await settled()
        feed.put("now", 0)
        await settled()  # this one is under way to the slow one
        for number in range(1, 100):
            feed.put("now", number)
            await settled()
        assert quick.of("now") == list(range(100))
        assert slow.of("now") == []
        slow.takes.set()
        await settled()
        assert slow.of("now") == [0, 99]
        feed.stop()
        await asyncio.gather(slow.task, quick.task)

    run(story)


def test_a_stuck_watcher_is_cut_off_and_counted():
    async def story():
        feed = Feed(stuck_seconds=0.05)
        stuck = Browser(feed, slow=True)
        feed.put("now", 1)
        await stuck.task
        assert (feed.watchers, feed.cut_off) == (0, 1)

    run(story)


def test_a_watcher_that_leaves_is_forgotten():
    async def story():
        feed = Feed()
        browser = Browser(feed)
        await settled()
        assert feed.watchers == 1
        browser.left.set()
        await browser.task
        assert (feed.watchers, feed.cut_off) == (0, 0)

    run(story)


def test_who_returns_gets_only_what_it_has_not_seen():
    async def story():
        feed = Feed()
        feed.put("runs", "old")
        feed.put("now", 1)
        seen = feed.event_id
        feed.put("now", 2)
        browser = Browser(feed, last_event_id=seen)
        await settled()
        assert [(each.kind, each.data) for each in browser.events] == [("now", 2)]
        assert browser.events[-1].id == feed.event_id
        feed.stop()
        await browser.task

    run(story)


@pytest.mark.parametrize("last", ["another-1", "", "-", "x", "abcd1234-99999999999999999999999"])
def test_an_id_of_another_feed_counts_for_nothing(last):
    async def story():
        feed = Feed()
        feed.put("now", 1)
        browser = Browser(feed, last_event_id=last)
        await settled()
        assert browser.of("now") == [1]
        feed.stop()
        await browser.task

    run(story)


def test_ids_of_two_feeds_differ():
    async def story():
        feeds = Feed(), Feed()
        for feed in feeds:
            feed.put("now", 1)
        assert feeds[0].event_id != feeds[1].event_id

    run(story)


def test_one_too_many_is_refused_and_let_in_later():
    async def story():
        feed = Feed(max_watchers=1)
        first = Browser(feed)
        await settled()
        second = Browser(feed)
        await second.task
        assert second.status == 503
        first.left.set()
        await first.task
        third = Browser(feed)
        await settled()
        assert third.status == 200
        feed.stop()
        await third.task

    run(story)


def test_a_feed_that_is_stopped_gives_its_last_words():
    async def story():
        feed = Feed()
        browser = Browser(feed)
        await settled()
        feed.put("now", "over")
        feed.stop()
        await browser.task
        assert browser.of("now") == ["over"]
        late = Browser(feed)
        await late.task
        assert late.status == 503

    run(story)


@contextlib.asynccontextmanager
async def served(feed: Feed):
    """Serve a feed by the rendezvous' own server; yield the port."""

    async def app(scope, receive, send):
        await feed.stream(scope, receive, send)

    bound = bind("127.0.0.1", 0)
    server = Server(app, sockets=[bound])
    task = asyncio.ensure_future(server.run_until_stopped())
    await server.started_or_failed(task)
    try:
        yield bound.getsockname()[1]
    finally:
        feed.stop()
        server.stop()
        await task
        bound.close()


def test_a_socket_that_is_never_read_is_closed_and_holds_little():
    async def story():
        feed = Feed(stuck_seconds=5)  # longer than the machine keeps the other one waiting
        async with served(feed) as port:
            stuck = socket.create_connection(("127.0.0.1", port))
            stuck.setblocking(False)
            stuck.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            async with watching(f"http://127.0.0.1:{port}/") as quick:
                await quick.until(lambda _: feed.watchers == 2, "both")
                number = 0
                while feed.watchers == 2:  # megabytes for who reads
                    number += 1
                    feed.put("now", [number, LARGE])
                    await quick.until(
                        lambda it, n=number: it.of("now")[-1:][0:1] == [[n, LARGE]], "it"
                    )
                assert feed.cut_off == 1
                assert quick.of("now") == [[each, LARGE] for each in range(1, number + 1)]
            took = b""
            with contextlib.suppress(ConnectionResetError):
                while chunk := stuck.recv(1_000_000):
                    took += chunk
            assert len(took) < 20 * len(LARGE)
            stuck.close()

    run(story)


def test_a_connection_that_breaks_is_forgotten():
    async def story():
        feed = Feed()
        async with served(feed) as port:
            async with watching(f"http://127.0.0.1:{port}/") as stream:
                feed.put("now", 1)
                await stream.until(lambda it: it.of("now"), "an event")
                assert feed.watchers == 1
            while feed.watchers:
                await asyncio.sleep(0.01)
            assert feed.cut_off == 0

    run(story)
