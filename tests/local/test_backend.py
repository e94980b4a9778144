"""The parts of the local backend that no whole race brings about on purpose."""

from __future__ import annotations

import asyncio
import threading

import pytest

from swarmrace.local.backend import _to_its_end


def test_a_cancellation_waits_for_what_is_being_started():
    begun, go_on, started = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        assert go_on.wait(10)
        started.append("a peer")

    async def main():
        task = asyncio.ensure_future(_to_its_end(work))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert started == ["a peer"]

    asyncio.run(main())
