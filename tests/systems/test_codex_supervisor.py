"""The sidecar's supervisor, run by two real shells, and the system that uses it."""

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

from codex_swarm import codex_swarm, program
from memory_cgroups import memory_cgroup, move
from patience import PATIENCE_SECONDS
from supervising import SCRIPT, ended, start_supervisor
from swarmrace.errors import Reason, TransferError
from swarmrace.systems.codex.local import free_ports
from swarmrace.systems.codex.options import CodexOptions
from swarmrace.systems.codex.remote import SupervisedCodex
from swarmrace.systems.sidecar import Sidecar, Supervisor

SHELLS = [["dash"], ["busybox", "sh"], ["bash", "--posix"]]


def node_of(url: str, control: Path, family: str = "auto") -> SupervisedCodex:
    return SupervisedCodex(Sidecar(url, control, None), CodexOptions(family=family), 100_000)


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
        "CODEX_LOG_LEVEL": "INFO",
        "CODEX_ETH_PRIVATE_KEY": "none of our business",
    }

    def start() -> subprocess.Popen:
        return start_supervisor(folder, command, shell=words, environment=environment)

    with ended(start()) as process:
        yield process, start, folder / "control", f"http://127.0.0.1:{ports.api}"


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("words", SHELLS, ids=lambda words: words[0])
def test_cold_starts_stops_and_ends_without_a_request(tmp_path, words):
    """In every shell, with a program that only prints its arguments and waits."""
    stand_in = tmp_path / "node"
    stand_in.write_text('#!/bin/sh\ntouch "$SUPERVISE_DATA/used"\nexec sleep 1000 # "$@"\n')
    stand_in.chmod(0o755)
    with supervised(tmp_path, shell(words), command=[str(stand_in)]) as (process, _, control, _):

        async def main():
            node = Supervisor(control)
            await until(lambda: node.status().state == "stopped")
            assert node.status().generation == 0  # before any request
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
            assert used.exists()  # the data are kept
            assert node.status().command == status.command
            assert node.status().generation == 2

            await node.stop()
            assert (node.status().state, node.status().pid) == ("stopped", 0)
            assert not used.parent.exists()

        asyncio.run(main())
        process.terminate()
        assert process.wait(timeout=PATIENCE_SECONDS) == 0


def test_a_restarted_container_counts_as_an_end_without_a_request(tmp_path):
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
                again.wait(timeout=PATIENCE_SECONDS)
            await node.api.close()

        asyncio.run(main())


@pytest.mark.parametrize("words", SHELLS, ids=lambda words: words[0])
def test_a_node_killed_for_memory_is_distinguished_from_one_that_dies(tmp_path, monkeypatch, words):
    """The node's container has 60 MB; the supervisor survives, as without memory.oom.group."""
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


def test_an_autopsy_waits_as_long_as_the_supervisor_takes_to_report(tmp_path):
    """A stream breaks the moment its node dies; the status says so more than a second later."""
    with supervised(tmp_path, ["sh"], storage=True) as (_, _, control, url):

        async def main():
            node = node_of(url, control, "storage")
            await node.start(None)
            os.kill(node.pids()[0], signal.SIGKILL)
            assert "exit code 137" in (await node.autopsy() or "")
            await node.api.close()

        asyncio.run(main())


@pytest.mark.parametrize("words", SHELLS, ids=lambda words: words[0])
def test_last_words_are_the_end_of_a_log_of_any_length(tmp_path, capfd, words):
    """From the first start to the end of a long log, of which at most two parts are kept."""
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
    while last not in passed_on:  # what copies the output may outlive the supervisor
        passed_on += capfd.readouterr().out
    assert all(f"line {index} " in passed_on for index in range(0, 60_000, 500))


def test_a_running_node_has_last_lines_too(tmp_path):
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
    """A pod's peer, whose sidecar is given by environment variables; it is alone in its swarm."""
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
        node = SupervisedCodex(sidecar, CodexOptions(), 100_000, "fd00::7")
        with pytest.raises(
            TransferError, match=r"found fd00::7: .* only listens on IPv4"
        ) as caught:
            await node.start(None)
        assert caught.value.reason is Reason.REFUSED
        await node.api.close()

    asyncio.run(main())


def test_a_missing_file_leaves_no_error_in_the_log():
    """Shells report a missing file before they process a later redirection."""
    text = SCRIPT.read_text()
    assert 'read -r line 2>/dev/null <"/proc/$pid/stat"' in text
    assert not re.search(r'<"/proc[^"]*" 2>', text)
