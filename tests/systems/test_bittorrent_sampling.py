"""Received payload is sampled to the byte, while its block is still coming in."""

from __future__ import annotations

import contextlib
import os
import socket
import struct

import libtorrent as lt
import pytest

from loopback import new_address
from patience import PATIENCE_SECONDS, wait_for
from swarmrace.clock import SystemClock
from swarmrace.systems.abc import Record
from swarmrace.systems.bittorrent import sampling
from swarmrace.systems.bittorrent import torrent as torrents
from swarmrace.systems.bittorrent.sampling import PayloadSampler

SIZE = 4 * torrents.BLOCK_BYTES


class SlowSeeder:
    """A seeder that sends what the test tells it to: BEP 3 by hand, to one leecher."""

    def __init__(self, info_hash, payload):
        self._info_hash, self._payload = info_hash, payload
        self._listener = socket.create_server((new_address(), 0))
        self._listener.settimeout(PATIENCE_SECONDS)
        self.address = self._listener.getsockname()
        self._requests = []

    def accept(self):
        self._peer, _ = self._listener.accept()
        self._peer.settimeout(PATIENCE_SECONDS)
        protocol = b"\x13BitTorrent protocol"
        self._read(len(protocol) + 8 + 20 + 20)
        self._peer.sendall(protocol + bytes(8) + self._info_hash + b"-XX0000-" + os.urandom(12))
        self._peer.sendall(struct.pack(">IBB", 2, 5, 0b11110000) + struct.pack(">IB", 1, 1))

    def requested(self):
        """Return the offset of the next block that the leecher requests."""
        while True:
            (length,) = struct.unpack(">I", self._read(4))
            message = self._read(length)
            if message[:1] == b"\x06":
                piece, begin, size = struct.unpack(">III", message[1:])
                return piece * torrents.BLOCK_BYTES + begin, size

    def send(self, offset, size, first=0, last=None):
        """Send bytes `first` to `last` of a block, the first ones after its header."""
        piece, begin = divmod(offset, torrents.BLOCK_BYTES)
        header = struct.pack(">IBII", 9 + size, 7, piece, begin) if not first else b""
        self._peer.sendall(header + self._payload[offset : offset + size][first:last])

    def hang_up(self):
        self._peer.close()

    def close(self):
        self._listener.close()
        with contextlib.suppress(AttributeError):
            self._peer.close()

    def _read(self, count):
        data = b""
        while len(data) < count:
            part = self._peer.recv(count - len(data))
            assert part, "the leecher hung up"
            data += part
        return data


@pytest.fixture
def leeching(tmp_path):
    payload = os.urandom(SIZE)
    file = tmp_path / "file"
    file.write_bytes(payload)
    made = torrents.make(
        file,
        tmp_path / "seeder",
        protocol="v1",
        piece_bytes=torrents.BLOCK_BYTES,
        announce_url="http://127.0.0.1:1/announce",
    )
    seeder = SlowSeeder(made.info.info_hashes().v1.to_bytes(), payload)
    session = lt.session(
        {
            "listen_interfaces": f"{new_address()}:0",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "out_enc_policy": 2,
            "enable_outgoing_utp": False,
            "min_reconnect_time": 1,
        }
    )
    params = lt.add_torrent_params()
    params.ti, params.save_path = made.info, str(tmp_path)
    handle = session.add_torrent(params)
    record = Record(SystemClock(), SIZE)
    sampler = PayloadSampler(record)
    sampler.start(handle)
    handle.connect_peer(seeder.address)
    seeder.accept()
    yield seeder, sampler, record, handle
    sampler.stop()
    session.pause()
    seeder.close()


def wait_for_total(record, total):
    wait_for(lambda: record.arrivals.total == total, f"a total of {total}", 0.002)


def test_the_bytes_of_a_block_count_while_it_comes_in(leeching):
    seeder, _, record, handle = leeching
    offset, size = seeder.requested()
    seeder.send(offset, size, last=1)
    wait_for_total(record, 1)
    seeder.send(offset, size, first=1, last=7000)
    wait_for_total(record, 7000)
    assert handle.status().total_done == 0
    seeder.send(offset, size, first=7000)
    wait_for_total(record, size)


def test_a_block_that_was_cut_off_never_arrived(leeching):
    seeder, sampler, record, _ = leeching
    offset, size = seeder.requested()
    seeder.send(offset, size, last=9000)
    wait_for_total(record, 9000)
    seeder.hang_up()
    wait_for_total(record, 0)
    sampler.stop()
    assert not len(record.arrivals.curve(0, SIZE).offset)


def test_the_file_is_whole_with_its_last_byte_and_not_before(leeching):
    seeder, sampler, record, handle = leeching
    completed = []
    sampler._on_complete = lambda: completed.append(record.arrivals.total)
    for _ in range(3):
        seeder.send(*seeder.requested())
    offset, size = seeder.requested()
    seeder.send(offset, size, last=size - 1)
    wait_for_total(record, SIZE - 1)
    seeder.send(offset, size, first=size - 1)
    wait_for_total(record, SIZE)
    wait_for(lambda: handle.status().total_done == SIZE, "the file")
    sampler.stop()
    assert sampler._sample()
    assert completed == [SIZE], "it is called once"


def test_alerts_may_wait_only_while_payload_comes_and_some_is_missing(monkeypatch):
    monkeypatch.setattr(sampling, "DEFERRED_BYTES", 2_500)
    record = Record(SystemClock(), 5_000)
    sampler = PayloadSampler(record)
    answers = []
    for t_ns, total in enumerate((0, 1_000, 1_000, 2_000, 3_000, 4_000, 4_500, 5_000)):
        record.arrivals.sample(total, t_ns, t_ns)
        answers.append(sampler.is_receiving())
    #                   none   came  none   came  came  many   came  complete
    assert answers == [False, True, False, True, True, False, True, False]


def test_without_a_new_sample_alerts_wait_once_more_if_they_did_before():
    record = Record(SystemClock(), 5_000)
    sampler = PayloadSampler(record)
    for t_ns, (total, receives) in enumerate(((0, False), (1_000, True), (1_000, False))):
        record.arrivals.sample(total, t_ns, t_ns)
        assert [sampler.is_receiving() for _ in range(3)] == [receives, receives, False]
