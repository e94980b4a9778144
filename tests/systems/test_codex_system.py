"""The system over nodes that it starts itself, of both families."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys

import psutil
import pytest

from codex_swarm import BLOCK, ROOT, codex_swarm, program
from memory_cgroups import limit, memory_cgroup, move
from patience import PATIENCE_SECONDS
from swarmrace.errors import KilledForMemoryError, Reason, TransferError
from swarmrace.systems.codex import local
from swarmrace.systems.codex.programs import Ports

KINDS = pytest.mark.parametrize(
    ("personality", "download", "runs"),
    [
        ("v0.1.9", "stream", 1),
        ("v0.2.5", "background", 1),
        ("storage-2026", "stream", 2),
        ("storage-2026", "background", 1),
    ],
)
SIZE = 20 * BLOCK + 1


@KINDS
def test_a_swarm_races_several_cold_runs(tmp_path, personality, download, runs):
    path = program(tmp_path / "bin", personality)
    peers = 1 + runs  # with two runs there are two seeders

    async def main():
        async with codex_swarm(
            tmp_path, SIZE, peers, program=str(path), download=download, poll_seconds=0.01
        ) as swarm:
            ids = []
            for index in range(runs):
                await swarm.prepare(seeders=runs, index=index)
                ids.append([system._info.id for system in swarm.systems])
                references = await swarm.publish(seeders=runs)
                assert all(reference == references[0] for reference in references)
                assert set(references[0]) == {"cid"}  # all else is looked up during the race
                leecher, record = swarm.systems[-1], swarm.record()
                began = record.clock.now_ns()
                await leecher.fetch(references, record)
                assert began < record.discovered_ns < record.done_ns
                digest = await leecher.digest()
                assert (digest.size_bytes, digest.sha256) == (SIZE, swarm.sha256)
                _check_record(record, download, personality)
                described = json.loads(json.dumps(leecher.describe()))
                assert described["family"] == ("storage" if "storage" in personality else "codex")
                assert "double" in described["version"]
                pids = [pid for system in swarm.systems for pid in system.processes()]
                assert len(set(pids)) == peers
                await leecher._watch.refresh()
                counters = leecher.counters()
                assert counters.received_bytes > SIZE
                assert counters.extra["block_exchange_blocks_received_total"] == 21
                await asyncio.gather(*(system.remove() for system in swarm.systems))
                assert not any(psutil.pid_exists(pid) for pid in pids)
                assert not (tmp_path / "peer-1/codex-data").exists()
            assert (
                len({each for run in ids for each in run}) == peers * runs
            )  # a cold start never has the same node

    asyncio.run(main())


def _check_record(record, download, personality):
    if download == "stream":
        curve = record.deliverable.curve(0, SIZE)
        assert curve.complete
        assert curve.duplicate_bytes == 0
        assert curve.offsets_known
        assert record.arrivals is None
        assert record.done_ns >= record.deliverable.last_ns
    elif personality.startswith("storage"):
        curve = record.arrivals.curve(0, SIZE)
        assert curve.complete
        assert not curve.offsets_known
        assert record.deliverable is None
    else:
        assert record.arrivals is None
        assert record.deliverable is None


def test_the_death_of_the_node_ends_a_transfer(tmp_path):
    """Killed while its stream waits: `node died`, with the signal and the node's last lines."""
    path = program(tmp_path / "bin", silent_from_bytes=BLOCK, time_scale=10)

    async def main():
        async with codex_swarm(tmp_path, SIZE, program=str(path)) as swarm:
            await swarm.prepare()
            references = await swarm.publish()
            leecher, record = swarm.systems[1], swarm.record()
            fetch = asyncio.create_task(leecher.fetch(references, record))
            while not record.progress_bytes:  # until block 0 comes; 32 s of silence follow
                await asyncio.sleep(0.01)
            os.kill(leecher.processes()[0], signal.SIGKILL)
            killed = r"signal 9 \(killed from outside.*Started Codex node"
            with pytest.raises(TransferError, match=killed) as caught:
                await fetch
            assert caught.value.reason is Reason.NODE_DIED
            os.kill(swarm.systems[0].processes()[0], signal.SIGKILL)
            while swarm.systems[0].processes():
                await asyncio.sleep(0.01)
            with pytest.raises(TransferError) as caught:  # a seeder's is detected here at last
                await swarm.systems[0].remove()
            assert caught.value.reason is Reason.NODE_DIED

    asyncio.run(main())


def test_a_node_killed_for_memory_is_distinguished_from_one_that_dies(tmp_path):
    path = program(tmp_path / "bin", silent_from_bytes=BLOCK, time_scale=10)

    async def main():
        async with codex_swarm(tmp_path, SIZE, program=str(path)) as swarm:
            await swarm.prepare()
            references = await swarm.publish()
            leecher, record = swarm.systems[1], swarm.record()
            fetch = asyncio.create_task(leecher.fetch(references, record))
            while not record.progress_bytes:
                await asyncio.sleep(0.01)
            with memory_cgroup(10**9) as folder:
                move(leecher.processes()[0], folder)
                limit(folder, 4096)
                with pytest.raises(KilledForMemoryError, match="the kernel killed it") as caught:
                    await fetch
            assert caught.value.reason is Reason.NODE_DIED, "whose doing it was is not its to say"
            if caught.value.used_bytes is not None:
                assert caught.value.used_bytes > 1_000_000

    asyncio.run(main())


@pytest.mark.parametrize(
    ("arguments", "found"),
    [(["--no-such-option=1"], "exited 1.*no-such-option"), (["--nat:nonsense"], "exited 1.*NAT")],
)
def test_a_node_that_does_not_start_is_refused_at_every_peer(tmp_path, arguments, found):
    path = program(tmp_path / "bin")

    async def main():
        async with codex_swarm(tmp_path, SIZE, program=str(path), arguments=arguments) as swarm:
            run = swarm.run()
            errors = await asyncio.gather(
                *(system.prepare(run) for system in swarm.systems), return_exceptions=True
            )
            for error in errors:  # the other peers don't wait for a first seeder that never comes
                assert isinstance(error, TransferError)
                assert error.reason is Reason.REFUSED
            with pytest.raises(TransferError, match=found):
                raise errors[0]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("personality", "busy"),
    [("v0.2.5", "api"), ("v0.2.5", "discovery"), ("storage-2026", "listen")],
)
def test_busy_ports_are_noticed_and_others_used(tmp_path, monkeypatch, personality, busy):
    """A busy API port ends the node; a busy discovery port doesn't, so it is checked. The newest
    nodes use one number for both."""
    path, real, given = program(tmp_path / "bin", personality), local.free_ports, []

    async def main():
        async with codex_swarm(tmp_path, SIZE, program=str(path)) as swarm:
            first = swarm.systems[0]
            udp = await asyncio.get_running_loop().create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("0.0.0.0", 0)
            )
            addresses = [system.context.address for system in swarm.systems]
            tcp = await asyncio.start_server(lambda *_: None, addresses[0], 0)
            taken_udp = udp[0].get_extra_info("sockname")[1]
            taken_tcp = tcp.sockets[0].getsockname()[1]

            def ports(address: str) -> Ports:
                found = real(address)
                given.append(address)
                if len(given) > 1:
                    return found
                if busy == "api":
                    return Ports(found.listen, found.discovery, taken_tcp, found.metrics)
                if busy == "listen":
                    return Ports(taken_udp, taken_udp, found.api, found.metrics)
                return Ports(found.listen, taken_udp, found.api, found.metrics)

            monkeypatch.setattr(local, "free_ports", ports)
            await swarm.prepare()
            assert sum(given.count(address) for address in addresses) == 3
            assert "busy" in first.describe()["notes"][0]
            udp[0].close()
            tcp.close()

    asyncio.run(main())


def test_a_usage_message_is_no_busy_port(tmp_path):
    """It contains `api-bindaddr`; the node would be started four times in vain."""
    path = program(tmp_path / "bin")
    usage = "  --api-bindaddr   The REST API bind address"
    path.write_text(
        path.read_text().replace(
            "exec", f'case "$*" in *--api-port*) echo "{usage}"; exit 1;; esac\nexec', 1
        )
    )

    async def main():
        async with codex_swarm(tmp_path, SIZE, 1, program=str(path)) as swarm:
            with pytest.raises(TransferError, match=r"exited 1.*REST API bind address"):
                await swarm.prepare()
            assert swarm.systems[0].describe()["notes"] == []

    asyncio.run(main())


def test_the_node_ends_with_its_peer(tmp_path):
    path = program(tmp_path / "bin")
    script = f"""
import asyncio, sys
sys.path[:0] = [{str(ROOT / "tests/support")!r}, {str(ROOT / "images/codex-double")!r}]
from pathlib import Path
from codex_swarm import codex_swarm, program
async def main():
    async with codex_swarm(Path({str(tmp_path)!r}), 1000, 1, program={str(path)!r}) as swarm:
        await swarm.prepare()
        print(swarm.systems[0].processes()[0], flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""
    peer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        pid = int(peer.stdout.readline())
        node = psutil.Process(pid)
        peer.kill()
        psutil.wait_procs([node], timeout=PATIENCE_SECONDS)
        assert not node.is_running() or node.status() == psutil.STATUS_ZOMBIE
    finally:
        peer.kill()
        peer.communicate()
