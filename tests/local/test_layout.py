"""Every peer of a race has an address of its own."""

from __future__ import annotations

import ipaddress

from swarmrace.local.layout import Layout
from swarmrace.scenario import parse


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
    with Layout.of(scenario(600, "a", "b", "c"), namespaces=False) as layout:
        addresses = [seat.address for seat in layout.seats.values()]
        assert len(addresses) == 1800
        assert len({layout.hub.address, *addresses}) == 1801
        assert all(
            ipaddress.ip_address(a) in ipaddress.ip_network("127.0.0.0/8") for a in addresses
        )
        assert not any(a.endswith((".0", ".255")) for a in addresses)
        assert all(seat.namespace is None for seat in layout.seats.values())
