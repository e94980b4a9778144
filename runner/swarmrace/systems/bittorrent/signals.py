"""What wakes the task that reads a session's alerts: libtorrent's signal, a caller, or time."""

from __future__ import annotations

import asyncio
import contextlib
import os


class Signals:
    """libtorrent's signals on an asyncio loop. Close it once libtorrent has ended."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._readable, self.writable = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        """Where libtorrent writes a byte when there are alerts, once between two readings."""
        self._over = False
        self.heed()

    def heed(self) -> None:
        """Wake at libtorrent's signals, those given meanwhile included; not after `end`."""
        if not self._over:
            self._loop.add_reader(self._readable, self._on_signal)

    def ignore(self) -> None:
        """Let libtorrent's signals wait."""
        if not self._over:
            self._loop.remove_reader(self._readable)

    def end(self) -> None:
        """Ignore libtorrent's signals from now on, whatever is called later."""
        self.ignore()
        self._over = True

    def wake(self) -> None:
        """End the current or the next pause."""
        self._woken.set()

    async def pause(self, seconds: float) -> None:
        """Return after a time, or when woken."""
        timer = self._loop.call_later(seconds, self._woken.set)  # half the cost of a timeout
        try:
            await self._woken.wait()
        finally:
            timer.cancel()
        self._woken.clear()

    def close(self) -> None:
        """Close the pipe, after `end`. Safe in any thread."""
        os.close(self._readable)
        os.close(self.writable)

    def _on_signal(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._readable, 4096)
        self._woken.set()
