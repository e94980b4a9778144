"""Commands run by an unprivileged user, for tests that run as root or not."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from paths import ROOT

NOBODY = 65534

_FORBID = 'echo 0 > "/proc/sys/user/$1" && shift && exec setpriv --bounding-set=-all "$@"'


def as_nobody(command: Sequence[str]) -> list[str]:
    """Return the command line that runs `command` as nobody; unchanged if we are not root.

    The command may need files below folders that only root can enter (a Python in root's home
    folder): a mount namespace makes these accessible.
    """
    if os.geteuid() != 0:
        return list(command)
    needed = [Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), ROOT]
    closed = {
        folder: path
        for path in needed
        for folder in list(reversed(path.parents))
        if not folder.stat().st_mode & 0o001
    }
    script = []
    for number, (folder, path) in enumerate(closed.items()):
        kept = f"/mnt/{number}"
        at, there = shlex.quote(str(folder)), shlex.quote(str(path))
        script += [
            "mount -t tmpfs none /mnt" if number == 0 else "true",
            f"mkdir {kept}",
            f"mount --bind {there} {kept}",
            f"mount -t tmpfs -o mode=755 none {at}",
            f"mkdir -p {there}",
            f"mount --bind {kept} {there}",
        ]
    user = f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups env HOME=/tmp"
    script.append(f'exec {user} "$@"')
    return ["unshare", "--mount", "sh", "-c", " && ".join(script), "sh", *command]


def forbidden(command: Sequence[str], setting: str = "max_user_namespaces") -> list[str]:
    """Return the command line that runs `command` where namespaces are forbidden: in a user
    namespace whose limit (user.SETTING) is 0, and without capabilities."""
    return ["unshare", "--user", "--map-root-user", "sh", "-c", _FORBID, "sh", setting, *command]


@contextmanager
def open_folder() -> Iterator[Path]:
    """Yield a folder owned by nobody; only root can enter pytest's own."""
    with tempfile.TemporaryDirectory(prefix="swarmrace-test-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield folder


def run(command: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command; its output is captured as a string."""
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]


def _why_not() -> str:
    tried = run(as_nobody(["unshare", "--user", "--map-root-user", "--net", "true"]))
    return tried.stderr.strip() if tried.returncode else ""


_WHY_NOT = _why_not()
needs_user_namespaces = pytest.mark.skipif(
    bool(_WHY_NOT), reason=f"an unprivileged user can't create user namespaces: {_WHY_NOT}"
)
