from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from patience import PATIENCE_SECONDS
from swarmrace.errors import ConditionError
from swarmrace.network import conditions, namespaces, offload
from swarmrace.network.namespaces import (
    PeerNetwork,
    call_inside,
    enter,
    in_thread,
)
from swarmrace.network.qdiscs import root_qdisc
from swarmrace.network.rtnetlink import Rtnetlink
from swarmrace.scenario.scenario import Network
from wires import LinkWatch, links, sink, transfer

_OWNER = """
import sys
from swarmrace.network.namespaces import PeerNetwork
with PeerNetwork(3) as network:
    print(network.peers[0].path, flush=True)
    sys.stdin.read()
"""

_INSIDE = """
import socket, sys
from swarmrace.network.namespaces import enter
enter(sys.argv[1])
print(sorted(name for _, name in socket.if_nameindex()))
"""


def _held() -> list[str]:
    """Return the network namespaces that this process holds by a descriptor."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(entry)  # noqa: PTH115 - the target is no path
        except OSError:
            continue
        if target.startswith("net:"):
            found.append(target)
    return found


@pytest.mark.parametrize("direction", ["u", "d"])
def test_peers_talk_to_each_other_and_to_the_hub(network, direction):
    for here, there in (("peer", "peer"), ("peer", "hub"), ("hub", "peer")):
        at = network.hub if there == "hub" else network.peers[2]
        source = network.hub if here == "hub" else network.peers[0]
        with sink(at) as address:
            assert call_inside(source, transfer, address, direction, 300_000) == 300_000


def test_peers_see_neither_the_machine_nor_its_loopback(network):
    with socket.create_server(("127.0.0.1", 0)) as server:
        for namespace in (network.hub, *network.peers):
            with pytest.raises(OSError, match=r"refused"):
                call_inside(namespace, transfer, server.getsockname(), "u", 1)
    assert call_inside(network.peers[0], links) == {"lo", "eth0"}


def test_there_is_no_way_out_of_the_namespaces(network):
    with pytest.raises(OSError, match=r"unreachable"):
        call_inside(network.peers[0], transfer, ("192.0.2.1", 80), "u", 1)


def test_each_of_64_peers_has_an_address_and_a_link(permitted):
    with PeerNetwork(64) as network:
        assert len({peer.address for peer in network.peers}) == 64
        assert len({os.stat(peer.path).st_ino for peer in network.peers}) == 64  # noqa: PTH116
        with sink(network.peers[63]) as address:
            for index in (0, 31, 62):
                assert call_inside(network.peers[index], transfer, address, "u", 1000) == 1000


def test_names_contain_the_owners_pid(network):
    names = [network.hub.name, *(peer.name for peer in network.peers)]
    assert names[:2] == [f"swarmrace-{os.getpid()}-hub", f"swarmrace-{os.getpid()}-000"]
    assert len(set(names)) == 4


def test_the_machines_own_network_is_left_alone(permitted):
    """Tried in a namespace of its own, because other programs may change the machine's."""

    def during_and_after() -> list[set[str]]:
        with PeerNetwork(2):
            return [links(), links()]

    def tried() -> tuple[set[str], list[set[str]]]:
        return links(), [*during_and_after(), links()]

    before, later = namespaces.call_in_scratch(tried)
    assert later == [before] * 3


def test_another_process_enters_by_the_path(network):
    done = subprocess.run(
        [sys.executable, "-c", _INSIDE, network.peers[0].path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['eth0', 'lo']"


def test_nothing_is_left_after_the_end(permitted):
    before = _held()
    network = PeerNetwork(2).open()
    kept = os.open(network.peers[0].path, os.O_RDONLY)
    try:
        watch = call_inside(network.peers[0], LinkWatch)
        network.close()
        network.close()
        # The hub's namespace takes the other end of eth0 with it when it ends.
        assert call_inside(f"/proc/self/fd/{kept}", watch.wait_until_gone, "eth0", PATIENCE_SECONDS)
    finally:
        os.close(kept)
    assert _held() == before


def test_nothing_is_left_after_kill_9(permitted):
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        path = owner.stdout.readline().strip()
        kept = os.open(path, os.O_RDONLY)
        try:
            watch = call_inside(path, LinkWatch)
            assert call_inside(path, links) == {"lo", "eth0"}
            owner.send_signal(signal.SIGKILL)
            assert call_inside(
                f"/proc/self/fd/{kept}", watch.wait_until_gone, "eth0", PATIENCE_SECONDS
            )
        finally:
            os.close(kept)
    with pytest.raises(ConditionError, match=r"its owner must be running"):
        in_thread(enter, path)


def test_a_failure_halfway_leaves_nothing_behind(permitted, monkeypatch):
    before = _held()

    def fail(*args, **kwargs):
        raise ConditionError("link p000: failed")

    monkeypatch.setattr(Rtnetlink, "bring_up", fail)
    with pytest.raises(ConditionError, match=r"link p000: failed"):
        PeerNetwork(3).open()
    assert _held() == before


def test_no_program_is_needed(permitted, monkeypatch, tmp_path):
    """Neither `ip` nor `tc` nor `ethtool`: a machine without iproute2 can race with limits."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not namespaces.refusals()
    limited = Network(upload="80Mbit", download="80Mbit")
    with PeerNetwork(2) as network:
        for peer in network.peers:
            conditions.apply(network.ports, peer, limited, seeder=False)
            assert call_inside(peer, root_qdisc, peer.interface) is not None
            assert not call_inside(peer, offload.read, peer.interface)["gso"]
        with sink(network.peers[1]) as address:
            assert call_inside(network.peers[0], transfer, address, "u", 1000) == 1000


def test_the_links_other_ends_send_nothing_themselves(network):
    """No IPv6 address, so no neighbour discovery in the peers' counters."""

    def has_ipv6(interface: str) -> bool:
        lines = Path("/proc/thread-self/net/if_inet6").read_text().splitlines()
        return any(line.split()[-1] == interface for line in lines)

    for peer in network.peers:
        assert not call_inside(network.ports, has_ipv6, peer.port)
        assert not call_inside(peer, has_ipv6, peer.interface)
        assert call_inside(peer, has_ipv6, "lo")


@pytest.mark.parametrize("count", [0, 1001])
def test_a_count_out_of_range_is_refused(count):
    with pytest.raises(ConditionError, match=f"found {count} peers, expected 1 to 1000"):
        PeerNetwork(count)


def test_results_and_errors_of_a_thread_are_passed_on():
    assert in_thread(lambda: 7) == 7
    with pytest.raises(KeyError, match="x"):
        in_thread({}.__getitem__, "x")
