"""Real BitTorrent clients find each other through the rendezvous."""

from __future__ import annotations

import asyncio
import hashlib
import socket

import httpx
import libtorrent as lt
import pytest

from loopback import new_address
from meeting import RACE_ID, scenario
from swarmrace.rendezvous.server import ServerConfig, listening
from swarmrace.systems.bittorrent import torrent

SIZE = 100_000


def session(address: str) -> lt.session:
    """Return a session on its own address that finds peers only by the tracker."""
    return lt.session(
        {
            "listen_interfaces": f"{address}:0",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            # Otherwise it only accepts loopback trackers at /announce.
            "ssrf_mitigation": False,
            "alert_mask": lt.alert.category_t.tracker_notification,
        }
    )


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_a_leecher_finds_the_seeder_and_fetches_the_file(tmp_path, protocol):
    async def story():
        config = ServerConfig(scenario(), RACE_ID, tmp_path / "results", host="127.0.0.1")
        async with listening(config) as running:
            announce = f"http://127.0.0.1:{running.port}/{RACE_ID}/announce"
            file = tmp_path / "file"
            file.write_bytes(hashlib.shake_128(b"x").digest(SIZE))
            made = torrent.make(
                file, tmp_path / "seed", protocol=protocol, piece_bytes=None, announce_url=announce
            )
            seeder, leecher = session(new_address()), session(new_address())
            has = lt.add_torrent_params()
            has.ti, has.save_path = made.info, str(made.directory)
            wants = torrent.parameters(torrent.reference(made, "magnet", announce))
            wants.save_path = str(tmp_path / "leech")
            for params in (has, wants):
                params.flags = lt.torrent_flags.update_subscribe
            seeder.add_torrent(has)
            await until(lambda: replied(seeder))
            fetching = leecher.add_torrent(wants)
            await until(lambda: fetching.status().is_seeding)
            fetched = tmp_path / "leech" / torrent.NAME
            assert fetched.read_bytes() == file.read_bytes()
            counts = await scrape(running.port, made.info)
            assert counts[b"complete"] + counts[b"incomplete"] == 2

    asyncio.run(story())


def replied(one: lt.session) -> bool:
    return any(isinstance(alert, lt.tracker_reply_alert) for alert in one.pop_alerts())


async def scrape(port: int, made: lt.torrent_info) -> dict:
    hashes = made.info_hashes()
    raw = (hashes.v1 if hashes.has_v1() else hashes.v2).to_bytes()[:20]
    async with httpx.AsyncClient(timeout=300) as http:
        query = "".join(f"%{byte:02x}" for byte in raw)
        url = f"http://127.0.0.1:{port}/{RACE_ID}/scrape?info_hash={query}"
        answer = await http.get(url)
    return lt.bdecode(answer.content)[b"files"][raw]


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.02)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback address")
def test_one_socket_serves_ipv4_and_ipv6_and_each_learns_of_the_other(tmp_path):
    async def story():
        config = ServerConfig(scenario(), RACE_ID, tmp_path, host="::")
        async with listening(config) as running, httpx.AsyncClient(timeout=300) as http:

            async def ask(host: str, number: int) -> dict:
                url = f"http://{host}:{running.port}/{RACE_ID}/announce"
                query = f"info_hash={'h' * 20}&peer_id={number:020d}&port={number}&left=1"
                return lt.bdecode((await http.get(f"{url}?{query}")).content)

            await ask("127.0.0.1", 1000)
            six = await ask("[::1]", 2000)
            four = await ask("127.0.0.1", 1000)
            assert six[b"peers"] == bytes([127, 0, 0, 1]) + (1000).to_bytes(2, "big")
            assert four[b"peers6"] == bytes(15) + b"\x01" + (2000).to_bytes(2, "big")
            assert four[b"peers"] == b""

    asyncio.run(story())
