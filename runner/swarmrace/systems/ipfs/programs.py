"""Kubo's program on this machine, and the variables that it is started with."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swarmrace.errors import Reason, TransferError
from swarmrace.systems import child
from swarmrace.systems.built import built, find
from swarmrace.systems.ipfs.options import IpfsOptions

NAME = "ipfs"
_ASK_SECONDS = 20.0
_PREFIXES = ("IPFS_", "LIBP2P_", "GOLOG_", "KUBO_")


def find_program(options: IpfsOptions) -> str | None:
    """Return the path of kubo's program on this machine, or None."""
    return find(options.program, (NAME, str(built(NAME))))


def environment(repository: Path) -> dict[str, str]:
    """Return the variables of a node whose repository is `repository`."""
    kept = {name: os.environ[name] for name in os.environ.keys() - set(withheld())}
    return {**kept, "IPFS_PATH": str(repository), "IPFS_TELEMETRY": "off"}


def withheld() -> list[str]:
    """Return the names of variables that are withheld, because kubo would read them as options."""
    return sorted(name for name in os.environ if name.startswith(_PREFIXES))


@dataclass(frozen=True, slots=True)
class KuboProgram:
    """A program's own description of itself."""

    path: str
    version: str


_inspected: dict[tuple[str, int], KuboProgram] = {}


async def inspect(path: str) -> KuboProgram:
    """Ask a program for its version, once in a process unless the file changes.

    Raises:
        TransferError: it can't be run, or is not kubo.
    """
    key = (path, Path(path).stat().st_mtime_ns) if Path(path).exists() else (path, 0)
    if key not in _inspected:
        code, output = await ask([path, "version", "--all"], environment(Path("/nonexistent")))
        version = re.search(r"Kubo version:\s*(\S+)", output)
        if code or version is None:
            raise TransferError(
                Reason.REFUSED,
                f"{path}: expected kubo, found a program that answers `version --all` with "
                f"{' '.join(output.split())[:200] or 'nothing'!r}; set `program` to kubo's",
            )
        _inspected[key] = KuboProgram(path, version[1])
    return _inspected[key]


async def ask(command: Sequence[str], variables: dict[str, str]) -> tuple[int, str]:
    """Run a short command; return its exit code and what it printed.

    Raises:
        TransferError: it can't be run, or takes too long.
    """
    try:
        return await child.ask(command, variables, _ASK_SECONDS)
    except TimeoutError as error:
        raise TransferError(
            Reason.REFUSED,
            f"{' '.join(command[:3])}: expected it to end within 20 s, found it running",
        ) from error
    except OSError as error:
        raise TransferError(
            Reason.REFUSED,
            f"{command[0]}: can't be run ({error.strerror}); set `program` to kubo's",
        ) from error
