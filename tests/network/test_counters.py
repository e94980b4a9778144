from __future__ import annotations

import socket
from pathlib import Path

import pytest

from swarmrace.network import conditions, counters, offload
from swarmrace.network.counters import WireMeter
from swarmrace.network.namespaces import call_inside
from swarmrace.scenario.scenario import Network
from wires import delete_link, drop_packets, dropped, settle, sink, transfer

COUNT = 20_000_000
THEORY = COUNT * 1514 / 1448
"""With a header of 66 bytes on every 1448 of payload (MTU 1500, TCP timestamps)."""


def nothing() -> tuple[int, int]:
    return 0, 0


def _retransmitted(peer) -> int:
    """Segments that TCP sent again in this namespace, by the kernel's own count."""
    names, figures = (
        line.split()
        for line in call_inside(peer, Path("/proc/thread-self/net/snmp").read_text).splitlines()
        if line.startswith("Tcp:")
    )
    return int(dict(zip(names, figures, strict=True))["RetransSegs"])


def _metered(network, count=COUNT, control=nothing):
    """Send from peer 0 to peer 1; return the figures of both meters."""
    pair = network.peers[:2]
    meters = [call_inside(peer, WireMeter, control, peer.address) for peer in pair]
    for peer, meter in zip(pair, meters, strict=True):
        call_inside(peer, meter.start)
    with sink(pair[1]) as address:
        call_inside(pair[0], transfer, address, "u", count)
    settle(*pair)
    return [call_inside(peer, meter.stop) for peer, meter in zip(pair, meters, strict=True)]


def test_every_header_is_counted_with_offload_on_and_off(network):
    sender = network.peers[0]
    on_sender, on_receiver = _metered(network)
    on_again = _retransmitted(sender)
    for namespace, device in (
        *((peer, peer.interface) for peer in network.peers),
        *((network.hub, peer.port) for peer in network.peers),
    ):
        call_inside(namespace, offload.turn_off, device)
    off_sender, off_receiver = _metered(network)
    off_again = _retransmitted(sender) - on_again
    assert on_sender.offload["tso"]
    assert not off_sender.offload["tso"]
    assert on_sender.offload_sent_bytes > 0 == off_sender.offload_sent_bytes
    assert on_receiver.offload_received_bytes > 0 == off_receiver.offload_received_bytes
    assert on_sender.sent_packets < off_sender.sent_packets
    for counted, again in (
        (on_sender.sent_bytes, on_again),
        (on_receiver.received_bytes, on_again),
        (off_sender.sent_bytes, off_again),
        (off_receiver.received_bytes, off_again),
    ):
        # Short segments and the handshake add to it; nothing can be missing.
        assert THEORY * 0.999 <= counted <= THEORY * 1.03 + again * 1514


def test_a_hidden_segment_adds_the_headers_of_its_family():
    families = {
        "10.0.0.1": 66, "::ffff:10.0.0.1": 66, None: 66, "fd00::1": 86, "fe80::1%eth0": 86
    }  # fmt: skip
    for address, size in families.items():
        assert WireMeter(nothing, address)._header_bytes == size
        before, after = counters.Segments(0, 0), counters.Segments(30, 20)
        still, moved = (
            counters.CounterReading(0, 0, 0, 0),
            counters.CounterReading(0, 10, 100_000, 5),
        )
        meter = WireMeter(nothing, address)
        meter.interface = "lo"
        instants = [
            counters._Instant(own, still, segments, (0, 0))
            for own, segments in ((still, before), (moved, after))
        ]
        meter._now = lambda instants=instants: instants.pop(0)
        meter.start()
        wire = meter.stop()
        assert (wire.offload_received_bytes, wire.offload_sent_bytes) == (20 * size, 15 * size)
        assert wire.header_bytes == size


def test_bytes_are_counted_on_a_limited_link_too(network):
    for peer in network.peers:
        conditions.apply(network.hub, peer, Network(upload="400Mbit"), seeder=False)
    sender, receiver = _metered(network, 2_000_000)
    assert sender.sent_bytes >= 2_000_000 * 1514 / 1448 * 0.999
    assert receiver.received_bytes >= 2_000_000 * 1514 / 1448 * 0.999


@pytest.mark.parametrize("rate", ["20Mbit", "100Mbit", "800Mbit"])
def test_bytes_that_the_own_limiter_drops_do_not_count_as_sent(network, rate):
    """TCP's segment counter includes them: 834 of 3,460 segments at 20 Mbit/s."""
    for peer in network.peers:
        conditions.apply(network.ports, peer, Network(upload=rate), seeder=False)
    sender, receiver = _metered(network, 5_000_000)
    for sent, received in (
        (sender.sent_bytes, receiver.received_bytes),
        (receiver.sent_bytes, sender.received_bytes),
    ):
        assert abs(sent - received) <= 2_000
    assert sender.sent_bytes >= 5_000_000 * 1514 / 1448 * 0.999
    packets = sender.sent_packets + sender.offload_sent_bytes // sender.header_bytes
    assert abs(packets - sender.sent_bytes / 1514) < 0.1 * packets


@pytest.mark.parametrize("rate", [None, "20Mbit"])
def test_datagrams_are_counted_after_the_limiter_too(network, rate):
    if rate:
        short = Network(upload=rate, queue_milliseconds=10)  # a longer one blocks the socket
        for peer in network.peers:
            conditions.apply(network.ports, peer, short, seeder=False)
    first, second = network.peers[:2]
    with sink(second) as address:  # so that they learn each other's hardware addresses
        call_inside(first, transfer, address, "u", 1_000)
    meters = [call_inside(peer, WireMeter, nothing, peer.address) for peer in (first, second)]
    for peer, meter in zip((first, second), meters, strict=True):
        call_inside(peer, meter.start)

    def blast():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for _ in range(200):
                out.sendto(bytes(1_400), (second.address, 9_999))

    offered = lost = 0
    # At most 200 at once, as many as the receiver's side holds; until the limiter has dropped some.
    while offered < 5_000 or (rate and lost < 500):
        call_inside(first, blast)
        offered += 200
        lost = dropped(first) if rate else 0
        if not rate:
            settle(first, second)
    settle(first, second)
    sender, receiver = (
        call_inside(peer, meter.stop) for peer, meter in zip((first, second), meters, strict=True)
    )
    assert abs(sender.sent_bytes - receiver.received_bytes) <= 3_000
    passed_bytes = (offered - lost) * 1_442
    assert passed_bytes <= sender.sent_bytes <= passed_bytes + 3_000


def test_packets_without_a_neighbour_do_not_count_as_sent(network):
    peer = network.peers[0]
    meter = call_inside(peer, WireMeter, nothing, peer.address)
    call_inside(peer, meter.start)

    def to_nobody():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for _ in range(5_000):
                out.sendto(bytes(1_400), (peer.address.rpartition(".")[0] + ".250", 9_999))

    call_inside(peer, to_nobody)
    # Only requests for its hardware address; 7 MB were offered.
    assert call_inside(peer, meter.stop).sent_bytes < 100_000


def test_packets_lost_in_the_network_count_as_sent_but_not_received(network):
    drop_packets(network.peers[1], 5)
    for peer in network.peers[:2]:  # an offloaded packet would be lost as a whole
        call_inside(peer, offload.turn_off, peer.interface)
    sender, receiver = _metered(network, 3_000_000)
    assert sender.sent_bytes >= 3_000_000 * 1514 / 1448 * 1.03
    assert sender.sent_bytes - receiver.received_bytes <= 0.01 * sender.sent_bytes


def test_control_traffic_is_subtracted(network):
    spent = iter([(100, 200), (1100, 2200)])
    pair = network.peers[:2]
    _metered(network, 1000)  # so that they know each other's hardware addresses
    meters = [
        call_inside(pair[0], WireMeter, control) for control in (nothing, lambda: next(spent))
    ]
    for meter in meters:
        call_inside(pair[0], meter.start)
    with sink(pair[1]) as address:
        call_inside(pair[0], transfer, address, "u", 100_000)
    settle(*pair)
    plain, wire = (call_inside(pair[0], meter.stop) for meter in meters)
    assert (wire.control_sent_bytes, wire.control_received_bytes) == (1000, 2000)
    assert wire.sent_bytes + 1000 == plain.sent_bytes
    assert wire.received_bytes == max(0, plain.received_bytes - 2000)
    assert wire.interface == "eth0"


def test_loopback_inside_a_namespace_is_not_on_the_wire(network):
    peer = network.peers[0]
    meter = call_inside(peer, WireMeter, nothing)
    call_inside(peer, meter.start)

    def chatter():
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname()) as ours,
            server.accept()[0] as theirs,
        ):
            for _ in range(200):
                ours.sendall(bytes(20_000))
                theirs.recv(20_000, socket.MSG_WAITALL)

    call_inside(peer, chatter)
    wire = call_inside(peer, meter.stop)
    assert wire.sent_bytes + wire.received_bytes < 10_000


@pytest.mark.parametrize("address", ["127.0.0.1", "127.16.0.3", "::1", "192.0.2.77"])
def test_without_an_own_interface_there_is_no_figure(address):
    assert counters.own_interface(address) is None
    meter = WireMeter(nothing, address)
    meter.start()
    assert meter.stop() is None


def test_the_own_interface_is_found_with_and_without_an_address(network):
    peer = network.peers[1]
    assert call_inside(peer, counters.own_interface, peer.address) == "eth0"
    assert call_inside(peer, counters.own_interface) == "eth0"
    assert call_inside(peer, counters.own_interface, network.peers[0].address) is None


def test_a_removed_interface_has_no_figure(network):
    peer = network.peers[2]
    meter = call_inside(peer, WireMeter, nothing)
    call_inside(peer, meter.start)
    call_inside(peer, delete_link, "eth0")
    assert call_inside(peer, meter.stop) is None
    assert call_inside(peer, counters.read, "eth0") is None


def test_stop_without_start_returns_no_figure(network):
    meter = call_inside(network.peers[0], WireMeter, nothing)
    assert call_inside(network.peers[0], meter.stop) is None
