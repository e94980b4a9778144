"""Stamped reads: when their bytes arrived, however late they are read."""

from __future__ import annotations

import select
import socket
import struct
import time

import pytest

from loopback import new_address
from swarmrace.recording.stamped_reads import StampedReads, enable_receive_stamps

HOUR_NS = 3_600 * 10**9
APART_NS = 100_000_000
"""Far enough apart to distinguish a packet's instant from its read's, even on a busy machine."""


@pytest.fixture
def pair():
    """A connection with receive stamps, and its other end."""
    with socket.create_server((new_address(), 0)) as server, socket.socket() as ours:
        enable_receive_stamps(ours)
        ours.connect(server.getsockname())
        theirs, _ = server.accept()
        with theirs:
            until_stamped(ours, theirs)
            yield ours, theirs


def until_stamped(ours, theirs):
    """Wait until the kernel stamps packets: a little after the first socket has asked for it."""
    ends = time.monotonic() + 300
    extra = []
    while not extra and time.monotonic() < ends:
        theirs.sendall(b"x")
        _, extra, _, _ = ours.recvmsg(1, 99)


def send_and_wait(ours, theirs, data):
    """Send, and leave the data unread for a while; return instants before and after its arrival."""
    before_ns = time.monotonic_ns()
    theirs.sendall(data)
    while len(data) > len(ours.recv(len(data), socket.MSG_PEEK)):
        select.select([ours], [], [], 1)
    after_ns = time.monotonic_ns()
    time.sleep(2 * APART_NS / 1e9)
    return before_ns, after_ns


def test_a_read_has_the_stamp_of_its_last_byte_not_of_the_read(pair):
    ours, theirs = pair
    reads, buffer = StampedReads(ours, time.monotonic_ns), memoryview(bytearray(1 << 20))
    for data in (b"a", b"b" * 20_000):
        before_ns, after_ns = send_and_wait(ours, theirs, data)
        count, came_ns = reads.read(buffer)
        assert bytes(buffer[:count]) == data
        assert before_ns - APART_NS <= came_ns <= after_ns + APART_NS < time.monotonic_ns()


@pytest.mark.parametrize("step_ns", [HOUR_NS, -HOUR_NS])
def test_a_step_of_the_wall_clock_keeps_stamps_between_their_reads(pair, step_ns):
    ours, theirs = pair
    stepped = [0]
    reads = StampedReads(ours, time.monotonic_ns, lambda: time.time_ns() + stepped[0])
    buffer = memoryview(bytearray(1 << 20))
    send_and_wait(ours, theirs, b"first")
    _, first_ns = reads.read(buffer)
    send_and_wait(ours, theirs, b"second")
    stepped[0] = step_ns
    _, second_ns = reads.read(buffer)
    assert first_ns <= second_ns <= time.monotonic_ns()


def test_without_kernel_stamps_a_byte_arrives_when_its_read_returns():
    with socket.create_server((new_address(), 0)) as server, socket.socket() as ours:
        ours.connect(server.getsockname())
        theirs, _ = server.accept()
        with theirs:
            send_and_wait(ours, theirs, b"unstamped")
            before_ns = time.monotonic_ns()
            _, came_ns = StampedReads(ours, time.monotonic_ns).read(memoryview(bytearray(99)))
            assert before_ns <= came_ns <= time.monotonic_ns()


def test_the_end_of_the_stream_is_a_read_of_0_bytes(pair):
    ours, theirs = pair
    reads, buffer = StampedReads(ours, time.monotonic_ns), memoryview(bytearray(99))
    theirs.sendall(b"last")
    theirs.shutdown(socket.SHUT_WR)
    assert reads.read(buffer)[0] == 4
    assert reads.read(buffer)[0] == 0


def test_a_reset_is_raised(pair):
    ours, theirs = pair
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    with pytest.raises(ConnectionResetError):
        StampedReads(ours, time.monotonic_ns).read(memoryview(bytearray(99)))
