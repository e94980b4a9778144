"""A system's program as a child process, tried with real programs."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from loopback import new_address
from patience import PATIENCE_SECONDS, TRIES
from swarmrace.errors import Reason, TransferError
from swarmrace.host import memory_kills
from swarmrace.systems.child import Child, ChildEndedError, free_ports
from swarmrace.systems.node import StartedNode

SLEEPS = ["sh", "-c", "sleep 3600 & echo begun; wait"]
STUBBORN = ["sh", "-c", "trap '' TERM; echo begun; while :; do sleep 0.1; done"]


def has_ended(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def in_time(holds, seconds=PATIENCE_SECONDS):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


async def begun(child):
    while "begun" not in child.last_words():
        await asyncio.sleep(0.01)
    return "ready"


@pytest.mark.parametrize("command", [SLEEPS, STUBBORN], ids=["obeys", "is stubborn"])
def test_a_child_is_ended_with_all_its_children(tmp_path, command):
    async def go():
        child = Child(tmp_path / "log", tmp_path)
        await child.start(command)
        assert await child.until(begun(child)) == "ready"
        assert child.running
        pids = child.pids()
        assert len(pids) >= 1 + (command is SLEEPS)
        await child.stop(seconds=0.3)
        assert not child.running
        assert child.pids() == []
        await child.stop()
        return pids

    pids = asyncio.run(go())
    assert in_time(lambda: all(map(has_ended, pids)))


def test_a_child_has_ended_as_soon_as_the_kernel_knows(tmp_path):
    """On a busy machine asyncio learns of it much later."""

    async def go():
        child = Child(tmp_path / "log", tmp_path)
        await child.start(["sleep", "3600"])
        (pid,) = child.pids()
        os.kill(pid, signal.SIGKILL)
        assert in_time(lambda: has_ended(pid))  # asyncio has no turn meanwhile
        assert not child.running
        assert child.pids() == []
        assert "signal 9" in await child.died()
        await child.stop()

    asyncio.run(go())


def test_a_death_is_known_while_something_else_is_killed_for_memory(tmp_path, monkeypatch):
    """Then the kernel's log is read for seconds, in case it names the child."""
    counts = itertools.count()
    monkeypatch.setattr(memory_kills, "_count_on_machine", lambda: next(counts))

    class Node(StartedNode):
        async def stop(self):
            await self._process.stop()

    async def go():
        child = Child(tmp_path / "log", tmp_path)
        await child.start(["sleep", "3600"])
        node = Node(child)
        os.kill(child.pids()[0], signal.SIGKILL)
        assert in_time(lambda: not child.running)
        assert "signal 9" in await node.autopsy(0.01)
        await node.stop()

    asyncio.run(go())


def test_a_child_dies_with_its_peer_even_if_the_peer_is_killed(tmp_path):
    code = (
        "import asyncio, pathlib, time\n"
        "from swarmrace.systems.child import Child\n"
        "async def go():\n"
        "    child = Child(pathlib.Path('log'), pathlib.Path('.'))\n"
        "    await child.start(['sleep', '3600'])\n"
        "    print(*child.pids(), flush=True)\n"
        "    time.sleep(3600)\n"
        "asyncio.run(go())\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    pid = int(parent.stdout.readline())
    assert not has_ended(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert in_time(lambda: has_ended(pid))


def test_processes_that_a_program_left_behind_are_ended(tmp_path):
    """The program ended by itself; a process that it had started still runs."""

    async def go():
        child = Child(tmp_path / "log", tmp_path)
        await child.start(["sh", "-c", "sleep 3600 & echo $! >left; exit 3"])
        await child.died()
        pid = int((tmp_path / "left").read_text())
        assert not has_ended(pid)
        await child.stop()
        return pid

    pid = asyncio.run(go())
    assert in_time(lambda: has_ended(pid))


def test_last_words_are_those_of_the_last_start(tmp_path):
    """The log is kept across starts; what an earlier start wrote isn't in a later one's words."""

    async def go():
        child = Child(tmp_path / "log", tmp_path, name="the daemon")
        assert await child.died() == "the daemon is not running"
        await child.start(["sh", "-c", "for k in 1 2 3 4 5 6; do echo line $k; done; exit 7"])
        first = await child.died()
        await child.start(["sh", "-c", "kill -9 $$"])
        second = await child.died()
        return first, second

    first, second = asyncio.run(go())
    assert re.fullmatch(
        r"the daemon \(pid \d+\) ended with exit code 7; output: "
        r"line 2 \| line 3 \| line 4 \| line 5 \| line 6",
        first,
    )
    assert "ended by signal 9 (killed from outside" in second
    assert second.endswith("; output: none")
    assert (tmp_path / "log").read_text().startswith("line 1\n")


def test_a_program_that_ends_at_its_start_is_refused(tmp_path):
    async def ends(command):
        child = Child(tmp_path / "log", tmp_path)
        await child.start(command)
        await child.until(asyncio.sleep(3600))

    with pytest.raises(ChildEndedError, match=r"exited 3 at its start; output: bind: .*") as caught:
        asyncio.run(ends(["sh", "-c", "echo bind: Address already in use; exit 3"]))
    assert caught.value.reason is Reason.REFUSED
    assert caught.value.port_was_busy
    with pytest.raises(ChildEndedError, match=r"exited 0 .*output: none") as caught:
        asyncio.run(ends(["true"]))
    assert not caught.value.port_was_busy
    with pytest.raises(TransferError, match="no-such-program: can't be started"):
        asyncio.run(ends([str(tmp_path / "no-such-program")]))


def test_a_child_gets_the_given_variables_and_folder(tmp_path):
    async def go():
        child = Child(tmp_path / "log", tmp_path / "own")
        await child.start(["/bin/sh", "-c", "echo $A $HOME at $PWD"], {"A": "1"})
        return await child.died()

    (tmp_path / "own").mkdir()
    assert asyncio.run(go()).endswith(f"output: 1 at {tmp_path}/own")


def test_ports_are_free_and_all_different():
    address = new_address()

    def bound() -> bool:
        found = free_ports(address, tcp=20, udp=20, both=20)
        assert len({*found.tcp, *found.both}) == 40
        assert len({*found.udp, *found.both}) == 40
        try:
            for port in (*found.tcp, *found.both):
                with socket.socket() as tcp:
                    tcp.bind((address, port))
            for port in (*found.udp, *found.both):
                with socket.socket(type=socket.SOCK_DGRAM) as udp:
                    udp.bind(("0.0.0.0", port))
        except OSError:  # another program may have taken one meanwhile, but not every time
            return False
        return True

    assert any(bound() for _ in range(TRIES))


def test_a_udp_port_is_only_seen_if_the_program_binds_it(tmp_path):
    address = new_address()
    mine, other = free_ports(address, udp=2).udp
    code = (
        f"import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', {mine}));"
        "print('begun', flush=True); time.sleep(3600)"
    )

    async def go():
        child = Child(tmp_path / "log", tmp_path)
        await child.start([sys.executable, "-c", code], dict(os.environ))
        await child.until(begun(child))
        found = await child.holds_udp(mine), await child.holds_udp(other, seconds=0.2)
        await child.stop()
        return found

    assert asyncio.run(go()) == (True, False)
