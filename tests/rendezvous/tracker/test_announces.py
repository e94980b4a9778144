"""Announces as the BEPs define them, read back by libtorrent's bdecode."""

from __future__ import annotations

import ipaddress

import libtorrent as lt
import pytest

from announcing import HASH, OTHER_HASH, ask, endpoints, fill, peer_id
from swarmrace.rendezvous.tracker.announces import compact_endpoint


def test_an_announce_returns_the_other_peers_at_once_in_compact_form(tracker):
    first = ask(tracker, "10.0.0.1", port=1000)
    assert first == {
        b"complete": 0,
        b"incomplete": 1,
        b"interval": 30,
        b"min interval": 2,
        b"peers": b"",
    }
    second = ask(tracker, "10.0.0.2", peer_id=peer_id(2), port=2000, left=0)
    assert second[b"peers"] == bytes([10, 0, 0, 1]) + (1000).to_bytes(2, "big")
    assert (second[b"complete"], second[b"incomplete"]) == (1, 1)
    assert endpoints(ask(tracker, "10.0.0.1", port=1000)[b"peers"]) == {("10.0.0.2", 2000)}


def test_swarms_are_separate_and_a_hash_may_contain_any_byte(tracker):
    ask(tracker, "10.0.0.1")
    ask(tracker, "10.0.0.2", info_hash=OTHER_HASH, peer_id=peer_id(2))
    answer = ask(tracker, "10.0.0.3", info_hash=OTHER_HASH, peer_id=peer_id(3))
    assert endpoints(answer[b"peers"]) == {("10.0.0.2", 6881)}


def test_compact_0_gives_dictionaries_with_peer_ids(tracker):
    ask(tracker, "10.0.0.1", port=1000, peer_id=peer_id(1))
    ask(tracker, "fd00::1", port=1001, peer_id=peer_id(2))
    answer = ask(tracker, "10.0.0.9", compact=0, peer_id=peer_id(9))
    assert sorted(answer[b"peers"], key=lambda peer: peer[b"port"]) == [
        {b"ip": b"10.0.0.1", b"peer id": peer_id(1), b"port": 1000},
        {b"ip": b"fd00::1", b"peer id": peer_id(2), b"port": 1001},
    ]
    answer = ask(tracker, "10.0.0.9", compact=0, peer_id=peer_id(9), no_peer_id=1)
    assert all(set(peer) == {b"ip", b"port"} for peer in answer[b"peers"])


def test_without_compact_the_answer_is_compact(tracker):
    ask(tracker, "10.0.0.1")
    assert len(ask(tracker, "10.0.0.2", peer_id=peer_id(2), compact=None)[b"peers"]) == 6


def test_ipv6_peers_come_in_peers6(tracker):
    ask(tracker, "fd00::1", port=1000, peer_id=peer_id(1))
    four = ask(tracker, "10.0.0.1", port=2000, peer_id=peer_id(2))
    assert four[b"peers"] == b""
    assert four[b"peers6"] == ipaddress.ip_address("fd00::1").packed + (1000).to_bytes(2, "big")
    six = ask(tracker, "fd00::1", port=1000, peer_id=peer_id(1))
    assert endpoints(six[b"peers"]) == {("10.0.0.1", 2000)}
    assert six[b"peers6"] == b""


def test_ipv4_seen_through_an_ipv6_socket_is_ipv4(tracker):
    ask(tracker, "::ffff:10.0.0.1", port=1000)
    answer = ask(tracker, "10.0.0.2", peer_id=peer_id(2))
    assert endpoints(answer[b"peers"]) == {("10.0.0.1", 1000)}


def test_only_the_source_address_counts(tracker):
    ask(tracker, "10.0.0.1", port=1000, ip="10.9.9.9", ipv4="10.9.9.9", ipv6="fd00::9")
    answer = ask(tracker, "10.0.0.2", peer_id=peer_id(2))
    assert endpoints(answer[b"peers"]) == {("10.0.0.1", 1000)}
    assert b"peers6" not in answer


def test_a_client_with_both_address_families_counts_once(tracker):
    ask(tracker, "10.0.0.1", left=0)
    answer = ask(tracker, "fd00::1", left=0)
    assert (answer[b"complete"], answer[b"incomplete"]) == (1, 0)


def test_a_client_with_both_address_families_never_gets_itself(tracker):
    ask(tracker, "10.0.0.1")
    answer = ask(tracker, "fd00::1")
    assert (answer[b"peers"], answer[b"peers6"]) == (b"", b"")
    assert ask(tracker, "fd00::1", compact=0)[b"peers"] == []


def test_a_client_with_both_address_families_completes_once(tracker):
    for address in ("10.0.0.1", "fd00::1"):
        ask(tracker, address, event="started")
    for address in ("10.0.0.1", "fd00::1"):
        ask(tracker, address, event="completed", left=0)
    scraped = lt.bdecode(tracker.scrape(b""))
    assert scraped[b"files"] == {HASH: {b"complete": 1, b"downloaded": 1, b"incomplete": 0}}


@pytest.mark.parametrize("compact", [0, 1])
def test_numwant_bounds_both_address_families_together(tracker, compact):
    for number in range(20):
        ask(tracker, f"10.1.0.{number}", peer_id=peer_id(number))
        ask(tracker, f"fd00::{number}", peer_id=peer_id(100 + number))
    families = set()
    for _ in range(20):
        answer = ask(tracker, peer_id=peer_id(999), numwant=3, compact=compact)
        if compact:
            four, six = len(answer[b"peers"]) // 6, len(answer.get(b"peers6", b"")) // 18
            assert four + six == 3
            families |= {4} if four else set()
            families |= {6} if six else set()
        else:
            assert len(answer[b"peers"]) == 3
            families |= {6 if b":" in peer[b"ip"] else 4 for peer in answer[b"peers"]}
    assert families == {4, 6}


@pytest.mark.parametrize(
    ("wanted", "given_back"),
    [(None, 50), (-1, 50), ("", 50), (0, 0), (3, 3), (200, 200), (999, 200)],
)
def test_numwant_bounds_the_peers(tracker, wanted, given_back):
    fill(tracker, 260)
    answer = ask(tracker, peer_id=peer_id(999), numwant=wanted)
    found = endpoints(answer[b"peers"])
    assert len(found) == len(answer[b"peers"]) // 6 == given_back
    assert ("10.0.0.1", 6881) not in found


def test_peers_are_drawn_at_random_each_time(tracker):
    fill(tracker, 200)
    seen: set[tuple[str, int]] = set()
    for _ in range(40):
        seen |= endpoints(ask(tracker, peer_id=peer_id(999), numwant=20)[b"peers"])
    assert len(seen) > 150, "of 200, 40 draws of 20 leave out 3 on average"


def test_no_client_gets_itself(tracker):
    fill(tracker, 5)
    for _ in range(20):
        answer = ask(tracker, "10.1.0.3", peer_id=peer_id(3), numwant=4)
        assert endpoints(answer[b"peers"]) == {(f"10.1.0.{k}", 6881) for k in (0, 1, 2, 4)}


def test_a_client_that_cannot_be_reached_gets_peers_but_is_not_listed(tracker):
    ask(tracker, "10.0.0.9", peer_id=peer_id(9))
    answer = ask(tracker, "10.0.0.1", port=0)
    assert endpoints(answer[b"peers"]) == {("10.0.0.9", 6881)}
    assert answer[b"incomplete"] == 1


def test_peer_ids_are_omitted_only_on_request(tracker):
    ask(tracker, "10.0.0.9", peer_id=peer_id(9))
    for value, there in ((0, True), (1, False), (None, True)):
        (other,) = ask(tracker, "10.0.0.1", compact=0, no_peer_id=value)[b"peers"]
        assert (b"peer id" in other) == there


def test_an_announce_not_over_ip_is_refused(tracker):
    assert b"failure reason" in ask(tracker, "")


def test_compact_endpoints():
    assert compact_endpoint("127.0.0.1", 258) == b"\x7f\x00\x00\x01\x01\x02"
    assert compact_endpoint("fe80::1%eth0", 1)[:2] == b"\xfe\x80"
