from __future__ import annotations

import subprocess
import sys

from small_disks import needs_root
from swarmrace.host.watch import MachineWatch, loopback_fault


@needs_root
def test_a_loopback_interface_that_is_down_is_reported():
    code = (
        "import subprocess\n"
        "from swarmrace.host.watch import MachineWatch\n"
        "watch, other = MachineWatch('127.0.0.1'), MachineWatch('10.0.0.1')\n"
        "print(watch.down()); print(repr(other.down()))\n"
        "subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)\n"
        "print(repr(watch.down()))\n"
        "subprocess.run(['ip', 'link', 'set', 'lo', 'down'], check=True)\n"
        "print(watch.down())\n"
    )
    command = ["unshare", "--net", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    down, other, up, again = done.stdout.splitlines()
    assert down.startswith("the loopback interface is down")
    assert "`ip link set lo up`" in down
    assert (other, up, again) == ("''", "''", down)


def test_the_loopback_interface_of_this_machine_is_up():
    assert loopback_fault() == ""


def test_a_suspension_is_reported_once():
    slept = iter([100.0, 100.0, 100.2, 112.7, 112.7])
    watch = MachineWatch("127.0.0.1", lambda: next(slept))
    assert [watch.suspended() for _ in range(2)] == ["", ""]
    assert watch.suspended() == (
        "the machine was suspended for 12.5 s; keep it awake during a race"
    )
    assert watch.suspended() == ""
