"""`swarmrace peer`: one peer in a process or pod of its own."""

from __future__ import annotations

from swarmrace.local.processes import run_peer
from swarmrace.peer import PeerConfig


def run(
    config: PeerConfig,
    *,
    metrics_port: int | None = None,
    push_url: str | None = None,
    linger_seconds: float = 0.0,
) -> int:
    """Live the peer's life and return the exit code."""
    return run_peer(config)
