"""Lines from a program, which a separate thread stamps as soon as it has read them.

How long a line may have waited is measured in the same thread. Twenty times a second it gets a
stamp through a second pipe: a line would have been read as late as that stamp. The time to handle
the lines read before counts too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import struct
import threading
from collections.abc import Callable

from swarmrace.clock import Clock
from swarmrace.errors import Reason, TransferError
from swarmrace.systems.exec.protocol import MAX_LINE_BYTES, shown

_READ_BYTES = 1 << 18
_TICK_SECONDS = 0.05
_STAMP = struct.Struct("=q")


class LineReader:
    """Reads lines until the program closes its output, or `close`.

    Args:
        descriptor: the program's output, which the reader closes.
        clock: stamps lines.
        handle: called in the thread with each line and the instant (ns) at which it had been read.
        If it raises an error, later lines are read and dropped, so that the program never waits for
        its reader. broken: called in the thread with that error, or with that of a line that is too
        long.
    """

    def __init__(
        self,
        descriptor: int,
        clock: Clock,
        handle: Callable[[bytes, int], None],
        broken: Callable[[TransferError], None],
    ) -> None:
        self._descriptor, self._clock = descriptor, clock
        self._handle, self._broken = handle, broken
        self._sound = True
        self.lines = 0
        """Number of lines handled."""
        self.behind_ns = 0
        """The longest time that a line may have waited since `restart_measurement`."""
        self.ended = asyncio.Event()
        """Set once no more lines come."""
        self._loop = asyncio.get_running_loop()
        self._ticked, self._tick = os.pipe()
        os.set_blocking(self._tick, False)
        os.set_blocking(descriptor, False)
        self._thread = threading.Thread(target=self._run, name="swarmrace-lines", daemon=True)
        self._thread.start()
        self._ticking = asyncio.create_task(self._send_stamps())

    def restart_measurement(self) -> None:
        """Begin to measure how long lines wait."""
        self.behind_ns = 0

    async def close(self) -> None:
        """Stop reading; return when the thread has ended."""
        self._ticking.cancel()
        await asyncio.gather(self._ticking, return_exceptions=True)
        if self._tick >= 0:
            os.close(self._tick)
            self._tick = -1
            await asyncio.to_thread(self._thread.join)
            os.close(self._descriptor)
            os.close(self._ticked)

    async def _send_stamps(self) -> None:
        while True:
            with contextlib.suppress(BlockingIOError):
                os.write(self._tick, _STAMP.pack(self._clock.now_ns()))
            await asyncio.sleep(_TICK_SECONDS)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        poll.register(self._ticked, select.POLLIN)
        buffer, open_ = bytearray(), True
        while True:
            events = dict(poll.poll())
            if open_ and self._descriptor in events:
                try:
                    data = os.read(self._descriptor, _READ_BYTES)
                except BlockingIOError:
                    data = None
                except OSError:
                    data = b""
                t_ns = self._clock.now_ns()
                if data:
                    self._take(buffer, data, t_ns)
                    self._wait(self._clock.now_ns() - t_ns)
                elif data is not None or events[self._descriptor] & select.POLLHUP:
                    open_ = False
                    poll.unregister(self._descriptor)
                    if buffer and self._sound:
                        last = shown(bytes(buffer))
                        self._break(f"expected whole lines, found the end after {last}")
                    self._say_ended()
            if self._ticked in events:
                stamps = os.read(self._ticked, 4096)
                if not stamps:
                    return
                (sent_ns,) = _STAMP.unpack(stamps[: _STAMP.size])
                self._wait(self._clock.now_ns() - sent_ns)

    def _wait(self, ns: int) -> None:
        self.behind_ns = max(self.behind_ns, ns)

    def _take(self, buffer: bytearray, data: bytes, t_ns: int) -> None:
        """Handle the whole lines of what has been read, and keep the rest."""
        if not self._sound:
            return
        *lines, rest = (bytes(buffer) + data).split(b"\n")
        try:
            for line in lines:
                if len(line) >= MAX_LINE_BYTES:
                    break
                if line.strip():
                    self._handle(line, t_ns)
                    self.lines += 1
            else:
                line = rest
            if len(line) >= MAX_LINE_BYTES:
                self._break(
                    f"expected lines of at most {MAX_LINE_BYTES} bytes, found a longer one that "
                    f"begins {shown(line)}"
                )
        except TransferError as error:
            self._sound = False
            self._broken(error)
        except Exception as error:  # even after a defect of ours the program's output must be read
            self._sound = False
            self._broken(TransferError(Reason.INTERNAL, f"{type(error).__name__}: {error}"))
        buffer[:] = rest if self._sound else b""

    def _break(self, text: str) -> None:
        self._sound = False
        self._broken(TransferError(Reason.REFUSED, text))

    def _say_ended(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self.ended.set)
