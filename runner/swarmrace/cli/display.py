"""Live progress of a race: a table on a terminal, otherwise plain lines."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from swarmrace.errors import Exit
from swarmrace.units import format_rate, format_seconds, format_size

WIDTH = 100
"""Columns of output that isn't a terminal."""
_MAX_ROWS = 40
_LINE_SECONDS = 5.0
_HEARTBEAT_SECONDS = (0.5, 4.0)
"""Minimum and maximum time between heartbeats of a peer; in a large swarm they are less frequent.
"""


class _Console(Console):
    """Exits as other programs do if the reader of its output has gone (`| head`)."""

    def on_broken_pipe(self) -> None:
        try:
            super().on_broken_pipe()
        except SystemExit:
            raise SystemExit(Exit.BROKEN_PIPE) from None


def make_console(*, stderr: bool = False) -> Console:
    """Return a command's console; the one on standard error is for progress.

    Output may contain text from nodes, paths and peers, so the console interprets no markup:
    `[/ip4/…]` is printed as it is.
    """
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else WIDTH
    return _Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


class Display(Protocol):
    """Shows the rendezvous' status."""

    def update(self, status: dict[str, Any]) -> None:
        """Show `status`."""
        ...


class Guarded:
    """A display whose failure is reported once, on standard error, and never ends a race."""

    def __init__(self, inner: Display) -> None:
        self._inner = inner
        self._reported = False

    def update(self, status: dict[str, Any]) -> None:
        """Show `status`, if possible."""
        # rich raises SystemExit if the reader has gone (`swarmrace run … | head`).
        try:
            self._inner.update(status)
        except (Exception, SystemExit) as error:
            if not self._reported:
                self._reported = True
                reader_gone = isinstance(error, SystemExit)
                why = "its reader has gone" if reader_gone else f"{type(error).__name__}: {error}"
                with contextlib.suppress(Exception):
                    print(
                        f"swarmrace: progress can't be shown ({why}); the race continues",
                        file=sys.stderr,
                    )


@contextlib.contextmanager
def display(console: Console) -> Iterator[Display]:
    """Yield a live display on a terminal, otherwise one that prints lines."""
    if not console.is_terminal:
        yield Guarded(Lines(console))
        return
    # Drawn only by `update`, which is guarded, and not by rich's own thread.
    live = Live(console=console, auto_refresh=False, transient=True)
    live.start()
    try:
        yield Guarded(ProgressTable(live))
    finally:
        with contextlib.suppress(Exception):
            live.update(Text())
            live.stop()


class _Rates:
    """Bytes per second of each peer, from successive statuses of the rendezvous.

    Heartbeats report progress. A peer without progress for two heartbeats has the rate 0.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seen: dict[tuple[str, int, str], tuple[float, int, float, float]] = {}

    def rate_of(self, peer: dict[str, Any]) -> float:
        key = (peer["entrant"], peer["peer"], peer.get("run_id") or "")
        now, progress = self._now(), peer.get("progress_bytes") or 0
        when, before, rate, gap = self._seen.get(key, (now, 0, 0.0, 0.0))
        if progress != before and now > when:
            rate, gap = (progress - before) / (now - when), now - when
        if progress != before or key not in self._seen:
            self._seen[key] = (now, progress, rate, gap)
            return rate
        minimum, maximum = _HEARTBEAT_SECONDS
        return rate if now - when <= 2 * min(max(gap, minimum), maximum) else 0.0


class ProgressTable:
    """The live table: stage, percent and MB/s of each peer in the current run."""

    def __init__(self, live: Live, now: Callable[[], float] = time.monotonic) -> None:
        self._live = live
        self._rates = _Rates(now)

    def update(self, status: dict[str, Any]) -> None:
        """Redraw the table."""
        self._live.update(self.table(status), refresh=True)

    def table(self, status: dict[str, Any]) -> Table:
        """Return the table for `status`."""
        run = status.get("run")
        table = Table(title=Text(_headline(status)), title_justify="left", expand=False)
        for name in ("peer", "stage", "progress"):
            table.add_column(name)
        for name in ("%", "rate"):
            table.add_column(name, justify="right")
        trouble = status.get("stopped") or status.get("trouble")
        if trouble:
            table.caption, table.caption_justify = Text(f"! {trouble}", style="red"), "left"
        peers = [p for p in status["peers"] if run and p["entrant"] == run["entrant"]]
        for peer in peers[:_MAX_ROWS]:
            table.add_row(*(c if isinstance(c, Text) else Text(c) for c in self._row(peer)))
        if len(peers) > _MAX_ROWS:
            table.add_row(f"… {len(peers) - _MAX_ROWS} more")
        return table

    def _row(self, peer: dict[str, Any]) -> list[str | Text]:
        name = f"{peer['entrant']}-{peer['peer']}"
        if peer.get("lost"):
            return [Text(name, style="red"), Text("lost", style="red"), str(peer["lost"]), "", ""]
        rate = self._rates.rate_of(peer)
        # A leecher that is done continues to serve; a seeder serves and has no progress.
        if peer["stage"] != "race" and not (peer["stage"] == "serve" and peer["progress_bytes"]):
            return [name, peer["stage"], "", "", ""]
        done = _share(peer["progress_bytes"], peer.get("size_bytes"))
        return [
            name,
            peer["stage"],
            Text(("━" * round(24 * done)).ljust(24, "╌"), style="cyan"),
            f"{100 * done:.0f}",
            format_rate(rate) if peer["stage"] == "race" else "",
        ]


class Lines:
    """Plain lines: one when a run opens or closes, and one every few seconds during it."""

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._now = now
        self._rates = _Rates(now)
        self._open: str | None = None
        self._trouble = ""
        self._total: int | None = None
        self._closed = 0
        self._printed_at = now()

    def update(self, status: dict[str, Any]) -> None:
        """Print what is new."""
        self._print_trouble(status.get("stopped") or status.get("trouble") or "")
        run = status.get("run")
        self._total = (run or {}).get("total") or self._total
        for closed in status["closed"][self._closed :]:
            why = (closed.get("failure") or {}).get("detail") or ""
            # A run that opened and closed between two updates has no line of its own yet.
            unseen = self._total and closed["run_id"] != self._open
            which = f"run {closed['index'] + 1} of {self._total}  " if unseen else ""
            self._print(
                f"{which}{closed['run_id']}: {closed['status']} in "
                f"{format_seconds(closed['wall_seconds'])}{': ' if why else ''}{why}"
            )
        self._closed = len(status["closed"])
        if run and run["id"] != self._open:
            self._open = run["id"]
            self._print(_headline(status))
            return
        racing = [p for p in status["peers"] if run and p.get("run_id") == run["id"]]
        rate = sum(self._rates.rate_of(peer) for peer in racing if peer["stage"] == "race")
        if run and self._now() - self._printed_at > _LINE_SECONDS:
            stages = "/".join(sorted({p["stage"] for p in racing}))
            self._print(f"{run['id']}: {stages}{_progress(racing, rate)}")

    def _print_trouble(self, text: str) -> None:
        if text and text != self._trouble:
            self._print(f"! {text}")
        self._trouble = text

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)
        self._printed_at = self._now()


def _progress(racing: list[dict[str, Any]], rate: float) -> str:
    """Return the progress of a run's leechers, or an empty string before its start."""
    leechers = [p for p in racing if p["stage"] == "race" or p.get("progress_bytes")]
    if not leechers:
        return ""
    held = sum(p.get("progress_bytes") or 0 for p in leechers)
    wanted = sum(p.get("size_bytes") or 0 for p in leechers)
    return f", {100 * _share(held, wanted):.0f} % ({format_size(held)}) at {format_rate(rate)}"


def _share(held: int, wanted: int | None) -> float:
    return min(held / wanted, 1.0) if wanted else 0.0


def _headline(status: dict[str, Any]) -> str:
    run = status.get("run")
    if run is None:
        waiting = sum(1 for p in status["peers"] if p.get("stage"))
        return f"race {status['race_id']}: {waiting} peers have reported"
    if run.get("trial"):
        return f"race {status['race_id']}  trial of {run['entrant']}: start two nodes and join them"
    total = run.get("total") or "?"
    return f"race {status['race_id']}  run {run['index'] + 1} of {total}  {run['id']}"
