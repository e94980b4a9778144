"""A node beside the runner in a pod: where it is, and the loop that starts it when asked.

`global.sidecars` of the charts puts the node there, of any system, and the loop
(charts/swarm/files/supervise.sh). They share a folder: `request` is written here, `status` and
`environment` there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarmrace.errors import Reason, TransferError
from swarmrace.host.memory_kills import UNLIMITED, Kill
from swarmrace.host.process_stat import STARTED, field_of

API_VARIABLE = "SWARMRACE_SIDECAR_API"
"""Base URL of the node beside this peer (`http://127.0.0.1:8080`)."""
CONTROL_VARIABLE = "SWARMRACE_SIDECAR_CONTROL"
"""Folder shared with that node's loop, for cold starts."""
METRICS_VARIABLE = "SWARMRACE_SIDECAR_METRICS"
"""URL of that node's metrics page; empty if it has none."""

_WATCH_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Where the node beside this peer is."""

    api: str
    control: Path | None
    """None for a node that can't be started from here."""
    metrics: str | None


def beside() -> Sidecar | None:
    """Return the node beside this peer, or None if there is none: on one machine, say."""
    api, control = os.environ.get(API_VARIABLE), os.environ.get(CONTROL_VARIABLE)
    if not api:
        return None
    return Sidecar(api, Path(control) if control else None, os.environ.get(METRICS_VARIABLE))


@dataclass(frozen=True, slots=True)
class Status:
    """What the loop last wrote."""

    generation: int = -1
    state: str = ""
    """`running`, `stopped`, or empty before it has written anything."""
    pid: int = 0
    start_ticks: str = ""
    """Field 22 of /proc/PID/stat, which tells whether a pid seen here is that process."""
    unasked: int = 0
    """Starts nobody asked for: after an exit of the node or of its container."""
    note: str = ""
    """How the node or its container last ended unasked."""
    memory_kill: str = ""
    """Where the kernel killed it for memory: its container's limit in bytes, or `unknown`."""
    words: str = ""
    """The last lines of the output of the node that ended so."""
    command: str = ""


class Supervisor:
    """The loop beside this peer.

    Args:
        control: the folder shared with it.
    """

    def __init__(self, control: Path) -> None:
        self.control = control
        self._status = Status()

    async def start(
        self, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> Status:
        """Start the node cold, on no data; return the status once that is under way.

        Args:
            arguments: appended to the node's command.
            environment: added to the variables that its container has.

        Raises:
            TransferError: nothing can be written to the shared folder.
        """
        lines = [f"argument={each}" for each in arguments]
        lines += [f"environment={name}={value}" for name, value in (environment or {}).items()]
        self._status = await self._request("start", lines)
        return self._status

    async def stop(self) -> None:
        """End the node and remove its data.

        Raises:
            TransferError: nothing can be written to the shared folder.
        """
        await self._request("stop", [])

    async def died(self) -> str:
        """Return how the node ended, once it has ended or started again unasked."""
        while True:
            status = self.status()
            if status.unasked != self._status.unasked:
                how = f"the node ended or started again unasked: {status.note or 'no note'}"
                return f"{how}; output: {status.words or 'none'}"
            if status.generation != self._status.generation:
                return f"the node was restarted by somebody else (generation {status.generation})"
            await asyncio.sleep(_WATCH_SECONDS)

    def pids(self) -> list[int]:
        """Return the node's pid if the containers of the pod share their processes."""
        status = self._status
        alive = status.pid and field_of(status.pid, STARTED) == status.start_ticks
        return [status.pid] if alive else []

    @property
    def killed_for_memory(self) -> Kill | None:
        """How the kernel killed the node for memory, or None. At its container's limit it held all
        of that, for nothing else of size is in there."""
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
        """Return the variables that the node has from its container."""
        return self._read_pairs("environment")

    def outputs(self) -> list[Path]:
        """Return the files that hold the end of the node's output, the newest first."""
        return [self.control / "output", self.control / "output.old"]

    def _read_pairs(self, name: str) -> dict[str, str]:
        try:
            text = (self.control / name).read_text(errors="replace")
        except OSError:
            return {}
        return {key: value for key, _, value in (row.partition("=") for row in text.splitlines())}

    async def _request(self, action: str, lines: list[str]) -> Status:
        while (status := self.status()).generation < 0:
            await asyncio.sleep(_WATCH_SECONDS)
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
        while (status := self.status()).generation < generation:
            await asyncio.sleep(_WATCH_SECONDS / 5)
        return status
