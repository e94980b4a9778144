"""Stand-ins for a race's processes that record what they import after they were forked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from swarmrace.backends.local import processes

_peer, _tracker = processes.run_peer, processes.run_tracker


def _recorded(name: str, folder: Path, target: Callable[[Any], int], config: Any) -> int:
    before = set(sys.modules)
    try:
        return target(config)
    finally:
        late = sorted(set(sys.modules) - before)
        (folder / f"{name}-{os.getpid()}").write_text("\n".join(late))


def run_peer(config: Any) -> int:
    """Run a peer; write the names of the late imports beside the race's work folder."""
    return _recorded(config.entrant, config.work_dir.parents[1], _peer, config)


def run_tracker(config: Any) -> int:
    """Run the rendezvous likewise, into the folder above its results."""
    return _recorded("rendezvous", config.data_dir.parents[1], _tracker, config)
