"""The daemon's program on this machine: its path, its settings, its environment."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from functools import cache
from typing import Any

from swarmrace.systems.built import built, find
from swarmrace.systems.transmission.options import TransmissionOptions

NAME = "transmission-daemon"
_ASK_SECONDS = 10


def find_program(options: TransmissionOptions) -> str | None:
    """Return the path of the daemon on this machine, or None."""
    return find(options.program, (NAME, str(built(NAME))))


def environment() -> dict[str, str]:
    """Return this process's environment without the variables that the daemon or its HTTP library
    reads, so that it announces only to the bootstrap tracker, through no proxy."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TR_", "TRANSMISSION_")) and not name.lower().endswith("_proxy")
    }


def ask(program: str, *arguments: str) -> str:
    """Return the program's output, or an empty string if it can't be run."""
    try:
        ran = subprocess.run(
            [program, *arguments],
            capture_output=True,
            text=True,
            timeout=_ASK_SECONDS,
            env=environment(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout + ran.stderr


@cache
def defaults(program: str) -> dict[str, Any]:
    """Return every entry of the program's settings.json with its default; empty if it can't be
    run."""
    with tempfile.TemporaryDirectory(prefix="swarmrace-") as empty:
        text = ask(program, "--config-dir", empty, "--dump-settings")
    try:
        return dict(json.loads(text))
    except ValueError:
        return {}
