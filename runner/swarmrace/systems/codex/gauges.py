"""Which figures of a node's metrics page are states and count nothing."""

from __future__ import annotations

from typing import Final

GAUGES: Final = (
    "libp2p_peers",
    "process_resident_memory_bytes",
    "repostore_blocks",
    "repostore_bytes_used",
)
"""How their names begin, without `codex_` and `storage_`."""
