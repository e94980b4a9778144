"""Interoperation with an independent client: aria2 from and to our peers, through our tracker."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote_from_bytes

import httpx
import libtorrent as lt
import pytest

from bittorrent_swarms import check_record, peers
from loopback import new_address
from patience import PATIENCE_SECONDS
from swarmrace.recording.payload import file_sha256
from swarmrace.systems.bittorrent import torrent

pytestmark = pytest.mark.skipif(
    shutil.which("aria2c") is None, reason="aria2c is missing: apt-get install aria2"
)
SIZE = 3_000_017


@asynccontextmanager
async def aria2(folder: Path, *arguments: str):
    """Run aria2 on its own address within the block."""
    folder.mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        "aria2c",
        "--no-conf",
        f"--dir={folder}",
        f"--interface={new_address()}",
        "--enable-dht=false",
        "--enable-dht6=false",
        "--bt-enable-lpd=false",
        "--disable-ipv6=true",
        "--summary-interval=0",
        "--file-allocation=none",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("reference", ["magnet", "torrent"])
def test_aria2_downloads_from_our_seeder(tmp_path, reference):
    async def go():
        async with peers(tmp_path, leechers=0, size_bytes=SIZE) as swarm:
            await swarm.prepare()
            published = await swarm.seeders[0].publish(swarm.write(), None)
            what = published.reference["magnet"]
            if reference == "torrent":
                made = torrent.make(
                    swarm.write(),
                    tmp_path / "again",
                    protocol="v1",
                    piece_bytes=None,
                    announce_url=swarm.seeders[0].context.announce_url,
                )
                what = str(tmp_path / "payload.torrent")
                Path(what).write_bytes(made.metainfo)
            async with aria2(tmp_path / "aria2", "--seed-time=0", what) as process:
                output, _ = await process.communicate()
            assert process.returncode == 0, output.decode()
            assert file_sha256(tmp_path / "aria2" / torrent.NAME) == swarm.sha256

    asyncio.run(go())


def test_our_leecher_downloads_from_aria2(tmp_path):
    async def go():
        async with peers(tmp_path, seeders=0, size_bytes=SIZE) as swarm:
            await swarm.prepare()
            announce_url = swarm.leechers[0].context.announce_url
            folder = tmp_path / "aria2"
            folder.mkdir()
            made = torrent.make(
                swarm.write(),
                tmp_path / "made",
                protocol="v1",
                piece_bytes=None,
                announce_url=announce_url,
            )
            shutil.copy(made.directory / torrent.NAME, folder / torrent.NAME)
            (tmp_path / "payload.torrent").write_bytes(made.metainfo)
            seeding = ["--check-integrity=true", "--seed-ratio=0.0"]
            async with aria2(folder, *seeding, str(tmp_path / "payload.torrent")):
                await until_announced(announce_url, made.info.info_hashes().v1)
                (record,) = await swarm.fetch([torrent.reference(made, "magnet", announce_url)])
            check_record(record)
            assert (await swarm.leechers[0].digest()).sha256 == swarm.sha256

    asyncio.run(go())


async def until_announced(announce_url: str, info_hash: lt.sha1_hash) -> None:
    """Return when the tracker has a complete seeder."""
    query = quote_from_bytes(info_hash.to_bytes())
    url = f"{announce_url.replace('/announce', '/scrape')}?info_hash={query}"
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS) as client:
        while b"8:completei1e" not in (await client.get(url)).content:
            await asyncio.sleep(0.02)
