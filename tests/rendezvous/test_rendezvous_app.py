"""Which requests are answered and which are refused; no request ends the rendezvous."""

from __future__ import annotations

import asyncio
import json

import httpx
import libtorrent as lt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meeting import RACE_ID, ServedRace, info, scenario, served_race
from swarmrace.clock import VirtualClock
from swarmrace.errors import RendezvousError, WrongRaceError

STATE_CHANGING = [
    ("PUT", "peers/a/0"),
    ("POST", "peers/a/0/arrive"),
    ("POST", "peers/a/0/heartbeat"),
    ("POST", "peers/a/0/goodbye"),
    ("POST", "peers/a/0/lost"),
    ("POST", "peers/a/0/preflight-lease"),
    ("DELETE", "peers/a/0/preflight-lease"),
    ("PUT", "runs/000-a/references/0"),
    ("PUT", "runs/000-a/board/key"),
    ("PUT", "results/000-a/a-0.json"),
    ("POST", "interrupt"),
    ("POST", "preflight"),
]
READING = ["status", "clock", "files", "files/race.json", "runs/000-a/references", "preflight"]
ANNOUNCE = f"announce?info_hash={'x' * 20}&peer_id={'y' * 20}&port=1&left=0"


def run(story, folder, **options):
    """Run `story` with a served_race open."""

    async def main():
        async with served_race(folder, options.pop("made", None) or scenario(), **options) as at:
            await story(at)

    asyncio.run(main())


def test_a_token_is_required_only_by_requests_that_change_the_race(tmp_path):
    async def story(at: ServedRace):
        for method, path in STATE_CHANGING:
            for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "secret"}):
                answer = await at.http.request(method, f"/{RACE_ID}/{path}", headers=headers)
                assert answer.status_code == 401, (method, path)
            answer = await at.http.request(
                method, f"/{RACE_ID}/{path}", headers={"authorization": "Bearer secret"}
            )
            assert answer.status_code != 401, (method, path)
        for path in READING:
            assert (await at.http.get(f"/{RACE_ID}/{path}")).status_code == 200, path
        answer = lt.bdecode((await at.http.get(f"/{RACE_ID}/{ANNOUNCE}")).content)
        assert answer[b"complete"] == 1
        with pytest.raises(RendezvousError, match="token"):
            await at.client(token="wrong").hello(info("a", 0))
        with pytest.raises(RendezvousError, match="token"):
            await at.client().hello(info("a", 0))

    run(story, tmp_path, token="secret")


def test_the_right_token_lets_a_peer_in(tmp_path):
    async def story(at: ServedRace):
        await at.client(token="secret").hello(info("a", 0))

    run(story, tmp_path, token="secret")


@pytest.mark.parametrize(("method", "path"), [*STATE_CHANGING, ("GET", "status")])
def test_requests_for_another_race_get_409(tmp_path, method, path):
    async def story(at: ServedRace):
        answer = await at.http.request(method, f"/fedcba3210/{path}")
        assert answer.status_code == 409
        assert answer.json()["race_id"] == RACE_ID
        assert RACE_ID in answer.json()["error"]

    run(story, tmp_path)


def test_an_announce_to_another_race_gets_a_failure_reason(tmp_path):
    async def story(at: ServedRace):
        for path in (f"/fedcba3210/{ANNOUNCE}", "/fedcba3210/scrape", f"/{ANNOUNCE}", "/scrape"):
            answer = await at.http.get(path)
            assert answer.status_code == 200
            assert set(lt.bdecode(answer.content)) == {b"failure reason"}, path

    run(story, tmp_path)


def test_an_open_tracker_answers_plain_announces_too(tmp_path):
    async def story(at: ServedRace):
        assert lt.bdecode((await at.http.get(f"/{ANNOUNCE}")).content)[b"complete"] == 1
        same = lt.bdecode((await at.http.get(f"/{RACE_ID}/scrape")).content)
        assert same == lt.bdecode((await at.http.get("/scrape")).content)
        assert same[b"files"][b"x" * 20][b"complete"] == 1

    run(story, tmp_path, open_announce=True)


def test_the_client_of_another_race_ends_at_once(tmp_path):
    async def story(at: ServedRace):
        stranger = at.client(race_id="fedcba3210", patience_seconds=600)
        with pytest.raises(WrongRaceError, match=RACE_ID):
            await stranger.hello(info("a", 0))
        with pytest.raises(WrongRaceError):
            await stranger.status()

    run(story, tmp_path)


def test_root_and_health(tmp_path):
    async def story(at: ServedRace):
        assert (await at.http.get("/")).json()["race_id"] == RACE_ID
        assert (await at.http.get("/healthz")).status_code == 200

    run(story, tmp_path)


def test_status_has_what_a_display_needs(tmp_path):
    async def story(at: ServedRace):
        client = at.client("a", 1)
        status = await client.status()
        assert (status["run"], status["started"], status["over"]) == (None, False, False)
        assert [peer["stage"] for peer in status["peers"]] == [None] * 3
        clients = await at.clients()
        await clients[1].heartbeat("000-a", "prepare", 77)
        status = await client.status()
        assert status["started"]
        assert status["boot"] == 1
        assert status["run"] == {
            "id": "000-a",
            "index": 0,
            "total": 1,
            "entrant": "a",
            "trial": False,
            "barrier": "prepared",
            "failure": None,
        }
        assert status["peers"][1] == {
            "entrant": "a",
            "peer": 1,
            "stage": "prepare",
            "run_id": "000-a",
            "progress_bytes": 77,
            "size_bytes": 100_000,
            "lost": None,
            "gone": False,
        }
        await clients[0].report_lost("a", 2, "killed by signal 9")
        status = await client.status()
        assert status["peers"][2]["lost"] == "killed by signal 9"
        assert status["run"]["failure"]["detail"] == "peer 2 lost in wait: killed by signal 9"
        await asyncio.gather(
            clients[0].arrive("000-a", "cleared"), clients[1].arrive("000-a", "cleared")
        )
        status = await client.status()
        assert status["over"]
        assert [(run["run_id"], run["status"]) for run in status["closed"]] == [
            ("000-a", "not raced")
        ]

    run(story, tmp_path)


def test_unknown_paths_methods_runs_and_peers(tmp_path):
    async def story(at: ServedRace):
        await at.clients()
        for method, path, status in [
            ("GET", "nothing", 404),
            ("DELETE", "status", 405),
            ("POST", "announce", 404),
            ("GET", "peers/a/0/arrive", 404),
            ("POST", "peers/z/0/heartbeat", 404),
            ("POST", "peers/a/9/goodbye", 404),
            ("POST", "peers/a/x/arrive", 404),
            ("GET", "runs/009-a/references", 404),
            ("PUT", "runs/000-a/references/5", 404),
            ("PUT", f"runs/000-a/references/{HUGE}", 404),
            ("PUT", "runs/000-a/references/x", 404),
            ("PUT", f"peers/a/{HUGE}", 422),
            ("GET", f"peers/a/{HUGE}", 404),
            ("POST", f"peers/a/{HUGE}/arrive", 404),
            ("POST", f"peers/a/{HUGE}/heartbeat", 404),
            ("POST", f"peers/a/{HUGE}/lost", 404),
            ("GET", f"preflight?bytes={HUGE}", 422),
            ("PUT", f"results/000-a/a-{HUGE}.json", 404),
        ]:
            body = {"run_id": "000-a", "barrier": "open", "stage": "wait", "progress_bytes": 0}
            answer = await at.http.request(method, f"/{RACE_ID}/{path}", json=body)
            assert answer.status_code == status, (method, path, answer.text)
            assert answer.json()["error"]

    run(story, tmp_path)


HUGE = "9" * 4301
"""More digits than Python converts to an int."""

KEYS = ["run_id", "barrier", "failure", "stage", "progress_bytes", "reason", "detail"]
KEYS += ["entrant", "peer", "host", "address", "kind"]
BODIES = st.one_of(
    st.binary(max_size=60),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(KEYS),
                inner,
                max_size=6,
            )
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
)


def test_no_body_on_any_path_breaks_the_rendezvous(tmp_path):
    """One rendezvous gets all bodies; it must answer each, and still work at the end."""

    async def story(at: ServedRace):
        await at.clients()
        loop = asyncio.get_running_loop()

        @given(st.sampled_from(STATE_CHANGING), BODIES)
        def fuzz(where, body):
            method, path = where
            # After a loss or a goodbye every later body would get the same 410.
            if path in ("interrupt", "preflight") or path.endswith(("/lost", "/goodbye")):
                return
            call = at.http.request(method, f"/{RACE_ID}/{path}", content=body)
            answer = asyncio.run_coroutine_threadsafe(call, loop).result(300)
            assert answer.status_code < 500, (method, path, body, answer.text)

        @given(st.sampled_from(["lost", "goodbye"]), BODIES)
        def fuzz_farewells(what, body):
            peer = at.rendezvous.conductor.roster.known("a", 1)
            peer.lost, peer.has_left = None, False
            call = at.http.post(f"/{RACE_ID}/peers/a/1/{what}", content=body)
            answer = asyncio.run_coroutine_threadsafe(call, loop).result(300)
            assert answer.status_code in (200, 422), (what, body, answer.text)

        await asyncio.to_thread(fuzz)
        status = (await at.http.get(f"/{RACE_ID}/status")).json()
        assert status["run"]["id"] == "000-a"
        assert not any(peer["lost"] or peer["gone"] for peer in status["peers"])
        await asyncio.to_thread(fuzz_farewells)

    run(story, tmp_path, poll_seconds=0.005)


def test_a_body_too_large_is_refused(tmp_path):
    async def story(at: ServedRace):
        await at.clients()
        for method, path, size in [
            ("POST", "peers/a/0/arrive", 200_000),
            ("PUT", "runs/000-a/board/key", 9_000_000),
        ]:

            async def body(size=size):
                for _ in range(size // 10_000):
                    yield b" " * 10_000

            answer = await at.http.request(method, f"/{RACE_ID}/{path}", content=body())
            assert answer.status_code == 413, path

    run(story, tmp_path)


def test_a_defect_is_answered_and_the_next_request_too(tmp_path, monkeypatch, caplog):
    async def story(at: ServedRace):
        await at.clients()
        conductor = at.rendezvous.conductor
        monkeypatch.setattr(conductor, "heartbeat", lambda *_: 1 / 0)
        body = {"run_id": None, "stage": "wait", "progress_bytes": 0}
        answer = await at.http.post(f"/{RACE_ID}/peers/a/0/heartbeat", json=body)
        assert answer.status_code == 500
        assert "ZeroDivisionError" in answer.json()["error"]
        assert "ZeroDivisionError" in caplog.text
        monkeypatch.undo()
        answer = await at.http.post(f"/{RACE_ID}/peers/a/0/heartbeat", json=body)
        assert answer.status_code == 200

    run(story, tmp_path)


def test_the_clock_is_the_injected_one_and_has_an_identity_only_if_real(tmp_path):
    async def story(at: ServedRace):
        answer = (await at.http.get(f"/{RACE_ID}/clock")).json()
        assert answer == {"now_ns": 123_456_789, "identity": None}

    run(story, tmp_path, clock=VirtualClock(123_456_789))


def test_the_preflight_transfers_the_requested_bytes(tmp_path):
    async def story(at: ServedRace):
        answer = await at.http.get(f"/{RACE_ID}/preflight?bytes=100001")
        assert len(answer.content) == 100_001
        answer = await at.http.post(f"/{RACE_ID}/preflight?skip=10", content=bytes(54_321))
        assert answer.json()["bytes"] == 54_321
        for wrong in ("-1", "x", "9" * 30):
            answer = await at.http.get(f"/{RACE_ID}/preflight?bytes={wrong}")
            assert answer.status_code == 422

    run(story, tmp_path)


def test_preflight_leases_are_few_and_passed_on(tmp_path):
    async def story(at: ServedRace):
        ask = [f"/{RACE_ID}/peers/a/{peer}/preflight-lease" for peer in range(3)]
        assert (await at.http.post(ask[0])).json() == {"granted": True}
        assert (await at.http.post(ask[0])).json() == {"granted": True}
        assert (await at.http.post(ask[1])).json() == {"granted": True}
        assert (await at.http.post(ask[2])).json() == {"granted": False}
        waiting = asyncio.ensure_future(at.http.post(ask[2]))
        await asyncio.sleep(0)
        assert (await at.http.delete(ask[0])).status_code == 200
        assert (await waiting).json() == {"granted": True}
        active, max_active = 0, 0

        async def measure(peer: int) -> None:
            nonlocal active, max_active
            async with at.client("a", peer).preflight_lease():
                active += 1
                max_active = max(max_active, active)
                while max_active < 2:
                    await asyncio.sleep(0)
                for _ in range(100):  # turns in which a third one would come in
                    await asyncio.sleep(0)
                active -= 1

        await at.http.delete(ask[1])
        await at.http.delete(ask[2])
        await asyncio.gather(*(measure(peer) for peer in range(3)))
        assert max_active == 2

    run(story, tmp_path)


def test_lost_peers_get_410_and_strangers_428(tmp_path):
    async def story(at: ServedRace):
        body = {"run_id": "000-a", "barrier": "open"}
        path = f"/{RACE_ID}/peers/a/0/arrive"
        assert (await at.http.post(path, json=body)).status_code == 428
        await at.clients()
        await at.http.post(f"/{RACE_ID}/peers/a/0/lost", json={"detail": "killed"})
        answer: httpx.Response = await at.http.post(path, json=body)
        assert answer.status_code == 410
        assert "killed" in answer.json()["error"]

    run(story, tmp_path)
