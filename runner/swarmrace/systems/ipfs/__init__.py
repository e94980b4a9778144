"""IPFS: kubo, its implementation in Go, driven through its RPC.

Each peer has its own node. It starts on a new repository for each run, in a network of only these
nodes. docs/ipfs.md explains it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from swarmrace.errors import TransferError
from swarmrace.recording.payload import file_sha256
from swarmrace.systems.abc import Context, Meanings, Observes, System
from swarmrace.systems.built import built
from swarmrace.systems.ipfs.cross_faults import cross_faults
from swarmrace.systems.ipfs.options import IpfsOptions
from swarmrace.systems.ipfs.profiles import faults_in_settings, of_profile
from swarmrace.systems.ipfs.programs import NAME, find_program, inspect
from swarmrace.systems.ipfs.sidecars import SIDECARS
from swarmrace.systems.parts import Identity, Needs, PodRules, Settings, Standing
from swarmrace.systems.sidecar import beside
from swarmrace.systems.spec import SystemSpec

__all__: Sequence[str] = ("SPEC",)


def _create(context: Context, options: IpfsOptions) -> System:
    from swarmrace.systems.ipfs.system import IpfsSystem

    return IpfsSystem(context, options)


def _observes(options: IpfsOptions) -> Observes:
    stream = options.download == "stream"
    return Observes(
        arrival=True,
        delivery=stream,
        unit=f"poll every {options.poll_seconds * 1000:g} ms of the blocks received",
        sampled=True,
        in_order=stream,
    )


_STREAM = Meanings(
    holds="CID, bootstrap address",
    published="the CID of the whole file has been returned, and its root is announced in the DHT",
    discovered="the root block has come: the response header is read, or a poll counts a block",
    arrival="blocks received, as the node counts them, polled; at least what has been delivered",
    delivery="read of the stream",
    done="the last byte is written to the leecher's file; the node keeps a copy of its own",
    usage="only the node's process; the runner's separately",
    verified="SHA-256 of the file on disk",
)
_BACKGROUND = replace(
    _STREAM,
    discovered="the root block has come: a poll counts a block",
    arrival="blocks received, as the node counts them, polled",
    delivery="",
    done="the node has pinned the whole tree: it holds every block",
    verified="SHA-256 of what is read back from the node",
)


def _check(options: IpfsOptions) -> list[str]:
    if beside():
        return []
    program = find_program(options)
    if program is None:
        wanted = (
            f"a program at program: {options.program}, found none that can run"
            if options.program is not None
            else f"ipfs on PATH or at {built(NAME)}, found none"
        )
        return [f"ipfs: expected {wanted}; build it by `make systems`, or install kubo"]
    try:
        asyncio.run(inspect(program))
    except TransferError as error:
        return [f"ipfs: {error.detail}"]
    return []


def _program(options: IpfsOptions) -> str:
    program = None if beside() else find_program(options)
    if program is None:
        return ""
    try:
        found = asyncio.run(inspect(program))
    except TransferError:
        return ""  # `check` reports what is wrong with it
    return f"kubo {found.version} (sha256 {file_sha256(Path(program))[:16]})"


def _version(options: IpfsOptions) -> str:
    program = None if beside() else find_program(options)
    if program is None:
        return "kubo, beside the runner"
    try:
        return f"{program} {asyncio.run(inspect(program)).version}"
    except TransferError as error:
        return f"{program} ({error})"


def _needs(options: IpfsOptions) -> Needs:
    stream = options.download == "stream"  # its file is written beside the node's own copy
    return Needs(
        memory_bytes=220_000_000,
        memory_share=0.1,
        seeder_copies=2.02,
        leecher_copies=2.02 if stream else 1.02,
        rate=60e6,
        pair_rate=60e6,
        publish_rate=100e6,
    )


SPEC = SystemSpec(
    kind="ipfs",
    options=IpfsOptions,
    create=_create,
    observes=_observes,
    means=lambda options: _STREAM if options.download == "stream" else _BACKGROUND,
    isolates_process=True,
    modules=("swarmrace.systems.ipfs.system",),
    check=_check,
    faults=lambda options: faults_in_settings(options.settings),
    cross_faults=cross_faults,
    needs=_needs,
    standing=lambda options: Standing(metadata_sought="a CID"),
    settings=Settings(
        options=("quic", "chunker", "raw_leaves", "storage_quota", "gc", "settings"),
        of_profile=of_profile,
    ),
    pods=PodRules(sidecars=SIDECARS),
    identity=Identity(version=_version, program=_program),
)
