"""Nodes that swarmrace doesn't start itself: a given one, and a pod's sidecar."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import httpx

from swarmrace.host.sockets import url_host
from swarmrace.systems.codex.api import Api
from swarmrace.systems.codex.metrics import fetch
from swarmrace.systems.codex.node import CodexNode, answering, identity, require_ipv4
from swarmrace.systems.codex.options import CodexOptions
from swarmrace.systems.codex.programs import known_variables, pod_options
from swarmrace.systems.node import StartedNode
from swarmrace.systems.node_api import UnreachableError
from swarmrace.systems.sidecar import Sidecar, Supervisor

_ASK_SECONDS = 2.0


def default_metrics_url(url: str) -> str:
    """Return the default URL of a node's metrics: port 8008 of its host."""
    host = urlsplit(url).hostname or "127.0.0.1"
    return f"http://{url_host(host)}:8008/metrics"


class GivenNode(CodexNode):
    """A node that already runs. It can't be restarted, so it is never cold.

    Args:
        url: its API, `http://host:port`.
        family: `codex`, `storage` or `auto`.
        metrics_url: its metrics page.
    """

    recorded_as = "GivenNode"

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
        """Wait until it answers; nothing is started."""
        assert self.api is not None
        await answering(self.api)
        self._id = (await self.api.info()).id
        self._began = await self._process_start()

    async def stop(self) -> None:
        """Leave it running."""
        self._id = None

    async def died(self) -> str:
        """Watch its process's start time, or otherwise its id; a refused connection means that it
        has ended."""
        while True:
            await asyncio.sleep(_ASK_SECONDS)
            if (death := await self.autopsy()) is not None:
                return death

    async def autopsy(self, seconds: float | None = None) -> str | None:
        """Check once."""
        assert self.api is not None
        began = await self._process_start()
        if began is not None and self._began is not None:
            again = began != self._began
            return f"the node at {self.url} restarted by itself" if again else None
        try:
            found: str | None = (await self.api.info()).id
        except UnreachableError as error:
            if not isinstance(error.__cause__, httpx.NetworkError | httpx.ProtocolError):
                return None  # it is slow or doesn't answer, but hasn't ended
            found = await identity(self.api, self.report_seconds if seconds is None else seconds)
        if found is None:
            return f"the node at {self.url} refuses connections"
        if found != self._id:
            return f"the node at {self.url} is another one: {found}, expected {self._id}"
        return None

    def pids(self) -> list[int]:
        """Return none: they aren't known."""
        return []

    async def _process_start(self) -> float | None:
        values = await fetch(self.metrics_url, ("process_start_time_seconds",))
        return values.get("process_start_time_seconds")


class SupervisedCodex(StartedNode, CodexNode):
    """A pod's sidecar, which its supervisor starts cold on request.

    Args:
        sidecar: where it is; it has a control folder.
        options: the entrant's options.
        size_bytes: the file size, for the quota.
        address: the pod's address, which the node announces.
    """

    recorded_as = "SupervisedNode"

    def __init__(
        self, sidecar: Sidecar, options: CodexOptions, size_bytes: int, address: str = ""
    ) -> None:
        assert sidecar.control is not None
        self.supervisor = Supervisor(sidecar.control, name="codex")
        super().__init__(self.supervisor)
        self.api = Api(sidecar.api, options.family)
        self.metrics_url = sidecar.metrics or default_metrics_url(sidecar.api)
        self._options, self._size_bytes, self._address = options, size_bytes, address

    async def start(self, bootstrap: str | None) -> None:
        """Ask the supervisor for a cold start, and wait until the node answers."""
        assert self.api is not None
        require_ipv4(self._address)
        arguments, variables = pod_options(self._options, self._size_bytes, bootstrap)
        status = await self.supervisor.start(arguments, variables)
        self.command = status.command.split()
        self.environment = known_variables({**self.supervisor.environment(), **variables})
        await self.supervisor.until(answering(self.api))

    async def stop(self) -> None:
        """Ask the supervisor to end the node and remove its data."""
        if self.supervisor.running:
            await self.supervisor.stop()
