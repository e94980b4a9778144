"""Every peer of a race has its own address."""

from __future__ import annotations

import hashlib
import ipaddress

from swarmrace.backends.local.layout import Layout
from swarmrace.network import namespaces
from swarmrace.scenario.loading import parse


def scenario(swarm_size, *names):
    return parse(
        {
            "global": {
                "race": {"swarmSize": swarm_size},
                "entrants": {name: {"kind": "synthetic"} for name in names},
            }
        }
    )


def test_loopback_addresses_are_distinct():
    with Layout.create(scenario(600, "a", "b", "c"), namespaces=False) as layout:
        addresses = [seat.address for seat in layout.seats.values()]
        assert len(addresses) == 1800
        assert len({layout.hub.address, *addresses}) == 1801
        assert all(
            ipaddress.ip_address(a) in ipaddress.ip_network("127.0.0.0/8") for a in addresses
        )
        assert not any(a.endswith((".0", ".255")) for a in addresses)
        assert all(seat.namespace is None for seat in layout.seats.values())


def allowed_fast(address, info_hash, pieces, count=10):
    """Return the pieces that a choked peer at an address may fetch (BEP 6)."""
    seed = bytes([*map(int, address.split(".")[:3]), 0]) + info_hash
    found = []
    while len(found) < count:
        seed = hashlib.sha1(seed, usedforsecurity=False).digest()
        words = (int.from_bytes(seed[at : at + 4], "big") for at in range(0, 20, 4))
        found += [piece for word in words if (piece := word % pieces) not in found]
    return set(found[:count])


def test_peers_do_not_begin_with_the_same_pieces():
    with Layout.create(scenario(250, "a"), namespaces=False) as layout:
        loopback = [seat.address for seat in layout.seats.values()]
    for addresses in (loopback, [namespaces._address(index) for index in range(1000)]):
        networks = {ipaddress.ip_network(f"{each}/24", strict=False) for each in addresses}
        assert len(networks) == len(addresses)
        first, *others = (allowed_fast(each, b"\7" * 20, 400) for each in addresses[:10])
        assert all(len(first & other) < 5 for other in others)


def test_namespaces_in_different_24s_share_one_network():
    hub, *peers = (namespaces._address(index) for index in (None, 0, 249, 250, 999))
    network = ipaddress.ip_network(f"{hub}/{namespaces._PREFIX}", strict=False)
    assert all(ipaddress.ip_address(each) in network for each in peers)
    assert len({hub, *(namespaces._address(index) for index in range(1000))}) == 1001
