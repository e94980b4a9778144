"""Delay and throughput of a race's delayed network, measured before the race.

Delay is measured one way, from each peer to the hub, by UDP packets that carry their send stamp;
the kernel stamps their arrival by the same clock. Throughput is what arrives at the peers'
interfaces while every peer of one entrant sends to the next at the rate set, or, if no rate is set,
one peer sends as fast as it can. The race is refused if either is off by more than a tenth.
"""

from __future__ import annotations

import select
import socket
import statistics
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from swarmrace.errors import ConditionError
from swarmrace.host.priority import RELAY_TRIAL, run_first
from swarmrace.network import counters
from swarmrace.network.namespaces import Namespace, call_inside, in_thread
from swarmrace.recording.records import Delay, DelayMeans
from swarmrace.scenario.scenario import Network
from swarmrace.units import format_link_rate

OFF_RATIO = 0.10
OFF_SECONDS = 0.0005
"""Tolerance for delays below 5 ms, because a wake-up takes some of it."""
TRIES = 3
ROUNDS = 40
SECONDS = 0.4
"""How long throughput is measured."""
_DATAGRAM = 1472
_RAMP_SECONDS = 0.1
_SO_TIMESTAMPNS = 35


def measure(
    hub: Namespace,
    peers: Sequence[Namespace],
    network: Network,
    means: DelayMeans,
    *,
    seeders: int = 0,
) -> Delay:
    """Measure a network that carries no other traffic.

    Args:
        hub: the namespace of the rendezvous.
        peers: the peers of one entrant, at least 2.
        network: the conditions set.
        means: how delay and loss are made.
        seeders: how many of the peers have the seeders' rates.

    Raises:
        ConditionError: delay or throughput is off by more than a tenth.
    """

    def measured() -> Delay:
        run_first(RELAY_TRIAL, inherited=True)
        return _measure(hub, peers, network, means, seeders)

    return in_thread(measured)


def _measure(
    hub: Namespace, peers: Sequence[Namespace], network: Network, means: DelayMeans, seeders: int
) -> Delay:
    wanted, found = network.delay_milliseconds / 1000, None
    for _ in range(TRIES if wanted else 0):
        found = _delay_seconds(hub, peers, wanted)
        if found is not None and _holds(found, wanted):
            break
    if wanted and (found is None or not _holds(found, wanted)):
        got = "no packet" if found is None else f"{1000 * found:.2f} ms"
        raise ConditionError(
            f"global.race.network.delayMilliseconds: set {network.delay_milliseconds:g}, measured "
            f"{got} by {means}; end what else is running on this machine"
        )
    needed, carried = _needed_rate(peers, network, seeders), 0.0
    for _ in range(TRIES):
        carried = _carried_rate(peers, network, needed)
        if needed is None or abs(carried - needed) <= OFF_RATIO * needed:
            break
    else:
        assert needed is not None
        raise ConditionError(
            f"global.race.network: the rates of an entrant's peers add up to "
            f"{format_link_rate(needed)}, measured {format_link_rate(carried)} by {means} on this "
            "machine; set lower rates, race fewer peers, end what else is running, or use a kernel "
            "with netem"
        )
    return Delay(
        means=means,
        one_way_seconds=None if found is None else round(found, 6),
        needed_rate=needed,
        carried_rate=round(carried),
    )


def _holds(found: float, wanted: float) -> bool:
    return abs(found - wanted) <= max(OFF_RATIO * wanted, OFF_SECONDS)


def _delay_seconds(hub: Namespace, peers: Sequence[Namespace], wanted: float) -> float | None:
    found: list[int] = []
    with ExitStack() as stack:
        sink = stack.enter_context(call_inside(hub, _udp, hub.address))
        sink.setblocking(False)
        sink.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        senders = [stack.enter_context(call_inside(peer, _udp, peer.address)) for peer in peers]
        for sender in senders:
            sender.connect(sink.getsockname())

        for sender in senders:  # resolves the address (ARP), which would add to the first delay
            sender.send(bytes(8))
        time.sleep(2 * wanted + 0.05)
        for _ in range(ROUNDS):
            for sender in senders:
                sender.send(struct.pack("=q", time.time_ns()))
            time.sleep(0.002)
        time.sleep(2 * wanted + 0.05)
        with suppress(BlockingIOError):
            while True:
                data, controls, _, _ = sink.recvmsg(8, 64)
                (sent,) = struct.unpack("=q", data)
                seconds, nanoseconds = struct.unpack("=qq", controls[0][2])
                if sent:
                    found.append(1_000_000_000 * seconds + nanoseconds - sent)
    return statistics.median(found) / 1e9 if found else None


def _needed_rate(peers: Sequence[Namespace], network: Network, seeders: int) -> float | None:
    total = 0.0
    for index in range(len(peers)):
        upload = network.link(seeder=index < seeders).upload
        download = network.link(seeder=(index + 1) % len(peers) < seeders).download
        rates = [rate for rate in (upload, download) if rate is not None]
        if not rates:
            return None
        total += min(rates)
    return total * (1 - network.loss_percent / 100)


def _carried_rate(peers: Sequence[Namespace], network: Network, needed: float | None) -> float:
    with ExitStack() as stack:
        ends = [stack.enter_context(call_inside(peer, _udp, peer.address)) for peer in peers]
        senders = ends if needed is not None else ends[:1]
        for index, sender in enumerate(senders):
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * _DATAGRAM)
            sender.connect(ends[(index + 1) % len(ends)].getsockname())
        stop = threading.Event()
        thread = threading.Thread(target=_flood, args=(senders, stop))
        thread.start()
        try:
            time.sleep(2 * network.delay_milliseconds / 1000 + _RAMP_SECONDS)
            first, began = _received(peers), time.monotonic()
            time.sleep(SECONDS)
            last, ended = _received(peers), time.monotonic()
        finally:
            stop.set()
            thread.join()
        waits = network.queue_milliseconds if network.limited else 0
        # What is still in flight arrives before the race.
        time.sleep((network.delay_milliseconds + waits) / 1000)
    return (last - first) / (ended - began)


def _flood(senders: Sequence[socket.socket], stop: threading.Event) -> None:
    """Send from all senders as fast as they accept it."""
    run_first(RELAY_TRIAL - 1, inherited=True)  # below the priority of the measurement
    packet = bytes(_DATAGRAM)
    poll = select.epoll()
    by_fd = {sender.fileno(): sender for sender in senders}
    for sender in senders:
        sender.setblocking(False)
        poll.register(sender, select.EPOLLOUT)
    while not stop.is_set():
        for fd, _ in poll.poll(0.1):
            for _ in range(4):
                try:
                    by_fd[fd].send(packet)
                except OSError:  # the socket is full, or the other end has closed its own
                    break
    poll.close()


def _received(peers: Sequence[Namespace]) -> int:
    total = 0
    for peer in peers:
        reading = call_inside(peer, counters.read, peer.interface)
        total += reading.received_bytes if reading is not None else 0
    return total


def _udp(address: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, 0))
    return made
