"""The requests that wait for a barrier's release, by run and barrier."""

from __future__ import annotations

import asyncio

from swarmrace.definitions import BARRIERS


class Waiters:
    """Open long polls. Each ends when it is woken, when its time is up, or with `stop`."""

    def __init__(self) -> None:
        self.stopped = False
        self._waiting: dict[tuple[str, str], set[asyncio.Future[None]]] = {}

    async def wait(
        self, run_id: str, barrier: str, seconds: float, disconnected: asyncio.Future[None] | None
    ) -> None:
        """Wait at most `seconds`, or until `disconnected` is done."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        waiting = self._waiting.setdefault((run_id, barrier), set())
        waiting.add(future)
        timer = loop.call_later(seconds, _wake, future)
        if disconnected is not None:
            disconnected.add_done_callback(lambda _: _wake(future))
        try:
            await future
        finally:
            timer.cancel()
            waiting.discard(future)

    def wake(self, run_id: str, barrier: str) -> None:
        """Wake all requests at a barrier."""
        for future in self._waiting.pop((run_id, barrier), ()):
            _wake(future)

    def wake_run(self, run_id: str) -> None:
        """Wake all requests at any barrier of a run."""
        for barrier in BARRIERS:
            self.wake(run_id, barrier)

    def stop(self) -> None:
        """Wake all requests; from now on none waits."""
        self.stopped = True
        for run_id, barrier in list(self._waiting):
            self.wake(run_id, barrier)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
