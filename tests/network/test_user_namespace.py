"""What an unprivileged user may do on this kernel, tried as the user `nobody`."""

from __future__ import annotations

import json
import os
import sys

import pytest

from swarmrace.network import user_namespace
from unprivileged import NOBODY, as_nobody, forbidden, needs_user_namespaces, open_folder, run

pytestmark = needs_user_namespaces

_ASK = """
import json
from swarmrace.network import conditions, namespaces
print(json.dumps({
    "here": namespaces.permitted_here(),
    "refusals": namespaces.refusals(),
    "rates": conditions.probe()["tbf"],
}))
"""
_INSIDE = """
import json, os, pathlib, sys
from swarmrace.network.namespaces import PeerNetwork
status = dict(row.split(":", 1) for row in open("/proc/self/status").read().splitlines())
pathlib.Path(sys.argv[1], "made inside").touch()
with PeerNetwork(2) as network:
    found = [peer.address for peer in network.peers]
print(json.dumps({
    "ids": [os.getuid(), os.getgid()],
    "capabilities": int(status["CapEff"], 16),
    "addresses": found,
}))
"""


def python(text: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", text, *arguments]


def test_an_unprivileged_user_can_have_namespaces_and_rates_in_a_user_namespace():
    done = run(as_nobody(python(_ASK)))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"here": False, "refusals": [], "rates": ""}


def test_inside_the_user_keeps_their_ids_and_gets_network_capabilities():
    with open_folder() as folder:
        inside = user_namespace.command_inside(python(_INSIDE, str(folder)))
        done = run(as_nobody(inside))
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        user = NOBODY if os.geteuid() == 0 else os.geteuid()
        assert found["ids"][0] == user
        assert found["capabilities"] == 1 << 12 | 1 << 13 | 1 << 21  # NET_ADMIN, NET_RAW, SYS_ADMIN
        assert len(found["addresses"]) == 2
        assert (folder / "made inside").stat().st_uid == user


@pytest.mark.parametrize("setting", ["max_user_namespaces", "max_net_namespaces"])
def test_a_refusal_names_the_kernels_setting(setting):
    ask = "from swarmrace.network import namespaces; print(*namespaces.refusals(), sep='\\n')"
    done = run(forbidden(python(ask), setting))
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    assert f"user.{setting} is 0" in line
    assert f"or as root `sysctl -w user.{setting}=" in line


def test_a_command_that_cannot_run_inside_is_not_run_outside():
    command = user_namespace.command_inside(["echo", "ran"])
    done = run(forbidden(command))
    assert done.returncode == 4
    assert "ran" not in done.stdout
    assert "unshare of a user namespace: " in done.stderr
