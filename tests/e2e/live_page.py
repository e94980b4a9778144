"""Watches a race's live page through `kubectl port-forward`, as the release's notes say."""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from cluster import call

from watching import Event, parse

_READ_SECONDS = 60.0
"""The tracker sends an event every second."""


@dataclass
class Watched:
    """What a watcher has seen of a race."""

    page: str = ""
    address: str = ""
    """Where the page is, without its path in the tracker."""
    events: list[Event] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    """Why the forward or the stream ended before the race was over."""

    def of(self, kind: str) -> list[Any]:
        """Return the data of all events of a kind."""
        return [each.data for each in self.events if each.kind == kind]


def noted_command(release: str, namespace: str) -> list[str]:
    """Return the command that the release's notes give for the live page, with a free port of this
    machine in place of 8080."""
    notes = call("helm", "get", "notes", release, "-n", namespace)
    line = next(line for line in notes.splitlines() if "port-forward" in line)
    assert "http://localhost:8080/live" in line, line
    *command, ports = line.partition("#")[0].split()
    local, _, port = ports.partition(":")
    return [*command, f":{port or local}"]


@contextlib.contextmanager
def watching_page(release: str, namespace: str, may_begin: Callable[[], bool]) -> Iterator[Watched]:
    """Watch the page from another thread until the race is over or the block ends.

    Args:
        release: the release's name.
        namespace: its namespace.
        may_begin: asked until it returns True, so that the watcher disturbs no measurement.
    """
    seen, stop = Watched(), threading.Event()

    def watch() -> None:
        while not may_begin():
            if stop.wait(0.2):
                return
        _watch(seen, noted_command(release, namespace), stop)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join(2 * _READ_SECONDS)


def _watch(seen: Watched, command: list[str], stop: threading.Event) -> None:
    """Forward, and forward again whenever that ends, as a person would."""
    while not stop.is_set() and not is_over(seen):
        try:
            with _forwarded(command) as address:
                follow(seen, address, stop)
        except (AssertionError, OSError, httpx.HTTPError) as error:
            seen.troubles.append(repr(error))
            time.sleep(0.5)


@contextlib.contextmanager
def _forwarded(command: list[str]) -> Iterator[str]:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"Forwarding from (127\.0\.0\.1:\d+)", line)
        assert found, line
        yield f"http://{found[1]}"
    finally:
        process.terminate()
        process.wait(60)


def follow(seen: Watched, address: str, stop: threading.Event) -> None:
    """Open the page, then read its events until the race is over."""
    with httpx.Client(timeout=_READ_SECONDS, trust_env=False, follow_redirects=True) as client:
        page = client.get(f"{address}/live").raise_for_status()
        seen.page, seen.address = page.text, address
        rest = ""
        with client.stream("GET", page.url.join("events")) as answer:
            answer.raise_for_status()
            for text in answer.iter_text():
                whole, _, rest = (rest + text).rpartition("\n\n")
                seen.events += parse(whole)
                if stop.is_set() or is_over(seen):
                    return


def is_over(seen: Watched) -> bool:
    """Return whether the page has shown the race's end."""
    return any(now["over"] for now in seen.of("now"))
