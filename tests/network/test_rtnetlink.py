from __future__ import annotations

import errno
import json
import shutil
import socket
import subprocess

import pytest

from swarmrace.errors import ConditionError
from swarmrace.network import conditions
from swarmrace.network.conditions import Path, burst_bytes, queue_bytes
from swarmrace.network.namespaces import call_in_scratch
from swarmrace.network.rtnetlink import Rtnetlink


def test_an_error_says_what_was_tried_and_the_kernels_answer(permitted):
    def twice() -> None:
        with Rtnetlink() as links:
            links.add_pair("here", "there")
            links.add_pair("here", "there")

    with pytest.raises(ConditionError, match=r"link here: adding it: failed \(File exists\)"):
        call_in_scratch(twice)


def test_a_link_that_does_not_exist_is_named(permitted):
    def missing() -> None:
        with Rtnetlink() as links:
            links.bring_up("nothing")

    with pytest.raises(ConditionError, match=r"link nothing: not found in this network namespace"):
        call_in_scratch(missing)


def test_the_kernel_has_the_limits_that_were_set(permitted):
    """As its own program prints them: rounding by 0.1 %, because a burst is counted as time."""
    if shutil.which("tc") is None:
        pytest.skip("tc, to read them by other means, is not installed")
    path = Path(rate=1_234_567, queue_milliseconds=300)

    def printed() -> dict:
        with Rtnetlink() as links:
            (qdisc,) = conditions.egress_qdiscs(path)
            for _ in range(2):  # the second replaces the first
                links.replace_qdisc("lo", qdisc)
        command = ["tc", "-json", "qdisc", "show", "dev", "lo"]
        return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]

    found = call_in_scratch(printed)
    assert (found["kind"], found["handle"], found["root"]) == ("tbf", "1:", True)
    assert found["options"]["rate"] == 1_234_567
    assert found["options"]["burst"] == pytest.approx(burst_bytes(1_234_567), rel=0.001)
    held = queue_bytes(1_234_567, 300) - found["options"]["burst"]
    assert found["options"]["lat"] / 1e6 == pytest.approx(held / 1_234_567, rel=0.01)


def test_an_address_of_either_family_is_usable_at_once(permitted):
    def bound() -> list[str]:
        with Rtnetlink() as links:
            links.add_pair("here", "there")
            for name in ("here", "there"):
                links.bring_up(name)
            links.add_address("here", "10.9.0.1", 24)
            links.add_address("here", "fd00::1", 64)
        found = []
        for family, address in ((socket.AF_INET, "10.9.0.1"), (socket.AF_INET6, "fd00::1")):
            with socket.socket(family, socket.SOCK_STREAM) as made:
                made.bind((address, 0))
                found.append(made.getsockname()[0])
        return found

    assert call_in_scratch(bound) == ["10.9.0.1", "fd00::1"]


def test_a_value_that_does_not_fit_is_an_error_of_one_line(permitted):
    def slow() -> None:
        (qdisc,) = conditions.egress_qdiscs(Path(rate=10))
        with Rtnetlink() as links:
            links.replace_qdisc("lo", qdisc)

    with pytest.raises(ConditionError, match=r"qdisc tbf of lo: failed \(a value has more than"):
        call_in_scratch(slow)


def test_a_socket_that_is_not_permitted_is_an_error_of_one_line(monkeypatch):
    def refuse(**_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("pyroute2.IPRoute", refuse)
    with (
        pytest.raises(ConditionError, match=r"netlink: can't be opened \(Operation not"),
        Rtnetlink(),
    ):
        pass
