"""Live progress of a race: a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from swarmrace.units import format_rate, format_seconds, format_size

_MOST_ROWS = 40
_LINE_SECONDS = 5.0


class Display(Protocol):
    """Takes the rendezvous' status."""

    def update(self, status: dict[str, Any]) -> None:
        """Show `status`."""
        ...


@contextmanager
def display(console: Console) -> Iterator[Display]:
    """Yield the display that fits: live on a terminal, lines elsewhere."""
    if not console.is_terminal:
        yield Lines(console)
        return
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        yield Board(live)


class _Rates:
    """Bytes per second of each peer, from successive statuses of the rendezvous."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int, str], tuple[float, int, float]] = {}

    def of(self, peer: dict[str, Any]) -> float:
        key = (peer["entrant"], peer["peer"], peer.get("run_id") or "")
        now, progress = time.monotonic(), peer.get("progress_bytes") or 0
        when, before, rate = self._seen.get(key, (now, 0, 0.0))
        if progress != before and now > when:
            rate = (progress - before) / (now - when)
        if progress != before or key not in self._seen:
            self._seen[key] = (now, progress, rate)
        return rate


class Board:
    """The live table: stage, percent and MB/s of each peer of the run at hand."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._rates = _Rates()

    def update(self, status: dict[str, Any]) -> None:
        """Redraw."""
        self._live.update(self.table(status))

    def table(self, status: dict[str, Any]) -> Table:
        """Return the table for `status`."""
        run = status.get("run")
        table = Table(title=_headline(status), title_justify="left", expand=False)
        for name, side in (
            ("peer", "left"),
            ("stage", "left"),
            ("progress", "left"),
            ("%", "right"),
            ("rate", "right"),
        ):
            table.add_column(name, justify=side)
        peers = [p for p in status["peers"] if run and p["entrant"] == run["entrant"]]
        for peer in peers[:_MOST_ROWS]:
            table.add_row(*self._row(peer))
        if len(peers) > _MOST_ROWS:
            table.add_row(f"… {len(peers) - _MOST_ROWS} more")
        return table

    def _row(self, peer: dict[str, Any]) -> list[str | Text]:
        name = f"{peer['entrant']}-{peer['peer']}"
        if peer.get("lost"):
            return [Text(name, style="red"), Text("lost", style="red"), str(peer["lost"]), "", ""]
        rate = self._rates.of(peer)
        if peer["stage"] != "race":
            return [name, peer["stage"], "", "", ""]
        done = peer["progress_bytes"] / peer["size_bytes"] if peer.get("size_bytes") else 0
        bar = "━" * round(24 * min(done, 1))
        return [
            name,
            "race",
            Text(bar.ljust(24, "╌"), style="cyan"),
            f"{100 * min(done, 1):.0f}",
            format_rate(rate),
        ]


class Lines:
    """Plain lines: one when a run opens or closes, one every few seconds within."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open: str | None = None
        self._closed = 0
        self._spoke = time.monotonic()

    def update(self, status: dict[str, Any]) -> None:
        """Print what is new."""
        for closed in status["closed"][self._closed :]:
            why = (closed.get("failure") or {}).get("detail") or ""
            self._say(
                f"{closed['run_id']}: {closed['status']} in "
                f"{format_seconds(closed['wall_seconds'])}{': ' if why else ''}{why}"
            )
        self._closed = len(status["closed"])
        run = status.get("run")
        if run and run["id"] != self._open:
            self._open = run["id"]
            self._say(f"{_headline(status)}")
        elif run and time.monotonic() - self._spoke > _LINE_SECONDS:
            racing = [p for p in status["peers"] if p.get("run_id") == run["id"]]
            held = sum(p.get("progress_bytes") or 0 for p in racing)
            stages = sorted({p["stage"] for p in racing})
            self._say(f"{run['id']}: {'/'.join(stages)}, {format_size(held)} arrived")

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)
        self._spoke = time.monotonic()


def _headline(status: dict[str, Any]) -> str:
    run = status.get("run")
    if run is None:
        waiting = sum(1 for p in status["peers"] if p.get("stage"))
        return f"race {status['race_id']}: {waiting} peers have reported"
    total = run.get("total") or "?"
    return f"race {status['race_id']}  run {run['index'] + 1} of {total}  {run['id']}"
