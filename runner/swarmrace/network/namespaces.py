"""One network namespace for each peer of a local race, joined by a bridge in another namespace.

The namespaces have no names: they exist as long as the file descriptors that a `PeerNetwork` holds
and the processes inside. So nothing is added to the host's own network, and nothing can be left
behind: however the owner ends, the kernel removes them. They need CAP_SYS_ADMIN and CAP_NET_ADMIN.
root has these, and so does any user in their own user namespace (`user_namespace`).

To look inside during a race: `nsenter --net=PATH ip address` with a `Namespace.path`.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from swarmrace.errors import ConditionError
from swarmrace.network import user_namespace
from swarmrace.network.rtnetlink import Rtnetlink

_T = TypeVar("_T")

CLONE_NEWNET = 0x40000000
INTERFACE = "eth0"
"""A peer's interface inside its namespace."""
BRIDGE = "hub0"
"""The hub's interface inside its namespace."""
HUB_PORT = "phub"
"""The relay's end of the hub's link, if there is a relay."""
MAX_PEERS = 1000

_FIRST_OCTETS = (10, 208)
_PREFIX = 14
_SETTINGS = Path("/proc/sys/net")
"""Of the calling thread's namespace."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """One network namespace of a race."""

    name: str
    """For people: `swarmrace-PID-hub` or `swarmrace-PID-007`."""
    path: str
    """The path for `enter`, below /proc; valid as long as the owner runs."""
    address: str
    """Its IPv4 address, in a range that exists only inside these namespaces."""
    interface: str
    """The interface with the address."""
    port: str = ""
    """The other end of its link; empty for a hub that is the bridge."""


class PeerNetwork:
    """A hub and `count` peers, each in its own network namespace, as a context manager.

    Every peer has `eth0` (MTU 1500) on a bridge in the hub's namespace, and its own loopback
    interface. There is no route to anywhere else.

    With `relayed` there is no bridge: the other ends of all links, the hub's too, are in another
    namespace, where a relay (`network.relay`) must forward frames.

    Args:
        count: the number of peers, at most 1000.
        relayed: whether a relay replaces the bridge.

    Raises:
        ConditionError: (on entering) namespaces are not permitted here.
    """

    def __init__(self, count: int, *, relayed: bool = False) -> None:
        if not 1 <= count <= MAX_PEERS:
            raise ConditionError(f"network namespaces: found {count} peers, expected 1 to 1000")
        self._count, self._relayed = count, relayed
        self._descriptors: list[int] = []
        self._hub: Namespace | None = None
        self.peers: tuple[Namespace, ...] = ()

    @property
    def hub(self) -> Namespace:
        """The namespace that the rendezvous runs in."""
        if self._hub is None:
            raise RuntimeError("the network is not open")
        return self._hub

    @property
    def ports(self) -> str:
        """Path of the namespace in which the other ends of the peers' links are."""
        return self._path(self._count + 1) if self._relayed else self.hub.path

    def open(self) -> Self:
        """Create the namespaces and their links. Leaves nothing behind if it fails."""
        try:
            self._descriptors = in_thread(_unshared, self._count + 1 + self._relayed)
            self._hub = Namespace(
                _name("hub"), self._path(0), _address(None), BRIDGE, HUB_PORT * self._relayed
            )
            self.peers = tuple(
                Namespace(
                    _name(f"{index:03d}"),
                    self._path(index + 1),
                    _address(index),
                    INTERFACE,
                    f"p{index:03d}",
                )
                for index in range(self._count)
            )
            linked = [*zip(self.peers, self._descriptors[1:], strict=False)]
            if self._relayed:
                linked.append((self._hub, self._descriptors[0]))
            call_inside(self.ports, _make_links, linked, "" if self._relayed else BRIDGE)
            in_thread(_configure, (self._hub, *self.peers))
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Release the namespaces; each ends with the last process inside. Safe to call twice."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors, self._hub, self.peers = [], None, ()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _path(self, number: int) -> str:
        return f"/proc/{os.getpid()}/fd/{self._descriptors[number]}"


def enter(namespace: Namespace | str) -> None:
    """Move the calling thread into a namespace; its later sockets and children are inside.

    A process that calls it before it has other threads moves as a whole. There is no way back.

    Raises:
        ConditionError: the namespace has ended, or entering it is not permitted.
    """
    path = namespace if isinstance(namespace, str) else namespace.path
    try:
        with Path(path).open("rb") as file:
            _check(_libc().setns(file.fileno(), CLONE_NEWNET))
    except OSError as error:
        raise ConditionError(
            f"network namespace {path}: can't be entered ({error.strerror}); "
            "its owner must be running, and this process needs CAP_SYS_ADMIN"
        ) from error


def call_inside(namespace: Namespace | str, function: Callable[..., _T], *args: Any) -> _T:
    """Call a function in a new thread inside a namespace; return its result."""

    def inside() -> _T:
        enter(namespace)
        return function(*args)

    return in_thread(inside)


def call_in_scratch(function: Callable[..., _T], *args: Any) -> _T:
    """Call a function in a new thread inside an empty namespace that ends with the call.

    Raises:
        ConditionError: namespaces are not permitted here.
    """

    def inside() -> _T:
        unshare()
        return function(*args)

    return in_thread(inside)


def unshare() -> None:
    """Move the calling thread into a new network namespace.

    From Python 3.12 on, `os` has this call and that of `enter`; pyroute2 makes only named
    namespaces, which can outlive the race.

    Raises:
        ConditionError: not permitted here.
    """
    try:
        _check(_libc().unshare(CLONE_NEWNET))
    except OSError as error:
        raise ConditionError(
            f"network namespaces: not permitted to this process ({error.strerror}); run as root or "
            "in a user namespace (`unshare --user --map-root-user`)"
        ) from error


def permitted_here() -> bool:
    """Return whether this process itself may create namespaces; if not, a user namespace may
    help."""
    try:
        in_thread(unshare)
    except ConditionError:
        return False
    return True


def refusals() -> list[str]:
    """Return why races here can't have namespaces, one line each; empty if they can.

    They can if this process may create them, itself or in a user namespace.
    """
    return [] if permitted_here() else user_namespace.refusals()


def refuse(*faults: str) -> None:
    """Raise `ConditionError` with the faults, one line each, if there are any."""
    if faults:
        raise ConditionError("\n".join(faults))


def in_thread(function: Callable[..., _T], *args: Any) -> _T:
    """Call a function in a new thread; return its result or raise its error."""
    result: list[_T] = []
    failed: list[BaseException] = []

    def target() -> None:
        try:
            result.append(function(*args))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=target, name="swarmrace-network")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return result[0]


def _unshared(count: int) -> list[int]:
    descriptors: list[int] = []
    try:
        for _ in range(count):
            unshare()
            descriptors.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    return descriptors


def _make_links(members: Sequence[tuple[Namespace, int]], bridge: str) -> None:
    """Make a link to each member, given with its namespace's descriptor, all on a bridge if named.

    The links' ends here only pass on frames.
    """
    with Rtnetlink() as links:
        if bridge:
            links.add_link(
                bridge, "bridge", br_stp_state=0, br_forward_delay=0, br_mcast_snooping=0
            )
        for member, descriptor in members:
            links.add_pair(member.port, member.interface, descriptor)
            keep_silent(member.port)
            links.bring_up(member.port, master=bridge)


def _configure(namespaces: Sequence[Namespace]) -> None:
    """Enter each namespace, set its interface's address and bring it up."""
    for namespace in namespaces:
        enter(namespace)
        keep_silent(namespace.interface)
        with suppress(OSError):
            (_SETTINGS / "ipv4/ip_forward").write_text("0")
        with Rtnetlink() as links:
            links.add_address(namespace.interface, namespace.address, _PREFIX)
            for name in ("lo", namespace.interface):
                links.bring_up(name)


def keep_silent(interface: str) -> None:
    """Give an interface that isn't up yet no link-local address, so that it sends nothing."""
    with suppress(OSError):  # a kernel without IPv6 lacks the setting
        (_SETTINGS / f"ipv6/conf/{interface}/addr_gen_mode").write_text("1")


def _name(suffix: str) -> str:
    return f"swarmrace-{os.getpid()}-{suffix}"


def _address(index: int | None) -> str:
    """Return the hub's address, or a peer's: no two peers share a /24 (`backends.local.layout`)."""
    first, second = _FIRST_OCTETS
    if index is None:
        return f"{first}.{second}.0.1"
    return f"{first}.{second + index // 250}.{1 + index % 250}.1"


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
