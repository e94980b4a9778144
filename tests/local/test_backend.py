"""The parts of the local backend that no whole race brings about on purpose."""

from __future__ import annotations

import asyncio
import gc
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


def test_what_fails_while_it_is_cancelled_is_nothing_to_complain_of():
    begun, go_on, complaints = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        assert go_on.wait(10)
        raise EOFError("the server that forks has gone")

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        task = asyncio.ensure_future(_to_its_end(work))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        gc.collect()

    asyncio.run(main())
    assert complaints == []
