"""Optional parameters never fail an announce, and malformed requests break nothing."""

from __future__ import annotations

import libtorrent as lt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from announcing import HASH, Time, ask, endpoints, peer_id
from swarmrace.rendezvous.tracker.announces import Tracker
from swarmrace.rendezvous.tracker.bencode import bencode
from swarmrace.rendezvous.tracker.swarms import Swarms


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
def test_optional_or_unknown_parameters_never_fail_an_announce(tracker, changes):
    ask(tracker, "10.0.0.9", peer_id=peer_id(9), left=0)
    answer = ask(tracker, "10.0.0.1", **changes)
    assert endpoints(answer[b"peers"]) == {("10.0.0.9", 6881)}
    assert (answer[b"complete"], answer[b"incomplete"]) == (1, 1)


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
def test_libtorrent_reads_back_what_is_bencoded(value):
    assert lt.bdecode(bencode(value)) == value


def test_bencoding_refuses_other_types():
    for value in (1.5, None, True):
        with pytest.raises(TypeError):
            bencode(value)
