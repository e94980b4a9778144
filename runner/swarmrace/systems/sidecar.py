"""A node as the runner's sidecar in a pod: where it is, and the loop that starts it on request.

`global.sidecars` of the charts adds the node, of any system, and the loop
(charts/swarm/files/supervise.sh). They share a folder with the runner, which writes `request`; the
loop writes `status` and `environment`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from swarmrace.errors import KilledForMemoryError, Reason, TransferError
from swarmrace.host.memory_kills import UNLIMITED, Kill
from swarmrace.host.process_stat import STARTED, field_of
from swarmrace.systems.child import last_lines_of

T = TypeVar("T")

API_VARIABLE = "SWARMRACE_SIDECAR_API"
"""Base URL of this peer's sidecar (`http://127.0.0.1:8080`)."""
CONTROL_VARIABLE = "SWARMRACE_SIDECAR_CONTROL"
"""Folder shared with that node's loop, for cold starts."""
METRICS_VARIABLE = "SWARMRACE_SIDECAR_METRICS"
"""URL of that node's metrics page; empty if it has none."""

_WATCH_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Where this peer's sidecar is."""

    api: str
    control: Path | None
    """None for a node that can't be started from here."""
    metrics: str | None


def beside() -> Sidecar | None:
    """Return this peer's sidecar, or None if there is none: on one machine, say."""
    api, control = os.environ.get(API_VARIABLE), os.environ.get(CONTROL_VARIABLE)
    if not api:
        return None
    return Sidecar(api, Path(control) if control else None, os.environ.get(METRICS_VARIABLE))


@dataclass(frozen=True, slots=True)
class Status:
    """The status that the loop last wrote."""

    generation: int = -1
    state: str = ""
    """`running`, `stopped`, or empty before the loop has written anything."""
    pid: int = 0
    start_ticks: str = ""
    """Field 22 of /proc/PID/stat, by which a pid seen here is recognized as that process."""
    unasked: int = 0
    """Number of starts without a request, after the node or its container has ended."""
    note: str = ""
    """How the node or its container last ended without a request."""
    memory_kill: str = ""
    """If the kernel killed it for memory: its container's limit in bytes, or `unknown`."""
    words: str = ""
    """The last lines of that node's output."""
    command: str = ""


class Supervisor:
    """The loop that supervises this peer's sidecar.

    Args:
        control: the folder shared with it.
        name: what the node is called in errors.
    """

    report_seconds = 6.0
    """How long after the node's end `died` may take to return: the loop looks four times a second,
    reads the node's last words, and waits a second before it starts the node again and reports."""

    def __init__(self, control: Path, name: str = "the node") -> None:
        self.control, self.name = control, name
        self._status = Status()
        self.running = False
        """Whether a start was requested from here, and no stop since."""

    async def supervising(self) -> Status:
        """Return the loop's status, once it has written one: a pod's containers start in any
        order."""
        while (status := self.status()).generation < 0:
            await asyncio.sleep(_WATCH_SECONDS)
        return status

    async def start(
        self, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> Status:
        """Start the node cold, without data; return the status once it is starting.

        Args:
            arguments: appended to the node's command.
            environment: added to its container's variables.

        Raises:
            TransferError: nothing can be written to the shared folder.
        """
        lines = [f"argument={each}" for each in arguments]
        lines += [f"environment={name}={value}" for name, value in (environment or {}).items()]
        self._status = await self._request("start", lines)
        return self._status

    async def until(self, ready: Awaitable[T]) -> T:
        """Return the result of `ready`, unless the node ends first.

        Raises:
            TransferError: REFUSED, because it did.
            KilledForMemoryError: the kernel killed it for memory.
        """
        ended = asyncio.create_task(self.died())
        answers = asyncio.ensure_future(ready)
        try:
            await asyncio.wait((ended, answers), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                how = f"{self.name}: at its start {ended.result()}"
                if (kill := self.killed_for_memory) is not None:
                    raise KilledForMemoryError(how, kill.used_bytes)
                raise TransferError(Reason.REFUSED, how)
            return await answers
        finally:
            for task in (ended, answers):
                task.cancel()
            await asyncio.gather(ended, answers, return_exceptions=True)

    async def stop(self) -> None:
        """End the node and remove its data.

        Raises:
            TransferError: nothing can be written to the shared folder.
        """
        self.running = False
        await self._request("stop", [])

    async def died(self) -> str:
        """Return how the node ended, once it has ended or restarted without a request."""
        while True:
            status = self.status()
            if status.unasked != self._status.unasked:
                how = f"the node ended or restarted by itself: {status.note or 'no note'}"
                return f"{how}; output: {status.words or 'none'}"
            if status.generation != self._status.generation:
                generation = status.generation
                return f"another program restarted the node (generation {generation})"
            await asyncio.sleep(_WATCH_SECONDS)

    def pids(self) -> list[int]:
        """Return the node's pid if the containers of the pod share their processes."""
        status = self._status
        alive = status.pid and field_of(status.pid, STARTED) == status.start_ticks
        return [status.pid] if alive else []

    @property
    def killed_for_memory(self) -> Kill | None:
        """How the kernel killed the node for memory, or None. At its container's limit the node
        held all of it, because the container holds nothing else of size."""
        reported = self.status().memory_kill
        limit = int(reported) if reported.isdigit() and int(reported) < UNLIMITED else None
        return Kill(used_bytes=limit, limit_bytes=limit) if reported else None

    def status(self) -> Status:
        """Return what the loop last wrote."""
        lines = self._read_pairs("status")
        try:
            return Status(
                generation=int(lines.get("generation", -1)),
                state=lines.get("state", ""),
                pid=int(lines.get("pid", 0)),
                start_ticks=lines.get("start_ticks", ""),
                unasked=int(lines.get("unasked", 0)),
                note=lines.get("note", ""),
                memory_kill=lines.get("memory_kill", ""),
                words=lines.get("words", ""),
                command=lines.get("command", ""),
            )
        except ValueError:
            return Status()

    def environment(self) -> dict[str, str]:
        """Return the node's variables from its container."""
        return self._read_pairs("environment")

    def outputs(self) -> list[Path]:
        """Return the files with the end of the node's output, newest first."""
        return [self.control / "output", self.control / "output.old"]

    def last_words(self) -> str:
        """Return the last lines of a node that has ended, otherwise the end of its output."""
        if words := self.status().words:
            return words
        return next((text for file in self.outputs() if (text := last_lines_of(file))), "")

    def _read_pairs(self, name: str) -> dict[str, str]:
        try:
            text = (self.control / name).read_text(errors="replace")
        except OSError:
            return {}
        return {key: value for key, _, value in (row.partition("=") for row in text.splitlines())}

    async def _request(self, action: str, lines: list[str]) -> Status:
        status = await self.supervising()
        generation = max(status.generation, self._status.generation) + 1
        text = "\n".join([f"generation={generation}", f"action={action}", *lines, ""])
        part = self.control / "request.part"
        try:
            part.write_text(text)
            part.replace(self.control / "request")
        except OSError as error:
            raise TransferError(
                Reason.REFUSED,
                f"{self.control}: expected a folder shared with the node's supervisor, found "
                f"{error.strerror}; mount it read-write in both containers",
            ) from error
        self.running = action == "start"
        while (status := self.status()).generation < generation:
            await asyncio.sleep(_WATCH_SECONDS / 5)
        return status
