"""The supervisor of a pod's sidecar, run for real."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from paths import ROOT
from patience import PATIENCE_SECONDS

SCRIPT = ROOT / "charts/swarm/files/supervise.sh"


def start_supervisor(
    folder: Path,
    command: Sequence[str],
    *,
    shell: Sequence[str] = ("sh",),
    data: str = "volume/data",
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start the supervisor of one pod; its control folder is `folder/control`.

    Args:
        folder: the pod's.
        command: the node's.
        shell: runs the script.
        data: the node's data folder, below `folder`.
        environment: all other variables; those of this process if None.
    """
    places = {
        "SUPERVISE_CONTROL": str(folder / "control"),
        "SUPERVISE_DATA": str(folder / data),
    }
    variables = {**(os.environ if environment is None else environment), **places}
    return subprocess.Popen([*shell, str(SCRIPT), *command], env=variables)


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """End a supervisor, and with it its node, after the block."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
