"""Links, addresses, routes and queueing disciplines of a network namespace, by pyroute2.

pyroute2 speaks rtnetlink(7) itself, so the programs `ip` and `tc` are not needed. What is not done
by it, and why:

- Entering and creating namespaces (`namespaces`): pyroute2 creates only named ones, by a bind mount
  below /var/run/netns, which outlives its owner.
- Reading the counts of queueing disciplines (`qdiscs`): a sampler does that during a race, and with
  pyroute2 36 of them take 3.7 ms of CPU instead of 0.3 ms.

pyroute2 is imported on first use: 0.1 to 0.3 s of CPU and 10 MB, which most commands don't need.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from swarmrace.errors import ConditionError

INGRESS = 0xFFFF0000
"""Handle of an ingress qdisc."""
_MATCH_ALL = {
    "parent": INGRESS,
    "handle": 0x80000800,
    "prio": 1,
    "protocol": 0x0003,  # ETH_P_ALL
    "target": 0x10001,
    "keys": ["0x0/0x0+0"],
}
"""A u32 filter of all incoming packets. Its fixed handle makes a second one replace the first."""


@dataclass(frozen=True, slots=True)
class Qdisc:
    """A queueing discipline and its place on a device.

    Options are in pyroute2's units: rates in bytes per second, bursts in bytes, a tbf's limit in
    bytes, a netem's in packets, delays in microseconds, losses in percent.
    """

    kind: str
    options: dict[str, int | float]
    parent: str = ""
    """Handle of the class above it; empty for the root."""
    handle: str = "1:0"


class Rtnetlink:
    """Changes the network of the calling thread's namespace, as a context manager.

    Open and use it in one thread without a running event loop.

    Raises:
        ConditionError: (on every method) the kernel refuses. The message says what was tried and
            has the kernel's answer.
    """

    def __enter__(self) -> Self:
        from pyroute2 import IPRoute

        try:
            self._route = IPRoute(ext_ack=True)
        except OSError as error:
            raise ConditionError(
                f"netlink: can't be opened ({error.strerror}); permit AF_NETLINK sockets here"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._route.close()

    def add_link(self, name: str, kind: str, **options: Any) -> None:
        """Add a link. Options are pyroute2's for the kind, such as `br_stp_state`."""
        _try(f"link {name}: adding it", self._route.link, "add", ifname=name, kind=kind, **options)

    def add_pair(self, name: str, other: str, namespace: int | None = None) -> None:
        """Add a veth pair: `name` here, `other` in the namespace of that descriptor, or here."""
        peer: dict[str, str | int] = {"ifname": other}
        if namespace is not None:
            peer["net_ns_fd"] = namespace
        self.add_link(name, "veth", peer=peer)

    def delete_link(self, name: str) -> None:
        """Delete a link."""
        _try(f"link {name}: deleting it", self._route.link, "del", index=_index(name))

    def bring_up(self, name: str, *, master: str = "") -> None:
        """Bring a link up, as a port of the bridge `master` if one is named."""
        options = {"master": _index(master)} if master else {}
        index = _index(name)
        _try(
            f"link {name}: bringing it up",
            self._route.link,
            "set",
            index=index,
            state="up",
            **options,
        )

    def add_address(self, name: str, address: str, prefix: int) -> None:
        """Add an address to a link. An IPv6 address is usable at once: nobody else can have it."""
        options: dict[str, Any] = {"flags": 0x02} if ":" in address else {}  # IFA_F_NODAD
        _try(
            f"link {name}: adding the address {address}/{prefix}",
            self._route.addr,
            "add",
            index=_index(name),
            address=address,
            prefixlen=prefix,
            **options,
        )

    def add_local_route(self, name: str, network: str) -> None:
        """Make all addresses of a network, such as 10.0.0.0/8, this namespace's own."""
        _try(
            f"link {name}: adding the local route {network}",
            self._route.route,
            "add",
            dst=network,
            type="local",
            table=255,
            scope="host",
            oif=_index(name),
        )

    def replace_qdisc(self, name: str, qdisc: Qdisc) -> None:
        """Set a queueing discipline of a link."""
        place: dict[str, Any] = {"parent": qdisc.parent} if qdisc.parent else {"root": True}
        _try(
            f"qdisc {qdisc.kind} of {name}",
            self._route.tc,
            "replace",
            qdisc.kind,
            _index(name),
            handle=qdisc.handle,
            **place,
            **qdisc.options,
        )

    def redirect_incoming(self, name: str, to: str) -> None:
        """Pass all packets that a link receives on to another, as if that one sent them."""
        self._filter_incoming(
            name,
            action={
                "kind": "mirred",
                "direction": "egress",
                "action": "redirect",
                "ifindex": _index(to),
            },
        )

    def police_incoming(self, name: str, rate: int, burst: int) -> None:
        """Drop what a link receives above a rate (bytes per second) and a burst (bytes)."""
        self._filter_incoming(name, rate=rate, burst=burst, limit=0, mtu=65_535, action="drop")

    def clear_incoming(self, name: str) -> None:
        """Remove the ingress qdisc and with it the filters of incoming packets."""
        _try(f"qdisc ingress of {name}", self._route.tc, "del", "ingress", _index(name))

    def _filter_incoming(self, name: str, **what: Any) -> None:
        index = _index(name)
        _try(f"qdisc ingress of {name}", self._route.tc, "replace", "ingress", index)
        step = f"filter of what {name} receives"
        _try(step, self._route.tc, "replace-filter", "u32", index, **_MATCH_ALL, **what)


def _index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        raise ConditionError(f"link {name}: not found in this network namespace") from error


def _try(step: str, function: Callable[..., Any], *args: Any, **options: Any) -> None:
    from pyroute2 import NetlinkError

    try:
        function(*args, **options)
    except NetlinkError as error:
        raise ConditionError(f"{step}: failed ({error.args[1]})") from error
    except struct.error as error:  # a burst at a few bytes a second, say
        raise ConditionError(f"{step}: failed (a value has more than 32 bits)") from error
