"""Codex, called Logos Storage since 2026, by its node's REST interface.

There are two API families; the node reports its own. swarmrace starts and stops the node's
program (`options.program`, or `codex` or `storage` on PATH), or uses a node that already runs
(`options.nodes`, or a pod's sidecar). See docs/codex.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from swarmrace.errors import TransferError
from swarmrace.recording.payload import file_sha256
from swarmrace.systems.abc import Context, Meanings, Observes, System
from swarmrace.systems.codex.cross_faults import cross_faults, pod_faults
from swarmrace.systems.codex.gauges import GAUGES
from swarmrace.systems.codex.options import CodexOptions
from swarmrace.systems.codex.programs import find_program, inspect, is_storage
from swarmrace.systems.codex.sidecars import SIDECARS
from swarmrace.systems.parts import (
    Identity,
    Needs,
    NetworkRules,
    PodRules,
    Settings,
    Standing,
)
from swarmrace.systems.sidecar import beside
from swarmrace.systems.spec import SystemSpec

__all__: Sequence[str] = ("SPEC",)


def _create(context: Context, options: CodexOptions) -> System:
    from swarmrace.systems.codex.system import CodexSystem

    return CodexSystem(context, options)


def _observes(options: CodexOptions) -> Observes:
    if options.download == "stream":
        return Observes(arrival=False, delivery=True, unit="read of the stream", in_order=True)
    every = f"poll every {options.poll_seconds * 1000:g} ms"
    reports = _may_report_progress(options)
    unit = every if reports else f"{every} of the node's space (done only)"
    return Observes(
        arrival=reports,
        delivery=False,
        unit=unit,
        poll_seconds=options.poll_seconds,
        sampled=True,
    )


_STREAM = Meanings(
    holds="CID, bootstrap address",
    published="the CID of the whole upload has been returned",
    discovered="the response header is read: it is sent as soon as the manifest is known",
    delivery="read of the stream",
    done="the last byte is written to the leecher's file; the node keeps a copy of its own",
    usage="only the node's process; the runner's separately",
    verified="SHA-256 of the file on disk",
)
_BACKGROUND = replace(
    _STREAM,
    discovered="the manifest has been answered",
    arrival="progress reported by the node, if it reports any",
    delivery="",
    done="progress says total; on a node without progress, its space does",
    verified="SHA-256 of what is read back from the node",
)


def _may_report_progress(options: CodexOptions) -> bool:
    """Return whether the node may report progress: only Logos Storage does. Before a node can be
    asked, the program's name decides."""
    if options.family != "auto":
        return options.family == "storage"
    program = None if _runs_elsewhere(options) else find_program(options)
    return program is None or is_storage(program)


def _runs_elsewhere(options: CodexOptions) -> bool:
    return bool(options.nodes or beside())


def _check(options: CodexOptions) -> list[str]:
    if _runs_elsewhere(options):
        return []
    program = find_program(options)
    if program is not None:
        return _program_faults(program, options)
    if options.program is not None:
        wanted = f"expected a program at program: {options.program}, found none that can run"
    else:
        names = "codex or storage" if options.family == "auto" else options.family
        wanted = f"expected {names} on PATH, found none"
    return [
        f"codex: {wanted}; build it (github.com/logos-storage/logos-storage-nim, `make`) or copy "
        "it from the image codexstorage/nim-codex or logosstorage/logos-storage-nim, then set "
        "`program`; or name running nodes by `nodes`"
    ]


def _program_faults(program: str, options: CodexOptions) -> list[str]:
    """Return why a program isn't a node, or doesn't accept the block size with `family: auto`."""
    try:
        found = asyncio.run(inspect(program))
    except TransferError as error:
        return [f"codex: {error.detail}"]
    if options.block_size is None or found.family == "storage" or found.version == "unknown":
        return []
    return [
        f"blockSize: only Logos Storage accepts one, found {program}, Codex {found.version}; "
        "remove it, or set `program` to a Logos Storage node's"
    ]


def _own_source_address(options: CodexOptions) -> str:
    if _runs_elsewhere(options):
        return ""
    return (
        "a node's discovery answers from the address that the kernel chooses, 127.0.0.1 over "
        "loopback; it isn't the one in the node's record, so no other node accepts it"
    )


def _host_network(options: CodexOptions) -> str:
    return (
        "its nodes run outside the race, and namespaces can't reach them" if options.nodes else ""
    )


def _program(options: CodexOptions) -> str:
    program = None if _runs_elsewhere(options) else find_program(options)
    if program is None:
        return ""
    try:
        found = asyncio.run(inspect(program))
    except TransferError:
        return ""  # `check` says what is wrong with it
    digest = file_sha256(Path(program))[:16]
    return f"{found.family} {found.version} (revision {found.revision}, sha256 {digest})"


def _is_test_double(options: CodexOptions) -> bool:
    program = None if _runs_elsewhere(options) else find_program(options)
    if program is None:
        return False
    try:
        return asyncio.run(inspect(program)).test_double
    except TransferError:
        return False  # `check` says what is wrong with it


def _needs(options: CodexOptions) -> Needs:
    stream = options.download == "stream"  # its file is written in addition to the node's copy
    return Needs(
        memory_bytes=180_000_000,
        memory_share=0.006,
        seeder_copies=2.02,
        leecher_copies=2.02 if stream else 1.02,
        rate=34e6,
        pair_rate=17e6,
        publish_rate=95e6,
    )


def _version(options: CodexOptions) -> str:
    path = None if _runs_elsewhere(options) else find_program(options)
    if path is None:
        return "nodes that run elsewhere"
    try:
        return f"{path} {asyncio.run(inspect(path)).version}"
    except TransferError as error:
        return f"{path} ({error})"


SPEC = SystemSpec(
    kind="codex",
    options=CodexOptions,
    create=_create,
    observes=_observes,
    check=_check,
    means=lambda options: _STREAM if options.download == "stream" else _BACKGROUND,
    isolates_process=True,
    modules=("swarmrace.systems.codex.system",),
    cross_faults=cross_faults,
    gauges=GAUGES,
    needs=_needs,
    standing=lambda options: Standing(rank=0, metadata_sought="a CID"),
    settings=Settings(("block_size", "storage_quota", "arguments")),
    network=NetworkRules(_own_source_address, _host_network),
    pods=PodRules(faults=pod_faults, sidecar_option="family", sidecars=SIDECARS),
    identity=Identity(version=_version, program=_program, test_double=_is_test_double),
)
