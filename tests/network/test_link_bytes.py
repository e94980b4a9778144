"""Byte counters of interfaces, compared with the kernel's own text."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmrace.network.link_bytes import LinkBytes
from swarmrace.network.namespaces import call_inside
from wires import delete_link, settle, sink, transfer

COUNT = 3_000_000


def test_the_hub_sees_what_each_peer_receives(network):
    hub, (first, second, third) = network.hub, network.peers
    links = call_inside(hub, lambda: LinkBytes([p.port for p in network.peers], sent=True))
    own = [call_inside(peer, LinkBytes, [peer.interface]) for peer in network.peers]
    settle(*network.peers)
    before, own_before = list(links.read()), [each.read()[0] for each in own]
    with sink(second) as address:
        call_inside(first, transfer, address, "u", COUNT)
    settle(*network.peers)
    grown = [now - then for now, then in zip(links.read(), before, strict=True)]
    own_grown = [each.read()[0] - then for each, then in zip(own, own_before, strict=True)]
    assert grown == own_grown
    assert grown[1] > COUNT
    assert grown[2] < 10_000
    assert third.port not in (first.port, second.port)


def test_a_removed_interface_keeps_its_last_figure(network):
    hub, peer = network.hub, network.peers[0]
    links = call_inside(hub, lambda: LinkBytes([p.port for p in network.peers], sent=True))
    before = list(links.read())
    call_inside(hub, delete_link, peer.port)
    after = list(links.read())
    assert after[0] == before[0]
    links.close()
    links.close()


def test_an_unknown_interface_is_an_error():
    files = set(Path("/proc/self/fd").iterdir())
    with pytest.raises(OSError, match="expected the interface nothing0"):
        LinkBytes(["nothing0"])
    assert len(set(Path("/proc/self/fd").iterdir())) <= len(files)
