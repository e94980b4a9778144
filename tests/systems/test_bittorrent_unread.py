"""Unread bytes are counted for a torrent's connections and for no others."""

from __future__ import annotations

import os
import select
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from loopback import new_address
from swarmrace.recording.samples import SampledLog
from swarmrace.systems.bittorrent import unread
from swarmrace.systems.bittorrent.last_bytes import Base, LastBytes, reached_since


class Torrent:
    """Lists the other ends of its connections as a torrent's handle does."""

    def __init__(self, *connections):
        self.connections = list(connections)

    def get_peer_info(self):
        return [SimpleNamespace(ip=each.getpeername()[:2]) for each in self.connections]


@pytest.fixture
def connected():
    made = []

    def connect(data):
        """Return a connection in which `data` waits."""
        with socket.create_server((new_address(), 0)) as server:
            ours = socket.create_connection(server.getsockname())
            theirs, _ = server.accept()
        made.extend((ours, theirs))
        theirs.sendall(data)
        if data:
            select.select([ours], [], [], 10)
            while len(ours.recv(len(data), socket.MSG_PEEK)) < len(data):
                pass
        return ours

    yield connect
    for each in made:
        each.close()


def test_unread_bytes_of_all_its_connections_and_of_no_others_count(connected):
    first, second, _ = connected(b"a" * 1000), connected(b"b" * 20), connected(b"other" * 9)
    counted = unread.UnreadBytes(Torrent(first, second))
    assert counted.payload() == 1020
    first.recv(400)
    assert counted.payload() == 620
    first.recv(600)
    second.recv(20)
    assert counted.payload() == 0


@pytest.mark.parametrize("first", [1, 9000, 16_384])
def test_at_the_end_all_waiting_bytes_are_the_whole_rest(connected, first):
    """The rest of a block, whole blocks with their headers, and part of one with its header."""
    rest = b"r" * first + 2 * (b"h" * 13 + b"b" * 16_384) + b"h" * 13 + b"p" * 700
    waiting = unread.UnreadBytes(Torrent(connected(rest))).payload()
    assert 0 <= waiting - (first + 2 * 16_384 + 700) <= 13


def test_connections_that_come_later_are_found(connected, monkeypatch):
    monkeypatch.setattr(unread, "REFRESH_SECONDS", 0)
    monkeypatch.setattr(unread, "REFRESH_FACTOR", 0)
    torrent = Torrent()
    counted = unread.UnreadBytes(torrent)
    assert counted.payload() == 0
    torrent.connections.append(connected(b"later"))
    assert counted.payload() == 5


def test_a_reused_descriptor_is_not_counted(connected, tmp_path):
    ours = connected(b"a" * 1000)
    number = ours.fileno()
    counted = unread.UnreadBytes(Torrent(ours))
    assert counted.payload() == 1000
    ours.close()
    (tmp_path / "file").write_bytes(b"x" * 5000)
    opened = os.open(tmp_path / "file", os.O_RDONLY)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    try:
        assert counted.payload() == 0
    finally:
        os.close(number)


def test_reading_closes_no_socket_and_keeps_none_open(connected):
    ours = connected(b"a")
    before = {each.name for each in Path("/proc/self/fd").iterdir()}
    unread.UnreadBytes(Torrent(ours)).payload()
    assert {each.name for each in Path("/proc/self/fd").iterdir()} == before
    assert ours.recv(1) == b"a"


def test_what_was_read_and_what_came_since_are_counted_apart(connected):
    first, second = connected(b"a" * 1000), connected(b"b" * 20)
    counted = unread.UnreadBytes(Torrent(first, second))
    counted.payload()
    first.recv(400)
    read = counted.read_bytes()
    assert sorted(read.values()) == [0, 400]
    # What waits has come since libtorrent last read.
    assert reached_since(Base(0, 0, read)) == 620
    first.recv(600)
    assert reached_since(Base(0, 0, read)) == 620
    assert reached_since(Base(0, 0, counted.read_bytes())) == 20
    second.close()
    assert reached_since(Base(0, 0, read)) == 600
    assert len(counted.read_bytes()) == 1


def test_a_descriptor_that_was_used_again_is_not_asked(connected):
    first = connected(b"a" * 10)
    counted = unread.UnreadBytes(Torrent(first))
    counted.payload()
    read = counted.read_bytes()
    other = connected(b"other" * 9)
    os.dup2(other.fileno(), first.fileno())
    assert counted.read_bytes() == {}
    assert reached_since(Base(0, 0, read)) == 0


def test_the_last_bytes_are_noted_without_an_answer():
    log = SampledLog(1000)
    with socket.create_server((new_address(), 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    last = LastBytes(log)
    with ours, theirs:
        counted = unread.UnreadBytes(Torrent(ours))
        counted.payload()
        try:
            last.since(Base(900, 5, counted.read_bytes()))
            theirs.sendall(b"b" * 100)
            while log.had_reached(0)[1].max(initial=0) < 1000:
                time.sleep(0.001)
        finally:
            last.stop()
    answered_ns, total, _ = log.had_reached(0)
    assert total[-1] == 1000
    assert answered_ns[-1] <= time.monotonic_ns()


def test_an_earlier_answer_counts_while_it_shows_blocks_that_the_last_one_missed(connected):
    """libtorrent read 50,000 bytes between its second answer and the reading of the socket."""
    ours = connected(b"a" * 60_000)
    counted = unread.UnreadBytes(Torrent(ours))
    counted.payload()
    first = Base(100_000, 1, counted.read_bytes())
    ours.recv(50_000, socket.MSG_WAITALL)
    missed = Base(100_000, 2, counted.read_bytes())
    # It missed 20,000 bytes, which is within the slack.
    better = Base(130_000, 3, missed.read_bytes)
    last = LastBytes(SampledLog(1_000_000))
    try:
        assert last.since(first) == reached_since(first)
        assert last.since(missed) == reached_since(first) > reached_since(missed)
        assert last._base == first
        assert last.since(better) == reached_since(better)
        assert last._base == better
    finally:
        last.stop()
