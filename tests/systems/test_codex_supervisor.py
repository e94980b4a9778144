"""The sidecar's supervisor, run for real by two shells, and the system on the other side of it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from codex_swarm import ROOT, codex_swarm, program
from memory_cgroups import memory_cgroup, move
from swarmrace.errors import Reason, TransferError
from swarmrace.systems.codex.local import free_ports
from swarmrace.systems.codex.options import CodexOptions
from swarmrace.systems.codex.remote import SupervisedNode
from swarmrace.systems.sidecar import Sidecar, Supervisor

SCRIPT = ROOT / "charts/swarm/files/supervise.sh"
SHELLS = [["dash"], ["busybox", "sh"], ["bash", "--posix"]]


def node_of(url: str, control: Path, family: str = "auto") -> SupervisedNode:
    return SupervisedNode(Sidecar(url, control, None), CodexOptions(family=family), 100_000)


def shell(words: list[str]) -> list[str]:
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    return words


@contextmanager
def supervised(folder: Path, words: list[str], *, storage: bool = False, command=None):
    """Run the supervisor; yield its process, how to start another, control folder and URL."""
    kind = "storage-2026" if storage else "v0.2.5"
    ports = free_ports("127.0.0.1")
    if command is None:
        listen = (
            ["--listen-ip=127.0.0.1", f"--listen-port={ports.listen}"]
            if storage
            else [
                f"--listen-addrs=/ip4/127.0.0.1/tcp/{ports.listen}",
                f"--disc-port={ports.discovery}",
            ]
        )
        command = [
            str(program(folder / "bin", kind)),
            f"--data-dir={folder / 'volume/data'}",
            f"--api-port={ports.api}",
            "--nat=extip:127.0.0.1",
            *listen,
        ]
    environment = {
        **os.environ,
        "SUPERVISE_CONTROL": str(folder / "control"),
        "SUPERVISE_DATA": str(folder / "volume/data"),
        "CODEX_LOG_LEVEL": "INFO",
        "CODEX_ETH_PRIVATE_KEY": "none of our business",
    }

    def start() -> subprocess.Popen:
        return subprocess.Popen([*words, str(SCRIPT), *command], env=environment)

    process = start()
    try:
        yield process, start, folder / "control", f"http://127.0.0.1:{ports.api}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        finally:
            process.kill()


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("words", SHELLS, ids=lambda words: words[0])
def test_cold_starts_stops_and_unasked_ends(tmp_path, words):
    """In every shell, with a stand-in that only shows its arguments and waits."""
    stand_in = tmp_path / "node"
    stand_in.write_text('#!/bin/sh\ntouch "$SUPERVISE_DATA/used"\nexec sleep 1000 # "$@"\n')
    stand_in.chmod(0o755)
    with supervised(tmp_path, shell(words), command=[str(stand_in)]) as (process, _, control, _):

        async def main():
            node = Supervisor(control)
            await until(lambda: node.status().state == "stopped")
            assert node.status().generation == 0  # before anybody asked
            await node.start()
            used = tmp_path / "volume/data/used"
            await until(used.exists)
            (tmp_path / "volume/data/left").write_text("from the run before")
            old = node.status().pid
            status = await node.start(["--join=a b=="], {"OPTION": "c d"})
            assert status.command == f"env OPTION=c d {stand_in} --join=a b=="
            assert (status.generation, status.state, status.unasked) == (2, "running", 0)
            assert node.pids() == [status.pid]
            assert not psutil.pid_exists(old)
            await until(used.exists)
            assert psutil.Process(status.pid).environ()["OPTION"] == "c d"
            assert not (tmp_path / "volume/data/left").exists()

            os.kill(status.pid, signal.SIGKILL)
            assert "exit code 137" in await node.died()
            await until(lambda: node.status().pid != status.pid)
            assert used.exists()  # on the data as they were
            assert node.status().command == status.command
            assert node.status().generation == 2

            await node.stop()
            assert (node.status().state, node.status().pid) == ("stopped", 0)
            assert not used.parent.exists()

        asyncio.run(main())
        process.terminate()
        assert process.wait(timeout=30) == 0


def test_a_container_that_starts_again_counts_as_unasked(tmp_path):
    with supervised(tmp_path, ["sh"], storage=True) as (process, start, control, url):

        async def main():
            node = node_of(url, control, "storage")
            await node.start(None)
            assert "--no-bootstrap-node" in psutil.Process(node.pids()[0]).cmdline()
            died = asyncio.create_task(node.died())
            pid = node.pids()[0]
            process.kill()  # as the kubelet or the kernel would
            process.wait()
            os.kill(pid, signal.SIGKILL)
            again = start()
            try:
                assert "container started again" in await died
                assert node.supervisor.status().generation == 1
            finally:
                again.terminate()
                again.wait(timeout=30)
            await node.api.close()

        asyncio.run(main())


@pytest.mark.parametrize("words", SHELLS, ids=lambda words: words[0])
def test_a_node_that_the_kernel_kills_for_memory_is_told_from_one_that_dies(
    tmp_path, monkeypatch, words
):
    """The node's container holds 60 MB; the supervisor lives on, as without memory.oom.group."""
    stand_in = tmp_path / "node"
    go = tmp_path / "go"
    stand_in.write_text(
        f"#!{sys.executable}\nimport os, time\nwhile not os.path.exists({str(go)!r}):\n"
        "    time.sleep(0.05)\nheld = []\nwhile True:\n    held.append(bytearray(2_000_000))\n"
    )
    stand_in.chmod(0o755)
    with memory_cgroup(60_000_000) as folder:
        monkeypatch.setenv("SUPERVISE_CGROUP", str(folder))
        with supervised(tmp_path, shell(words), command=[str(stand_in)]) as (_, _, control, url):

            async def main():
                node = node_of(url, control)
                await node.supervisor.start()
                assert node.killed_for_memory is None
                move(node.supervisor.status().pid, folder)
                go.touch()
                assert "out of memory: the kernel killed it" in await node.died()
                found = node.killed_for_memory
                assert found.used_bytes == found.limit_bytes == pytest.approx(6e7, abs=4096)
                go.unlink()
                os.kill(node.supervisor.status().pid, signal.SIGKILL)
                node.supervisor._status = node.supervisor.status()
                assert "out of memory" not in await node.died()
                assert node.killed_for_memory is None
                await node.api.close()

            asyncio.run(main())


def test_a_node_that_cannot_start_is_refused(tmp_path):
    with supervised(tmp_path, ["sh"], command=["false"]) as (_, _, control, url):

        async def main():
            node = node_of(url, control)
            with pytest.raises(TransferError, match="exit code 1") as caught:
                await node.start(None)
            assert caught.value.reason is Reason.REFUSED
            await node.api.close()

        asyncio.run(main())


@pytest.mark.parametrize("words", SHELLS, ids=lambda words: words[0])
def test_last_words_are_the_end_of_however_much_a_node_has_written(tmp_path, capfd, words):
    """From the first start to the end of a long log, of which two parts are kept at most."""
    stand_in = tmp_path / "node"
    last = "this\tis |\x1b[31m the end"
    program = f"""import sys
for index in range(60_000):
    print("line", index, "x" * 80)
print({last!r}, file=sys.stderr)
sys.exit(3)
"""
    stand_in.write_text(f"#!{sys.executable}\n{program}")
    stand_in.chmod(0o755)
    with supervised(tmp_path, shell(words), command=[str(stand_in)]) as (_, _, control, url):

        async def main():
            node = node_of(url, control)
            with pytest.raises(TransferError, match="exit code 3") as caught:
                await node.start(None)
            assert caught.value.detail.endswith("x | this is | [31m the end"), caught.value.detail
            assert len(node.last_lines()) <= 600
            assert node.last_lines() in caught.value.detail
            await node.close()

        asyncio.run(main())
        kept = [path.stat().st_size for path in control.glob("output*")]
        assert sum(kept) <= 2 * 256 * 4096
    passed_on = capfd.readouterr().out
    assert all(f"line {index} " in passed_on for index in range(0, 60_000, 500))
    assert last in passed_on


def test_a_node_that_lives_has_last_lines_too(tmp_path):
    stand_in = tmp_path / "node"
    stand_in.write_text("#!/bin/sh\necho nobody answers me\nexec sleep 1000\n")
    stand_in.chmod(0o755)
    with supervised(tmp_path, ["sh"], command=[str(stand_in)]) as (_, _, control, url):

        async def main():
            node = node_of(url, control)
            await node.supervisor.start()
            await until(lambda: node.last_lines() == "nobody answers me")
            await node.api.close()

        asyncio.run(main())


def test_the_system_restarts_its_sidecar_cold_between_runs(tmp_path, monkeypatch):
    """A pod's peer: the node beside it by environment variables, alone in its swarm here."""
    with supervised(tmp_path, ["sh"]) as (_, _, control, url):
        monkeypatch.setenv("SWARMRACE_SIDECAR_API", url)
        monkeypatch.setenv("SWARMRACE_SIDECAR_CONTROL", str(control))

        async def main():
            ids = []
            async with codex_swarm(tmp_path, 100_000, 1) as swarm:
                system = swarm.systems[0]
                for index in range(2):
                    await swarm.prepare(index=index)
                    ids.append(system._info.id)
                    assert system.processes()
                    settings = system.describe()["settings"]
                    assert any(each.startswith("--api-port=") for each in settings["command"])
                    assert settings["environment"]["CODEX_LOG_LEVEL"] == "INFO"
                    assert "CODEX_ETH_PRIVATE_KEY" not in settings["environment"]
                    await swarm.publish()
                    assert (await system.digest()).sha256 == swarm.sha256
                    await system.remove()
                    assert not system.processes()
            assert ids[0] != ids[1]

        asyncio.run(main())


def test_a_pod_with_an_ipv6_address_is_refused_with_the_reason(tmp_path):
    """Its discovery listens on 0.0.0.0 (observed on v0.2.5)."""

    async def main():
        sidecar = Sidecar("http://127.0.0.1:9", tmp_path, None)
        node = SupervisedNode(sidecar, CodexOptions(), 100_000, "fd00::7")
        with pytest.raises(TransferError, match=r"found fd00::7: .* IPv4 only") as caught:
            await node.start(None)
        assert caught.value.reason is Reason.REFUSED
        await node.api.close()

    asyncio.run(main())


def test_what_is_gone_is_no_noise_in_the_log():
    """Shells say that a file is missing before they come to a redirection that stands after it."""
    text = SCRIPT.read_text()
    assert 'read -r line 2>/dev/null <"/proc/$pid/stat"' in text
    assert not re.search(r'<"/proc[^"]*" 2>', text)
