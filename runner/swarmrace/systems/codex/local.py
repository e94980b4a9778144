"""The node that a peer starts itself, as a child process."""

from __future__ import annotations

import asyncio
import shutil

from swarmrace.errors import Reason, TransferError
from swarmrace.host.sockets import url_host
from swarmrace.systems import child
from swarmrace.systems.abc import Context
from swarmrace.systems.child import Child, ChildEndedError
from swarmrace.systems.codex.api import Api
from swarmrace.systems.codex.node import CodexNode, answering, require_ipv4
from swarmrace.systems.codex.options import CodexOptions
from swarmrace.systems.codex.programs import (
    NodeProgram,
    Ports,
    command_line,
    environment,
    find_program,
    inspect,
    withheld_variables,
)
from swarmrace.systems.node import StartedNode

_START_TRIES = 4


class LocalCodex(StartedNode, CodexNode):
    """A node that runs as a child process and ends with this one.

    Args:
        context: address and folder.
        options: program and arguments.
    """

    recorded_as = "LocalNode"

    def __init__(self, context: Context, options: CodexOptions) -> None:
        self._child = Child(context.work_dir / "codex.log", context.work_dir)
        super().__init__(self._child)
        self._context, self._options = context, options
        self._data_dir = context.work_dir / "codex-data"
        self.program: NodeProgram | None = None

    async def start(self, bootstrap: str | None) -> None:
        """Start the process on free ports; try other ports if one has become busy meanwhile."""
        require_ipv4(self._context.address)
        await self.stop()
        if self.program is None:
            path = find_program(self._options)
            if path is None:
                raise TransferError(
                    Reason.REFUSED,
                    "codex: expected the node's program on PATH or at `program`, found none",
                )
            self.program = await inspect(path)
            if names := withheld_variables():
                self.notes.append(
                    f"not passed to the node: {', '.join(names)}; set options by `arguments`"
                )
        for attempt in range(_START_TRIES):
            fault = await self._try_start(self.program, bootstrap)
            if fault is None:
                return
            await self.stop()
            self.notes.append(f"start {attempt + 1}: {fault}")
        raise TransferError(Reason.REFUSED, f"codex: {self.notes[-1]}; output: {self.last_lines()}")

    async def _try_start(self, program: NodeProgram, bootstrap: str | None) -> str | None:
        """Start once. Return None, or a fault that a start on other ports may fix."""
        address = self._context.address
        ports = free_ports(address)
        self.command, self.reasons = command_line(
            program,
            self._options,
            address=address,
            ports=ports,
            data_dir=self._data_dir,
            size_bytes=self._context.size_bytes,
            bootstrap=bootstrap,
        )
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self._child.start(self.command, environment())
        host = url_host(address)
        if self.api is not None:
            await self.api.close()
        self.api = Api(f"http://{host}:{ports.api}", self._options.family)
        self.metrics_url = f"http://{host}:{ports.metrics}/metrics"
        try:
            await self._child.until(answering(self.api))
        except ChildEndedError as ended:
            if ended.port_was_busy:
                return f"a port was busy ({ended.output})"
            raise TransferError(ended.reason, f"codex: {ended.detail}") from ended
        # The newest nodes have no such option: discovery uses the listening port's number.
        port = ports.discovery if "disc-port" in program.options else ports.listen
        holds = await self._child.holds_udp(port)
        if holds is None:
            self.notes.append("the discovery port could not be checked")
        if holds is False:
            return f"the discovery port {port} was busy, which the node doesn't report"
        return None

    async def stop(self) -> None:
        """End the process; remove the data."""
        await self._child.stop()
        if self._data_dir.exists():
            await asyncio.to_thread(shutil.rmtree, self._data_dir, ignore_errors=True)

    def last_lines(self) -> str:
        """Return the last lines of the log in the work directory."""
        return self._child.last_words() or "none"


def free_ports(address: str) -> Ports:
    """Return free ports; the newest nodes listen and discover on the same number."""
    found = child.free_ports(address, tcp=2, both=1)
    (listen,), (api, metrics) = found.both, found.tcp
    return Ports(listen=listen, discovery=listen, api=api, metrics=metrics)
