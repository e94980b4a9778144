"""What a pod names of the Codex node beside its peer, by environment variables."""

from __future__ import annotations

NODE_VARIABLE = "SWARMRACE_CODEX_NODE"
"""Base URL of the node beside this peer (`http://127.0.0.1:8080`): a pod's sidecar."""
CONTROL_VARIABLE = "SWARMRACE_CODEX_CONTROL"
"""Folder shared with that node's supervisor (images/codex-supervisor), for cold starts."""
METRICS_VARIABLE = "SWARMRACE_CODEX_METRICS"
"""URL of that node's metrics page; port 8008 of the node's host when absent."""
