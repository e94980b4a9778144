"""What is wrong between the options of a `codex` entrant, or between them and the race."""

from __future__ import annotations

from swarmrace.errors import Fault
from swarmrace.systems.codex.options import CodexOptions
from swarmrace.systems.parts import CrossFault, RaceShape

_BLOCK_BYTES = (4096, 524_288)


def pod_faults(options: CodexOptions) -> list[Fault]:
    """Return what can't be raced in pods, where every peer has its own node."""
    found = []
    if options.nodes:
        text = f"found {len(options.nodes)}, expected none: every pod has its own node"
        found.append(Fault("nodes", text))
    if options.family == "auto" and options.block_size:
        text = "needs family: storage: on a cluster `auto` is codex, which accepts no block size"
        found.append(Fault("blockSize", text))
    return found


def cross_faults(options: CodexOptions, race: RaceShape) -> list[CrossFault]:
    """Return the faults of `blockSize`, `storageQuota` and `nodes`."""
    found: list[CrossFault] = []
    block, quota, nodes = options.block_size, options.storage_quota, options.nodes
    if block is not None:
        if block & (block - 1) or not _BLOCK_BYTES[0] <= block <= _BLOCK_BYTES[1]:
            text = f"found {block}, expected a power of two from 4KiB to 512KiB"
            found.append(CrossFault(Fault("blockSize", text)))
        if options.family == "codex":
            text = (
                f"found {block}, expected none with family: codex; only Logos Storage accepts one"
            )
            found.append(CrossFault(Fault("blockSize", text), options=("family",)))
    largest, peers = max(race.file_sizes), max(race.swarm_sizes)
    if quota is not None and quota <= largest:
        text = (
            f"found {quota}, expected more than the file size ({largest}): a node stores all of it "
            "and its manifest"
        )
        found.append(CrossFault(Fault("storageQuota", text), race=("fileSize",)))
    if nodes and len(nodes) < peers:
        text = f"found {len(nodes)}, expected one for each of {peers} peers"
        found.append(CrossFault(Fault("nodes", text), race=("swarmSize",)))
    if nodes and race.cold_start:
        text = (
            "needs global.race.coldStart: false, because nodes that already run can't be started "
            "cold"
        )
        found.append(CrossFault(Fault("nodes", text), race=("coldStart",)))
    return found
