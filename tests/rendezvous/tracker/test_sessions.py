"""A client's session in a swarm, from its first announce until it stops or expires; the counts."""

from __future__ import annotations

from urllib.parse import quote_from_bytes

import libtorrent as lt
import pytest

from announcing import HASH, OTHER_HASH, ask, endpoints, fill, peer_id
from swarmrace.rendezvous.tracker.announces import Tracker
from swarmrace.rendezvous.tracker.swarms import Swarms, expire_seconds


def test_a_stopped_client_leaves_the_swarm_and_gets_no_peers(tracker):
    fill(tracker, 3)
    answer = ask(tracker, "10.1.0.1", peer_id=peer_id(1), event="stopped")
    assert answer[b"peers"] == b""
    assert answer[b"incomplete"] == 2
    found = endpoints(ask(tracker, "10.1.0.0", peer_id=peer_id(0))[b"peers"])
    assert found == {("10.1.0.2", 6881)}


def test_completed_counts_one_download_however_often_it_is_sent(tracker):
    ask(tracker, "10.0.0.9", peer_id=peer_id(9), left=0, event="started")
    ask(tracker, event="started")
    for _ in range(3):
        answer = ask(tracker, event="completed", left=0)
    assert (answer[b"complete"], answer[b"incomplete"]) == (2, 0)
    scraped = lt.bdecode(tracker.scrape(b"info_hash=" + quote_from_bytes(HASH).encode()))
    assert scraped == {b"files": {HASH: {b"complete": 2, b"downloaded": 1, b"incomplete": 0}}}


def test_scrape_of_some_of_all_and_of_unknown_hashes(tracker):
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


def test_a_silent_client_expires(tracker, time):
    ask(tracker, "10.0.0.1")
    time.now += 50
    ask(tracker, "10.0.0.2", peer_id=peer_id(2))
    time.now += 20
    answer = ask(tracker, "10.0.0.3", peer_id=peer_id(3))
    assert endpoints(answer[b"peers"]) == {("10.0.0.2", 6881)}
    assert answer[b"incomplete"] == 2


def test_a_new_client_at_the_same_endpoint_replaces_the_old_one(tracker):
    ask(tracker, "10.0.0.1", left=0)
    answer = ask(tracker, "10.0.0.1", peer_id=peer_id(7))
    assert (answer[b"complete"], answer[b"incomplete"]) == (0, 1)


def test_completed_without_left_counts_as_complete(tracker):
    answer = ask(tracker, event="completed", left=-1)
    assert (answer[b"complete"], answer[b"incomplete"]) == (1, 0)


@pytest.mark.parametrize(
    "late",
    [
        {"peer_id": peer_id(1)},
        {"peer_id": peer_id(2), "key": "AAAA"},
        {"peer_id": peer_id(2), "port": 6882},
    ],
)
def test_a_late_stopped_does_not_end_another_session(tracker, late):
    """A client is started again at its old address before its `stopped` has arrived."""
    ask(tracker, "10.0.0.1", peer_id=peer_id(1), key="AAAA")
    ask(tracker, "10.0.0.1", peer_id=peer_id(2), key="BBBB")
    ask(tracker, "10.0.0.1", event="stopped", **late)
    found = endpoints(ask(tracker, "10.0.0.3", peer_id=peer_id(3))[b"peers"])
    assert found == {("10.0.0.1", 6881)}


@pytest.mark.parametrize("key", [None, "BBBB"])
def test_a_sessions_own_stopped_ends_it(tracker, key):
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
    tracker = Tracker(Swarms(time, max_members=5))
    for number in range(20):
        time.now += 6
        info_hash = bytes([number]) * 20
        ask(tracker, "10.0.0.1", info_hash=info_hash, event="completed", left=0)
        ask(tracker, "10.0.0.1", info_hash=info_hash, event="stopped", left=0)
    assert len(lt.bdecode(tracker.scrape(b""))[b"files"]) <= 6


def test_a_scrape_expires_silent_clients_too(tracker, time):
    ask(tracker, "10.0.0.1", left=0)
    time.now += 61
    files = lt.bdecode(tracker.scrape(b"info_hash=" + quote_from_bytes(HASH).encode()))
    assert files[b"files"][HASH][b"complete"] == 0


def test_expiry_follows_the_interval_and_exceeds_libtorrents_own():
    own = lt.default_settings()["min_announce_interval"]
    assert expire_seconds(30) == expire_seconds(own) == 2 * own + 60
    assert expire_seconds(1800) == 3660


def test_members_are_bounded(time):
    tracker = Tracker(Swarms(time, max_members=10))
    fill(tracker, 10)
    answer = ask(tracker, "10.0.0.1", peer_id=peer_id(99))
    assert len(answer[b"peers"]) == 60, "a newcomer beyond the bound still learns of the others"
    assert ask(tracker, "10.0.0.2", info_hash=OTHER_HASH, peer_id=peer_id(98))[b"peers"] == b""
    assert set(lt.bdecode(tracker.scrape(b""))[b"files"]) == {HASH}
    ask(tracker, "10.1.0.0", peer_id=peer_id(0), event="stopped")
    assert ask(tracker, "10.0.0.1", peer_id=peer_id(99))[b"incomplete"] == 10


@pytest.mark.parametrize("left", [None, -1, "", "many"])
def test_an_announce_without_left_changes_nothing(tracker, left):
    """A seeder's regular announce without `left`, or with `left=-1`."""
    ask(tracker, left=0)
    answer = ask(tracker, left=left)
    assert (answer[b"complete"], answer[b"incomplete"]) == (1, 0)
    answer = ask(tracker, "10.0.0.2", peer_id=peer_id(2), left=left)
    assert (answer[b"complete"], answer[b"incomplete"]) == (1, 1)
    answer = ask(tracker, left=7)
    assert (answer[b"complete"], answer[b"incomplete"]) == (0, 2), "it checked its files again"
