"""What wakes the task that reads a session's alerts."""

from __future__ import annotations

import asyncio
import contextlib
import os

from patience import PATIENCE_SECONDS
from swarmrace.systems.bittorrent.signals import Signals


@contextlib.contextmanager
def made():
    signals = Signals()
    try:
        yield signals
    finally:
        signals.end()
        signals.close()


def run(test):
    asyncio.run(asyncio.wait_for(test(), PATIENCE_SECONDS))


def test_a_pause_ends_by_time():
    async def go():
        with made() as signals:
            await signals.pause(0.01)

    run(go)


def test_who_was_woken_before_does_not_pause():
    async def go():
        with made() as signals:
            signals.wake()
            await signals.pause(10 * PATIENCE_SECONDS)
            pause = asyncio.ensure_future(signals.pause(10 * PATIENCE_SECONDS))
            await asyncio.sleep(0.01)
            assert not pause.done(), "it was woken once"
            signals.wake()
            await pause

    run(go)


def test_a_signal_given_while_it_was_ignored_is_heeded_later():
    async def go():
        with made() as signals:
            signals.ignore()
            os.write(signals.writable, b"x")
            pause = asyncio.ensure_future(signals.pause(10 * PATIENCE_SECONDS))
            await asyncio.sleep(0.01)
            assert not pause.done()
            signals.heed()
            await pause

    run(go)


def test_after_the_end_nothing_is_heeded_any_more():
    """The descriptors may belong to another session by then."""

    async def go():
        ended = Signals()
        ended.end()
        ended.close()
        with made() as signals:
            ended.heed()
            ended.ignore()
            os.write(signals.writable, b"x")
            await signals.pause(10 * PATIENCE_SECONDS)

    run(go)
