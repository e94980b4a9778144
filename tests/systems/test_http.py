"""The baseline: whole transfers between its own peers, and each way in which they can fail."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import struct
import threading

import pytest

from loopback import make_run, new_address
from patience import PATIENCE_SECONDS
from swarmrace.clock import SystemClock
from swarmrace.errors import Reason, TransferError
from swarmrace.recording.payload import Payload
from swarmrace.systems import load
from swarmrace.systems.abc import Record
from swarmrace.systems.http.client import Download
from swarmrace.systems.http.options import HttpOptions

SEED = "a seed"


@pytest.fixture
def system(make_context):
    def make(peer=0, read_size=16_384, **changes):
        return load("http").create(make_context(peer, **changes), HttpOptions(read_size=read_size))

    return make


async def leech(system, run, url):
    """Fetch `url` as peer 1 of `run`; return the record and the digest."""
    await system.prepare(run)
    record = Record(SystemClock(), run.size_bytes)
    await asyncio.wait_for(system.fetch([{"url": url}], record), PATIENCE_SECONDS)
    return record, await system.digest()


class Peer:
    """A server that answers every connection with `talk(reader, writer)`."""

    def __init__(self, talk):
        self._talk = talk

    async def __aenter__(self):
        async def answer(reader, writer):
            try:
                await reader.readuntil(b"\r\n\r\n")
                await self._talk(reader, writer)
            finally:
                writer.close()

        self._server = await asyncio.start_server(answer, new_address(), 0)
        host, port = self._server.sockets[0].getsockname()
        return f"http://{host}:{port}/x"

    async def __aexit__(self, *_):
        self._server.close()


def answers(*parts):
    """Return a talk that sends `parts`, each in a separate packet, and closes."""

    async def talk(reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)

    return talk


def failure(system, talk, size=1000):
    """Return the error of a fetch from a server that answers with `talk`."""

    async def go():
        async with Peer(talk) as url:
            with pytest.raises(TransferError) as caught:
                await leech(system, make_run(size), url)
        await system.close()
        return caught.value

    return asyncio.run(go())


@pytest.mark.parametrize("size", [1, 16_383, 16_384, 16_385, 3_000_001, 100_000_000])
def test_every_byte_is_read_written_and_recorded_once(system, tmp_path, size):
    file, run = tmp_path / "file", make_run(size)
    sha256 = Payload(SEED, size).write(file)

    async def go():
        seeder, leecher = system(0), system(1)
        await seeder.prepare(run)
        published = await seeder.publish(file, None)
        began_ns = SystemClock().now_ns()
        record, digest = await leech(leecher, run, published.reference["url"])
        counters = seeder.counters(), leecher.counters()
        await seeder.close()
        await leecher.close()
        return began_ns, record, digest, counters

    began_ns, record, digest, (sent, received) = asyncio.run(go())
    assert (digest.size_bytes, digest.sha256) == (size, sha256)
    assert record.deliverable is record.arrivals
    curve = record.arrivals.curve(began_ns, size)
    assert curve.complete
    assert curve.duplicate_bytes == 0
    assert curve.length.max() <= 16_384
    assert list(curve.offset) == [0, *curve.length.cumsum()[:-1]]
    assert began_ns < record.discovered_ns <= began_ns + curve.t_ns[0]
    assert record.done_ns >= record.arrivals.last_ns
    assert (sent.sent_bytes, received.received_bytes) == (size, size)


def test_leechers_are_distributed_over_the_seeders_in_turn(system, tmp_path):
    """Peers 1 and 3 seed; peers 0, 2, 4 and 5 are leechers 0 to 3."""
    file, run = tmp_path / "file", make_run(1000, seeders=(3, 1))
    Payload(SEED, 1000).write(file)

    async def go():
        seeders = [system(peer, swarm_size=6) for peer in run.seeders]
        for seeder in seeders:
            await seeder.prepare(run)
        references = [(await seeder.publish(file, None)).reference for seeder in seeders]
        for peer in (0, 2, 4, 5):
            leecher = system(peer, swarm_size=6)
            await leecher.prepare(run)
            before = [seeder.counters().extra["accepted_connections"] for seeder in seeders]
            await leecher.fetch(references, Record(SystemClock(), 1000))
            after = [seeder.counters().extra["accepted_connections"] for seeder in seeders]
            yield [b - a for a, b in zip(before, after, strict=True)]
            await leecher.close()
        for seeder in seeders:
            await seeder.close()

    async def collect():
        return [used async for used in go()]

    assert asyncio.run(collect()) == [[1, 0], [0, 1], [1, 0], [0, 1]]


def test_a_leecher_connects_from_its_own_address(system):
    seen = []

    async def talk(reader, writer):
        seen.append(writer.get_extra_info("peername")[0])
        await answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab")(reader, writer)

    leecher = system(1)

    async def go():
        async with Peer(talk) as url:
            await leech(leecher, make_run(2), url)
        await leecher.close()

    asyncio.run(go())
    assert seen == [leecher.context.address]


def test_the_first_byte_is_the_payloads_not_the_headers(system):
    """The body is held back until the leecher has recorded the header."""
    leecher, record = system(1), Record(SystemClock(), 4)
    between = []

    async def talk(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        while record.discovered_ns is None:
            await asyncio.sleep(0.001)
        between.append(SystemClock().now_ns())
        assert record.progress_bytes == 0
        writer.write(b"body")
        await writer.drain()

    async def go():
        await leecher.prepare(make_run(4))
        async with Peer(talk) as url:
            await asyncio.wait_for(leecher.fetch([{"url": url}], record), PATIENCE_SECONDS)
        digest = await leecher.digest()
        await leecher.close()
        return digest

    assert asyncio.run(go()).sha256 == hashlib.sha256(b"body").hexdigest()
    assert record.discovered_ns < between[0] < record.arrivals.last_ns


@pytest.mark.parametrize(
    "parts",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"],
        [bytes([b]) for b in b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody"],
        [b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo", b"dy"],
        [b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody, and more than was promised"],
    ],
    ids=["one packet", "a byte a packet", "interim answer", "more than promised"],
)
def test_any_valid_answer_is_read(system, parts):
    leecher = system(1)

    async def go():
        async with Peer(answers(*parts)) as url:
            record, digest = await leech(leecher, make_run(4), url)
        await leecher.close()
        return record, digest

    record, digest = asyncio.run(go())
    assert digest.sha256 == hashlib.sha256(b"body").hexdigest()
    assert record.progress_bytes == 4


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ([b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"], "404"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + bytes(999)], "999"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"], "''"),
        ([b"220 mail ready\r\n\r\n"], "found"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000], "without its end"),
    ],
    ids=["status", "length", "no length", "garbage", "endless head"],
)
def test_an_invalid_answer_is_refused(system, parts, found):
    error = failure(system(1), answers(*parts))
    assert error.reason is Reason.REFUSED
    assert found in error.detail
    assert "\n" not in error.detail


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + bytes(400)]
)
def test_a_lost_seeder_is_a_node_that_died(system, reset, sent):
    async def talk(reader, writer):
        writer.write(sent)
        await writer.drain()
        if reset:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    error = failure(system(1), talk)
    assert error.reason is Reason.NODE_DIED
    assert "of 1000 bytes" in error.detail


def test_a_seeder_that_closes_while_serving_is_a_node_that_died(system, tmp_path, monkeypatch):
    """The leecher reads on only after the close, and sockets hold less than 200 MB."""
    size, closed, write = 200_000_000, threading.Event(), Download._write

    def held(self, data, offset):
        write(self, data, offset)
        assert closed.wait(PATIENCE_SECONDS)

    monkeypatch.setattr(Download, "_write", held)
    file, run = tmp_path / "file", make_run(size)
    with file.open("wb") as sparse:
        sparse.truncate(size)

    async def go():
        seeder, leecher = system(0), system(1)
        await seeder.prepare(run)
        url = (await seeder.publish(file, None)).reference["url"]
        await leecher.prepare(run)
        record = Record(SystemClock(), size)
        fetch = asyncio.ensure_future(leecher.fetch([{"url": url}], record))
        while not record.progress_bytes:
            await asyncio.sleep(0.001)
        await seeder.close()
        closed.set()
        with pytest.raises(TransferError) as caught:
            await asyncio.wait_for(fetch, PATIENCE_SECONDS)
        await leecher.close()
        return caught.value, record

    error, record = asyncio.run(go())
    assert error.reason is Reason.NODE_DIED
    assert 0 < record.progress_bytes < size
    assert record.done_ns is None


def test_a_connection_without_a_listener_is_refused(system):
    with socket.create_server((new_address(), 0)) as listener:
        host, port = listener.getsockname()
    leecher = system(1)

    async def go():
        with pytest.raises(TransferError) as caught:
            await leech(leecher, make_run(), f"http://{host}:{port}/x")
        await leecher.close()
        return caught.value

    error = asyncio.run(go())
    assert error.reason is Reason.REFUSED
    assert "can't connect" in error.detail


def test_a_full_disk_is_reported(system):
    """/dev/full refuses every write as a full disk does."""
    leecher, run = system(1), make_run(4)
    (leecher.context.work_dir / f"{run.id}.payload").symlink_to("/dev/full")

    async def go():
        async with Peer(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")) as url:
            with pytest.raises(TransferError) as caught:
                await leech(leecher, run, url)
        await leecher.close()
        return caught.value

    assert asyncio.run(go()).reason is Reason.DISK_FULL


def test_a_foreign_address_is_refused(system, tmp_path):
    (tmp_path / "file").write_bytes(b"body")
    seeder = system(0, address="192.0.2.1")  # TEST-NET-1, RFC 5737

    async def go():
        await seeder.prepare(make_run(4))
        with pytest.raises(TransferError) as caught:
            await seeder.publish(tmp_path / "file", None)
        await seeder.close()
        return caught.value

    assert asyncio.run(go()).reason is Reason.REFUSED


@pytest.mark.parametrize("when", ["connecting", "before the head", "in the body"])
def test_a_cancelled_fetch_ends_at_once_and_leaves_no_thread(system, when):
    leecher, run = system(1), make_run(1000)
    record = Record(SystemClock(), 1000)
    reached = asyncio.Event()

    async def talk(reader, writer):
        if when == "in the body":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbo")
            while not record.progress_bytes:
                await asyncio.sleep(0.001)
        reached.set()
        await reader.read()  # until the leecher has closed

    async def go():
        await leecher.prepare(run)
        async with Peer(talk) as url:
            with socket.create_server((new_address(), 0), backlog=0) as full:
                clients = []
                if when == "connecting":  # a full accept queue leaves a SYN without an answer
                    for _ in range(4):
                        clients.append(client := socket.socket())
                        client.setblocking(False)
                        client.connect_ex(full.getsockname())
                    url = "http://{}:{}/x".format(*full.getsockname())
                    reached.set()
                fetch = asyncio.ensure_future(leecher.fetch([{"url": url}], record))
                await reached.wait()
                await asyncio.sleep(0.02)
                fetch.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.wait_for(fetch, PATIENCE_SECONDS)
                for client in clients:
                    client.close()
        await leecher.close()

    asyncio.run(go())
    assert record.done_ns is None
    assert list(leecher.context.work_dir.iterdir()) == []


def test_describe_has_settings_with_reasons(system):
    described = json.loads(json.dumps(system(0, read_size=4096).describe()))
    assert described["settings"]["readSize"] == 4096
    assert described["settings"]["congestionControl"] != "unknown"
    assert set(described["reasons"]) <= set(described["settings"])
