"""Work that SIGTERM ends in order, after it has cleared up."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable
from typing import Any

SIGTERM_CODE = 128 + signal.SIGTERM
"""Exit code of a process ended by SIGTERM."""


class Termination:
    """Handles a process's SIGTERM on the running event loop, from its creation on."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._asked.set)

    async def run_until_sigterm(self, work: Awaitable[Any]) -> bool:
        """Run `work` and return True; on SIGTERM cancel it, wait for its end and return False."""
        task = asyncio.ensure_future(work)
        asked = asyncio.ensure_future(self._asked.wait())
        try:
            await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
            return task.done()
        finally:
            asked.cancel()
            if not task.done():  # SIGTERM, or this task itself was cancelled (Ctrl-C)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


async def ended_by_sigterm(work: Awaitable[Any]) -> int:
    """Run `work` and return the exit code: 0 if it ends by itself."""
    return 0 if await Termination().run_until_sigterm(work) else SIGTERM_CODE
