"""The node's program: which one it is, what it can do, and its command line.

The program itself is asked for its options (`--help`, `--version`), because their names and forms
changed between v0.1.9, v0.2 and Logos Storage of 2026.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from swarmrace.errors import Reason, TransferError
from swarmrace.systems import child
from swarmrace.systems.built import find
from swarmrace.systems.codex.options import CodexOptions

_GIB = 1 << 30
POD_QUOTA_BYTES = 20 * _GIB
"""A node's default quota since v0.2."""
_INSPECT_SECONDS = 20.0
_PREFIXES = ("CODEX_", "STORAGE_")
_OPTION = re.compile(r"--([a-z][a-z0-9-]+)")
_CODEX_OPTIONS = "api-bindaddr api-port block-mi bootstrap-node data-dir disc-port listen-addrs "
_CODEX_OPTIONS += "log-level metrics metrics-address metrics-port nat storage-quota"


def find_program(options: CodexOptions) -> str | None:
    """Return the path of the node's program on this machine, or None."""
    names = ("codex", "storage") if options.family == "auto" else (options.family,)
    return find(options.program, names)


def is_storage(path: str) -> bool:
    """Return whether a program is Logos Storage, by its name."""
    return "storage" in Path(path).name.lower()


def environment() -> dict[str, str]:
    """Return this process's environment without the variables that a node reads as options."""
    return {name: os.environ[name] for name in os.environ.keys() - set(withheld_variables())}


def withheld_variables() -> list[str]:
    """Return the names of variables that are withheld because a node reads them as options."""
    return sorted(name for name in os.environ if name.startswith(_PREFIXES))


@dataclass(frozen=True, slots=True)
class NodeProgram:
    """What a program reports about itself."""

    path: str
    family: str
    """`codex` or `storage`; the running node's API decides."""
    version: str
    revision: str
    options: frozenset[str]
    nat_takes_extip: bool

    @property
    def test_double(self) -> bool:
        """Whether it declares itself a test double."""
        return self.version.endswith("-double")

    @property
    def default_quota_bytes(self) -> int:
        """Its default quota: 8 GiB before v0.2, 20 GiB since."""
        return (8 if re.match(r"v?0\.1\.", self.version) else 20) * _GIB


_inspected: dict[tuple[str, int], NodeProgram] = {}


async def inspect(path: str) -> NodeProgram:
    """Return a program's version and options, asked once in a process unless the file changes.

    Raises:
        TransferError: it can't be run, or answers neither.
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


async def _inspect(path: str) -> NodeProgram:
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
    return NodeProgram(
        path=path,
        family="storage" if storage else "codex",
        version=found,
        revision=revision[1] if revision else "unknown",
        options=options,
        nat_takes_extip="extip" in help_text if help_text else not old,
    )


async def _ask(path: str, option: str) -> str:
    try:
        _, output = await child.ask(
            [path, option], {**environment(), "NO_COLOR": "1"}, _INSPECT_SECONDS
        )
    except TimeoutError:
        return ""
    except OSError as error:
        raise TransferError(
            Reason.REFUSED, f"{path}: can't be run ({error.strerror}); set `program` to the node's"
        ) from error
    return re.sub(r"\x1b\[[0-9;]*m", "", output)


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that a node listens on."""

    listen: int
    discovery: int
    api: int
    metrics: int


def command_line(
    program: NodeProgram,
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
        program: the program to start.
        options: profile, quota and further arguments.
        address: the peer's own IPv4 address, to listen on and to announce.
        ports: explicit ports; the node's default listening port is random.
        data_dir: the node's data directory, empty for a cold start.
        size_bytes: the file size, for the quota.
        bootstrap: the record of the node to join, or None for the first node of a swarm.
    """
    has = program.options
    arguments: dict[str, str] = {f"--data-dir={data_dir}": "its own directory"}
    own = "each peer has its own address"
    if "listen-addrs" in has:
        arguments[f"--listen-addrs=/ip4/{address}/tcp/{ports.listen}"] = own
    else:
        arguments[f"--listen-ip={address}"] = own
        arguments[f"--listen-port={ports.listen}"] = "the default is random"
    if "disc-ip" in has:
        arguments[f"--disc-ip={address}"] = own
    if "disc-port" in has:
        arguments[f"--disc-port={ports.discovery}"] = "one for each node; checked after the start"
    arguments[f"--api-bindaddr={address}"] = own
    arguments[f"--api-port={ports.api}"] = "a free port"
    nat = f"extip:{address}" if program.nat_takes_extip else address
    arguments[f"--nat:{nat}"] = "no gateway to look for: the peer's own address is announced"
    arguments["--metrics"] = "the node's counters are recorded"
    arguments[f"--metrics-address={address}"] = own
    arguments[f"--metrics-port={ports.metrics}"] = "a free port"
    quota = quota_bytes(program.default_quota_bytes, options, size_bytes)
    if quota is not None:
        arguments[f"--storage-quota={quota}"] = (
            "set by the scenario"
            if options.storage_quota
            else "the file needs more than the default"
        )
    if options.profile == "tuned":
        arguments["--log-level=WARN"] = "log lines during a transfer cost CPU"
        if "block-mi" in has:
            arguments["--block-mi=1d"] = "no maintenance of the blocks during a run"
    else:
        arguments["--log-level=INFO"] = "the default, set so that it is recorded"
    if bootstrap is not None:
        arguments[f"--bootstrap-node={bootstrap}"] = "joins the run's first seeder"
    elif "no-bootstrap-node" in has:
        arguments["--no-bootstrap-node"] = (
            "the first node of a separate network, not of the public one"
        )
    for argument in options.arguments:
        arguments[argument] = "set by the scenario"
    return [program.path, *arguments], arguments


def pod_options(
    options: CodexOptions, size_bytes: int, bootstrap: str | None
) -> tuple[list[str], dict[str, str]]:
    """Return what a pod's node gets in addition to its container's: arguments and variables.

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
    """Return the variables that a node reads as options."""
    return {name: environment[name] for name in environment if name.startswith(_PREFIXES)}


def quota_bytes(default_bytes: int, options: CodexOptions, size_bytes: int) -> int | None:
    """Return the quota to set, or None to keep the node's own.

    It is raised only if the file with its last block padded, its manifest and some spare room
    wouldn't fit.
    """
    if options.storage_quota is not None:
        return options.storage_quota
    needed = needed_bytes(size_bytes)
    return None if needed <= default_bytes else needed


def needed_bytes(size_bytes: int) -> int:
    """Return the quota that a file needs: itself, 1 % for manifest and tree, 16 MiB to spare."""
    return size_bytes + size_bytes // 100 + (16 << 20)
