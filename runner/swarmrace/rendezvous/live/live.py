"""Reads a race once a second and sends its news to the viewers."""

from __future__ import annotations

import asyncio
import logging

from starlette.types import Receive, Scope, Send

from swarmrace.recording.records import PeerResult
from swarmrace.rendezvous.conductor import Conductor
from swarmrace.rendezvous.live.feed import Feed, frame
from swarmrace.rendezvous.live.handed_in import HandedIn
from swarmrace.rendezvous.live.picture import Picture
from swarmrace.rendezvous.messages import encode
from swarmrace.scenario.scenario import Scenario

LOOK_SECONDS = 1.0
"""Time between two readings, and the minimum time between two events of a kind."""
_log = logging.getLogger(__name__)


class Live:
    """The live page's side of one race. Nothing is encoded while there is no viewer.

    Args:
        scenario: what is raced.
        conductor: the race.
        feed: its viewers.
    """

    def __init__(self, scenario: Scenario, conductor: Conductor, feed: Feed | None = None) -> None:
        self.feed = feed or Feed()
        self._conductor = conductor
        self._handed_in = HandedIn()
        self._picture = Picture(scenario, conductor, self._handed_in)
        self._versions: tuple[int, int] | None = None
        self._failed = -1
        self._reported = False

    def handed_in(self, result: PeerResult) -> None:
        """Add a result that the intake has accepted."""
        self._handed_in.note(result)

    async def run(self) -> None:
        """Read the race until cancelled."""
        try:
            await self._read_what_is_there()
        except Exception:
            _log.exception("the live page lacks the earlier runs; the race continues")
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Read the race once. An error here is logged once and ends nothing."""
        try:
            self._picture.look()
            if self.feed.watchers:
                self._put()
        except Exception:
            if not self._reported:
                self._reported = True
                _log.exception("the live page can't be updated; the race continues")

    async def watch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with the race's events."""
        if not self.feed.watchers:  # frames from before are outdated
            self._picture.look()
        self._put()
        await self.feed.stream(scope, receive, send, self._greeting)

    def stop(self) -> None:
        """Send the current state to all viewers, and end their streams."""
        self.look()
        self.feed.stop()

    def _put(self) -> None:
        picture, feed = self._picture, self.feed
        feed.put("race", picture.race())
        if self._versions != picture.versions:
            self._versions = picture.versions
            feed.put("runs", picture.runs())
            feed.put("last", picture.last())
        if (failed := picture.failed) != self._failed:
            self._failed = failed
            feed.put("failures", picture.failures())
        feed.put("now", picture.now())

    def _greeting(self) -> bytes:
        return frame("curves", encode(self._picture.curves()))

    async def _read_what_is_there(self) -> None:
        """Read the results of runs that were closed before this process was started."""
        for run_id in list(self._conductor.closed):
            for result in await asyncio.to_thread(self._conductor.store.read_results, run_id):
                self._handed_in.note(result)
