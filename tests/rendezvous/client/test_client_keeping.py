"""A rendezvous comes back with an empty folder; peers upload again what it lacks."""

from __future__ import annotations

import asyncio
import io

import httpx
import numpy as np
import pytest

from meeting import RACE_ID, Meeting, failure, info, result, scenario, served_race
from swarmrace.definitions import BARRIERS
from swarmrace.errors import Reason
from swarmrace.recording.records import Failure
from swarmrace.rendezvous.client.keeping import Keeper
from swarmrace.rendezvous.messages import Claim, Release
from swarmrace.rendezvous.roster import RefusedError
from swarmrace.verdict.compute import compute

UP_TO_READY = BARRIERS[:5]
LOST = Claim(status="aborted")
RACED = Claim(status="raced")


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, column=np.zeros(10))
    return buffer.getvalue()


class Moving(httpx.AsyncBaseTransport):
    """Leads to the rendezvous that answers now."""

    def __init__(self, to: httpx.AsyncBaseTransport) -> None:
        self.to = to

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.to.handle_async_request(request)


def test_a_rendezvous_with_an_empty_folder_gets_every_finished_run_again(tmp_path):
    made = scenario(repetitions=3)

    async def story():
        async with served_race(tmp_path / "first", made) as old:
            way = Moving(old.transport)
            clients = [
                old.client("a", peer, transport=way, keep_dir=tmp_path / f"kept-{peer}")
                for peer in range(3)
            ]
            for client in clients:
                await client.hello(info("a", client.peer))

            async def pass_all(run, *barriers):
                for barrier in barriers:
                    found = await asyncio.gather(
                        *(c.arrive(old.runs[run].id, barrier) for c in clients)
                    )
                return found

            async def hand_in(run):
                for client in clients:
                    files = {f"a-{client.peer}.arrivals.npz": npz()}
                    await client.put_result(result(old.runs[run], client.peer), files)

            await pass_all(0, *UP_TO_READY, "raced")
            await hand_in(0)
            await pass_all(0, "cleared")
            await pass_all(1, *UP_TO_READY)
            async with served_race(tmp_path / "second", made) as new:
                way.to = new.transport
                for release in await pass_all(1, "raced"):
                    assert not release.go
                    assert release.failure.reason is Reason.TRACKER_LOST
                await hand_in(1)
                await pass_all(1, "cleared")
                assert (await pass_all(2, *UP_TO_READY))[0].start_ns
                await pass_all(2, "raced")
                await hand_in(2)
                assert (await pass_all(2, "cleared"))[0].over
        for client in clients:
            client.forget()

    asyncio.run(story())
    from swarmrace.results import folder as results

    loaded = results.load(tmp_path / "second")
    assert loaded.faults == ()
    assert [run.result.status for run in loaded.runs] == ["raced", "aborted", "raced"]
    for run in loaded.runs:
        assert sorted(run.peers) == [0, 1, 2]
        folder = tmp_path / "second" / "runs" / run.run.id
        assert len(list(folder.glob("*.npz"))) == 3
    compute(loaded)
    assert list(tmp_path.glob("kept-*")) == []


def test_a_failed_run_does_not_become_a_missing_one(tmp_path):
    race = Meeting(tmp_path, scenario(repetitions=2))
    why = Failure(reason=Reason.NOT_RUN, stage="publish", detail="peer 0 failed in publish")
    for peer in range(3):
        claims = {"000-a": Claim(status="not raced", failure=why)}
        race.conductor.hello(info("a", peer), str(peer), claims)
    assert (race.written().status, race.written().failure) == ("not raced", why)
    assert race.conductor.flight.run == race.runs[1]


@pytest.mark.parametrize("claims", [[RACED, LOST, LOST], [LOST, LOST, RACED]])
def test_a_peer_that_saw_the_run_end_outweighs_one_that_did_not(tmp_path, claims):
    race = Meeting(tmp_path, scenario(repetitions=2))
    for peer, claim in enumerate(claims):
        race.conductor.hello(info("a", peer), str(peer), {"000-a": claim})
        if peer < 2:
            assert race.arrive(peer, "raced") is None, "not before all who know have come"
    assert race.written().status == "raced"


def test_claims_survive_another_restart_and_change_no_known_run(tmp_path):
    race = Meeting(tmp_path, scenario(repetitions=3))
    race.conductor.hello(info("a", 0), "0", {"000-a": RACED})
    race.store.write_info(peers=race.conductor.roster.infos())
    race.restart()
    race.conductor.hello(info("a", 1), "1", {"000-a": LOST})
    race.conductor.hello(info("a", 2), "2")
    assert race.written().status == "raced"
    race.conductor.hello(info("a", 2), "2", {"000-a": LOST, "001-a": LOST})
    assert race.conductor.is_open("001-a")
    assert race.written().status == "raced"


def test_claims_of_other_runs_are_refused(tmp_path):
    race = Meeting(tmp_path, scenario(entrants=("a", "b")))
    for run_id in ("001-b", "009-a"):
        with pytest.raises(RefusedError) as caught:
            race.conductor.hello(info("a", 0), "0", {run_id: RACED})
        assert caught.value.status == 404
    assert race.conductor.roster.known("a", 0).info is None


def test_a_malformed_claim_is_refused_and_results_are_listed_for_one_peer(tmp_path):
    async def story():
        async with served_race(tmp_path, scenario()) as at:
            body = info("a", 0).model_dump(mode="json")
            path = f"/{RACE_ID}/peers/a/0"
            for runs in (5, {"000-a": "raced"}, {"000-a": {"status": "won"}}):
                answer = await at.http.put(path, json={**body, "runs": runs})
                assert answer.status_code == 422, answer.text
            clients = await at.clients()
            await clients[0].put_result(result(at.runs[0], 0))
            assert (await at.http.get(path)).json() == {"results": ["000-a/a-0.json"]}
            assert (await at.http.get(f"/{RACE_ID}/peers/a/1")).json() == {"results": []}
            assert (await at.http.get(f"/{RACE_ID}/peers/a/7")).status_code == 404

    asyncio.run(story())


def test_kept_files_are_bounded_and_the_oldest_run_is_dropped_first(tmp_path):
    keeper = Keeper(tmp_path / "kept", max_bytes=250)
    for run in ("000-a", "001-a", "002-a"):
        keeper.keep(run, {"a-0.arrivals.npz": bytes(90)})
        keeper.keep(run, {"a-0.json": bytes(10)})
    there = ["001-a/a-0.json"]
    assert [name for name, _ in keeper.missing_files(there)] == [
        "001-a/a-0.arrivals.npz",
        "002-a/a-0.arrivals.npz",
        "002-a/a-0.json",
    ]
    assert [file.stat().st_size for _, file in keeper.missing_files(there)] == [90, 90, 10]
    assert not (tmp_path / "kept" / "000-a").exists()
    keeper.forget()
    assert not (tmp_path / "kept").exists()
    assert keeper.missing_files([]) == []


def test_a_full_disk_keeps_nothing_and_is_no_error(tmp_path):
    (tmp_path / "kept").write_text("in the way")
    keeper = Keeper(tmp_path / "kept")
    keeper.keep("000-a", {"a-0.json": b"{}"})
    assert keeper.missing_files([]) == []


def test_a_peer_claims_what_the_last_release_said():
    keeper = Keeper(None)
    why = failure("publish")
    lost = Failure(reason=Reason.TRACKER_LOST, stage="wait")
    keeper.keep("000-a", {"a-0.json": b"{}"})
    for run, releases, claim in [
        ("000-a", ["open"], Claim(status="aborted")),
        ("001-a", ["open", "prepared", "first", "published", "ready"], Claim(status="aborted")),
        ("002-a", ["open", "prepared", "first", "published", "ready", "raced"], RACED),
        ("003-a", [Release("open", False, why)], Claim(status="not raced", failure=why)),
        ("004-a", ["open", Release("first", False, why)], Claim(status="not raced", failure=why)),
        (
            "005-a",
            ["open", "ready", Release("raced", False, lost)],
            Claim(status="aborted", failure=lost),
        ),
    ]:
        for release in [*releases, "cleared"]:
            heard = Release(release, True) if isinstance(release, str) else release
            keeper.note_release(run, heard)
        assert keeper.claims[run] == claim, run
    assert keeper.missing_files([]) == []
