"""A pod's sidecar: kubo under the supervisor that starts it cold on request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import urlsplit

from swarmrace.systems.abc import Context
from swarmrace.systems.ipfs.api import KuboRpc, NodeIdentity
from swarmrace.systems.ipfs.node import KuboNode, answering
from swarmrace.systems.ipfs.options import IpfsOptions
from swarmrace.systems.ipfs.profiles import table
from swarmrace.systems.sidecar import Sidecar, Supervisor

SWARM_PORT = 4001
"""Kubo's own default; a pod has an address of its own."""


class SupervisedKubo(KuboNode):
    """A pod's node, which its supervisor starts on request.

    Args:
        sidecar: where it is; it has a control folder.
        context: address and size.
        options: of the entrant.
    """

    recorded_as = "SupervisedNode"

    def __init__(self, sidecar: Sidecar, context: Context, options: IpfsOptions) -> None:
        assert sidecar.control is not None
        self.supervisor = Supervisor(sidecar.control, name="ipfs")
        super().__init__(self.supervisor)
        self._url = sidecar.api
        self.rpc = KuboRpc(sidecar.api)
        self._context, self._options = context, options

    async def start(self, bootstrap: Sequence[str]) -> NodeIdentity:
        """Ask the supervisor for a cold start, and wait until the node answers."""
        assert self.rpc is not None
        parts = urlsplit(self._url)
        self.settings = table(
            self._options,
            address=self._context.address,
            port=SWARM_PORT,
            api=(parts.hostname or "127.0.0.1", parts.port or 80),
            bootstrap=bootstrap,
            size_bytes=self._context.size_bytes,
        )
        given = {name: setting.value for name, setting in self.settings.items()}
        given |= self._options.settings
        arguments = [f"{name}={json.dumps(value)}" for name, value in given.items()]
        if self._options.gc:
            arguments.append("--enable-gc")
        status = await self.supervisor.start(arguments)
        self.command = status.command.split()
        identity = await self.supervisor.until(answering(self.rpc))
        self.program = await self.rpc.version()
        return identity

    async def stop(self) -> None:
        """Ask the supervisor to end the node and remove its data."""
        if self.supervisor.running:
            await self.supervisor.stop()
