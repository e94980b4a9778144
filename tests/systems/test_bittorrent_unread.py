"""What waits in a torrent's sockets is counted: of its connections and of no others."""

from __future__ import annotations

import os
import select
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from loopback import new_address
from swarmrace.systems.bittorrent import unread


class Torrent:
    """Names the other ends of its connections as a torrent's handle does."""

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


def test_the_unread_bytes_of_all_its_connections_and_no_others_count(connected):
    first, second, _ = connected(b"a" * 1000), connected(b"b" * 20), connected(b"other" * 9)
    counted = unread.UnreadBytes(Torrent(first, second))
    assert counted.payload() == 1020
    first.recv(400)
    assert counted.payload() == 620
    first.recv(600)
    second.recv(20)
    assert counted.payload() == 0


@pytest.mark.parametrize("first", [1, 9000, 16_384])
def test_all_that_waits_at_the_end_is_the_whole_rest(connected, first):
    """The rest of a block, whole blocks with their headers, and a part of one with its own."""
    rest = b"r" * first + 2 * (b"h" * 13 + b"b" * 16_384) + b"h" * 13 + b"p" * 700
    waiting = unread.UnreadBytes(Torrent(connected(rest))).payload()
    assert 0 <= waiting - (first + 2 * 16_384 + 700) <= 13


def test_connections_that_come_later_are_found(connected, monkeypatch):
    monkeypatch.setattr(unread, "LOOK_SECONDS", 0)
    torrent = Torrent()
    counted = unread.UnreadBytes(torrent)
    assert counted.payload() == 0
    torrent.connections.append(connected(b"later"))
    assert counted.payload() == 5


def test_a_number_that_is_another_files_by_now_is_not_counted(connected, tmp_path):
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


def test_looking_closes_and_keeps_nothing(connected):
    ours = connected(b"a")
    before = {each.name for each in Path("/proc/self/fd").iterdir()}
    unread.UnreadBytes(Torrent(ours)).payload()
    assert {each.name for each in Path("/proc/self/fd").iterdir()} == before
    assert ours.recv(1) == b"a"
