"""Nodes that run already: a given one, and a pod's sidecar under its supervisor."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import httpx

from swarmrace.errors import KilledForMemoryError, Reason, TransferError
from swarmrace.host.memory_kills import Kill
from swarmrace.systems.codex.api import Api, UnreachableError
from swarmrace.systems.codex.metrics import fetch
from swarmrace.systems.codex.node import Node, answering, identity, last_lines_of
from swarmrace.systems.codex.options import CodexOptions
from swarmrace.systems.codex.programs import known_variables, pod_options
from swarmrace.systems.sidecar import Sidecar, Supervisor

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


class SupervisedNode(Node):
    """A pod's sidecar, which its supervisor starts cold on request.

    Args:
        sidecar: where it is; it has a control folder.
        options: of the entrant.
        size_bytes: the file size, for the quota.
        address: the pod's, which the node announces.
    """

    def __init__(
        self, sidecar: Sidecar, options: CodexOptions, size_bytes: int, address: str = ""
    ) -> None:
        super().__init__()
        assert sidecar.control is not None
        self.api = Api(sidecar.api, options.family)
        self.metrics_url = sidecar.metrics or default_metrics_url(sidecar.api)
        self.supervisor = Supervisor(sidecar.control)
        self._options, self._size_bytes, self._address = options, size_bytes, address
        self._active = False

    @property
    def running(self) -> bool:
        """Whether it was started from here and has not been stopped since."""
        return self._active

    async def start(self, bootstrap: str | None) -> None:
        """Ask the supervisor for a cold start, and wait until the node answers."""
        assert self.api is not None
        if ":" in self._address:
            raise TransferError(
                Reason.REFUSED,
                f"codex: expected an IPv4 address, found {self._address}: a node's discovery "
                "listens on IPv4 only (0.0.0.0); give the pods an IPv4 address, the first of two",
            )
        arguments, variables = pod_options(self._options, self._size_bytes, bootstrap)
        status = await self.supervisor.start(arguments, variables)
        self._active = True
        self.command = status.command.split()
        self.environment = known_variables({**self.supervisor.environment(), **variables})
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
            await self.supervisor.stop()

    async def died(self) -> str:
        """Watch what the supervisor reports."""
        return await self.supervisor.died()

    @property
    def killed_for_memory(self) -> Kill | None:
        """How the kernel killed it for memory, or None."""
        return self.supervisor.killed_for_memory

    def pids(self) -> list[int]:
        """Return the node's pid if the containers of the pod share their processes."""
        return self.supervisor.pids()

    def last_lines(self) -> str:
        """Return the last words of a node that has ended, otherwise the end of its output."""
        if words := self.supervisor.status().words:
            return words
        return next(
            (text for file in self.supervisor.outputs() if (text := last_lines_of(file))), ""
        )
