"""Network namespaces for users other than root, inside a user namespace.

A user who may create a user namespace has CAP_SYS_ADMIN and CAP_NET_ADMIN inside it, and so may
create network namespaces, bridges, veth pairs and limiters there, without any rights outside. The
race replaces itself with the same command inside one (`reenter`) before it starts anything, so all
that it starts is inside too. The user keeps their uid and gid, so files belong to them, and gets no
other rights: the capabilities are ambient, and the user doesn't become root.

This file is also the program that does it: `python user_namespace.py COMMAND…` becomes COMMAND in a
new user namespace. A process with threads can't create a user namespace, and a race has threads
once it has loaded its libraries. So this program starts fresh and imports only the standard
library. See user_namespaces(7), capabilities(7).
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_CAP_NET_ADMIN, _CAP_NET_RAW, _CAP_SYS_ADMIN = 12, 13, 21
_CAPABILITIES = (_CAP_NET_ADMIN, _CAP_NET_RAW, _CAP_SYS_ADMIN)
_CAPABILITY_VERSION_3 = 0x20080522
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_INSIDE = "SWARMRACE_USER_NAMESPACE"
"""Set for the command inside, so that it never tries again."""
_PROBE = "--probe"
_PROBE_SECONDS = 20
_SETTINGS = (
    # name, value that forbids it, value that permits it
    ("user.max_user_namespaces", "0", "15000"),
    ("user.max_net_namespaces", "0", "15000"),
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
)


def refusals() -> list[str]:
    """Return why a user namespace with network namespaces can't be created, with the remedy.

    Another process tries it; the list is empty if it works.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-I", __file__, _PROBE],
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
        failure = "" if done.returncode == 0 else done.stderr.strip() or f"exit {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        failure = str(error)
    if not failure:
        return []
    forbidding = _settings()
    because = "".join(f", {name} is {found}" for name, found, _ in forbidding)
    remedy = "".join(f", or as root `sysctl -w {name}={wanted}`" for name, _, wanted in forbidding)
    if not forbidding:
        remedy = ", or in a container with CAP_SYS_ADMIN, or whose seccomp profile permits unshare"
    return [
        "network namespaces: this user may not create them, nor a user namespace to create them in "
        f"({failure}{because}); run as root{remedy}"
    ]


def command_inside(command: Sequence[str]) -> list[str]:
    """Return the command line that runs `command` in a new user namespace."""
    return [sys.executable, "-I", __file__, *command]


def reenter() -> None:
    """Execute this command again in a new user namespace. Returns only if already inside one.

    Process id, terminal, working folder and environment are kept. This process's memory, threads
    and descriptors are lost, so nothing may have been started.
    """
    if os.environ.pop(_INSIDE, None) is not None:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    command = command_inside([sys.executable, *sys.orig_argv[1:]])
    os.execve(sys.executable, command, {**os.environ, _INSIDE: "1"})


def enter() -> None:
    """Move this process, which must have only one thread, into a new user namespace.

    Raises:
        OSError: not permitted; `filename` names the step.
    """
    uid, gid = os.geteuid(), os.getegid()
    _unshare(_CLONE_NEWUSER, "unshare of a user namespace")
    # Unprivileged, a gid can only be mapped once setgroups(2) is given up (user_namespaces(7)).
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        Path("/proc/self", name).write_text(text)
    _keep_capabilities()


def _keep_capabilities() -> None:
    """Let executed programs keep these capabilities; without this only root's programs would."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable: capabilities 0-31, 32-63
    _check(_libc().capget(header, data), "capget")
    for capability in _CAPABILITIES:
        data[2] |= 1 << capability
    _check(_libc().capset(header, data), "capset")
    for capability in _CAPABILITIES:
        raised = _libc().prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0)
        _check(raised, "an ambient capability")


def _settings() -> list[tuple[str, str, str]]:
    """Return the kernel's settings that forbid it: name, current value, value that permits it."""
    found = []
    for name, forbids, permits in _SETTINGS:
        try:
            value = Path("/proc/sys", *name.split(".")).read_text().strip()
        except OSError:
            continue
        if value == forbids:
            found.append((name, value, permits))
    return found


def _unshare(what: int, step: str) -> None:
    _check(_libc().unshare(what), step)


def _check(result: int, step: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), step)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def main(argv: Sequence[str]) -> int:
    """Execute `argv` in a new user namespace, or only try whether one can be created."""
    try:
        enter()
        if argv == [_PROBE]:
            _unshare(_CLONE_NEWNET, "unshare of a network namespace in it")
            return 0
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 4  # Exit.UNAVAILABLE, which can't be imported here
    os.execvp(argv[0], list(argv))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
