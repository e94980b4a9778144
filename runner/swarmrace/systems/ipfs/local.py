"""The node that a peer starts itself: a child process that ends with it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swarmrace.errors import Reason, TransferError
from swarmrace.host.sockets import url_host
from swarmrace.systems.abc import Context
from swarmrace.systems.child import Child, ChildEndedError, free_ports
from swarmrace.systems.ipfs.api import KuboRpc, NodeIdentity
from swarmrace.systems.ipfs.node import KuboNode, answering, deaf_at
from swarmrace.systems.ipfs.options import IpfsOptions
from swarmrace.systems.ipfs.profiles import table
from swarmrace.systems.ipfs.programs import ask, environment, find_program, inspect, withheld
from swarmrace.systems.setting import Setting

LOG = "ipfs.log"
_START_TRIES = 4


class LocalKubo(KuboNode):
    """A node that runs as a child process and ends with this one.

    Args:
        context: address and folder.
        options: program and settings.
    """

    recorded_as = "LocalNode"

    def __init__(self, context: Context, options: IpfsOptions) -> None:
        self._child = Child(context.work_dir / LOG, context.work_dir)
        super().__init__(self._child)
        self._context, self._options = context, options
        self._repository = context.work_dir / "ipfs"

    async def start(self, bootstrap: Sequence[str]) -> NodeIdentity:
        """Start the process on free ports; try other ports if one has become busy meanwhile."""
        path = find_program(self._options)
        if path is None:
            raise TransferError(
                Reason.REFUSED, "ipfs: expected kubo's program on PATH or at `program`, found none"
            )
        self.program = (await inspect(path)).version
        if (names := withheld()) and not self.notes:
            self.notes.append(
                f"not handed to the node: {', '.join(names)}; give settings by `settings`"
            )
        fault = ""
        for attempt in range(_START_TRIES):
            await self.stop()
            identity, fault = await self._try_start(path, bootstrap)
            if identity is not None:
                return identity
            self.notes.append(f"start {attempt + 1}: {fault}")
        await self.stop()
        raise TransferError(Reason.REFUSED, f"ipfs: {fault}; output: {self.last_lines()}")

    async def _try_start(
        self, path: str, bootstrap: Sequence[str]
    ) -> tuple[NodeIdentity | None, str]:
        """Start once. Return its identity; or None, and a fault that a start on other ports may
        fix."""
        address = self._context.address
        ports = free_ports(address, tcp=1, both=1)
        (api,), (port,) = ports.tcp, ports.both
        self.settings = table(
            self._options,
            address=address,
            port=port,
            api=(address, api),
            bootstrap=bootstrap,
            size_bytes=self._context.size_bytes,
        )
        await self._make_repository(path)
        self.command = [path, "daemon", *(["--enable-gc"] if self._options.gc else [])]
        await self._child.start(self.command, environment(self._repository))
        if self.rpc is not None:
            await self.rpc.close()
        self.rpc = KuboRpc(f"http://{url_host(address)}:{api}")
        try:
            identity = await self._child.until(answering(self.rpc))
        except ChildEndedError as ended:
            if ended.port_was_busy:
                return None, f"a port was busy ({ended.output})"
            raise TransferError(ended.reason, f"ipfs: {ended.detail}") from ended
        if deaf := deaf_at(identity, self.settings["Addresses.Swarm"].value):
            return None, f"the node doesn't listen at {', '.join(deaf)}: its port was busy"
        return identity, ""

    async def _make_repository(self, path: str) -> None:
        """Create a new repository, and write the settings into its configuration."""
        variables = environment(self._repository)
        await _need([path, "init"], variables)
        config = self._repository / "config"
        found = json.loads(config.read_text())
        put(found, self.settings)
        config.write_text(json.dumps(found))
        for name, value in self._options.settings.items():  # kubo refuses what it does not know
            await _need([path, "config", "--json", name, json.dumps(value)], variables)

    async def stop(self) -> None:
        """End the process; remove the repository."""
        await self._child.stop()
        if self._repository.exists():
            await asyncio.to_thread(_remove, self._repository)

    def last_lines(self) -> str:
        """Return the last lines of the log in the work directory."""
        return self._child.last_words() or "none"


def put(config: dict[str, Any], settings: Mapping[str, Setting]) -> None:
    """Write settings, by their dotted names, into a configuration that `ipfs init` made."""
    for name, setting in settings.items():
        *parents, last = name.split(".")
        inner = config
        for parent in parents:
            if not isinstance(inner.get(parent), dict):
                inner[parent] = {}
            inner = inner[parent]
        inner[last] = setting.value


async def _need(command: Sequence[str], variables: dict[str, str]) -> None:
    code, output = await ask(command, variables)
    if code:
        words = " ".join(output.split())[-400:]
        full = "no space left" in output.lower()
        raise TransferError(
            Reason.DISK_FULL if full else Reason.REFUSED,
            f"{' '.join(command[1:])}: exit code {code}: {words}",
        )


def _remove(folder: Path) -> None:
    """Remove a repository."""
    shutil.rmtree(folder, ignore_errors=True)
