"""Which node a peer has: one that it starts, one that somebody else runs, or its pod's sidecar."""

from __future__ import annotations

import os
from pathlib import Path

from swarmrace.systems.abc import Context
from swarmrace.systems.codex.environment import CONTROL_VARIABLE, METRICS_VARIABLE, NODE_VARIABLE
from swarmrace.systems.codex.local import LocalNode
from swarmrace.systems.codex.node import Node
from swarmrace.systems.codex.options import CodexOptions
from swarmrace.systems.codex.remote import GivenNode, SupervisedNode


def node_of(context: Context, options: CodexOptions) -> Node:
    """Return a peer's node, not started: by the entrant's `nodes`, then by what the pod says."""
    beside = os.environ.get(NODE_VARIABLE)
    metrics_url = os.environ.get(METRICS_VARIABLE)
    if options.nodes:
        return GivenNode(options.nodes[context.peer], options.family)
    if not beside:
        return LocalNode(context, options)
    control = os.environ.get(CONTROL_VARIABLE)
    if control:
        return SupervisedNode(beside, Path(control), options.family, metrics_url)
    return GivenNode(beside, options.family, metrics_url)
