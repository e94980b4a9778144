"""IPFS over real kubo nodes: what is recorded, what is set, and what leaves them."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import subprocess

import numpy as np
import psutil
import pytest

from ipfs_swarms import ipfs_swarm, needs_kubo, published, raced
from swarmrace.recording.arrival_curve import arrival_curve
from swarmrace.systems.ipfs import profiles
from swarmrace.systems.ipfs.options import IpfsOptions
from swarmrace.systems.ipfs.programs import environment, find_program

pytestmark = needs_kubo
BLOCK = 262_144


@pytest.mark.parametrize("download", ["stream", "background"])
@pytest.mark.parametrize("size", [1, BLOCK, BLOCK + 1, 10_000_019])
def test_sizes_around_a_block(tmp_path, download, size):
    async def main():
        options = {"download": download, "poll_seconds": 0.02}
        async with ipfs_swarm(tmp_path, size, **options) as made:
            references, sha256 = await published(made)
            assert set(references[0]) == {"cid"}, "all else is looked up in the race"
            failure, record = await raced(made, references)
            assert failure is None
            digest = await made.systems[1].digest()
            assert (digest.size_bytes, digest.sha256) == (size, sha256)
            assert record.start_ns <= record.discovered_ns <= record.done_ns
            assert record.connections_at_start == 1

    asyncio.run(main())


@pytest.mark.parametrize("profile", ["stock", "tuned"])
def test_a_hundred_megabytes_of_two_leechers(tmp_path, profile):
    """The curve of arrival is complete, and never behind what has been delivered."""
    size = 100_000_000

    async def main():
        async with ipfs_swarm(tmp_path, size, 3, profile=profile, poll_seconds=0.02) as made:
            references, sha256 = await published(made)
            other = asyncio.create_task(made.systems[1].fetch(references, made.record()))
            failure, record = await raced(made, references, alone=False)
            await other
            assert failure is None
            assert (await made.systems[2].digest()).sha256 == sha256
            start_ns = record.start_ns
            arrived = arrival_curve(record.arrivals, None, start_ns, size)
            delivered = record.deliverable.curve(start_ns, size)
            assert arrived.complete
            assert delivered.complete
            came, held = np.cumsum(arrived.length), np.cumsum(delivered.length)
            at = np.searchsorted(arrived.t_ns, delivered.t_ns, side="right") - 1
            assert np.all(came[at] >= held)
            # The node receives ahead of the reader: some arrived before it was delivered.
            assert len(arrived.t_ns) > 1
            assert record.counted_duplicates is not None
            await asyncio.gather(*(system.refresh() for system in made.systems))
            sent = [system.counters().payload_sent_bytes for system in made.systems]
            assert made.systems[2].counters().payload_received_bytes >= size
            assert sum(sent) >= 2 * size, "what two leechers received was sent by somebody"

    asyncio.run(main())


def test_nodes_that_run_on_serve_run_after_run_and_keep_nothing(tmp_path):
    async def main():
        async with ipfs_swarm(tmp_path, cold=False) as made:
            pids = set()
            for index in range(2):
                references, sha256 = await published(made, index)
                failure, _ = await raced(made, references)
                assert failure is None
                assert (await made.systems[1].digest()).sha256 == sha256
                await made.remove()
                pids.add(tuple(made.systems[1].processes()))
                for system in made.systems:
                    size = await system._rpc._short("repo/stat", {"size-only": "true"})
                    assert size["RepoSize"] < 500_000
            assert len(pids) == 1

    asyncio.run(main())


def test_a_cold_run_has_another_node_on_an_empty_repository(tmp_path):
    async def main():
        async with ipfs_swarm(tmp_path) as made:
            names = set()
            for index in range(2):
                await published(made, index)
                names.add(made.systems[1]._identity.id)
                await made.remove()
                assert not (tmp_path / "peer1/ipfs").exists()
                assert made.systems[1].processes() == []
            assert len(names) == 2

    asyncio.run(main())


@pytest.mark.parametrize("profile", ["stock", "tuned"])
def test_nodes_talk_to_each_other_and_to_nobody_else(tmp_path, profile):
    """No address outside loopback is spoken to, and none is in the configuration."""

    async def main():
        async with ipfs_swarm(tmp_path, 3_000_000, 3, profile=profile) as made:
            references, _ = await published(made)
            failure, _ = await raced(made, references)
            assert failure is None
            for system in made.systems:
                [pid] = system.processes()
                for connection in psutil.Process(pid).net_connections("inet"):
                    if connection.raddr:
                        assert ipaddress.ip_address(connection.raddr.ip).is_loopback, connection
            config = json.loads((tmp_path / "peer1/ipfs/config").read_text())
            assert '"auto"' not in json.dumps(config), "a placeholder for public servers"
            assert all(ipaddress.ip_address(part).is_loopback for part in _addresses(config))
            assert not (tmp_path / "peer1/ipfs/swarm.key").exists()

    asyncio.run(main())


def _addresses(config):
    texts = [*config["Bootstrap"], *config["Addresses"]["Swarm"], config["Addresses"]["API"]]
    return {text.split("/")[2] for text in texts}


def test_stock_is_what_the_program_itself_would_do(tmp_path):
    """`ipfs init` of this version writes what is taken for stock here."""
    program = find_program(IpfsOptions())
    subprocess.run([program, "init"], env=environment(tmp_path), check=True, capture_output=True)
    config = json.loads((tmp_path / "config").read_text())
    own = [each for each in config["Addresses"]["Swarm"] if each.startswith("/ip4")]
    ours = profiles.listening("0.0.0.0", 4001, quic=True)
    assert sorted(own) == sorted(ours)
    assert config["Datastore"]["StorageMax"] == f"{profiles.STOCK_QUOTA_BYTES // 10**9}GB"
    parameters, reasons = profiles.importing(IpfsOptions())
    assert reasons == {}
    (tmp_path / "file").write_bytes(bytes(range(256)) * 4096)
    command = [program, "add", "-n", "-Q"]
    plain, given = (
        subprocess.run(
            [*command, *more, tmp_path / "file"],
            env=environment(tmp_path), check=True, capture_output=True,
        ).stdout
        for more in ([], [f"--{name}={value}" for name, value in parameters.items()])
    )  # fmt: skip
    assert plain == given


def test_what_is_set_is_in_the_node_and_in_the_result(tmp_path):
    async def main():
        options = {
            "quic": False,
            "chunker": "size-65536",
            "raw_leaves": True,
            "storage_quota": 50_000_000,
            "gc": True,
            "settings": {"Internal.Bitswap.TaskWorkerCount": 4},
        }
        async with ipfs_swarm(tmp_path, **options) as made:
            references, _ = await published(made)
            failure, _ = await raced(made, references)
            assert failure is None
            described = json.loads(json.dumps(made.systems[1].describe()))
            config = json.loads((tmp_path / "peer1/ipfs/config").read_text())
            for name, value in described["settings"]["config"].items():
                found = config
                for part in name.split("."):
                    found = found[part]
                assert found == value, name
                assert described["reasons"][name]
            assert described["settings"]["add"] == {"chunker": "size-65536", "raw-leaves": "true"}
            assert "--enable-gc" in described["settings"]["command"]
            await made.systems[1].refresh()
            assert made.systems[1].counters().extra["blocks_received"] == 1 + 16

    asyncio.run(main())
