"""A system's program as a child process, tried with real programs."""

from __future__ import annotations

import asyncio
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
from swarmrace.errors import Reason, TransferError
from swarmrace.systems.child import Child, ChildEndedError, free_ports

SLEEPS = ["sh", "-c", "sleep 60 & echo begun; wait"]
STUBBORN = ["sh", "-c", "trap '' TERM; echo begun; while :; do sleep 0.1; done"]


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def in_time(holds, seconds=10):
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
    assert in_time(lambda: all(map(gone, pids)))


def test_a_child_dies_with_its_peer_even_if_that_is_killed(tmp_path):
    code = (
        "import asyncio, pathlib, time\n"
        "from swarmrace.systems.child import Child\n"
        "async def go():\n"
        "    child = Child(pathlib.Path('log'), pathlib.Path('.'))\n"
        "    await child.start(['sleep', '60'])\n"
        "    print(*child.pids(), flush=True)\n"
        "    time.sleep(60)\n"
        "asyncio.run(go())\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    pid = int(parent.stdout.readline())
    assert not gone(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert in_time(lambda: gone(pid))


def test_its_last_words_are_its_own(tmp_path):
    """The log is kept over starts; what an earlier start wrote is none of a later one's words."""

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


def test_a_program_that_ends_at_its_start_is_a_result(tmp_path):
    async def ends(command):
        child = Child(tmp_path / "log", tmp_path)
        await child.start(command)
        await child.until(asyncio.sleep(60))

    with pytest.raises(ChildEndedError, match=r"exited 3 at its start; output: bind: .*") as caught:
        asyncio.run(ends(["sh", "-c", "echo bind: Address already in use; exit 3"]))
    assert caught.value.reason is Reason.REFUSED
    assert caught.value.port_was_busy
    with pytest.raises(ChildEndedError, match=r"exited 0 .*output: none") as caught:
        asyncio.run(ends(["true"]))
    assert not caught.value.port_was_busy
    with pytest.raises(TransferError, match="no-such-program: can't be started"):
        asyncio.run(ends([str(tmp_path / "no-such-program")]))


def test_it_gets_the_variables_and_folder_that_are_given(tmp_path):
    async def go():
        child = Child(tmp_path / "log", tmp_path / "own")
        await child.start(["/bin/sh", "-c", "echo $A $HOME at $PWD"], {"A": "1"})
        return await child.died()

    (tmp_path / "own").mkdir()
    assert asyncio.run(go()).endswith(f"output: 1 at {tmp_path}/own")


def test_ports_are_free_and_all_different():
    address = new_address()
    found = free_ports(address, tcp=20, udp=20, both=20)
    assert len({*found.tcp, *found.both}) == 40
    assert len({*found.udp, *found.both}) == 40
    for port in (*found.tcp, *found.both):
        with socket.socket() as tcp:
            tcp.bind((address, port))
    for port in (*found.udp, *found.both):
        with socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.bind(("0.0.0.0", port))


def test_a_udp_port_is_seen_only_at_the_program_that_binds_it(tmp_path):
    address = new_address()
    mine, other = free_ports(address, udp=2).udp
    code = (
        f"import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', {mine}));"
        "print('begun', flush=True); time.sleep(60)"
    )

    async def go():
        child = Child(tmp_path / "log", tmp_path)
        await child.start([sys.executable, "-c", code], dict(os.environ))
        await child.until(begun(child))
        found = await child.holds_udp(mine), await child.holds_udp(other, seconds=0.2)
        await child.stop()
        return found

    assert asyncio.run(go()) == (True, False)
