"""What recording costs BitTorrent, and how our leecher compares with common clients.

    python -m benchmarks.bittorrent_throughput              12 rounds of 1 GiB
    python -m benchmarks.bittorrent_throughput --pairs 3 --size 100MiB

`benchmarks.recording_cost` measures the cost over latency, in both profiles and in a swarm. CPU
is that of the leecher's process.

One seeder (ours, tuned) serves one leecher at a time over loopback; each is a process, and they
find each other by the rendezvous' tracker. Every round runs each kind of leecher once, each in a
new process and in alternating order: `instrumented` is our leecher as it races; `bare` is a
libtorrent session with the same settings and without recording; then aria2 and qBittorrent, if
installed. Ratios are taken within a round; the figure is their geometric mean with its standard
error.

The end of a transfer: of `instrumented`, the node's own stamp of the last block written and
verified; of `bare`, libtorrent's alert; of aria2, the end of its process, minus its start-up time
(a run of `--version`); of qBittorrent, the completion that its API reports, polled every 20 ms.
Every fetched file is verified.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click
import httpx

from benchmarks.bittorrent_node import Task
from benchmarks.ratios import mean_of, ratio_of
from swarmrace.recording.payload import Payload, file_sha256
from swarmrace.rendezvous.server import ServerConfig, listening
from swarmrace.scenario.loading import parse
from swarmrace.systems.bittorrent.torrent import NAME
from swarmrace.units import parse_size

AIM = 0.97

addresses = (f"127.77.{number // 250}.{number % 250 + 1}" for number in itertools.count())


class Node:
    """A child process that runs `bittorrent_node`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls, task: Task) -> AsyncIterator[Node]:
        """Start a node and wait until it is ready; end it when the context exits."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*task.arguments(), stdin=pipe, stdout=pipe)
        try:
            node = cls(process)
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
            yield node
        finally:
            assert process.stdin is not None
            process.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(20):
                    await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def go(self) -> dict[str, Any]:
        """Let it start its task; return its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"go\n")
        return json.loads(await self.process.stdout.readline())


async def leech(
    kind: str, folder: Path, size_bytes: int, reference: dict[str, Any], **options: Any
) -> dict:
    """Let one leecher of `kind` fetch into `folder`; return its figures."""
    if kind == "aria2":
        return await leech_with_aria2(folder, reference)
    if kind == "qbittorrent":
        return await leech_with_qbittorrent(folder, reference)
    address = options.pop("address", None) or next(addresses)
    task = Task(kind, address, str(folder), size_bytes, reference=reference, **options)
    async with Node.started(task) as node:
        return await node.go()


async def leech_with_aria2(folder: Path, reference: dict[str, Any]) -> dict[str, Any]:
    """Let aria2 fetch with its defaults, without DHT and local discovery."""

    async def run(*arguments: str) -> float:
        began = time.monotonic()
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec("aria2c", *arguments, stdout=quiet)
        assert await process.wait() == 0, f"aria2c exited with {process.returncode}"
        return time.monotonic() - began

    startup_seconds = await run("--version")
    options = [
        "--no-conf",
        f"--dir={folder}",
        f"--interface={next(addresses)}",
        "--enable-dht=false",
        "--enable-dht6=false",
        "--disable-ipv6=true",
        "--file-allocation=none",
        "--seed-time=0",
    ]
    return {"seconds": await run(*options, reference["magnet"]) - startup_seconds}


async def leech_with_qbittorrent(folder: Path, reference: dict[str, Any]) -> dict[str, Any]:
    """Let qBittorrent fetch with its defaults, without DHT and local discovery."""
    address = next(addresses)
    with socket.create_server((address, 0)) as free:
        port = free.getsockname()[1]
    config = folder / "qBittorrent/config/qBittorrent.conf"
    config.parent.mkdir(parents=True)
    config.write_text(
        "[LegalNotice]\nAccepted=true\n"
        "[BitTorrent]\nSession\\DHTEnabled=false\nSession\\LSDEnabled=false\n"
        f"Session\\DefaultSavePath={folder}\nSession\\Port=6881\n"
        f"Session\\InterfaceAddress={address}\nSession\\SSRFMitigation=false\n"
        "[Network]\nPortForwardingEnabled=false\n"
        f"[Preferences]\nWebUI\\Address={address}\nWebUI\\Port={port}\n"
        "WebUI\\LocalHostAuth=false\nWebUI\\UseUPnP=false\nWebUI\\CSRFProtection=false\n"
        "WebUI\\HostHeaderValidation=false\n"
    )
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        "qbittorrent-nox", f"--profile={folder}", stdin=quiet, stdout=quiet, stderr=quiet
    )
    try:
        base = f"http://{address}:{port}/api/v2"
        async with asyncio.timeout(120), httpx.AsyncClient(trust_env=False) as api:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await api.get(f"{base}/app/version")).is_success:
                        break
                await asyncio.sleep(0.05)
            began = time.monotonic()
            form = {"urls": reference["magnet"], "savepath": str(folder)}
            (await api.post(f"{base}/torrents/add", data=form)).raise_for_status()
            while True:
                listed = (await api.get(f"{base}/torrents/info")).json()
                if listed and listed[0]["progress"] == 1:
                    return {"seconds": time.monotonic() - began}
                await asyncio.sleep(0.02)
    except (TimeoutError, httpx.HTTPError) as error:
        return {"seconds": None, "failed": f"{type(error).__name__}: {error}"}
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def measure(
    pairs: int, size_bytes: int, base: Path, others: bool
) -> dict[str, list[dict[str, Any]]]:
    """Return the figures of each kind of leecher, round by round."""
    kinds = ["instrumented", "bare"]
    if others:
        kinds += ["aria2"] if shutil.which("aria2c") else []
        kinds += ["qbittorrent"] if shutil.which("qbittorrent-nox") else []
    file = base / NAME
    sha256 = Payload("benchmark", size_bytes).write(file)
    scenario = parse({"global": {"entrants": {"bt": {"kind": "bittorrent"}}}})
    config = ServerConfig(scenario, "benchmark", base / "race", host=next(addresses))
    measured: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    async with listening(config) as there:
        url = f"http://{there.host}:{there.port}/benchmark/announce"
        seeder = Task(
            "seeder", next(addresses), str(base / "seeder"), size_bytes, url, file=str(file)
        )
        async with Node.started(seeder) as node:
            reference = await node.go()
            await leech("instrumented", base / "warm-up", size_bytes, reference)
            for number in range(pairs):
                for kind in kinds if number % 2 == 0 else reversed(kinds):
                    folder = base / f"{number}-{kind}"
                    folder.mkdir()
                    figures = await leech(kind, folder, size_bytes, reference)
                    if figures["seconds"]:
                        found = figures.pop("sha256", None)
                        found = found or await asyncio.to_thread(file_sha256, folder / NAME)
                        assert found == sha256, f"{kind} fetched wrong bytes"
                    measured[kind].append(figures)
                    shutil.rmtree(folder)
                    click.echo(f"# round {number}: {kind} {figures}", err=True)
    return measured


def emit(name: str, values: list[float], unit: str, aim: str, met: bool | None) -> None:
    """Print one figure as JSON on stdout and as text on stderr; a ratio has no unit."""
    mean, error = mean_of(values) if unit else ratio_of(values)
    fields = {"name": name, "value": round(mean, 4), "unit": unit, "n": len(values)}
    spread = f"± {error:.4f} (standard error), {min(values):.3g} to {max(values):.3g}"
    click.echo(json.dumps({**fields, "spread": spread, "aim": aim, "met": met}))
    verdict = "" if met is None else f", aim {aim}: {'met' if met else 'missed'}"
    click.echo(f"# {name}: {mean:.3f} {unit} ± {error:.3f}, n = {len(values)}{verdict}", err=True)


@click.command()
@click.option("--pairs", default=12, show_default=True)
@click.option("--size", default="1GiB", show_default=True)
@click.option("--folder", default=None, help="Folder for the files.  [default: /dev/shm if there]")
@click.option("--others/--no-others", default=True, help="Also run aria2 and qBittorrent.")
def main(pairs: int, size: str, folder: str | None, others: bool) -> None:
    """Measure and print throughput and CPU."""
    size_bytes = parse_size(size)
    parent = folder or ("/dev/shm" if Path("/dev/shm").is_dir() else None)
    with tempfile.TemporaryDirectory(dir=parent) as base:
        measured = asyncio.run(measure(pairs, size_bytes, Path(base), others))
    ours, bare = measured["instrumented"], measured["bare"]

    def ratios(key: str, top: list[dict], bottom: list[dict]) -> list[float]:
        both = zip(top, bottom, strict=True)
        return [a[key] / b[key] for a, b in both if a.get(key) and b.get(key)]

    for kind, runs in measured.items():
        speeds = [size_bytes / run["seconds"] / 1e6 for run in runs if run["seconds"]]
        if speeds:
            emit(f"bittorrent {kind}: throughput", speeds, "MB/s", "", None)
    ratio = ratios("seconds", bare, ours)
    met = ratio_of(ratio)[0] >= AIM
    emit("bittorrent instrumented / bare: throughput", ratio, "", f">= {AIM}", met)
    cost = ratios("cpu_seconds", ours, bare)
    emit("bittorrent instrumented / bare: leecher CPU", cost, "", "", None)
    lost = [0.0 if run["complete"] else 1.0 for run in ours]
    emit("bittorrent: transfers with records missing", lost, "share", "0", not any(lost))
    for kind in ("aria2", "qbittorrent"):
        against = ratios("seconds", measured[kind], ours) if kind in measured else []
        if against:
            ahead = ratio_of(against)[0] > 1
            emit(f"bittorrent instrumented / {kind}: throughput", against, "", "> 1", ahead)
        else:
            click.echo(
                f"# {kind}: not measured: left out, not installed or never finished", err=True
            )


if __name__ == "__main__":
    main()
