"""The page and its events beside the tracker's API: who may read them, and what comes with them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re

import pytest

from meeting import RACE_ID, UP_TO_RACED, ServedRace, info, result, scenario, served_race
from swarmrace.clock import SystemClock
from swarmrace.plan.schedule import schedule
from swarmrace.recording.records import Transfer
from swarmrace.rendezvous.client.client import RendezvousClient
from swarmrace.rendezvous.server import ServerConfig, listening
from watching import watching

PAGE = f"/{RACE_ID}/live/"


def run(story, folder, **options):
    async def main():
        async with served_race(folder, scenario(), **options) as at:
            await story(at)

    asyncio.run(main())


@contextlib.asynccontextmanager
async def tracker(folder, **options):
    """Serve a tracker; yield its base address and its `Listening`."""
    made = options.pop("made", None) or scenario()
    config = ServerConfig(made, RACE_ID, folder, host="127.0.0.1", **options)
    async with listening(config) as running:
        yield f"http://127.0.0.1:{running.port}", running


async def hello(base, **options):
    for peer in range(3):
        client = RendezvousClient(base, RACE_ID, "a", peer, SystemClock(), **options)
        await client.hello(info("a", peer))
        await client.aclose()


def test_the_page_is_one_file_that_loads_nothing(tmp_path):
    async def story(at: ServedRace):
        answer = await at.http.get(PAGE)
        assert answer.status_code == 200
        text = answer.text
        assert not re.search(r"(src|href)=[\"']?(https?:)?//", text)
        assert "import" not in re.sub(r"/\*.*?\*/", "", text)
        assert len(text) < 40_000
        assert RACE_ID not in text

    run(story, tmp_path)


def test_the_page_may_run_only_its_own_script_and_ask_only_its_server(tmp_path):
    async def story(at: ServedRace):
        answer = await at.http.get(PAGE)
        rules = dict(
            each.strip().split(" ", 1)
            for each in answer.headers["content-security-policy"].split(";")
        )
        assert rules["default-src"] == "'none'"
        assert rules["connect-src"] == "'self'"
        for tag, rule in (("script", "script-src"), ("style", "style-src")):
            (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            assert rules[rule] == f"'sha256-{digest}'"
        assert not re.search(r"\son\w+=|\sstyle=", answer.text.partition("<script>")[0])

    run(story, tmp_path)


@pytest.mark.parametrize(
    ("release_hash", "path"),
    [
        ("", "/live"),
        ("", f"/{RACE_ID}/live"),
        ("0a1b2c3d", "/0a1b2c3d/live"),
        ("0a1b2c3d", "/live"),
    ],
)
def test_short_addresses_lead_to_the_page(tmp_path, release_hash, path):
    async def story(at: ServedRace):
        answer = await at.http.get(path)
        assert answer.status_code == 307
        followed = await at.http.get(path, follow_redirects=True)
        assert followed.status_code == 200
        assert followed.url.path.endswith(PAGE)
        assert "<title>" in followed.text

    run(story, tmp_path, release_hash=release_hash)


def test_another_races_page_is_refused(tmp_path):
    async def story(at: ServedRace):
        for path in ("/fedcba3210/live/", "/fedcba3210/live/events"):
            assert (await at.http.get(path)).status_code == 409

    run(story, tmp_path)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed_there(tmp_path, method):
    async def story(at: ServedRace):
        for path in (PAGE, f"{PAGE}events", "/live"):
            answer = await at.http.request(method, path)
            assert answer.status_code in (405, 401)

    run(story, tmp_path, token="secret")


def test_reading_needs_no_token_and_shows_none(tmp_path):
    async def story():
        async with tracker(tmp_path, token="secret-of-the-race") as (base, _):
            await hello(base, token="secret-of-the-race")
            async with watching(base + PAGE + "events") as stream:
                assert stream.status == 200
                await stream.until(lambda it: it.of("now"), "the race")
                await stream.until(lambda it: len(it.of("now")) > 1, "more of it")
            text = str(stream.events) + str(stream.headers)
            assert "secret-of-the-race" not in text
            assert {"race", "runs", "last", "failures", "now", "curves"} == {
                each.kind for each in stream.events
            }

    asyncio.run(story())


def test_a_watcher_sees_the_race_go_on(tmp_path):
    async def story():
        async with (
            tracker(tmp_path) as (base, running),
            watching(base + PAGE + "events") as stream,
        ):
            await stream.until(lambda it: it.of("now"), "the race")
            assert stream.of("now")[-1]["reported"] == 0
            await hello(base)
            await stream.until(lambda it: it.of("now")[-1]["reported"] == 3, "three peers")
            peer = running.conductor.roster.contact("a", 1)
            running.conductor.heartbeat(peer, "000-a", "prepare", 0)
            await stream.until(lambda it: it.of("now")[-1]["run"]["at_stage"][1] == 2, "the stage")

    asyncio.run(story())


def test_a_tracker_that_ends_gives_its_last_words_first(tmp_path):
    async def story():
        async with tracker(tmp_path) as (base, running):
            await hello(base)
            stack = contextlib.AsyncExitStack()
            stream = await stack.enter_async_context(watching(base + PAGE + "events"))
            await stream.until(lambda it: it.of("now"), "the race")
            running.conductor.interrupt()
            for peer in range(3):
                known = running.conductor.roster.contact("a", peer)
                running.conductor.arrive(known, "000-a", "cleared", None)
            assert running.conductor.over
            reading = asyncio.ensure_future(stream.to_its_end())
            await asyncio.sleep(0)
        await reading
        assert stream.of("now")[-1]["over"]
        await stack.aclose()

    asyncio.run(story())


def test_a_tracker_that_was_started_again_shows_what_was_raced_before(tmp_path):
    """Its watcher returns with an id that counts for nothing there."""
    made = scenario(repetitions=2)
    first = schedule(made)[0]

    async def race(base, running):
        await hello(base)
        for barrier in (*UP_TO_RACED, "cleared"):
            if barrier == "cleared":
                for index in range(3):
                    client = RendezvousClient(base, RACE_ID, "a", index, SystemClock())
                    transfer = Transfer(
                        start_lag_seconds=0, start_error_seconds=0, done_seconds=1.5 + index
                    )
                    await client.put_result(result(first, index, transfer=transfer))
                    await client.aclose()
            for index in range(3):
                peer = running.conductor.roster.contact("a", index)
                running.conductor.arrive(peer, first.id, barrier, None)
        assert first.id in running.conductor.closed

    async def story():
        async with tracker(tmp_path, made=made) as (base, running):
            await race(base, running)
            async with watching(base + PAGE + "events") as stream:
                await stream.until(lambda it: it.of("now"), "the race")
                before = stream.of("runs")[-1]["rows"]
                last_id = stream.events[-1].id
        assert [row["median"] for row in before] == [3.0]
        async with (
            tracker(tmp_path, made=made) as (base, _),
            watching(base + PAGE + "events", **{"last-event-id": last_id}) as stream,
        ):
            await stream.until(
                lambda it: it.of("runs") and it.of("runs")[-1]["rows"][0]["median"], "the run"
            )
            assert stream.of("runs")[-1]["rows"][0] == before[0]
            assert stream.of("race")

    asyncio.run(story())
