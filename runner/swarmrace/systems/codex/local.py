"""The node that a peer starts itself: a child process that ends with it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import psutil

from swarmrace.errors import Reason, TransferError
from swarmrace.systems.abc import Context
from swarmrace.systems.codex.api import Api
from swarmrace.systems.codex.node import STOP_SECONDS, Node, answering, last_lines_of
from swarmrace.systems.codex.options import CodexOptions
from swarmrace.systems.codex.programs import (
    Ports,
    Program,
    command_line,
    environment,
    find_program,
    inspect,
    withheld,
)

_START_TRIES = 4
_DISCOVERY_SECONDS = 2.0
_BUSY = re.compile(r"already in use|\bbusy\b|EADDRINUSE", re.IGNORECASE)
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class LocalNode(Node):
    """A node that runs as a child process and ends with this one.

    Args:
        context: address and folder.
        options: program and arguments.
    """

    def __init__(self, context: Context, options: CodexOptions) -> None:
        super().__init__()
        self._context, self._options = context, options
        self._process: asyncio.subprocess.Process | None = None
        self._data_dir = context.work_dir / "codex-data"
        self._log = context.work_dir / "codex.log"
        self._log_start = 0
        self._family: list[int] = []
        self.program: Program | None = None

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.returncode is None

    async def start(self, bootstrap: str | None) -> None:
        """Start the process on free ports, and on others when one of them got busy meanwhile."""
        await self.stop()
        if self.program is None:
            path = find_program(self._options)
            if path is None:
                raise TransferError(
                    Reason.REFUSED,
                    "codex: expected the node's program on PATH or at `program`, found none",
                )
            self.program = await inspect(path)
            if names := withheld():
                self.notes.append(
                    f"not handed to the node: {', '.join(names)}; give options by `arguments`"
                )
        for attempt in range(_START_TRIES):
            fault = await self._try_start(self.program, bootstrap)
            if fault is None:
                return
            await self.stop()
            self.notes.append(f"start {attempt + 1}: {fault}")
        raise TransferError(Reason.REFUSED, f"codex: {self.notes[-1]}; output: {self._tail()}")

    async def _try_start(self, program: Program, bootstrap: str | None) -> str | None:
        """Start once. Return None, or what a start on other ports may mend."""
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
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            self._process = await _spawn(self.command, log, self._context.work_dir)
        host = f"[{address}]" if ":" in address else address
        if self.api is not None:
            await self.api.close()
        self.api = Api(f"http://{host}:{ports.api}", self._options.family)
        self.metrics_url = f"http://{host}:{ports.metrics}/metrics"
        answers = asyncio.create_task(answering(self.api))
        ended = asyncio.create_task(self._process.wait())
        try:
            await asyncio.wait((answers, ended), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                text = self._tail()
                if _BUSY.search(text):
                    return f"a port was busy ({text})"
                raise TransferError(
                    Reason.REFUSED,
                    f"codex: expected a running node, found that it exited {ended.result()} at its "
                    f"start; output: {text}",
                )
            await answers
        finally:
            for task in (answers, ended):
                task.cancel()
            await asyncio.gather(answers, ended, return_exceptions=True)
        self._look_for_family()
        # The newest have no such option: they discover at their listening port's number.
        port = ports.discovery if "disc-port" in program.options else ports.listen
        if not await self._has_udp(port):
            return f"the discovery port {port} was busy, which the node does not say"
        return None

    async def _has_udp(self, port: int) -> bool:
        """Whether the node itself holds the UDP port: a busy one goes unnoticed by it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DISCOVERY_SECONDS):
                while self.running:
                    try:
                        if any(port in _udp_ports(pid) for pid in self.pids()):
                            return True
                    except psutil.AccessDenied:
                        self.notes.append("the discovery port could not be checked")
                        return True
                    await asyncio.sleep(0.05)
        return False

    async def stop(self) -> None:
        """Send SIGTERM, after 5 s SIGKILL; remove the data."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            try:
                _signal_group(process.pid, signal.SIGTERM)
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                pass
            finally:
                if process.returncode is None:
                    _signal_group(process.pid, signal.SIGKILL)
        if process is not None:
            await process.wait()
        if self._data_dir.exists():
            await asyncio.to_thread(shutil.rmtree, self._data_dir, ignore_errors=True)

    async def died(self) -> str:
        """Wait for the process to end."""
        process = self._process
        if process is None:
            return "the node is not running"
        code = await process.wait()
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return f"the node (pid {process.pid}) ended {how}; output: {self._tail()}"

    def pids(self) -> list[int]:
        """Return the process and the children it had when it was up (it may be a script)."""
        return list(self._family) if self.running else []

    def _look_for_family(self) -> None:
        """Note the processes: once, because it reads the table of all processes."""
        assert self._process is not None
        self._family = [self._process.pid]
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(self._process.pid).children(recursive=True)
            self._family += [child.pid for child in children]

    def last_lines(self) -> str:
        """Return the last lines of the log in the work directory."""
        return self._tail()

    def _tail(self) -> str:
        return last_lines_of(self._log, self._log_start) or "none"


def free_ports(address: str) -> Ports:
    """Return ports that nobody listens on at the moment, all different.

    Discovery binds the wildcard address in most versions, so its port is checked there.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    wildcard = "::" if ":" in address else "0.0.0.0"
    with contextlib.ExitStack() as stack:

        def bound(kind: socket.SocketKind, host: str, port: int = 0) -> int:
            holder = stack.enter_context(socket.socket(family, kind))
            holder.bind((host, port))
            return holder.getsockname()[1]

        while True:
            discovery = bound(socket.SOCK_DGRAM, wildcard)
            with contextlib.suppress(OSError):  # the newest listens on one number, TCP and UDP
                listen = bound(socket.SOCK_STREAM, address, discovery)
                break
        api, metrics = (bound(socket.SOCK_STREAM, address) for _ in range(2))
    return Ports(listen=listen, discovery=discovery, api=api, metrics=metrics)


async def _spawn(
    command: Sequence[str], log: IO[bytes], directory: Path
) -> asyncio.subprocess.Process:
    parent = os.getpid()

    def child() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=directory,
            env=environment(),
            start_new_session=True,  # Ctrl-C is the peer's to handle, and ends the node in order
            preexec_fn=child,
        )
    except OSError as error:
        raise TransferError(
            Reason.REFUSED, f"{command[0]}: can't be started ({error.strerror})"
        ) from error


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _udp_ports(pid: int) -> set[int]:
    try:
        return {
            each.laddr.port for each in psutil.Process(pid).net_connections("udp") if each.laddr
        }
    except psutil.NoSuchProcess:
        return set()
