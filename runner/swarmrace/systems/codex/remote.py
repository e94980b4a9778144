"""Nodes that run already: a given one, and a pod's sidecar under its supervisor."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from swarmrace.errors import KilledForMemoryError, Reason, TransferError
from swarmrace.host.memory_kills import UNLIMITED, Kill
from swarmrace.host.process_stat import STARTED, field_of
from swarmrace.systems.codex.api import Api, UnreachableError
from swarmrace.systems.codex.metrics import fetch
from swarmrace.systems.codex.node import Node, answering, identity, last_lines_of

_WATCH_SECONDS = 0.25
_ASK_SECONDS = 2.0


def default_metrics_url(url: str) -> str:
    """Return where a node's metrics are unless told: port 8008 of its host."""
    host = urlsplit(url).hostname or "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:8008/metrics"


class GivenNode(Node):
    """A node that somebody else runs. It can't be restarted, so never be cold.

    Args:
        url: its API, `http://host:port`.
        family: `codex`, `storage` or `auto`.
        metrics_url: its metrics page.
    """

    can_restart = False

    def __init__(self, url: str, family: str, metrics_url: str | None = None) -> None:
        super().__init__()
        self.url = url
        self.api = Api(url, family)
        self.metrics_url = metrics_url or default_metrics_url(url)
        self._id: str | None = None
        self._began: float | None = None

    @property
    def running(self) -> bool:
        """Whether it has answered."""
        return self._id is not None

    async def start(self, bootstrap: str | None) -> None:
        """Wait for its answer; nothing is started."""
        assert self.api is not None
        await answering(self.api)
        self._id = (await self.api.info()).id
        self._began = await self._process_start()

    async def stop(self) -> None:
        """Leave it as it is."""
        self._id = None

    async def died(self) -> str:
        """Watch its process' start time, or else its id; refusing connections is its end."""
        while True:
            await asyncio.sleep(_ASK_SECONDS)
            if (death := await self.autopsy()) is not None:
                return death

    async def autopsy(self, seconds: float = 1.0) -> str | None:
        """Ask once."""
        assert self.api is not None
        began = await self._process_start()
        if began is not None and self._began is not None:
            again = began != self._began
            return f"the node at {self.url} started again unasked" if again else None
        try:
            found: str | None = (await self.api.info()).id
        except UnreachableError as error:
            if not isinstance(error.__cause__, httpx.NetworkError | httpx.ProtocolError):
                return None  # slow or deaf, which is no end
            found = await identity(self.api, seconds)
        if found is None:
            return f"the node at {self.url} refuses connections"
        if found != self._id:
            return f"the node at {self.url} is another one: {found}, expected {self._id}"
        return None

    def pids(self) -> list[int]:
        """Not known."""
        return []

    async def _process_start(self) -> float | None:
        values = await fetch(self.metrics_url, ("process_start_time_seconds",))
        return values.get("process_start_time_seconds")


@dataclass(frozen=True, slots=True)
class Status:
    """What the supervisor last wrote."""

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


class SupervisedNode(Node):
    """A pod's sidecar whose supervisor (images/codex-supervisor) starts it cold on request.

    Args:
        url: its API.
        control: the folder shared with the supervisor.
        family: `codex`, `storage` or `auto`.
        metrics_url: its metrics page.
    """

    def __init__(
        self, url: str, control: Path, family: str, metrics_url: str | None = None
    ) -> None:
        super().__init__()
        self.api = Api(url, family)
        self.metrics_url = metrics_url or default_metrics_url(url)
        self._control = control
        self._status = Status()
        self._active = False

    @property
    def running(self) -> bool:
        """Whether it was started from here and has not been stopped since."""
        return self._active

    async def start(self, bootstrap: str | None) -> None:
        """Ask the supervisor for a cold start, and wait until the node answers."""
        assert self.api is not None
        self._status = await self._request("start", bootstrap or "")
        self._active = True
        self.command = self._status.command.split()
        self.environment = self._read_pairs("environment")
        watch = asyncio.create_task(self.died())
        ready = asyncio.create_task(answering(self.api))
        try:
            await asyncio.wait((watch, ready), return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                how = f"codex: at its start {watch.result()}"
                if (kill := self.killed_for_memory) is not None:
                    raise KilledForMemoryError(how, kill.used_bytes)
                raise TransferError(Reason.REFUSED, how)
            await ready
        finally:
            for task in (watch, ready):
                task.cancel()
            await asyncio.gather(watch, ready, return_exceptions=True)

    async def stop(self) -> None:
        """Ask the supervisor to end the node and remove its data."""
        if self._active:
            self._active = False
            await self._request("stop", "")

    async def died(self) -> str:
        """Watch the supervisor's account."""
        while True:
            status = self.read_status()
            if status.unasked != self._status.unasked:
                how = f"the node ended or started again unasked: {status.note or 'no note'}"
                return f"{how}; output: {status.words or 'none'}"
            if status.generation != self._status.generation:
                return f"the node was restarted by somebody else (generation {status.generation})"
            await asyncio.sleep(_WATCH_SECONDS)

    @property
    def killed_for_memory(self) -> Kill | None:
        """How the kernel killed it for memory, or None. At its container's limit it held all of
        that, for nothing else of size is in there."""
        told = self.read_status().memory_kill
        limit = int(told) if told.isdigit() and int(told) < UNLIMITED else None
        return Kill(used_bytes=limit, limit_bytes=limit) if told else None

    def pids(self) -> list[int]:
        """Return the node's pid where the containers of the pod share their processes."""
        status = self._status
        alive = status.pid and field_of(status.pid, STARTED) == status.start_ticks
        return [status.pid] if alive else []

    def last_lines(self) -> str:
        """Return the last words of a node that has ended, otherwise the end of its output."""
        if words := self.read_status().words:
            return words
        output = self._control / "output"
        return last_lines_of(output) or last_lines_of(output.with_name("output.old"))

    def read_status(self) -> Status:
        """Return what the supervisor last wrote."""
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

    def _read_pairs(self, name: str) -> dict[str, str]:
        try:
            text = (self._control / name).read_text(errors="replace")
        except OSError:
            return {}
        return {key: value for key, _, value in (row.partition("=") for row in text.splitlines())}

    async def _request(self, action: str, bootstrap: str) -> Status:
        while (status := self.read_status()).generation < 0:
            await asyncio.sleep(_WATCH_SECONDS)
        generation = max(status.generation, self._status.generation) + 1
        text = f"generation={generation}\naction={action}\nbootstrap={bootstrap}\n"
        part = self._control / "request.part"
        try:
            part.write_text(text)
            part.replace(self._control / "request")
        except OSError as error:
            raise TransferError(
                Reason.REFUSED,
                f"{self._control}: expected a folder shared with the node's supervisor, found "
                f"{error.strerror}; mount it read-write in both containers",
            ) from error
        while (status := self.read_status()).generation < generation:
            await asyncio.sleep(_WATCH_SECONDS / 5)
        return status
