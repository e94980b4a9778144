"""Where programs of other projects are: chosen, on PATH, or built by `make systems`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path


def built(name: str) -> Path:
    """Return the path at which `make systems` puts a program of this name (programs/build)."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("SWARMRACE_PROGRAMS") or cache / "swarmrace/bin") / name


def find(chosen: str | None, names: Iterable[str]) -> str | None:
    """Return the path of a program that can be run on this machine, or None.

    Args:
        chosen: the entrant's `program`; no other is looked for then.
        names: names on PATH, or paths; the first one that is found counts.
    """
    if chosen is not None:
        names = [str(Path(chosen).expanduser())]
    return next((found for name in names if (found := shutil.which(name))), None)
