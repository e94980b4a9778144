"""A node seen from its peer: a separate program, wherever it runs."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from swarmrace.errors import KilledForMemoryError, Reason, TransferError
from swarmrace.host.memory_kills import Kill
from swarmrace.systems.child import Child
from swarmrace.systems.sidecar import Supervisor

T = TypeVar("T")


class BrokenError(TransferError):
    """A call whose connection broke, maybe because the node has died."""


def reports_full_disk(text: str) -> bool:
    """Return whether a node's answer or output contains the system's message for ENOSPC."""
    return "no space left" in text.lower()


_CAUSE_SECONDS = 10.0
"""How long the cause of a death is awaited. When anything on the machine was killed for memory, the
kernel's log is read for 2 s."""


class NodeProcess(abc.ABC):
    """A node's process, started from here or not.

    Attributes:
        command: its command line, as far as it is known.
        notes: oddities seen while starting it.
        report_seconds: how long after its end `died` may take to return.
    """

    report_seconds = 1.0

    def __init__(self) -> None:
        self.command: list[str] = []
        self.notes: list[str] = []

    @property
    @abc.abstractmethod
    def running(self) -> bool:
        """Whether it was started and has not ended."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """End it and remove its data."""

    @abc.abstractmethod
    async def died(self) -> str:
        """Return how the node ended, once it has ended or restarted by itself."""

    @abc.abstractmethod
    def pids(self) -> list[int]:
        """Return the node's processes, if they can be seen from here."""

    @property
    def killed_for_memory(self) -> Kill | None:
        """How the kernel killed the last node because memory had run out, or None."""
        return None

    def last_lines(self) -> str:
        """Return the end of the node's output in one line; empty if its output isn't accessible."""
        return ""

    async def autopsy(self, seconds: float | None = None) -> str | None:
        """Return how the node died, or None if it hasn't within `seconds` (`report_seconds` by
        default). Call it after a call broke. If the node has ended, it waits longer for the cause,
        because reading the kernel's log takes a moment."""
        watch = asyncio.create_task(self.died())
        try:
            await asyncio.wait(
                (watch,), timeout=self.report_seconds if seconds is None else seconds
            )
            if not watch.done() and not self.running:
                await asyncio.wait((watch,), timeout=max(self.report_seconds, _CAUSE_SECONDS))
            return watch.result() if watch.done() else None
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    def death(self, how: str) -> TransferError:
        """Return the failure of a node that died as `how` says."""
        kill = self.killed_for_memory
        if kill is not None:
            return KilledForMemoryError(how, kill.used_bytes)
        return TransferError(Reason.NODE_DIED, how)

    async def alive(self, work: Awaitable[T]) -> T:
        """Return the result of `work`; end it as soon as the node has died.

        Raises:
            TransferError: NODE_DIED, or the error of `work` if the node is alive; a `BrokenError`
                gets the end of the node's output.
        """
        task = asyncio.ensure_future(work)
        watch = asyncio.create_task(self.died())
        try:
            await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise self.death(watch.result())
            return task.result()
        except BrokenError as error:
            if (death := await self.autopsy()) is not None:
                raise self.death(death) from error
            raise _with_output(error, self.last_lines()) from error
        finally:
            for each in (task, watch):
                each.cancel()
            await asyncio.gather(task, watch, return_exceptions=True)


def _with_output(error: TransferError, lines: str) -> TransferError:
    if not lines:
        return error
    reason = Reason.DISK_FULL if reports_full_disk(lines) else error.reason
    return TransferError(reason, f"{error.detail}; node's output: {lines}")


class StartedNode(NodeProcess):
    """A node that is started from here: as a child, or by its pod's supervisor.

    Args:
        process: starts it.
    """

    def __init__(self, process: Child | Supervisor) -> None:
        super().__init__()
        self._process = process
        self.report_seconds = process.report_seconds

    @property
    def running(self) -> bool:
        """Whether the child runs; in a pod, whether it was started from here and not stopped
        since."""
        return self._process.running

    async def died(self) -> str:
        """Return how it ended, once it has ended or its supervisor reports it."""
        return await self._process.died()

    def pids(self) -> list[int]:
        """Return its pids; in a pod, only if the containers share their processes."""
        return self._process.pids()

    @property
    def killed_for_memory(self) -> Kill | None:
        """How the kernel killed it for memory, or None."""
        return self._process.killed_for_memory

    def last_lines(self) -> str:
        """Return the end of its output in one line, or nothing."""
        return self._process.last_words()
