"""Progress for people: a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from swarmrace.display import Board, Lines, display


def peer(index, **changes):
    known = {"entrant": "a", "peer": index, "stage": "race", "run_id": "000-a", "lost": None}
    return {**known, "progress_bytes": 250_000, "size_bytes": 1_000_000, **changes}


def status(**changes):
    run = {"id": "000-a", "index": 0, "total": 6, "entrant": "a", "barrier": "raced"}
    base = {"race_id": "0123456789", "over": False, "run": run, "closed": []}
    return {**base, "peers": [peer(0, stage="serve"), peer(1), peer(2)], **changes}


def printed(thing):
    out = io.StringIO()
    Console(file=out, width=100).print(thing)
    return out.getvalue()


def test_the_table_shows_stage_percent_and_rate():
    text = printed(Board(None).table(status()))
    assert "run 1 of 6" in text
    assert "a-0" in text
    assert "serve" in text
    assert "25" in text
    assert "B/s" in text


def test_the_rate_follows_the_bytes():
    board = Board(None)
    board.table(status())
    text = printed(board.table(status(peers=[peer(1, progress_bytes=750_000)])))
    assert "75" in text
    assert " 0 B/s" not in text


def test_a_lost_peer_is_shown_as_lost():
    text = printed(Board(None).table(status(peers=[peer(1, lost="killed by signal 9")])))
    assert "lost" in text
    assert "signal 9" in text


def test_before_the_first_run_it_counts_who_has_reported():
    text = printed(Board(None).table(status(run=None, peers=[peer(0), peer(1, stage=None)])))
    assert "1 peers have reported" in text


def test_a_large_swarm_is_cut_and_said_to_be():
    text = printed(Board(None).table(status(peers=[peer(k) for k in range(64)])))
    assert "24 more" in text


def test_lines_say_each_run_once_with_its_reason():
    out = io.StringIO()
    console = Console(file=out, width=100)
    with display(console) as shown:
        assert isinstance(shown, Lines)
        shown.update(status())
        shown.update(status())
        failure = {"detail": "peer 2 lost: killed"}
        closed = {"run_id": "000-a", "status": "raced", "wall_seconds": 1.5, "failure": None}
        not_raced = {**closed, "run_id": "001-a", "status": "not raced", "failure": failure}
        shown.update(status(run=None, closed=[closed, not_raced]))
        shown.update(status(run=None, closed=[closed, not_raced]))
    lines = out.getvalue().splitlines()
    assert lines == [
        "race 0123456789  run 1 of 6  000-a",
        "000-a: raced in 1.5 s",
        "001-a: not raced in 1.5 s: peer 2 lost: killed",
    ]
