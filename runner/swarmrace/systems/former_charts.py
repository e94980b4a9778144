"""Values of charts that were replaced, by their keys, and where they are now.

Until November 2026 each kind of system had a chart of its own. A values file that still has their
keys is refused with the new ones.
"""

from __future__ import annotations

MOVED = dict.fromkeys(("bittorrent", "codex", "http"), "`swarm`")
"""Top-level keys, and the key that replaces each."""
MOVED_GLOBAL = {
    "codex": "node families are under `global.sidecars`, with CPU and memory of the node "
    "(`resources`) and of the runner beside it (`runnerResources`)"
}
"""Keys below `global`, and what replaces each."""
