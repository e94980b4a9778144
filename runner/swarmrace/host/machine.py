"""What a result records about where it was measured: versions and the machine.

Nothing heavy is imported: versions come from the installed packages' metadata.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

import swarmrace
from swarmrace import __version__
from swarmrace.host.usage import cgroup_folders

COMMIT_VARIABLE = "SWARMRACE_COMMIT"
"""Set in images: the commit they were built from."""
PACKAGES = ("httpx", "httptools", "starlette", "uvicorn", "uvloop", "numpy", "scipy")
"""Packages used by every race whose version could affect a figure."""


def versions(packages: Iterable[str] = ()) -> dict[str, str]:
    """Return the versions of swarmrace, Python, the kernel, `PACKAGES` and `packages`, without
    those that aren't installed."""
    found = {
        "swarmrace": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
    }
    found |= {name: version for name in (*packages, *PACKAGES) if (version := _version(name))}
    return found


@cache
def _version(package: str) -> str:
    """Return a package's version, or an empty string where it isn't installed. Kept: reading the
    metadata takes 5 ms."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return ""


def commit() -> str:
    """Return the commit of the running code: the one that an image was built from, what `git
    describe` says about a checkout (`-dirty` with changes), or what pip recorded about a repository
    it installed from; otherwise `unknown`."""
    built = os.environ.get(COMMIT_VARIABLE)
    if built:
        return built
    checkout = Path(swarmrace.__file__).parents[2]
    if (checkout / ".git").exists():
        command = ["git", "-c", "safe.directory=*", "-C", str(checkout)]
        command += ["describe", "--always", "--dirty", "--tags", "--abbrev=12"]
        with suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
            return done.stdout.strip() or "unknown"
    with suppress(metadata.PackageNotFoundError, ValueError, KeyError, TypeError):
        source = metadata.distribution("swarmrace").read_text("direct_url.json")
        return str(json.loads(source or "")["vcs_info"]["commit_id"])
    return "unknown"


def machine(folder: Path | None = None) -> dict[str, Any]:
    """Return the machine as JSON: CPU, memory, system, limits.

    Args:
        folder: the payloads' folder; its file system is included if it exists.

    Returns:
        `cpu`, `cpus` (those this process may use), `memory_bytes`, `architecture`, `kernel`,
        `system`, `clock_source`, `virtualisation`, `container`, `load_average_1_minute` (at the
        time of this call: what ran shortly before), `limits_source`, and if they exist
        `cpu_limit_cores`, `memory_limit_bytes` (of the cgroup; if `limits_source` is `cgroup`, a
        missing one is not set) and `filesystem`.
    """
    found: dict[str, Any] = {
        "cpu": cpu_model(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "architecture": platform.machine(),
        "kernel": f"{platform.system()} {platform.release()}",
        "system": _system(),
        "clock_source": clock_source(),
        "virtualisation": virtualisation(),
        "container": in_container(),
        "load_average_1_minute": round(os.getloadavg()[0], 2),
    }
    limits = {"cpu_limit_cores": cpu_limit_cores(), "memory_limit_bytes": memory_limit_bytes()}
    found |= {name: value for name, value in limits.items() if value is not None}
    seen = [folder for kind in ("cpu", "memory") for folder in cgroup_folders(kind)]
    found["limits_source"] = "cgroup" if any(folder.is_dir() for folder in seen) else "unknown"
    if folder is not None and folder.exists():
        found["filesystem"] = filesystem_of(folder)
    return found


@cache
def cpu_model() -> str:
    """Return the CPU's name as the kernel reports it."""
    text = _text(Path("/proc/cpuinfo"))
    match = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine()


def cpu_limit_cores() -> float | None:
    """Return the lowest CPU quota of this process's cgroup and those above, in cores, or None."""
    found = []
    for folder in cgroup_folders("cpu"):
        quota = _text(folder / "cpu.max").split()
        if not quota:
            quota = [_line(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
        if len(quota) == 2 and all(part.isdigit() for part in quota) and int(quota[1]):
            found.append(int(quota[0]) / int(quota[1]))
    return min(found, default=None)


def memory_limit_bytes() -> int | None:
    """Return the lowest memory limit of this process's cgroup and those above it, or None."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = []
    for folder in cgroup_folders("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _line(folder / name)
            if limit.isdigit() and int(limit) < physical:
                found.append(int(limit))
    return min(found, default=None)


def memory_used_bytes() -> int:
    """Return the memory that this process's cgroup uses, excluding reclaimable page cache."""
    for folder in cgroup_folders("memory"):
        for name, key in (
            ("memory.current", "inactive_file"),
            ("memory.usage_in_bytes", "total_inactive_file"),
        ):
            used = _line(folder / name)
            if used.isdigit():
                stat = dict(
                    line.split(" ", 1) for line in _text(folder / "memory.stat").splitlines()
                )
                return max(0, int(used) - int(stat.get(key, 0)))
    return 0


def clock_source() -> str:
    """Return the kernel's clock source, such as `tsc`; empty if the kernel doesn't report it."""
    folder = Path("/sys/devices/system/clocksource/clocksource0")
    return _line(folder / "current_clocksource")


def filesystem_of(folder: Path) -> str:
    """Return the type of the file system that `folder` is on, such as `ext4` or `tmpfs`."""
    folder = folder.resolve()
    mounts = {Path(each.mountpoint): each.fstype for each in psutil.disk_partitions(all=True)}
    return next((mounts[each] for each in (folder, *folder.parents) if each in mounts), "unknown")


@cache
def virtualisation() -> str:
    """Return the hypervisor as far as the kernel shows it without privileges, `none`, or
    `unknown`."""
    text = _text(Path("/proc/cpuinfo"))
    if platform.machine() in ("x86_64", "i686") and not re.search(
        r"^flags.* hypervisor", text, re.M
    ):
        return "none"
    product = _line(Path("/sys/class/dmi/id/sys_vendor")) or _line(Path("/sys/hypervisor/type"))
    return product or "unknown"


def in_container() -> bool:
    """Return whether this process seems to be in a container, by the traces of common runtimes."""
    marks = ("/.dockerenv", "/run/.containerenv", "/var/run/secrets/kubernetes.io")
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(Path(mark).exists() for mark in marks)


def python_build() -> str:
    """Return the interpreter's implementation, version and path, for `swarmrace doctor`."""
    return f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})"


@cache
def _system() -> str:
    match = re.search(r'^PRETTY_NAME="?([^"\n]+)', _text(Path("/etc/os-release")), re.MULTILINE)
    return match[1] if match else platform.system()


def _line(path: Path) -> str:
    return _text(path).strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
