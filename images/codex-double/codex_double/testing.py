"""Doubles for tests: nodes in this process, and a program that starts as a node."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from codex_double.config import Config, Habits
from codex_double.node import Node
from codex_double.personality import PERSONALITIES

QUICK = Habits(time_scale=0.02)
"""Every duration of the node's habits is a fiftieth."""


def config(
    data_dir: Path, personality: str = "v0.2.5", habits: Habits = QUICK, **changes: object
) -> Config:
    """Return a node's configuration on free ports of the loopback interface."""
    kind = PERSONALITIES[personality]
    base = Config(
        personality=kind,
        data_dir=data_dir,
        listen_host="127.0.0.1",
        listen_port=0,
        disc_host="127.0.0.1",
        disc_port=0,
        nat="127.0.0.1",
        api_port=0,
        metrics=True,
        metrics_port=0,
        quota_bytes=kind.default_quota_bytes,
        habits=habits,
    )
    return replace(base, **changes)


@asynccontextmanager
async def swarm(
    folder: Path,
    count: int,
    personality: str = "v0.2.5",
    habits: Habits = QUICK,
    each: Mapping[int, Mapping[str, object]] | None = None,
) -> AsyncIterator[list[Node]]:
    """Run nodes that join the first one.

    Args:
        folder: holds their data directories.
        count: the number of nodes.
        personality: all nodes' personality.
        habits: all nodes' habits.
        each: changes to the configuration of single nodes, by their number.
    """
    nodes: list[Node] = []
    try:
        for number in range(count):
            changes = dict((each or {}).get(number, {}))
            if nodes:
                changes.setdefault("bootstrap", (nodes[0].spr,))
            nodes.append(Node(config(folder / str(number), personality, habits, **changes)))
            await nodes[-1].start()
        yield nodes
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))


def program(folder: Path, personality: str = "v0.2.5", **habits: object) -> Path:
    """Write a program that is a node; return its path.

    Args:
        folder: the folder to write it to.
        personality: determines its name and options.
        habits: `DOUBLE_…` variables by their lower-case names; `time_scale` is 0.02 by default.
            Nodes on different loopback addresses only find each other with
            `discovery_bind="announced"`.
    """
    kind = PERSONALITIES[personality]
    variables = {"time_scale": 0.02, **habits, "personality": personality}
    lines = ["#!/bin/sh"]
    for name, value in variables.items():
        lines.append(f"export DOUBLE_{name.upper()}={shlex.quote(str(value))}")
    lines.append(f"export PYTHONPATH={shlex.quote(str(Path(__file__).parent.parent))}")
    lines.append(f'exec {shlex.quote(sys.executable)} -m codex_double "$@"')
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / kind.program
    path.write_text("\n".join(lines) + "\n")
    os.chmod(path, 0o755)  # noqa: PTH101
    return path
