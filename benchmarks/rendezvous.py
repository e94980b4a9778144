"""How fast the rendezvous is when all peers ask at once: announce, then pass a barrier.

    python -m benchmarks.rendezvous [--peers 2000] [--runs 3]

The rendezvous runs in its own process. All peers are keep-alive connections of this process (raw
asyncio protocols: with httpx, the client would dominate the figure). In a round, every peer
announces itself to one new swarm; once all have their answers, every peer arrives at a barrier; the
round ends when the last one is released. For comparison, the same number of requests with bodies of
the same sizes goes to a bare ASGI application in uvicorn; rounds alternate. Both share the machine
with the client.

The rendezvous' CPU time per round is the figure that other load on the machine doesn't distort.

Prints one JSON object per line: name, value, unit, spread (standard deviation), n, aim, met.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import psutil
import uvicorn
import uvloop

from swarmrace.plan.schedule import schedule
from swarmrace.recording.records import PeerInfo
from swarmrace.rendezvous.server import ServerConfig, listening
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Scenario

AIM_SECONDS = 1.0
RACE_ID = "benchmark0"
BARRIERS = ("prepared", "first", "published", "ready", "raced")
ANSWER = b"d8:completei0e5:peers300:" + bytes(300) + b"e"


def scenario(peers: int, runs: int) -> Scenario:
    """Return a race of one entrant with this many peers, even beyond the scenario's limit."""
    race = {"swarmSize": 2, "seeders": 1, "repetitions": runs, "fileSize": 1000}
    made = parse({"global": {"race": race, "entrants": {"a": {"kind": "synthetic"}}}})
    shared = made.global_
    larger = shared.race.model_copy(update={"swarm_size": peers})
    return made.model_copy(update={"global_": shared.model_copy(update={"race": larger})})


class Peer(asyncio.Protocol):
    """One keep-alive connection that sends a request and waits for the whole answer."""

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self.transport = transport
        self.buffer = b""
        self.answer: asyncio.Future[tuple[int, bytes]] | None = None

    def data_received(self, data: bytes) -> None:
        """Collect one answer: the head, then as many bytes as its `Content-Length`."""
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) >= length and self.answer is not None:
            answer, self.answer, self.buffer = self.answer, None, b""
            answer.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the pending request."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error or ConnectionError("closed by the server"))

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Send a request; return a future of its answer."""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.answer

    async def ask_until(self, request: bytes) -> bytes:
        """Send the request again while the answer is `202` (ask again)."""
        while True:
            status, body = await self.ask(request)
            if status == 200:
                return body
            assert status == 202, (status, body)


def post(path: str, body: Any, method: str = "POST") -> bytes:
    """Return a request with a JSON body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


def get(path: str) -> bytes:
    """Return a request without a body."""
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


def announce(index: int, swarm: int) -> bytes:
    """Return a peer's announce as BitTorrent clients send it."""
    info_hash = "%00" * 16 + "".join(f"%{byte:02x}" for byte in swarm.to_bytes(4, "big"))
    return get(
        f"/{RACE_ID}/announce?info_hash={info_hash}&peer_id=-XX0000-{index:012d}&port=6881"
        "&uploaded=0&downloaded=0&left=1&event=started&numwant=50&compact=1&key=0A1B2C3D"
    )


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Read the body and answer with as many bytes as an announce's answer, and do nothing else."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


def run_rendezvous(ready: Connection, made: Scenario, folder: Path) -> None:
    """Serve the race (child process)."""

    async def main() -> None:
        config = ServerConfig(made, RACE_ID, folder, host="127.0.0.1")
        async with listening(config) as running:
            ready.send(running.port)
            await running.ticks

    uvloop.run(main())


def run_bare(ready: Connection, *_: Any) -> None:
    """Serve the bare application (child process)."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=4096)
    ready.send(sock.getsockname()[1])
    config = uvicorn.Config(
        bare, http="httptools", loop="uvloop", lifespan="off", ws="none", log_level="error",
        access_log=False, backlog=4096, timeout_keep_alive=600,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[sock])


@contextlib.contextmanager
def child(target: Callable[..., None], *args: Any) -> Iterator[tuple[int, psutil.Process]]:
    """Run `target` in its own process; yield the port it listens on and the process."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=target, args=(there, *args))
    process.start()
    try:
        if not here.poll(30):
            raise click.ClickException("the server did not start within 30 s")
        yield here.recv(), psutil.Process(process.pid)
    finally:
        process.terminate()
        process.join(5)
        process.kill()


async def connect(port: int, count: int) -> list[Peer]:
    """Open `count` connections."""
    loop = asyncio.get_running_loop()
    peers: list[Peer] = []
    for _ in range(count):
        _, protocol = await loop.create_connection(Peer, "127.0.0.1", port)
        peers.append(protocol)
    return peers


def hellos(peers: list[Peer]) -> list[Awaitable[bytes]]:
    """Return the requests in which every peer reports."""
    asked: list[Awaitable[bytes]] = []
    for index, peer in enumerate(peers):
        info = PeerInfo(entrant="a", peer=index, address="127.0.0.1", host="benchmark")
        data = info.model_dump_json().encode()
        asked.append(peer.ask_until(post(f"/{RACE_ID}/peers/a/{index}", data, "PUT")))
    return asked


def arrivals(peers: list[Peer], run_id: str, barrier: str) -> list[Awaitable[bytes]]:
    """Return the requests in which every peer arrives at a barrier."""
    body = {"run_id": run_id, "barrier": barrier}
    return [
        peer.ask_until(post(f"/{RACE_ID}/peers/a/{index}/arrive", body))
        for index, peer in enumerate(peers)
    ]


async def timed(first: list[Awaitable[Any]], second: Callable[[], list[Awaitable[Any]]]) -> float:
    """Return the seconds until all of `first` and then all of `second` are done."""
    began = time.perf_counter()
    await asyncio.gather(*first)
    await asyncio.gather(*second())
    return time.perf_counter() - began


async def measure(
    port: int, bare_port: int, made: Scenario, server: psutil.Process
) -> dict[str, list[float]]:
    """Return each round's seconds with both servers, and the rendezvous' CPU seconds."""
    count = made.race.swarm_size
    peers, others = await connect(port, count), await connect(bare_port, count)
    figures: dict[str, list[float]] = {"hello": [], "rendezvous": [], "bare": [], "cpu": []}
    began = time.perf_counter()
    await asyncio.gather(*hellos(peers))
    figures["hello"].append(time.perf_counter() - began)
    swarm = 0
    for run in schedule(made):
        await asyncio.gather(*arrivals(peers, run.id, "open"))
        for barrier in BARRIERS:
            swarm += 1
            requests = [announce(index, swarm) for index in range(count)]
            asks = [peer.ask_until(r) for peer, r in zip(peers, requests, strict=True)]
            cpu_seconds = sum(server.cpu_times()[:2])
            figures["rendezvous"].append(
                await timed(asks, lambda run=run, barrier=barrier: arrivals(peers, run.id, barrier))
            )
            figures["cpu"].append(sum(server.cpu_times()[:2]) - cpu_seconds)
            asks = [peer.ask_until(r) for peer, r in zip(others, requests, strict=True)]
            body = post("/arrive", {"run_id": run.id, "barrier": barrier})
            figures["bare"].append(
                await timed(asks, lambda body=body: [peer.ask_until(body) for peer in others])
            )
        await asyncio.gather(*arrivals(peers, run.id, "cleared"))
    for peer in (*peers, *others):
        peer.transport.close()
    return figures


def emit(name: str, values: list[float], unit: str, aim: float | None = None) -> None:
    """Print the median of `values` as a JSON line."""
    median = statistics.median(values)
    figure: dict[str, Any] = {"name": name, "value": round(median, 4), "unit": unit}
    figure["spread"] = round(statistics.stdev(values), 4) if len(values) > 1 else None
    figure["n"] = len(values)
    if aim is not None:
        figure |= {"aim": aim, "met": median <= aim}
    click.echo(json.dumps(figure))


@click.command()
@click.option("--peers", type=click.IntRange(2), default=2000, show_default=True)
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="5 rounds each.")
def main(peers: int, runs: int) -> None:
    """Measure and print how fast the rendezvous is."""
    made = scenario(peers, runs)
    with (
        tempfile.TemporaryDirectory() as folder,
        child(run_rendezvous, made, Path(folder)) as (port, server),
        child(run_bare) as (bare_port, _),
    ):
        figures = uvloop.run(measure(port, bare_port, made, server))
    name = f"{peers} peers announce and pass a barrier"
    emit(name, figures["rendezvous"], "s", AIM_SECONDS)
    emit("the same number of requests, bare uvicorn", figures["bare"], "s")
    ratios = [a / b for a, b in zip(figures["rendezvous"], figures["bare"], strict=True)]
    emit("ratio to bare uvicorn", ratios, "1")
    emit("CPU of the rendezvous in a round", figures["cpu"], "s")
    emit(f"{peers} peers report, on disk", figures["hello"], "s")
    click.echo(json.dumps({"name": "load average, 1 min", "value": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
