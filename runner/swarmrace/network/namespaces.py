"""One network namespace for each peer of a local race, joined by a bridge in one of their own.

The namespaces have no names: they live by the file descriptors that a `PeerNetwork` holds and by
the processes inside. So nothing is added to the host's own network, and nothing can be left: when
the owner ends, in whatever way, the kernel removes them. Needed are the program `ip` and
CAP_SYS_ADMIN with CAP_NET_ADMIN, which root has, and anybody in a user namespace of their own
(`user_namespace`).

A look inside while a race runs: `nsenter --net=PATH ip address` with a `Namespace.path`.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from swarmrace.errors import ConditionError
from swarmrace.network import user_namespace

_T = TypeVar("_T")

CLONE_NEWNET = 0x40000000
INTERFACE = "eth0"
"""A peer's interface inside its namespace."""
BRIDGE = "hub0"
"""The hub's interface inside its namespace."""
HUB_PORT = "phub"
"""The relay's end of the hub's link, where a relay is."""
MOST_PEERS = 1000
COMMAND_TIMEOUT_SECONDS = 30

_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_SIOCSIFADDR, _SIOCSIFNETMASK = 0x8916, 0x891C
_IFF_UP = 0x1
_FIRST_OCTETS = (10, 208)
_NETMASK = "255.252.0.0"


@dataclass(frozen=True, slots=True)
class Namespace:
    """One network namespace of a race."""

    name: str
    """For people: `swarmrace-PID-hub` or `swarmrace-PID-007`."""
    path: str
    """What `enter` takes: a path below /proc that is good while the owner lives."""
    address: str
    """Its IPv4 address, of a range that exists only inside these namespaces."""
    interface: str
    """The interface that has the address."""
    port: str = ""
    """The other end of its link; empty for a hub that is the bridge."""


class PeerNetwork:
    """A hub and `count` peers, each in a network namespace of its own, as a context manager.

    Every peer has `eth0` (MTU 1500) on a bridge in the hub's namespace, and a loopback of its own.
    There is no route to anywhere else.

    With `relayed` there is no bridge: the other ends of all links, the hub's too, are in a
    namespace of their own, where a relay (`network.relay`) must forward frames.

    Args:
        count: how many peers, at most 1000.
        relayed: whether a relay takes the bridge's place.

    Raises:
        ConditionError: (on entering) namespaces are not permitted here, or `ip` is missing.
    """

    def __init__(self, count: int, *, relayed: bool = False) -> None:
        if not 1 <= count <= MOST_PEERS:
            raise ConditionError(f"network namespaces: found {count} peers, expected 1 to 1000")
        self._count, self._relayed = count, relayed
        self._descriptors: list[int] = []
        self._hub: Namespace | None = None
        self.peers: tuple[Namespace, ...] = ()

    @property
    def hub(self) -> Namespace:
        """Where the rendezvous runs."""
        if self._hub is None:
            raise RuntimeError("the network is not open")
        return self._hub

    @property
    def ports(self) -> str:
        """Path of the namespace in which the other ends of the peers' links are."""
        return self._path(self._count + 1) if self._relayed else self.hub.path

    def open(self) -> Self:
        """Make the namespaces and their links. Leaves nothing when it fails."""
        need(*_missing_program())
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
            if self._relayed:
                call_inside(self.ports, _make_relayed_links, (*self.peers, self._hub))
            else:
                call_inside(self.hub, _make_links, self.peers)
            call_inside(self.hub, _configure, self.hub)
            in_thread(_configure_each, self.peers)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Let the namespaces go. They end with the last process inside. Safe to call twice."""
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
    """Move the calling thread into a namespace; its sockets and children are inside from then on.

    A process that calls it before it has other threads is inside as a whole. There is no way back.

    Raises:
        ConditionError: the namespace is gone, or entering it is not permitted.
    """
    path = namespace if isinstance(namespace, str) else namespace.path
    try:
        with Path(path).open("rb") as file:
            _check(_libc().setns(file.fileno(), CLONE_NEWNET))
    except OSError as error:
        raise ConditionError(
            f"network namespace {path}: can't be entered ({error.strerror}); "
            "its owner must be alive, and this process needs CAP_SYS_ADMIN"
        ) from error


def call_inside(namespace: Namespace | str, function: Callable[..., _T], *args: Any) -> _T:
    """Call a function in a thread of its own inside a namespace; return what it returns."""

    def inside() -> _T:
        enter(namespace)
        return function(*args)

    return in_thread(inside)


def call_in_scratch(function: Callable[..., _T], *args: Any) -> _T:
    """Call a function in a thread inside a new, empty namespace that ends with the call.

    Raises:
        ConditionError: namespaces are not permitted here.
    """

    def inside() -> _T:
        unshare()
        return function(*args)

    return in_thread(inside)


def unshare() -> None:
    """Move the calling thread into a new network namespace.

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
    """Whether this process itself may make namespaces; otherwise a user namespace may help."""
    try:
        in_thread(unshare)
    except ConditionError:
        return False
    return True


def refusals() -> list[str]:
    """Return why races here can't have namespaces, one line each; empty when they can.

    They can where this process may make them, or may make a user namespace to make them in.
    """
    found = _missing_program()
    return found if permitted_here() else [*found, *user_namespace.refusals()]


def _missing_program() -> list[str]:
    if shutil.which("ip") is None:
        return ["network namespaces: the program ip is missing; apt-get install iproute2"]
    return []


def need(*lines: str) -> None:
    """Raise `ConditionError` with the lines, if there are any."""
    if lines:
        raise ConditionError("\n".join(lines))


def run(program: str, *args: str, lines: Sequence[str] = ()) -> None:
    """Run `ip` or `tc` in the calling thread's namespace.

    Args:
        program: `ip` or `tc`.
        args: its arguments; none when `lines` are given.
        lines: commands for its batch mode; the first that fails ends it.

    Raises:
        ConditionError: it is missing or failed; the text holds what it printed.
    """
    found = shutil.which(program)
    if found is None:
        raise ConditionError(f"the program {program} is missing; apt-get install iproute2")
    command = [found, *(("-batch", "-") if lines else args)]
    try:
        done = subprocess.run(
            command,
            input="".join(f"{line}\n" for line in lines),
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConditionError(
            f"{program}: no end within {COMMAND_TIMEOUT_SECONDS} s; is the machine overloaded?"
        ) from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        what = f"batch of {len(lines)} commands" if lines else " ".join(args)
        raise ConditionError(f"{program} {what}: failed ({said})")


def in_thread(function: Callable[..., _T], *args: Any) -> _T:
    """Call a function in a thread of its own; return what it returns, raise what it raises."""
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


def _make_links(peers: Sequence[Namespace]) -> None:
    lines = [f"link add {BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"]
    for peer in peers:
        lines += [
            f"link add {peer.port} type veth peer name {INTERFACE} netns {peer.path}",
            f"link set {peer.port} master {BRIDGE} addrgenmode none up",
        ]
    run("ip", lines=lines)


def _make_relayed_links(members: Sequence[Namespace]) -> None:
    lines = []
    for member in members:
        lines += [
            f"link add {member.port} type veth peer name {member.interface} netns {member.path}",
            f"link set {member.port} addrgenmode none up",
        ]
    run("ip", lines=lines)


def _configure_each(peers: Sequence[Namespace]) -> None:
    for peer in peers:
        enter(peer)
        _configure(peer)


def _configure(namespace: Namespace) -> None:
    """Give the interface its address and raise it, by ioctls: 64 peers take no 64 processes."""
    base = Path("/proc/sys/net")
    for setting, value in (
        (f"ipv6/conf/{namespace.interface}/addr_gen_mode", "1"),
        ("ipv4/ip_forward", "0"),
    ):
        with suppress(OSError):  # a kernel without IPv6 has nothing to silence
            (base / setting).write_text(value)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for name, address in (("lo", None), (namespace.interface, namespace.address)):
            if address is not None:
                _set_address(control, _SIOCSIFADDR, name, address)
                _set_address(control, _SIOCSIFNETMASK, name, _NETMASK)
            request = struct.pack("16sh14x8x", name.encode(), 0)
            (flags,) = struct.unpack_from("h", fcntl.ioctl(control, _SIOCGIFFLAGS, request), 16)
            request = struct.pack("16sh14x8x", name.encode(), flags | _IFF_UP)
            fcntl.ioctl(control, _SIOCSIFFLAGS, request)


def _set_address(control: socket.socket, code: int, interface: str, address: str) -> None:
    packed = struct.pack("16sHH4s8x8x", interface.encode(), 2, 0, socket.inet_aton(address))
    fcntl.ioctl(control, code, packed)


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
