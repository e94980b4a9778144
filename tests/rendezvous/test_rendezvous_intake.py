"""Results are stored once, complete and checked; nothing else is accepted."""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from meeting import RACE_ID, ServedRace, result, scenario, served_race
from swarmrace.atomic import TEMPORARY_PREFIX
from swarmrace.definitions import BARRIERS
from swarmrace.errors import RendezvousError
from swarmrace.recording.records import PeerResult, RaceInfo
from swarmrace.rendezvous import intake
from swarmrace.rendezvous.client.client import LostError
from swarmrace.rendezvous.messages import result_name
from swarmrace.rendezvous.roster import RefusedError

RUN = "000-a"


def npz(value: int) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, column=np.full(10, value))
    return buffer.getvalue()


def digest(data: bytes) -> dict[str, str]:
    return {
        "content-digest": f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"
    }


async def put(at: ServedRace, path: str, data: bytes, **headers: str):
    return await at.http.put(
        f"/{RACE_ID}/results/{path}", content=data, headers={**digest(data), **headers}
    )


def text(at: ServedRace, peer: int = 1, **changes) -> bytes:
    return result(at.runs[0], peer, **changes).model_dump_json().encode()


async def pass_all(clients, *barriers: str, run: str = RUN) -> None:
    for barrier in barriers:
        await asyncio.gather(*(client.arrive(run, barrier) for client in clients))


def left_over(folder: Path) -> list[Path]:
    return list(folder.rglob(TEMPORARY_PREFIX + "*"))


def test_a_race_is_marked_as_a_test_doubles_once_a_result_says_so(tmp_path):
    """On a cluster it isn't known earlier: the program runs in the peers' pods."""

    def head() -> RaceInfo:
        return RaceInfo.model_validate_json((tmp_path / "race.json").read_bytes())

    async def story():
        async with served_race(tmp_path, scenario()) as at:
            await at.clients()
            name = head().name
            assert head().test_doubles == []
            for peer in (1, 2):
                data = text(at, peer, system={"version": "1", "testDouble": True})
                assert (await put(at, f"{RUN}/a-{peer}.json", data)).status_code == 201
                assert head().test_doubles == ["a"]
                assert head().name == f"{name} (test double)"

    asyncio.run(story())


def test_a_result_is_on_disk_with_its_files_when_the_call_returns(tmp_path):
    async def story():
        async with served_race(tmp_path, scenario()) as at:
            clients = await at.clients()
            mine = result(at.runs[0], 1, notes=["mine"])
            files = {
                result_name("a", 1, "arrivals.npz"): npz(1),
                result_name("a", 1, "deliveries.npz"): npz(2),
            }
            await clients[1].put_result(mine, files)
            folder = tmp_path / "runs" / RUN
            assert PeerResult.model_validate_json((folder / "a-1.json").read_bytes()) == mine
            for name, data in files.items():
                assert (folder / name).read_bytes() == data
            assert sorted(p.name for p in folder.iterdir()) == sorted(["a-1.json", *files])

    asyncio.run(story())


def test_equal_content_is_always_accepted_and_other_content_only_while_the_run_is_open(tmp_path):
    async def story():
        async with served_race(tmp_path, scenario()) as at:
            clients = await at.clients()
            first, second = text(at), text(at, notes=["corrected"])
            assert (await put(at, f"{RUN}/a-1.json", first)).status_code == 201
            assert (await put(at, f"{RUN}/a-1.json", first)).status_code == 200
            assert (await put(at, f"{RUN}/a-1.json", second)).status_code == 201
            await pass_all(clients, *BARRIERS)
            assert (await put(at, f"{RUN}/a-1.json", second)).status_code == 200
            refused = await put(at, f"{RUN}/a-1.json", first)
            assert refused.status_code == 409
            assert "closed" in refused.json()["error"]
            assert (tmp_path / "runs" / RUN / "a-1.json").read_bytes() == second
            late = await put(at, f"{RUN}/a-2.json", text(at, 2))
            assert late.status_code == 201, "what is missing may come late"

    asyncio.run(story())


def test_a_peers_own_result_replaces_the_rendezvous_substitute(tmp_path):
    async def story():
        async with served_race(tmp_path, scenario(verifySeconds=0.1), margin_seconds=0.2) as at:
            clients = await at.clients()
            await pass_all(clients, *BARRIERS[:6])
            await pass_all(clients[:2], "cleared")
            path = tmp_path / "runs" / RUN / "a-2.json"
            assert PeerResult.model_validate_json(path.read_bytes()).outcome == "failed"
            await clients[2].put_result(result(at.runs[0], 2), {})
            assert PeerResult.model_validate_json(path.read_bytes()).outcome == "completed"

    asyncio.run(story())


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "sha-256=::",
        "sha-256=:AAAA:",
        "md5=:AAAA:",
        f"sha-256=:{base64.b64encode(bytes(32)).decode()}:",
    ],
)
def test_content_that_differs_from_its_digest_is_refused(tmp_path, header):
    async def story():
        async with served_race(tmp_path, scenario()) as at:
            await at.clients()
            headers = {} if header is None else {"content-digest": header}
            answer = await at.http.put(
                f"/{RACE_ID}/results/{RUN}/a-1.json", content=text(at), headers=headers
            )
            assert answer.status_code == 400
            assert "SHA-256" in answer.json()["error"] or "sha-256" in answer.json()["error"]
            assert not (tmp_path / "runs" / RUN / "a-1.json").exists()
            assert not left_over(tmp_path)

    asyncio.run(story())


@pytest.mark.parametrize(
    "path",
    [
        f"{RUN}/b-1.json",
        f"{RUN}/a-1.txt",
        f"{RUN}/a-01.json",
        f"{RUN}/a-9.json",
        f"{RUN}/run.json",
        f"{RUN}/.a-1.json",
        f"{RUN}/a-1.json%00",
        f"{RUN}/..%2f..%2frace.json",
        f"{RUN}/../../race.json",
        "..%2f000-a/a-1.json",
        "%2e%2e/a-1.json",
        "009-a/a-1.json",
    ],
)
def test_no_file_can_be_put_anywhere_else(tmp_path, path):
    async def story():
        async with served_race(tmp_path / "results", scenario()) as at:
            await at.clients()
            before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
            answer = await put(at, path, text(at))
            assert answer.status_code in (404, 405, 409)
            assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before

    asyncio.run(story())


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("a-1.json", {"race_id": "another"}),
        ("a-1.json", {"run_id": "001-a"}),
        ("a-1.json", {"peer": 2}),
        ("a-1.json", {"role": "seeder"}),
        ("a-1.json", {"entrant": "b"}),
    ],
)
def test_a_result_of_another_race_run_or_peer_is_refused(tmp_path, name, changes):
    async def story():
        async with served_race(tmp_path, scenario(repetitions=2)) as at:
            await at.clients()
            answer = await put(at, f"{RUN}/{name}", text(at, **changes))
            assert answer.status_code == 422
            assert not (tmp_path / "runs" / RUN / name).exists()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a-1.json", b""),
        ("a-1.json", b"{}"),
        ("a-1.json", b"\xff\xfe"),
        ("a-1.json", b"[" * 100_000),
        ("a-1.arrivals.npz", b"not a zip"),
        ("a-1.deliveries.npz", b""),
    ],
)
def test_content_of_another_type_than_its_name_says_is_refused(tmp_path, name, data):
    async def story():
        async with served_race(tmp_path, scenario()) as at:
            await at.clients()
            assert (await put(at, f"{RUN}/{name}", data)).status_code == 422
            assert not left_over(tmp_path)

    asyncio.run(story())


def test_an_oversized_file_is_refused_before_all_of_it_has_arrived(tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "MAX_JSON_BYTES", 100_000)
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 10_000
            yield bytes(10_000)

    async def story():
        async with served_race(tmp_path, scenario()) as at:
            await at.clients()
            answer = await at.http.put(
                f"/{RACE_ID}/results/{RUN}/a-1.json", content=body(), headers=digest(b"")
            )
            assert answer.status_code == 413
            assert sent < 200_000
            assert not left_over(tmp_path)

    asyncio.run(story())


def test_a_lost_peers_result_is_refused(tmp_path):
    async def story():
        async with served_race(tmp_path, scenario()) as at:
            clients = await at.clients()
            await clients[0].report_lost("a", 1, "killed")
            with pytest.raises(LostError, match="killed"):
                await clients[1].put_result(result(at.runs[0], 1), {})

    asyncio.run(story())


def test_the_same_file_from_two_connections_at_once(tmp_path):
    async def story():
        async with served_race(tmp_path, scenario()) as at:
            await at.clients()
            data = text(at)
            answers = await asyncio.gather(*(put(at, f"{RUN}/a-1.json", data) for _ in range(8)))
            assert sorted(a.status_code for a in answers) == [200] * 7 + [201]
            assert (tmp_path / "runs" / RUN / "a-1.json").read_bytes() == data
            assert not left_over(tmp_path)

    asyncio.run(story())


def test_the_listing_holds_every_finished_file_and_nothing_private(tmp_path):
    async def story():
        async with served_race(tmp_path, scenario()) as at:
            clients = await at.clients()
            data = npz(3)
            await clients[1].put_result(result(at.runs[0], 1), {"a-1.arrivals.npz": data})
            (tmp_path / "runs" / f"{TEMPORARY_PREFIX}x").write_bytes(b"unfinished")
            (tmp_path / "passwd").symlink_to("/etc/passwd")
            (tmp_path / "etc").symlink_to("/etc")
            listed = {file["path"]: file for file in await clients[0].files()}
            assert set(listed) == {
                "manifest.json",
                "race.json",
                f"runs/{RUN}/a-1.json",
                f"runs/{RUN}/a-1.arrivals.npz",
            }
            found = listed[f"runs/{RUN}/a-1.arrivals.npz"]
            assert found["size_bytes"] == len(data)
            assert found["sha256"] == hashlib.sha256(data).hexdigest()
            for path, file in listed.items():
                fetched = await clients[0].download(path)
                assert hashlib.sha256(fetched).hexdigest() == file["sha256"]

    asyncio.run(story())


@pytest.mark.parametrize(
    "path",
    [
        "state.json",
        "passwd",
        "etc/passwd",
        "../hidden",
        "runs/../../hidden",
        "%2e%2e/hidden",
        "/etc/passwd",
        "%2fetc/passwd",
        "runs",
        "",
        "race.json/",
        "x%00",
        "x" * 300,
    ],
)
def test_no_path_leads_out_of_the_results(tmp_path, path):
    async def story():
        (tmp_path / "hidden").write_text("treasure")
        folder = tmp_path / "results"
        async with served_race(folder, scenario()) as at:
            await at.clients()
            (folder / "passwd").symlink_to("/etc/passwd")
            (folder / "etc").symlink_to("/etc")
            answer = await at.http.get(f"/{RACE_ID}/files/{path}")
            assert answer.status_code in (404, 409)
            assert b"treasure" not in answer.content

    asyncio.run(story())


@pytest.mark.parametrize(
    "name", ["./race.json", "../hidden", "runs/../race.json", "runs//x", "/race.json", "\0", ""]
)
def test_a_path_has_one_spelling(tmp_path, name):
    folder = tmp_path / "results"
    (folder / "runs").mkdir(parents=True)
    for path in (folder / "race.json", folder / "runs" / "x", tmp_path / "hidden"):
        path.write_text("x")
    listing = intake.Listing(folder)
    assert listing.find("race.json").read_text() == "x"
    with pytest.raises(RefusedError):
        listing.find(name)


def test_a_refused_upload_is_an_error_for_the_client(tmp_path):
    async def story():
        async with served_race(tmp_path, scenario()) as at:
            clients = await at.clients()
            with pytest.raises(RendezvousError, match="422"):
                await clients[1].put_result(result(at.runs[0], 1, race_id="another"), {})

    asyncio.run(story())


def test_a_full_disk_is_reported_to_the_client(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    async def story():
        async with served_race(tmp_path, scenario()) as at:
            clients = await at.clients()
            hasty = at.client(patience_seconds=0.0)
            monkeypatch.setattr(intake.os, "fsync", full)
            with pytest.raises(RendezvousError, match=r"507: .*no space left; make room"):
                await hasty.put_result(result(at.runs[0], 0), {})
            monkeypatch.undo()
            await clients[0].put_result(result(at.runs[0], 0), {})
        assert not left_over(tmp_path)

    asyncio.run(story())
