"""Which figures of a node's metrics page are states instead of counts."""

from __future__ import annotations

from typing import Final

GAUGES: Final = (
    "libp2p_peers",
    "process_resident_memory_bytes",
    "repostore_blocks",
    "repostore_bytes_used",
)
"""Prefixes of their names, without `codex_` and `storage_`."""
