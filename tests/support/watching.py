"""Reads server-sent events as a browser does, from a server that really listens."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

from patience import PATIENCE_SECONDS


@dataclass(frozen=True)
class Event:
    """One event."""

    kind: str
    id: str
    data: Any


def parse(text: str) -> list[Event]:
    """Return the events of a text; comments and `retry` are none."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields:
            found.append(Event(fields["event"], fields.get("id", ""), json.loads(fields["data"])))
    return found


class Stream:
    """An open stream of events."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status, self.headers = answer.status_code, answer.headers
        self.events: list[Event] = []
        self.ended = False
        self._chunks = answer.aiter_text()
        self._rest = ""

    def of(self, kind: str) -> list[Any]:
        """Return the data of all events of a kind that have come."""
        return [each.data for each in self.events if each.kind == kind]

    async def more(self) -> None:
        """Wait for something to come."""
        try:
            self._rest += await asyncio.wait_for(anext(self._chunks), PATIENCE_SECONDS)
        except StopAsyncIteration:
            self.ended = True
            return
        whole, _, self._rest = self._rest.rpartition("\n\n")
        self.events += parse(whole)

    async def until(self, condition: Any, what: str) -> Any:
        """Read until `condition`, which takes this stream, is true; return its result."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := condition(self)):
                assert not self.ended, f"the stream ended before {what}"
                await self.more()
        return found

    async def to_its_end(self) -> None:
        """Read until the server ends it."""
        while not self.ended:
            await self.more()


@contextlib.asynccontextmanager
async def watching(url: str, **headers: str) -> AsyncIterator[Stream]:
    """Open a stream of events."""
    async with (
        httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        yield Stream(answer)
