"""The node's program: which one, what it can, and the command line that follows.

What a program takes is asked of the program (`--help`, `--version`), because names and forms of
options changed between v0.1.9, v0.2 and Logos Storage of 2026.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from swarmrace.errors import Reason, TransferError
from swarmrace.systems.codex.options import CodexOptions

_GIB = 1 << 30
POD_QUOTA_BYTES = 20 * _GIB
"""A node's own quota since v0.2."""
_INSPECT_SECONDS = 20.0
_PREFIXES = ("CODEX_", "STORAGE_")
_OPTION = re.compile(r"--([a-z][a-z0-9-]+)")
_CODEX_OPTIONS = "api-bindaddr api-port block-mi bootstrap-node data-dir disc-port listen-addrs "
_CODEX_OPTIONS += "log-level metrics metrics-address metrics-port nat storage-quota"


def find_program(options: CodexOptions) -> str | None:
    """Return the path of the node's program on this machine, or None."""
    if options.program is not None:
        return shutil.which(str(Path(options.program).expanduser()))
    names = ("codex", "storage") if options.family == "auto" else (options.family,)
    return next((found for name in names if (found := shutil.which(name))), None)


def is_storage(path: str) -> bool:
    """Whether a program is Logos Storage, by its name."""
    return "storage" in Path(path).name.lower()


def environment() -> dict[str, str]:
    """Return this process' environment without the variables that a node reads as options."""
    return {name: os.environ[name] for name in os.environ.keys() - set(withheld())}


def withheld() -> list[str]:
    """Return the names of variables that a node would read as options, and is not given."""
    return sorted(name for name in os.environ if name.startswith(_PREFIXES))


@dataclass(frozen=True, slots=True)
class Program:
    """What a program says of itself."""

    path: str
    family: str
    """`codex` or `storage`; the running node's API has the last word."""
    version: str
    revision: str
    options: frozenset[str]
    nat_takes_extip: bool

    @property
    def test_double(self) -> bool:
        """Whether it says that it is none of the real programs."""
        return self.version.endswith("-double")

    @property
    def default_quota_bytes(self) -> int:
        """The quota it has unless told: 8 GiB before v0.2, 20 GiB since."""
        return (8 if re.match(r"v?0\.1\.", self.version) else 20) * _GIB


_inspected: dict[tuple[str, int], Program] = {}


async def inspect(path: str) -> Program:
    """Ask a program for its version and options, once in a process unless the file changes.

    Raises:
        TransferError: it can't be run or answers neither.
    """
    try:
        key = (path, Path(path).stat().st_mtime_ns)
    except OSError as error:
        raise TransferError(
            Reason.REFUSED, f"{path}: can't be run ({error.strerror}); set `program` to the node's"
        ) from error
    if key not in _inspected:
        _inspected[key] = await _inspect(path)
    return _inspected[key]


async def _inspect(path: str) -> Program:
    version_text, help_text = await asyncio.gather(_ask(path, "--version"), _ask(path, "--help"))
    version = re.search(r"version:\s*(\S+)", version_text)
    revision = re.search(r"revision:\s*(\S+)", version_text)
    storage = is_storage(path) if version is None else "storage" in version_text.lower()
    options = frozenset(_OPTION.findall(help_text))
    found = version[1] if version else "unknown"
    if "data-dir" not in options:
        if version is None:
            raise TransferError(
                Reason.REFUSED,
                f"{path}: expected a Codex or Logos Storage node, found a program that answers "
                "neither --help nor --version as one; set `program` to the node's",
            )
        options = frozenset(_CODEX_OPTIONS.split())
    old = re.match(r"v?0\.1\.", found) is not None
    return Program(
        path=path,
        family="storage" if storage else "codex",
        version=found,
        revision=revision[1] if revision else "unknown",
        options=options,
        nat_takes_extip="extip" in help_text if help_text else not old,
    )


async def _ask(path: str, option: str) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            path,
            option,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**environment(), "NO_COLOR": "1"},
        )
    except OSError as error:
        raise TransferError(
            Reason.REFUSED, f"{path}: can't be run ({error.strerror}); set `program` to the node's"
        ) from error
    try:
        async with asyncio.timeout(_INSPECT_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        return ""
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return re.sub(r"\x1b\[[0-9;]*m", "", output.decode(errors="replace"))


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a node listens."""

    listen: int
    discovery: int
    api: int
    metrics: int


def command_line(
    program: Program,
    options: CodexOptions,
    *,
    address: str,
    ports: Ports,
    data_dir: Path,
    size_bytes: int,
    bootstrap: str | None,
) -> tuple[list[str], dict[str, str]]:
    """Return a node's command line and the reason for each argument.

    Args:
        program: what is started.
        options: profile, quota and further arguments.
        address: the peer's own IP address: everything listens there and it is announced.
        ports: explicit ones; the node's default listening port is random.
        data_dir: the node's own, empty for a cold start.
        size_bytes: the file size, for the quota.
        bootstrap: the record of the node to join, or None for the first node of a swarm.
    """
    has = program.options
    arguments: dict[str, str] = {f"--data-dir={data_dir}": "a directory of its own"}
    own = "each peer has an address of its own"
    if "listen-addrs" in has:
        version = ipaddress.ip_address(address).version
        arguments[f"--listen-addrs=/ip{version}/{address}/tcp/{ports.listen}"] = own
    else:
        arguments[f"--listen-ip={address}"] = own
        arguments[f"--listen-port={ports.listen}"] = "the default is random"
    if "disc-ip" in has:
        arguments[f"--disc-ip={address}"] = own
    if "disc-port" in has:
        arguments[f"--disc-port={ports.discovery}"] = "one for each node, checked to be its own"
    arguments[f"--api-bindaddr={address}"] = own
    arguments[f"--api-port={ports.api}"] = "a free one"
    nat = f"extip:{address}" if program.nat_takes_extip else address
    arguments[f"--nat:{nat}"] = "no gateway to look for: the address announced is the peer's own"
    arguments["--metrics"] = "the node's counters are recorded"
    arguments[f"--metrics-address={address}"] = own
    arguments[f"--metrics-port={ports.metrics}"] = "a free one"
    quota = quota_bytes(program.default_quota_bytes, options, size_bytes)
    if quota is not None:
        arguments[f"--storage-quota={quota}"] = (
            "set by the scenario"
            if options.storage_quota
            else "the file needs more than the default"
        )
    if options.profile == "tuned":
        arguments["--log-level=WARN"] = "lines written during a transfer cost CPU"
        if "block-mi" in has:
            arguments["--block-mi=1d"] = "no maintenance pass over the blocks falls into a run"
    else:
        arguments["--log-level=INFO"] = "the default, said so that it is recorded"
    if bootstrap is not None:
        arguments[f"--bootstrap-node={bootstrap}"] = "joins the run's first seeder"
    elif "no-bootstrap-node" in has:
        arguments["--no-bootstrap-node"] = (
            "the first node of a network of its own, not the public one"
        )
    for argument in options.arguments:
        arguments[argument] = "set by the scenario"
    return [program.path, *arguments], arguments


def pod_options(
    options: CodexOptions, size_bytes: int, bootstrap: str | None
) -> tuple[list[str], dict[str, str]]:
    """Return what a pod's node gets besides its container's: arguments, and variables by name.

    Args:
        options: family (`auto` is Codex in a pod), profile and quota.
        size_bytes: the file size, for the quota.
        bootstrap: the record of the node to join, or None for the first node of a swarm.
    """
    storage = options.family == "storage"
    prefix = _PREFIXES[storage]
    variables = {"LOG_LEVEL": "WARN" if options.profile == "tuned" else "INFO"}
    if options.profile == "tuned":
        variables["BLOCK_MI"] = "1d"
    quota = quota_bytes(POD_QUOTA_BYTES, options, size_bytes)
    if quota is not None:
        variables["STORAGE_QUOTA"] = str(quota)
    arguments = [] if bootstrap is None else [f"--bootstrap-node={bootstrap}"]
    if bootstrap is None and storage:
        arguments = ["--no-bootstrap-node"]
    return arguments, {f"{prefix}{name}": value for name, value in variables.items()}


def known_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return those of the variables that a node reads as options."""
    return {name: environment[name] for name in environment if name.startswith(_PREFIXES)}


def quota_bytes(default_bytes: int, options: CodexOptions, size_bytes: int) -> int | None:
    """Return the quota to set, or None to leave the node its own.

    It is raised only when the file with its last block padded, its manifest and room for one
    repetition that hung up would not fit.
    """
    if options.storage_quota is not None:
        return options.storage_quota
    needed = needed_bytes(size_bytes)
    return None if needed <= default_bytes else needed


def needed_bytes(size_bytes: int) -> int:
    """Return the quota that a file needs: itself, 1 % for manifest and tree, 16 MiB to spare."""
    return size_bytes + size_bytes // 100 + (16 << 20)
