from __future__ import annotations

import asyncio
import os
import signal

import pytest

from swarmrace.host.termination import SIGTERM_CODE, Termination, ended_by_sigterm


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


class Work:
    """Waits forever, and clears up when it is cancelled."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.cleared = False

    async def __call__(self) -> None:
        try:
            self.began.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            self.cleared = True


def test_work_that_ends_by_itself_has_exit_code_0():
    async def main() -> int:
        return await ended_by_sigterm(asyncio.sleep(0))

    assert asyncio.run(main()) == 0


def test_sigterm_ends_work_after_it_has_cleared_up_and_all_later_work():
    async def main() -> list[bool]:
        termination, work = Termination(), Work()
        ending = asyncio.ensure_future(termination.run_until_sigterm(work()))
        await work.began.wait()
        terminate()
        found = [await ending, work.cleared]
        return [*found, await termination.run_until_sigterm(asyncio.Event().wait())]

    assert asyncio.run(main()) == [False, True, False]


def test_sigterm_has_its_own_exit_code():
    async def main() -> int:
        asyncio.get_running_loop().call_later(0.01, terminate)
        return await ended_by_sigterm(Work()())

    assert asyncio.run(main()) == SIGTERM_CODE == 143


def test_an_error_of_the_work_is_raised():
    async def fail() -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        asyncio.run(ended_by_sigterm(fail()))


def test_if_the_waiting_task_is_cancelled_the_work_clears_up():
    async def main() -> bool:
        work = Work()
        ending = asyncio.ensure_future(Termination().run_until_sigterm(work()))
        await work.began.wait()
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
        return work.cleared

    assert asyncio.run(main())
