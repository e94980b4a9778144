"""Progress for people: a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from swarmrace.cli.display import Guarded, Lines, ProgressTable, display, make_console


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
    text = printed(ProgressTable(None).table(status()))
    assert "run 1 of 6" in text
    assert "a-0" in text
    assert "serve" in text
    assert "25" in text
    assert "B/s" in text


def test_the_rate_follows_the_bytes():
    board = ProgressTable(None)
    board.table(status())
    text = printed(board.table(status(peers=[peer(1, progress_bytes=750_000)])))
    assert "75" in text
    assert " 0 B/s" not in text


def test_a_lost_peer_is_shown_as_lost():
    text = printed(ProgressTable(None).table(status(peers=[peer(1, lost="killed by signal 9")])))
    assert "lost" in text
    assert "signal 9" in text


def test_before_the_first_run_it_counts_the_peers_that_reported():
    text = printed(
        ProgressTable(None).table(status(run=None, peers=[peer(0), peer(1, stage=None)]))
    )
    assert "1 peers have reported" in text


def test_a_large_swarm_is_cut_with_the_number_of_hidden_peers():
    text = printed(ProgressTable(None).table(status(peers=[peer(k) for k in range(64)])))
    assert "24 more" in text


def test_each_run_has_one_line_with_its_reason():
    out = io.StringIO()
    console = Console(file=out, width=100)
    with display(console) as shown:
        shown.update(status())
        shown.update(status())
        failure = {"detail": "peer 2 lost: killed"}
        closed = {"run_id": "000-a", "status": "raced", "wall_seconds": 1.5, "failure": None}
        closed["index"] = 0
        not_raced = {**closed, "run_id": "001-a", "status": "not raced", "failure": failure}
        not_raced["index"] = 1
        shown.update(status(run=None, closed=[closed, not_raced]))
        shown.update(status(run=None, closed=[closed, not_raced]))
    lines = out.getvalue().splitlines()
    assert lines == [
        "race 0123456789  run 1 of 6  000-a",
        "000-a: raced in 1.5 s",
        "run 2 of 6  001-a: not raced in 1.5 s: peer 2 lost: killed",
    ]


ODD = "addrs=@[/ip4/127.0.0.1/tcp/8070] [libtorrent:48] :warning:"
"""Text that a node may print, and that rich's markup would read as tags."""


def test_text_from_a_node_is_shown_unchanged(capsys):
    assert ODD in printed(ProgressTable(None).table(status(peers=[peer(1, lost=ODD)])))
    console = make_console()
    console.print(ODD, soft_wrap=True)
    failed = {"run_id": "000-a", "status": "not raced", "wall_seconds": 1, "failure": {}}
    failed["failure"] = {"detail": ODD}
    with display(console) as shown:
        shown.update(status(run=None, closed=[failed]))
    assert capsys.readouterr().out.splitlines() == [ODD, f"000-a: not raced in 1 s: {ODD}"]


def test_an_error_of_the_display_is_reported_once_and_not_raised(capsys):
    class Broken:
        calls = 0

        def update(self, status):
            self.calls += 1
            # rich exits the program if the reader of its output has gone
            raise SystemExit(1) if self.calls == 2 else KeyError("size_bytes")

    broken = Broken()
    shown = Guarded(broken)
    for _ in range(3):
        shown.update(status())
    assert broken.calls == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("(KeyError: 'size_bytes'); the race continues")


def test_a_terminal_survives_a_status_it_can_not_draw(capsys):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    with display(console) as shown:
        shown.update(status(peers=[{}]))
        shown.update(status())
    assert "serve" in out.getvalue()
    assert "the race continues" in capsys.readouterr().err + out.getvalue()


class Time:
    seconds = 0.0

    def __call__(self):
        return self.seconds


def test_a_peer_without_progress_has_the_rate_0():
    now = Time()
    board = ProgressTable(None, now)

    def rate(seconds, progress_bytes):
        now.seconds = seconds
        text = printed(board.table(status(peers=[peer(1, progress_bytes=progress_bytes)])))
        (row,) = (line for line in text.splitlines() if "a-1" in line)
        return row.split("│")[-2].strip()

    assert rate(0, 0) == "0 B/s"
    assert rate(1, 500_000) == "500 kB/s"
    assert rate(2.5, 500_000) == "500 kB/s", "the next heartbeat isn't due yet"
    assert rate(3.5, 500_000) == "0 B/s"
    assert rate(30, 500_000) == "0 B/s"
    assert rate(31, 900_000) != "0 B/s"
    assert rate(40, 900_000) == "0 B/s", "a long gap doesn't delay the next drop to 0"


def test_a_leecher_that_is_done_keeps_its_bar_while_it_serves():
    peers = [peer(0, stage="serve", progress_bytes=0), peer(1, stage="serve", progress_bytes=10**6)]
    seeder, leecher = (
        line
        for line in printed(ProgressTable(None).table(status(peers=peers))).splitlines()
        if "a-" in line
    )
    assert "100" in leecher
    assert "━" in leecher
    assert "━" not in seeder


def test_lines_show_progress_and_rate():
    now, out = Time(), io.StringIO()
    lines = Lines(Console(file=out, width=100), now)
    seeder = peer(0, stage="serve", progress_bytes=0)
    for now.seconds, held in ((0, 0), (4, 100_000), (6, 300_000), (7, 400_000)):
        lines.update(status(peers=[seeder, *(peer(k, progress_bytes=held) for k in (1, 2))]))
    assert out.getvalue().splitlines() == [
        "race 0123456789  run 1 of 6  000-a",
        "000-a: race/serve, 30 % (600 kB) at 200 kB/s",
    ]
