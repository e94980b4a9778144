"""Which node a peer has: one that it starts, one that somebody else runs, or its pod's sidecar."""

from __future__ import annotations

from swarmrace.systems.abc import Context
from swarmrace.systems.codex.local import LocalNode
from swarmrace.systems.codex.node import Node
from swarmrace.systems.codex.options import CodexOptions
from swarmrace.systems.codex.remote import GivenNode, SupervisedNode
from swarmrace.systems.sidecar import beside


def node_of(context: Context, options: CodexOptions) -> Node:
    """Return a peer's node, not started: by the entrant's `nodes`, then by what the pod says."""
    if options.nodes:
        return GivenNode(options.nodes[context.peer], options.family)
    sidecar = beside()
    if sidecar is None:
        return LocalNode(context, options)
    if sidecar.control is not None:
        return SupervisedNode(sidecar, options, context.size_bytes, context.address)
    return GivenNode(sidecar.api, options.family, sidecar.metrics)
