from __future__ import annotations

import asyncio
import base64
import resource
import subprocess
import sys
from contextlib import asynccontextmanager
from urllib.parse import quote

import pytest

from bittorrent_swarms import BLOCK, Peers, check_record, peers
from loopback import new_address
from paths import ROOT
from patience import PATIENCE_SECONDS, until
from swarmrace.errors import Reason, TransferError
from swarmrace.peer import transfer
from swarmrace.scenario.scenario import Timeouts
from swarmrace.systems.bittorrent.block_recorder import BlockRecorder
from swarmrace.systems.bittorrent.piece_recorder import PieceRecorder

SUPPORT = ROOT / "tests" / "support"
PATHS = f"""import asyncio, os, pathlib, sys, tempfile
sys.path[:0] = [{str(SUPPORT)!r}]"""


@pytest.mark.parametrize(
    ("references", "words"),
    [
        ([], "found none"),
        ([{"cid": "zDv"}], "magnet"),
        ([{"magnet": "no link"}], "magnet"),
        ([{"torrent": base64.b64encode(b"d1:ae").decode()}], "torrent"),
        ([{"torrent": "!"}], "torrent"),
        ([{"magnet": "magnet:?", "infoHash": "a"}, {"magnet": "m", "infoHash": "b"}], "a, b"),
    ],
)
def test_invalid_references_are_refused(tmp_path, references, words):
    async def go():
        async with peers(tmp_path, seeders=0) as swarm:
            await swarm.prepare()
            with pytest.raises(TransferError) as caught:
                await swarm.fetch(references)
            return caught.value

    error = asyncio.run(go())
    assert error.reason is Reason.REFUSED
    assert words in error.detail


def test_a_torrent_of_another_size_is_refused(tmp_path):
    async def go():
        async with peers(tmp_path) as swarm:
            run = await swarm.prepare()
            references = await swarm.publish()
            record = swarm.record()
            record.size_bytes = run.size_bytes + 1
            with pytest.raises(TransferError) as caught:
                await swarm.leechers[0].fetch(references, record)
            return caught.value

    assert asyncio.run(go()).reason is Reason.REFUSED


@pytest.mark.parametrize("made", ["empty", "missing", "folder"])
def test_anything_but_a_file_with_bytes_is_refused(tmp_path, made):
    path = tmp_path / "given"
    if made == "empty":
        path.touch()
    elif made == "folder":
        path.mkdir()

    async def go():
        async with peers(tmp_path, leechers=0) as swarm:
            await swarm.prepare()
            with pytest.raises(TransferError) as caught:
                await swarm.seeders[0].publish(path, None)
            return caught.value

    error = asyncio.run(go())
    assert error.reason is Reason.REFUSED
    assert "given" in error.detail


async def refusing(body):
    """Yield a tracker that always answers with `body`, and its announce URL."""

    async def refuse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, new_address(), 0)
    return server, "http://{}:{}/announce".format(*server.sockets[0].getsockname())


def test_a_tracker_that_refuses_ends_the_publish(tmp_path):
    async def go():
        server, url = await refusing(b"d14:failure reason12:not welcome!e")
        swarm = Peers(tmp_path, url, leechers=0)
        try:
            await swarm.prepare()
            with pytest.raises(TransferError) as caught:
                await swarm.publish()
            return caught.value
        finally:
            server.close()
            await swarm.seeders[0].close()

    error = asyncio.run(go())
    assert error.reason is Reason.REFUSED
    assert "not welcome!" in error.detail


def test_a_refusal_that_is_not_utf_8_is_reported_by_its_number(tmp_path):
    async def go():
        server, url = await refusing(b"d14:failure reason4:\xff\xfe\xfd\xfce")
        async with peers(tmp_path) as swarm:
            await swarm.prepare()
            (reference,) = await swarm.publish()
            magnet = reference["magnet"].split("&tr=")[0] + "&tr=" + quote(url, safe="")
            record = swarm.record()
            leecher = swarm.leechers[0]
            fetch = asyncio.ensure_future(leecher.fetch([{**reference, "magnet": magnet}], record))
            while not record.notes and not fetch.done():
                await asyncio.sleep(0.01)
            await leecher.refresh()
            fetch.cancel()
            await asyncio.wait([fetch])
        swarm = Peers(tmp_path / "seeder", url, leechers=0)
        try:
            await swarm.prepare()
            with pytest.raises(TransferError, match="the tracker refused: error 173"):
                await swarm.publish()
        finally:
            await swarm.seeders[0].close()
            server.close()
        return record

    assert asyncio.run(go()).notes == ["tracker: error 173"]


@pytest.mark.parametrize("where", ["_on_piece", "record_alerts"])
@pytest.mark.parametrize("recorder", [BlockRecorder, PieceRecorder])
def test_a_defect_of_the_recorder_ends_the_fetch_as_a_defect(
    tmp_path, monkeypatch, recorder, where
):
    """It isn't reported as a timeout of the entrant."""

    def broken(*_):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(recorder, where, broken)
    writes = recorder is BlockRecorder

    async def go():
        async with peers(tmp_path, size_bytes=40 * BLOCK, record_writes=writes) as swarm:
            await swarm.prepare()
            references, record = await swarm.publish(), swarm.record()
            now_ns = record.clock.now_ns()
            _, failure = await transfer.race(
                swarm.leechers[0], references, record, Timeouts(), now_ns, lambda: None
            )
            await swarm.leechers[0].refresh()
            return failure, record

    failure, record = asyncio.run(go())
    assert failure.reason is Reason.INTERNAL
    assert "ZeroDivisionError" in failure.detail
    assert record.done_ns is None


def test_dropped_alerts_are_noted_for_the_run_that_lost_them(tmp_path):
    async def go():
        async with peers(tmp_path, size_bytes=40 * BLOCK, cold_start=False) as swarm:
            await swarm.prepare()
            swarm.leechers[0]._session.alerts_dropped = True  # before the transfer
            (record,) = await swarm.fetch(await swarm.publish())
            return record

    record = asyncio.run(go())
    check_record(record)
    assert record.notes == []


def test_a_lost_tracker_is_noted_and_the_fetch_goes_on(tmp_path):
    async def go():
        async with peers(tmp_path) as swarm:
            await swarm.prepare()
            (reference,) = await swarm.publish()
            other = {**reference, "magnet": reference["magnet"].replace("127.", "127.9")}
            other["magnet"] = (
                reference["magnet"].split("&tr=")[0] + "&tr=http://127.0.0.1:1/announce"
            )
            record = swarm.record()
            fetch = asyncio.ensure_future(swarm.leechers[0].fetch([other], record))
            while not record.notes and not fetch.done():
                await asyncio.sleep(0.01)
            assert not fetch.done()
            fetch.cancel()
            await asyncio.wait([fetch])
            return record

    record = asyncio.run(go())
    assert record.notes[0].startswith("tracker: ")
    assert record.retries >= 1
    assert record.done_ns is None


def test_a_full_file_system_is_a_full_disk(tmp_path):
    """A real file system of 1 MiB, in a separate mount namespace."""
    apart = ["unshare", "--user", "--map-root-user", "--mount"]
    full = tmp_path / "full"
    full.mkdir()
    mount = f"mount -t tmpfs -o size=1m none {full}"
    if subprocess.run([*apart, "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip(
            "no mount namespace here: allow unprivileged user namespaces "
            "(sysctl kernel.unprivileged_userns_clone=1) or run as root outside a container"
        )
    program = f"""
{PATHS}
from bittorrent_swarms import peers
from swarmrace.errors import TransferError
async def go():
    async with peers(pathlib.Path({str(tmp_path)!r}), size_bytes=4_000_000) as swarm:
        leecher = swarm.leechers[0]
        object.__setattr__(leecher.context, "work_dir", pathlib.Path({str(full)!r}))
        await swarm.prepare()
        references = await swarm.publish()
        try:
            await swarm.fetch(references)
        except TransferError as error:
            print(error.reason)
        await leecher.remove()
        print(list(leecher.context.work_dir.rglob("*")))
asyncio.run(go())
"""
    (tmp_path / "program.py").write_text(program)
    script = f"{mount} && exec {sys.executable} {tmp_path}/program.py"
    done = subprocess.run([*apart, "sh", "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["disk full", "[]"], done.stderr


def test_a_file_size_limit_is_a_full_disk(tmp_path):
    async def go():
        async with peers(tmp_path, size_bytes=4_000_000) as swarm:
            await swarm.prepare()
            references = await swarm.publish()
            before = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
            try:
                with pytest.raises(TransferError) as caught:
                    await swarm.fetch(references)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
            return caught.value

    assert asyncio.run(go()).reason is Reason.DISK_FULL


def test_wrong_bytes_from_one_seeder_do_not_count_as_arrivals(tmp_path):
    """One of two seeders turns bad after its check; what it sends must come again to count."""

    async def go():
        options = {"piece_size": 4 * BLOCK, "size_bytes": 64 * BLOCK}
        async with peers(tmp_path, seeders=2, **options) as swarm:
            run = await swarm.prepare()
            references = await swarm.publish()
            with (swarm.folder / run.id / "file 0.iso").open("r+b") as file:
                for piece in range(16):
                    file.seek(piece * 4 * BLOCK)
                    file.write(b"wrong")
            leecher, good = swarm.leechers[0], swarm.seeders[1]
            good._handle.set_upload_limit(1000)  # otherwise it may serve everything first
            fetch = asyncio.ensure_future(swarm.fetch(references))
            while not leecher.counters().extra["pieces_failed"]:
                await leecher.refresh()
            good._handle.set_upload_limit(-1)
            (record,) = await fetch
            counters = leecher.counters()
            return record, counters, swarm.sha256, await swarm.leechers[0].digest()

    record, counters, sha256, digest = asyncio.run(go())
    check_record(record)
    assert digest.sha256 == sha256
    notes = [note for note in record.notes if "failed its hash" in note]
    assert len(notes) == 1
    assert notes[0].startswith(f"{counters.extra['pieces_failed']} times ")
    assert counters.extra["pieces_failed"]


async def _published(swarm, trouble="nothing like it"):
    """Publish; return the error, and the system's trouble. With the trouble that it has while it
    tries again, return as soon as it has that, and None as the error."""
    await swarm.prepare()
    seeder = swarm.seeders[0]
    publishing = asyncio.ensure_future(seeder.publish(swarm.write(), None))
    await until(lambda: publishing.done() or trouble in seeder.trouble)
    if not publishing.done():
        publishing.cancel()
    await asyncio.wait([publishing])
    return None if publishing.cancelled() else publishing.exception(), seeder.trouble


@asynccontextmanager
async def answering(status):
    """Yield the URL of a server that answers everything with one HTTP status, and how often it
    was asked."""
    asked = []

    async def serve(reader, writer):
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 %d Some\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
        await writer.drain()
        writer.close()

    address = new_address()
    async with await asyncio.start_server(serve, address, 0) as server:
        yield f"http://{address}:{server.sockets[0].getsockname()[1]}/announce", asked


def test_an_announce_that_libtorrent_blocks_fails_at_once(tmp_path):
    async def go():
        async with peers(tmp_path, leechers=0, settings={"ssrf_mitigation": True}) as swarm:
            return await _published(swarm)

    error, _ = asyncio.run(go())
    assert isinstance(error, TransferError)
    assert error.reason is Reason.REFUSED
    assert "blocked by SSRF mitigation" in error.detail


def test_an_http_error_fails_at_once(tmp_path):
    async def go():
        async with peers(tmp_path, leechers=0) as swarm, answering(404) as (url, _):
            swarm.use_tracker(url)
            return await _published(swarm)

    error, trouble = asyncio.run(go())
    assert isinstance(error, TransferError)
    assert "404" in trouble


def test_a_temporary_http_error_is_tried_again(tmp_path):
    async def go():
        async with peers(tmp_path, leechers=0) as swarm, answering(503) as (url, asked):
            swarm.use_tracker(url)
            await swarm.prepare()
            publishing = asyncio.ensure_future(swarm.seeders[0].publish(swarm.write(), None))
            await until(lambda: publishing.done() or len(asked) >= 2)
            assert not publishing.done()
            trouble = await until(lambda: swarm.seeders[0].trouble)
            publishing.cancel()
            await asyncio.wait([publishing])
            return trouble

    assert "503" in asyncio.run(go())


def test_an_announce_that_may_succeed_later_reports_its_error(tmp_path):
    async def go():
        async with peers(tmp_path, leechers=0) as swarm:
            swarm.use_tracker(f"http://{new_address()}:9/announce")
            return await _published(swarm, "refused")

    error, trouble = asyncio.run(go())
    assert error is None
    assert trouble.startswith("the tracker: Connection refused (http://")


def test_a_leecher_whose_announce_can_never_succeed_fails_at_once(tmp_path):
    async def go():
        async with peers(tmp_path) as swarm:
            await swarm.prepare()
            references = await swarm.publish()
            await swarm.leechers[0].close()
            leecher = swarm.with_settings(1, ssrf_mitigation=True)
            await leecher.prepare(swarm.run)
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await leecher.fetch(references, swarm.record())
            except (TransferError, TimeoutError) as error:
                return error
            finally:
                await leecher.close()

    error = asyncio.run(go())
    assert isinstance(error, TransferError), error
    assert "SSRF" in error.detail
