"""Which node a peer uses: one that it starts, one that already runs, or its pod's sidecar."""

from __future__ import annotations

from swarmrace.systems.abc import Context
from swarmrace.systems.codex.local import LocalCodex
from swarmrace.systems.codex.node import CodexNode
from swarmrace.systems.codex.options import CodexOptions
from swarmrace.systems.codex.remote import GivenNode, SupervisedCodex
from swarmrace.systems.sidecar import beside


def node_of(context: Context, options: CodexOptions) -> CodexNode:
    """Return a peer's node, not started: from the entrant's `nodes`, otherwise the pod's sidecar,
    otherwise a local one."""
    if options.nodes:
        return GivenNode(options.nodes[context.peer], options.family)
    sidecar = beside()
    if sidecar is None:
        return LocalCodex(context, options)
    if sidecar.control is not None:
        return SupervisedCodex(sidecar, options, context.size_bytes, context.address)
    return GivenNode(sidecar.api, options.family, sidecar.metrics)
