"""The shared ring of samples: what is written is read, what is overwritten is known as absent."""

from __future__ import annotations

import os
import threading

from swarmrace.network import wire_samples
from swarmrace.network.namespaces import call_inside
from swarmrace.network.wire_samples import OwnSampler, Ring, make_shared, sample


def test_rows_come_back_by_column():
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
        reader.want()
        assert writer.wanted
    finally:
        os.close(descriptor)


def test_what_was_overwritten_is_absent_and_nothing_is_torn():
    ring = Ring.private()
    rows = wire_samples._ROWS
    for number in range(rows + 100):
        ring.write(number, [10 * number])
    written, t_ns, counts = ring.since(3, 0)
    assert written == rows + 100
    assert t_ns.tolist() == list(range(101, rows + 100))
    assert (counts == 10 * t_ns).all()


def test_nothing_is_sampled_unless_it_is_wanted(monkeypatch):
    ring, looks, reads = Ring.private(), [], []
    monkeypatch.setattr(wire_samples.time, "sleep", looks.append)

    def read():
        reads.append(1)
        return [7]

    sample(ring, read, lambda: len(looks) >= 5)
    assert (ring.written, reads) == (0, [])
    ring.want()
    sample(ring, read, lambda: len(looks) >= 9)
    assert ring.written == len(reads) == 4


def test_own_sampler_samples_its_interface_and_ends(network):
    peer = network.peers[0]
    sampler = call_inside(peer, OwnSampler, peer.interface)
    sampler.ring.want()
    until = threading.Event()
    while sampler.ring.written < 3:
        until.wait(0.01)
    sampler.close()
    _, t_ns, counts = sampler.ring.since(0, 0)
    assert (t_ns[1:] > t_ns[:-1]).all()
    assert (counts >= 0).all()
    assert not [t for t in threading.enumerate() if t.name == "swarmrace-wire"]
