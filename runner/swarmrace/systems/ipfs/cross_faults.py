"""What is wrong between options of an `ipfs` entrant, or between them and the race."""

from __future__ import annotations

from swarmrace.errors import Fault
from swarmrace.systems.ipfs.options import IpfsOptions
from swarmrace.systems.parts import CrossFault, RaceShape

_MAX_CHUNK_BYTES = (2 << 20) - 256
"""Kubo's own limit: a block with its frame must fit in 2 MiB."""


def cross_faults(options: IpfsOptions, race: RaceShape) -> list[CrossFault]:
    """Return the faults of `chunker`, `storageQuota` and `gc`."""
    found: list[CrossFault] = []
    quota, largest = options.storage_quota, max(race.file_sizes)
    sizes = [int(part) for part in (options.chunker or "").split("-")[1:]]
    if sizes and max(sizes) > _MAX_CHUNK_BYTES:
        text = f"found {options.chunker}, expected blocks of at most {_MAX_CHUNK_BYTES} bytes"
        found.append(CrossFault(Fault("chunker", text)))
    if quota is not None and quota <= largest:
        text = (
            f"found {quota}, expected more than the file size ({largest}): a node holds all of it"
        )
        found.append(CrossFault(Fault("storageQuota", text), race=("fileSize",)))
    if quota is not None and not options.gc:
        text = "needs gc: true: without garbage collection kubo doesn't apply its quota"
        found.append(CrossFault(Fault("storageQuota", text), options=("gc",)))
    return found
