"""A system's program as a child process, on free ports, that ends with its peer.

child = Child(context.work_dir / "node.log", context.work_dir)
(port,) = free_ports(context.address, tcp=1).tcp
await child.start(["node", f"--listen={context.address}:{port}"])
await child.until(answers(port))        # or a TransferError with its last words
…
await child.stop()
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
from collections import deque
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from swarmrace.errors import KilledForMemoryError, Reason, TransferError
from swarmrace.host.memory_kills import KILLED_FROM_OUTSIDE, Kill, MemoryKills
from swarmrace.host.parent_death import kill_with_parent

T = TypeVar("T")
STOP_SECONDS = 5.0
"""From SIGTERM to SIGKILL."""
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
"""Exit codes of a killed program: its own, or that of a script that runs it."""
_BUSY = re.compile(r"already in use|\bbusy\b|EADDRINUSE", re.IGNORECASE)


class ChildEndedError(TransferError):
    """The program ended before it was ready.

    Args:
        name: what it is called.
        code: its exit code, or minus the signal that ended it.
        output: the end of its output.
    """

    def __init__(self, name: str, code: int, output: str) -> None:
        self.output = output
        how = f"was ended by signal {-code}" if code < 0 else f"exited {code}"
        super().__init__(
            Reason.REFUSED,
            f"expected {name} to run, found that it {how} at its start; output: {output or 'none'}",
        )

    @property
    def port_was_busy(self) -> bool:
        """Whether its output says that a port was in use: another port may help."""
        return _BUSY.search(self.output) is not None


class Child:
    """A program that runs as a child process, one at a time, and ends with this process.

    It runs in a new session, so that Ctrl-C doesn't reach it, and is ended with all its children.

    Args:
        log: file that its output is appended to.
        directory: its working directory.
        name: what it is called in errors.
    """

    report_seconds = 1.0
    """How long after the program's end `died` may take to return."""

    def __init__(self, log: Path, directory: Path, name: str = "the node") -> None:
        self.log, self.directory, self.name = log, directory, name
        self._process: asyncio.subprocess.Process | None = None
        self._log_start = 0
        self._family: list[int] = []
        self._kills: MemoryKills | None = None
        self.killed_for_memory: Kill | None = None
        """How the kernel killed the last program for memory, if it did."""

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        process = self._process
        # asyncio may not have had its turn yet since the program ended.
        return process is not None and process.returncode is None and not _has_ended(process.pid)

    async def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        stdin: int | None = None,
        stdout: int | None = None,
    ) -> None:
        """Start the program; end the one before first.

        Args:
            command: program and arguments.
            environment: all its variables; those of this process if None.
            stdin: descriptor of its standard input; it has none if None.
            stdout: descriptor of its standard output; the log gets it if None.

        Raises:
            TransferError: it can't be started.
        """
        await self.stop()
        self._kills, self.killed_for_memory = MemoryKills(), None
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL if stdin is None else stdin,
                    stdout=log if stdout is None else stdout,
                    stderr=log,
                    cwd=self.directory,
                    env=environment,
                    start_new_session=True,
                    preexec_fn=kill_with_parent(),
                )
            except OSError as error:
                raise TransferError(
                    Reason.REFUSED, f"{command[0]}: can't be started ({error.strerror})"
                ) from error
        self._family = [self._process.pid]

    async def until(self, ready: Awaitable[T]) -> T:
        """Return the result of `ready`, unless the program ends first.

        Raises:
            ChildEndedError: it did.
            KilledForMemoryError: the kernel killed it for memory.
        """
        assert self._process is not None, "start() comes first"
        ended = asyncio.ensure_future(self._process.wait())
        answers = asyncio.ensure_future(ready)
        try:
            await asyncio.wait((answers, ended), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                if (kill := await self._kill_of(ended.result())) is not None:
                    raise KilledForMemoryError(
                        f"{self.name} was killed at its start: {kill}", kill.used_bytes
                    )
                raise ChildEndedError(self.name, ended.result(), self.last_words())
            found = await answers
        finally:
            for task in (answers, ended):
                task.cancel()
            await asyncio.gather(answers, ended, return_exceptions=True)
        self._find_family()
        return found

    async def holds_udp(self, port: int, seconds: float = 2.0) -> bool | None:
        """Return whether the program binds a UDP port within `seconds`, or None if that can't be
        seen. Some programs don't notice that their port is busy."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.running:
                    try:
                        if any(port in _udp_ports(pid) for pid in self.pids()):
                            return True
                    except psutil.AccessDenied:
                        return None
                    await asyncio.sleep(0.05)
        return False

    async def died(self) -> str:
        """Return how the program ended, once it has."""
        process = self._process
        if process is None:
            return f"{self.name} is not running"
        code = await process.wait()
        how = _how(code)
        if code in _KILLED:
            how += f" ({await self._kill_of(code) or KILLED_FROM_OUTSIDE})"
        return f"{self.name} (pid {process.pid}) ended {how}; output: {self.last_words() or 'none'}"

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End the program and its children by SIGTERM, after `seconds` by SIGKILL."""
        process, self._process = self._process, None
        kills, self._kills = self._kills, None
        if kills is not None:
            kills.close()
        if process is None:
            return
        if process.returncode is None:
            try:
                _signal_group(process.pid, signal.SIGTERM)
                async with asyncio.timeout(seconds):
                    await process.wait()
            except TimeoutError:
                pass
            finally:
                if process.returncode is None:
                    _signal_group(process.pid, signal.SIGKILL)
        await process.wait()
        _end_orphans(process.pid)

    def pids(self) -> list[int]:
        """Return the pids of the program and of the children that it had when it was ready; none
        once it has ended."""
        return list(self._family) if self.running else []

    def last_words(self) -> str:
        """Return the end of the output in one line, or nothing."""
        return last_lines_of(self.log, self._log_start)

    async def _kill_of(self, code: int) -> Kill | None:
        """Return the kernel's kill of the program, which ended with `code`, or None."""
        kills = self._kills
        if code in _KILLED and kills is not None and self.killed_for_memory is None:
            pids = list(self._family)
            self.killed_for_memory = await asyncio.to_thread(kills.find, pids)
        return self.killed_for_memory

    def _find_family(self) -> None:
        """Find the program's processes: only once, because it reads the whole process table."""
        assert self._process is not None
        self._family = [self._process.pid]
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(self._process.pid).children(recursive=True)
            self._family += [child.pid for child in children]


def _has_ended(pid: int) -> bool:
    """Return whether a child process has ended; its exit code is left to asyncio."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True  # asyncio has read it


def last_lines_of(log: Path, start: int = 0) -> str:
    """Return the last five lines of a log in one line of at most 600 characters, or nothing.

    Args:
        log: the file.
        start: the byte at which the program's lines begin.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(start, file.seek(0, os.SEEK_END) - 8192))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = (" ".join(line.split()) for line in text.splitlines() if line.strip())
    return " | ".join(deque(lines, 5))[-600:]


async def ask(
    command: Sequence[str], environment: Mapping[str, str], seconds: float
) -> tuple[int, str]:
    """Run a short command; return its exit code and its output, standard error included.

    Args:
        command: program and arguments.
        environment: all its variables.
        seconds: its limit; it is killed then.

    Raises:
        OSError: it can't be run.
        TimeoutError: it takes longer.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process.returncode or 0, output.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class FreePorts:
    """Ports that were free a moment ago, all different."""

    tcp: tuple[int, ...]
    udp: tuple[int, ...]
    both: tuple[int, ...]
    """Free for both TCP and UDP."""


def free_ports(address: str, *, tcp: int = 0, udp: int = 0, both: int = 0) -> FreePorts:
    """Return free ports.

    UDP ports are free on the wildcard address, because many programs bind discovery there.

    Args:
        address: the peer's own IP address.
        tcp: how many TCP ports.
        udp: how many UDP ports.
        both: how many ports for both TCP and UDP.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    wildcard = "::" if ":" in address else "0.0.0.0"
    with contextlib.ExitStack() as stack:

        def bound(kind: socket.SocketKind, host: str, port: int = 0) -> int:
            holder = stack.enter_context(socket.socket(family, kind))
            holder.bind((host, port))
            return int(holder.getsockname()[1])

        def bound_twice() -> int:
            while True:
                port = bound(socket.SOCK_DGRAM, wildcard)
                with contextlib.suppress(OSError):
                    return bound(socket.SOCK_STREAM, address, port)

        return FreePorts(
            both=tuple(bound_twice() for _ in range(both)),
            udp=tuple(bound(socket.SOCK_DGRAM, wildcard) for _ in range(udp)),
            tcp=tuple(bound(socket.SOCK_STREAM, address) for _ in range(tcp)),
        )


def _how(code: int) -> str:
    return f"by signal {-code}" if code < 0 else f"with exit code {code}"


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _end_orphans(session: int) -> None:
    """End what a program has left behind that ended by itself.

    While its session has members its number is not given to another process, so where there is no
    such process they are the program's.
    """
    if psutil.pid_exists(session):
        return
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == session:
                os.kill(pid, signal.SIGKILL)


def _udp_ports(pid: int) -> set[int]:
    try:
        return {
            each.laddr.port for each in psutil.Process(pid).net_connections("udp") if each.laddr
        }
    except psutil.NoSuchProcess:
        return set()
