"""Announce and scrape as the BEPs say, read back by libtorrent's own bdecode."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import quote_from_bytes

import libtorrent as lt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmrace.rendezvous.tracker.announces import Tracker, compact_endpoint
from swarmrace.rendezvous.tracker.bencode import bencode
from swarmrace.rendezvous.tracker.swarms import Swarms, expire_seconds

HASH = bytes(range(236, 256))
OTHER_HASH = b"&=%+ \x00\xff#?/" + b"x" * 10


class Time:
    """Seconds that the test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def tracker(time):
    return Tracker(Swarms(time, expire_seconds=60), interval_seconds=30, min_interval_seconds=2)


def query(**changes: Any) -> bytes:
    """Return an announce's query; a value of None leaves the key out."""
    values: dict[str, Any] = {
        "info_hash": HASH,
        "peer_id": b"-XX0000-000000000000",
        "port": 6881,
        "uploaded": 0,
        "downloaded": 0,
        "left": 1000,
        "compact": 1,
    }
    parts = []
    for key, value in (values | changes).items():
        if value is not None:
            text = value if isinstance(value, bytes) else str(value).encode()
            parts.append(f"{key}={quote_from_bytes(text, safe='')}")
    return "&".join(parts).encode()


def peer_id(number: int) -> bytes:
    return b"-XX0000-%012d" % number


def ask(tracker: Tracker, address: str = "10.0.0.1", **changes: Any) -> dict[bytes, Any]:
    return lt.bdecode(tracker.announce(query(**changes), address))


def fill(tracker: Tracker, count: int, left: int = 1000) -> None:
    for number in range(count):
        ask(tracker, f"10.1.{number // 250}.{number % 250}", peer_id=peer_id(number), left=left)


def endpoints(compact: bytes) -> set[tuple[str, int]]:
    size = 6
    assert len(compact) % size == 0
    parts = [compact[at : at + size] for at in range(0, len(compact), size)]
    return {
        (str(ipaddress.ip_address(part[:-2])), int.from_bytes(part[-2:], "big")) for part in parts
    }


def test_an_announce_returns_the_others_at_once_in_compact_form(tracker):
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


def test_swarms_are_apart_and_a_hash_may_hold_any_byte(tracker):
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


def test_the_source_address_counts_and_no_parameter_does(tracker):
    ask(tracker, "10.0.0.1", port=1000, ip="10.9.9.9", ipv4="10.9.9.9", ipv6="fd00::9")
    answer = ask(tracker, "10.0.0.2", peer_id=peer_id(2))
    assert endpoints(answer[b"peers"]) == {("10.0.0.1", 1000)}
    assert b"peers6" not in answer


def test_a_client_with_both_address_families_counts_once(tracker):
    ask(tracker, "10.0.0.1", left=0)
    answer = ask(tracker, "fd00::1", left=0)
    assert (answer[b"complete"], answer[b"incomplete"]) == (1, 0)


def test_a_client_with_both_address_families_is_not_told_of_itself(tracker):
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


def test_peers_are_drawn_anew_each_time(tracker):
    fill(tracker, 200)
    seen: set[tuple[str, int]] = set()
    for _ in range(40):
        seen |= endpoints(ask(tracker, peer_id=peer_id(999), numwant=20)[b"peers"])
    assert len(seen) > 150, "of 200, 40 draws of 20 leave out 3 on average"


def test_nobody_is_told_of_itself(tracker):
    fill(tracker, 5)
    for _ in range(20):
        answer = ask(tracker, "10.1.0.3", peer_id=peer_id(3), numwant=4)
        assert endpoints(answer[b"peers"]) == {(f"10.1.0.{k}", 6881) for k in (0, 1, 2, 4)}


def test_stopped_leaves_the_swarm_and_gets_no_peers(tracker):
    fill(tracker, 3)
    answer = ask(tracker, "10.1.0.1", peer_id=peer_id(1), event="stopped")
    assert answer[b"peers"] == b""
    assert answer[b"incomplete"] == 2
    found = endpoints(ask(tracker, "10.1.0.0", peer_id=peer_id(0))[b"peers"])
    assert found == {("10.1.0.2", 6881)}


def test_completed_counts_one_download_however_often_it_is_said(tracker):
    ask(tracker, "10.0.0.9", peer_id=peer_id(9), left=0, event="started")
    ask(tracker, event="started")
    for _ in range(3):
        answer = ask(tracker, event="completed", left=0)
    assert (answer[b"complete"], answer[b"incomplete"]) == (2, 0)
    scraped = lt.bdecode(tracker.scrape(b"info_hash=" + quote_from_bytes(HASH).encode()))
    assert scraped == {b"files": {HASH: {b"complete": 2, b"downloaded": 1, b"incomplete": 0}}}


def test_scrape_of_some_of_all_and_of_none_known(tracker):
    ask(tracker)
    ask(tracker, info_hash=OTHER_HASH, left=0)
    one = lt.bdecode(tracker.scrape(b"info_hash=" + quote_from_bytes(OTHER_HASH, safe="").encode()))
    assert set(one[b"files"]) == {OTHER_HASH}
    both = b"&".join(
        b"info_hash=" + quote_from_bytes(h, safe="").encode() for h in (HASH, OTHER_HASH, b"z" * 20)
    )
    unknown = {b"complete": 0, b"downloaded": 0, b"incomplete": 0}
    found = lt.bdecode(tracker.scrape(both))[b"files"]
    assert set(found) == {HASH, OTHER_HASH, b"z" * 20}
    assert found[b"z" * 20] == unknown
    assert found[OTHER_HASH][b"complete"] == found[HASH][b"incomplete"] == 1
    assert set(lt.bdecode(tracker.scrape(b""))[b"files"]) == {HASH, OTHER_HASH}
    assert lt.bdecode(tracker.scrape(b"info_hash=" + b"z" * 20)) == {b"files": {b"z" * 20: unknown}}
    assert b"failure reason" in lt.bdecode(tracker.scrape(b"info_hash=short"))


def test_who_is_silent_for_long_is_forgotten(tracker, time):
    ask(tracker, "10.0.0.1")
    time.now += 50
    ask(tracker, "10.0.0.2", peer_id=peer_id(2))
    time.now += 20
    answer = ask(tracker, "10.0.0.3", peer_id=peer_id(3))
    assert endpoints(answer[b"peers"]) == {("10.0.0.2", 6881)}
    assert answer[b"incomplete"] == 2


def test_a_new_client_at_the_same_endpoint_takes_its_place(tracker):
    ask(tracker, "10.0.0.1", left=0)
    answer = ask(tracker, "10.0.0.1", peer_id=peer_id(7))
    assert (answer[b"complete"], answer[b"incomplete"]) == (0, 1)


def test_unknown_parameters_tracker_ids_and_keys_are_tolerated(tracker):
    ask(tracker, "10.0.0.1")
    answer = ask(
        tracker,
        "10.0.0.2",
        peer_id=peer_id(2),
        trackerid="abc",
        key="0A",
        supportcrypto=1,
        redundant=0,
    )
    assert endpoints(answer[b"peers"]) == {("10.0.0.1", 6881)}
    assert ask(tracker, "10.0.0.3", peer_id=peer_id(3), left=None, uploaded=None, event="paused")[
        b"incomplete"
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"info_hash": None},
        {"info_hash": b"x" * 19},
        {"info_hash": b"x" * 32},
        {"peer_id": None},
        {"peer_id": b"short"},
        {"port": None},
        {"port": 65_536},
        {"port": "6881x"},
        {"port": "-1"},
    ],
)
def test_a_malformed_announce_gets_a_failure_reason_and_changes_nothing(tracker, changes):
    answer = ask(tracker, **changes)
    assert set(answer) == {b"failure reason"}
    (named,) = changes
    assert answer[b"failure reason"].decode().startswith(named)
    assert lt.bdecode(tracker.scrape(b"")) == {b"files": {}}


OPTIONAL = [
    {"left": left} for left in (-1, -5, 2**63 - 1, "", "many", "9" * 5000, None)
] + [
    {name: value}
    for name in ("uploaded", "downloaded", "corrupt", "redundant", "numwant")
    for value in ("", -1, -2, "some", "٣", None)
] + [{"event": event} for event in ("", "empty", "update", "paused", "exploded", None)] + [
    {"compact": "yes"},
    {"no_peer_id": ""},
    {"ip": "no address"},
    {"ipv6": "[::1]:80"},
    {"trackerid": b"\xff"},
    {"key": ""},
    {"supportcrypto": "x", "requirecrypto": 1, "cryptoport": 0},
]  # fmt: skip


@pytest.mark.parametrize("changes", OPTIONAL, ids=str)
def test_what_is_optional_or_unknown_never_ends_an_announce(tracker, changes):
    ask(tracker, "10.0.0.9", peer_id=peer_id(9), left=0)
    answer = ask(tracker, "10.0.0.1", **changes)
    assert endpoints(answer[b"peers"]) == {("10.0.0.9", 6881)}
    assert (answer[b"complete"], answer[b"incomplete"]) == (1, 1)


def test_who_completed_without_saying_what_is_left_is_complete(tracker):
    answer = ask(tracker, event="completed", left=-1)
    assert (answer[b"complete"], answer[b"incomplete"]) == (1, 0)


def test_a_client_that_cannot_be_reached_gets_peers_and_is_none(tracker):
    ask(tracker, "10.0.0.9", peer_id=peer_id(9))
    answer = ask(tracker, "10.0.0.1", port=0)
    assert endpoints(answer[b"peers"]) == {("10.0.0.9", 6881)}
    assert answer[b"incomplete"] == 1


def test_peer_ids_are_left_out_only_when_asked_so(tracker):
    ask(tracker, "10.0.0.9", peer_id=peer_id(9))
    for value, there in ((0, True), (1, False), (None, True)):
        (other,) = ask(tracker, "10.0.0.1", compact=0, no_peer_id=value)[b"peers"]
        assert (b"peer id" in other) == there


@pytest.mark.parametrize(
    "late",
    [
        {"peer_id": peer_id(1)},
        {"peer_id": peer_id(2), "key": "AAAA"},
        {"peer_id": peer_id(2), "port": 6882},
    ],
)
def test_a_late_stopped_ends_no_session_of_another(tracker, late):
    """A client that was started again at its old address, before its `stopped` had arrived."""
    ask(tracker, "10.0.0.1", peer_id=peer_id(1), key="AAAA")
    ask(tracker, "10.0.0.1", peer_id=peer_id(2), key="BBBB")
    ask(tracker, "10.0.0.1", event="stopped", **late)
    found = endpoints(ask(tracker, "10.0.0.3", peer_id=peer_id(3))[b"peers"])
    assert found == {("10.0.0.1", 6881)}


@pytest.mark.parametrize("key", [None, "BBBB"])
def test_its_own_stopped_ends_a_session(tracker, key):
    ask(tracker, "10.0.0.1", peer_id=peer_id(2), key="BBBB")
    ask(tracker, "10.0.0.1", peer_id=peer_id(2), key=key, event="stopped")
    assert ask(tracker, "10.0.0.3", peer_id=peer_id(3))[b"peers"] == b""


def test_the_count_of_downloads_never_falls(tracker, time):
    ask(tracker, "10.0.0.1", event="started")
    ask(tracker, "10.0.0.1", event="completed", left=0)
    ask(tracker, "10.0.0.1", event="stopped", left=0)
    for seconds in (1, 1000, 100_000):
        time.now += seconds
        ask(tracker, "10.0.0.2", peer_id=peer_id(2), info_hash=OTHER_HASH)
        files = lt.bdecode(tracker.scrape(b"info_hash=" + quote_from_bytes(HASH).encode()))
        assert files[b"files"][HASH] == {b"complete": 0, b"downloaded": 1, b"incomplete": 0}


def test_swarms_kept_for_their_count_are_bounded(time):
    tracker = Tracker(Swarms(time, most_members=5))
    for number in range(20):
        time.now += 6
        info_hash = bytes([number]) * 20
        ask(tracker, "10.0.0.1", info_hash=info_hash, event="completed", left=0)
        ask(tracker, "10.0.0.1", info_hash=info_hash, event="stopped", left=0)
    assert len(lt.bdecode(tracker.scrape(b""))[b"files"]) <= 6


def test_a_scrape_forgets_the_silent_too(tracker, time):
    ask(tracker, "10.0.0.1", left=0)
    time.now += 61
    files = lt.bdecode(tracker.scrape(b"info_hash=" + quote_from_bytes(HASH).encode()))
    assert files[b"files"][HASH][b"complete"] == 0


def test_silence_is_measured_by_the_interval_and_outlasts_libtorrents_own():
    own = lt.default_settings()["min_announce_interval"]
    assert expire_seconds(30) == expire_seconds(own) == 2 * own + 60
    assert expire_seconds(1800) == 3660


def test_an_announce_that_came_over_no_ip_is_refused(tracker):
    assert b"failure reason" in ask(tracker, "")


def test_members_are_bounded(time):
    tracker = Tracker(Swarms(time, most_members=10))
    fill(tracker, 10)
    answer = ask(tracker, "10.0.0.1", peer_id=peer_id(99))
    assert len(answer[b"peers"]) == 60, "a newcomer beyond the bound still learns of the others"
    assert ask(tracker, "10.0.0.2", info_hash=OTHER_HASH, peer_id=peer_id(98))[b"peers"] == b""
    assert set(lt.bdecode(tracker.scrape(b""))[b"files"]) == {HASH}
    ask(tracker, "10.1.0.0", peer_id=peer_id(0), event="stopped")
    assert ask(tracker, "10.0.0.1", peer_id=peer_id(99))[b"incomplete"] == 10


KEYS = ["info_hash", "peer_id", "port", "left", "uploaded", "downloaded", "numwant", "compact"]
KEYS += ["event", "no_peer_id"]


@given(st.binary(max_size=400), st.sampled_from(["10.0.0.1", "fd00::1", "", "no address"]))
def test_no_query_breaks_the_tracker(raw, address):
    tracker = Tracker(Swarms(Time()))
    assert isinstance(lt.bdecode(tracker.announce(raw, address)), dict)
    assert isinstance(lt.bdecode(tracker.scrape(raw)), dict)


@given(
    st.dictionaries(
        st.sampled_from(KEYS),
        st.one_of(
            st.binary(max_size=30),
            st.integers(-(2**70), 2**70),
            st.sampled_from([HASH, b"started", b"stopped", b"completed", b"0", b"1"]),
        ),
    )
)
def test_no_values_break_the_tracker(values):
    tracker = Tracker(Swarms(Time()))
    for address in ("10.0.0.1", "fd00::1"):
        answer = ask(tracker, address, **values)
        assert (b"failure reason" in answer) != (b"interval" in answer)


VALUES = st.recursive(
    # libtorrent reads -2^63 as 0.
    st.one_of(st.integers(-(2**63) + 1, 2**63 - 1), st.binary(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.binary(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_bencoded_is_read_back_by_libtorrent(value):
    assert lt.bdecode(bencode(value)) == value


def test_bencoding_refuses_what_it_has_no_form_for():
    for value in (1.5, None, True):
        with pytest.raises(TypeError):
            bencode(value)


def test_compact_endpoints():
    assert compact_endpoint("127.0.0.1", 258) == b"\x7f\x00\x00\x01\x01\x02"
    assert compact_endpoint("fe80::1%eth0", 1)[:2] == b"\xfe\x80"
