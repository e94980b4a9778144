"""The shared ring of samples: written rows are read, overwritten ones are known to be missing."""

from __future__ import annotations

import os
import socket
import threading

import numpy as np
import pytest

from swarmrace.network import wire_samples
from swarmrace.network.namespaces import call_inside
from swarmrace.network.wire_samples import OwnSampler, Ring, make_shared, sample


def test_rows_are_read_by_column():
    ring = Ring.private()
    ring.write(10, [100])
    ring.write(20, [250])
    written, t_ns, counts = ring.since(0, 0)
    assert (written, t_ns.tolist(), counts.tolist()) == (2, [10, 20], [100, 250])
    assert [column.tolist() for column in ring.since(2, 0)[1:]] == [[], []]


def test_another_process_reads_what_was_written():
    descriptor = make_shared(3)
    try:
        path = f"/proc/{os.getpid()}/fd/{descriptor}"
        writer, reader = Ring.shared(path), Ring.shared(path)
        writer.write(5, [1, 2, 3])
        assert reader.since(0, 2)[2].tolist() == [3]
        reader.request()
        assert writer.requested
    finally:
        os.close(descriptor)


def test_overwritten_rows_are_missing_and_no_row_is_torn():
    ring = Ring.private()
    rows = wire_samples._ROWS
    for number in range(rows + 100):
        ring.write(number, [10 * number])
    written, t_ns, counts = ring.since(3, 0)
    assert written == rows + 100
    assert t_ns.tolist() == list(range(101, rows + 100))
    assert (counts == 10 * t_ns).all()


def test_nothing_is_sampled_without_a_request(monkeypatch):
    ring, looks, reads = Ring.private(), [], []
    monkeypatch.setattr(wire_samples.time, "sleep", looks.append)

    def read():
        reads.append(1)
        return [7]

    sample(ring, read, lambda: len(looks) >= 5)
    assert (ring.written, reads) == (0, [])
    ring.request()
    sample(ring, read, lambda: len(looks) >= 9)
    assert ring.written == len(reads) == 4


@pytest.mark.parametrize(
    ("took_ns", "elapsed_ns", "expected_ns"),
    [
        (10_000, 0, 3_000_000),  # a few interfaces, at the beginning: the shortest
        (50_000, 0, 5_000_000),  # about 1 % of a core
        (10_000, 10_000_000_000, 5_000_000),  # 0.05 % of what has elapsed
        (10_000, 60_000_000_000, 9_000_000),
        (900_000, 0, 9_000_000),  # slow to read: never above the longest
    ],
)
def test_few_interfaces_are_read_more_often_and_most_often_at_the_start_of_a_run(
    monkeypatch, took_ns, elapsed_ns, expected_ns
):
    now_ns, reads, ring = [1_000_000_000_000], [], Ring.private()
    monkeypatch.setattr(wire_samples.time, "monotonic_ns", lambda: now_ns[0])
    ring.begin()
    now_ns[0] += elapsed_ns
    ring.request(1000)

    def read():
        reads.append(now_ns[0])
        now_ns[0] += took_ns
        return [7]

    def sleep(seconds):
        now_ns[0] += round(seconds * 1e9)

    monkeypatch.setattr(wire_samples.time, "sleep", sleep)
    sample(ring, read, lambda: len(reads) >= 4)
    assert reads[3] - reads[2] == pytest.approx(expected_ns, rel=0.02)


def test_own_sampler_samples_its_interface_and_ends(network):
    peer, other = network.peers[:2]
    sampler = call_inside(peer, OwnSampler, peer.interface)
    ring, pause = sampler.ring, threading.Event()
    ring.request()
    while ring.written < 3:
        pause.wait(0.01)
    before = ring.since(0, 0)[2][-1]
    with call_inside(other, socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(bytes(1000), (peer.address, 9))
        while ring.since(0, 0)[2][-1] < before + 1000:
            pause.wait(0.01)
    sampler.close()
    _, t_ns, counts = ring.since(0, 0)
    assert (np.diff(t_ns) > 0).all()
    assert (np.diff(counts) >= 0).all()
    assert not [t for t in threading.enumerate() if t.name == "swarmrace-wire"]
