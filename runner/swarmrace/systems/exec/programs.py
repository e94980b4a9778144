"""The program of one peer: a child process, or the one in its pod's sidecar; and its two pipes."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from swarmrace.errors import Reason, TransferError
from swarmrace.recording.payload import file_sha256
from swarmrace.systems.abc import Context
from swarmrace.systems.child import Child
from swarmrace.systems.exec.options import ExecOptions
from swarmrace.systems.node import StartedNode
from swarmrace.systems.sidecar import Sidecar, Supervisor, beside

CLOSE_SECONDS = 2.0
"""Maximum time for a program to end after `close` or SIGTERM."""
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031


def find(command: Iterable[str]) -> str | None:
    """Return the path of a command's program on this machine, or None."""
    return shutil.which(next(iter(command)))


def fingerprint(command: list[str]) -> str:
    """Return an identification of a command's program: hashes of it and of every file among its
    words."""
    files = [Path(found) for found in (find(command),) if found]
    files += [Path(word) for word in command[1:] if Path(word).is_file()]
    if not files:
        return ""
    digests = hashlib.sha256("".join(map(file_sha256, files)).encode())
    return f"{' '.join(command)} (sha256 {digests.hexdigest()[:16]})"


class Program(StartedNode, abc.ABC):
    """A program that can be started, written to, read from and ended.

    Args:
        process: starts it.
        command: program and arguments.

    Attributes:
        reading: descriptor of its standard output, once it is started; the reader closes it.
        writing: descriptor of its standard input, which doesn't block.
    """

    may_end = True
    """Whether requests can be written to it."""

    def __init__(self, process: Child | Supervisor, command: list[str]) -> None:
        super().__init__(process)
        self.command = command
        self.reading = self.writing = -1

    @abc.abstractmethod
    async def start(self) -> None:
        """Start it, with new pipes.

        Raises:
            TransferError: it can't be started.
        """

    async def write(self, line: bytes) -> None:
        """Write a line to its input. If the program has closed its input, that is no error here: it
        has ended, or won't answer."""
        while line:
            try:
                line = line[os.write(self.writing, line) :]
            except BlockingIOError:
                await asyncio.sleep(0.01)
            except OSError:
                return

    def _close_input(self) -> None:
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1


class ChildProgram(Program):
    """A program that runs as a child process and ends with this one.

    Args:
        context: its folder.
        command: program and arguments.
    """

    def __init__(self, context: Context, command: list[str]) -> None:
        log = context.work_dir / "program.log"
        self._child = Child(log, Path.cwd(), name=Path(command[0]).name)
        super().__init__(self._child, command)

    async def start(self) -> None:
        """Start the process, with its standard error in a log."""
        await self.stop()
        theirs_in, self.writing = os.pipe()
        self.reading, theirs_out = os.pipe()
        os.set_blocking(self.writing, False)
        _widen(self.reading)
        try:
            await self._child.start(self.command, stdin=theirs_in, stdout=theirs_out)
        except BaseException:
            os.close(self.reading)
            self._close_input()
            raise
        finally:
            os.close(theirs_in)
            os.close(theirs_out)

    async def stop(self) -> None:
        """End the process with its children."""
        self._close_input()
        await self._child.stop(CLOSE_SECONDS)


class SidecarProgram(Program):
    """A program in a pod's sidecar, connected by two named pipes in the shared folder.

    Args:
        sidecar: where it is; it has a control folder.
        command: program and arguments, for the sidecar's own command (docs/exec.md).
    """

    may_end = False

    def __init__(self, sidecar: Sidecar, command: list[str]) -> None:
        assert sidecar.control is not None
        self._control = sidecar.control
        self._supervisor = Supervisor(sidecar.control)
        super().__init__(self._supervisor, command)

    async def start(self) -> None:
        """Create the pipes; have the supervisor start the program cold."""
        await self.stop()
        await self._supervisor.supervising()  # it makes the folder
        paths = [self._control / name for name in ("in", "out")]
        try:
            for path in paths:
                path.unlink(missing_ok=True)
                os.mkfifo(path)
                path.chmod(0o666)  # the containers may run as different users
            self.reading = os.open(paths[1], os.O_RDONLY | os.O_NONBLOCK)
            # Opened for both directions; otherwise opening would wait for a reader.
            self.writing = os.open(paths[0], os.O_RDWR | os.O_NONBLOCK)
        except OSError as error:
            raise TransferError(
                Reason.REFUSED,
                f"{self._control}: expected a folder shared with the program's container, in which "
                f"pipes can be made, found {error.strerror}",
            ) from error
        _widen(self.reading)
        await self._supervisor.start(self.command)

    async def stop(self) -> None:
        """Ask the supervisor to end the program."""
        self._close_input()
        if self._supervisor.running:
            await self._supervisor.stop()


def program_of(context: Context, options: ExecOptions) -> Program:
    """Return a peer's program, not started: its pod's sidecar, where there is one that can be
    started from here."""
    sidecar = beside()
    if sidecar is not None and sidecar.control is not None:
        return SidecarProgram(sidecar, options.command)
    return ChildProgram(context, options.command)


def _widen(descriptor: int) -> None:
    """Enlarge a pipe from its 64 KiB, so that a burst of lines doesn't block the program."""
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, _F_SETPIPE_SZ, _PIPE_BYTES)
