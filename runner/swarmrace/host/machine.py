"""What a result must say of where it was measured: versions and the machine.

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
from importlib import metadata
from pathlib import Path
from typing import Any

import swarmrace
from swarmrace import __version__
from swarmrace.host.usage import cgroup_folders

COMMIT_VARIABLE = "SWARMRACE_COMMIT"
"""Set in images: the commit they were built from."""
PACKAGES = ("httpx", "httptools", "starlette", "uvicorn", "uvloop", "numpy", "scipy")
"""Packages of every race whose version could show in a figure."""


def versions(packages: Iterable[str] = ()) -> dict[str, str]:
    """Return the versions of swarmrace, Python, the kernel, `PACKAGES` and further packages; those
    that aren't installed are left out."""
    found = {
        "swarmrace": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
    }
    for name in (*packages, *PACKAGES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Return the commit of the running code: what an image was built from, what `git describe`
    says of a checkout (`-dirty` with changes), what pip recorded of a repository it installed from;
    otherwise `unknown`."""
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
        folder: where payloads will lie; its file system is told, when it exists.

    Returns:
        `cpu`, `cpus` (those this process may use), `memory_bytes`, `architecture`, `kernel`,
        `system`, `clock_source`, `virtualisation`, `container`, `load_average_1_minute` (as this
        is called: what ran beside it shortly before), and where there are any
        `cpu_limit_cores`, `memory_limit_bytes` (cgroup; where `limits_source` is `cgroup` an
        absent one is not set), `filesystem`.
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


def cpu_model() -> str:
    """Return the CPU's name as the kernel tells it."""
    text = _text(Path("/proc/cpuinfo"))
    match = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine()


def cpu_limit_cores() -> float | None:
    """Return the cgroup's CPU quota in cores, the tightest at or above the own, or None."""
    found = []
    for folder in cgroup_folders("cpu"):
        quota = _text(folder / "cpu.max").split()
        if not quota:
            quota = [_line(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
        if len(quota) == 2 and all(part.isdigit() for part in quota) and int(quota[1]):
            found.append(int(quota[0]) / int(quota[1]))
    return min(found, default=None)


def memory_limit_bytes() -> int | None:
    """Return the cgroup's memory limit, the tightest at or above the own, or None."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = []
    for folder in cgroup_folders("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _line(folder / name)
            if limit.isdigit() and int(limit) < physical:
                found.append(int(limit))
    return min(found, default=None)


def memory_used_bytes() -> int:
    """Return what the own cgroup uses of its memory limit, page cache that can go left out."""
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
    """Return what the kernel's clocks read, such as `tsc`; empty where it isn't told."""
    folder = Path("/sys/devices/system/clocksource/clocksource0")
    return _line(folder / "current_clocksource")


def filesystem_of(folder: Path) -> str:
    """Return the type of the file system that `folder` is on, such as `ext4` or `tmpfs`."""
    target = str(folder.resolve())
    best, kind = "", "unknown"
    for line in _text(Path("/proc/self/mountinfo")).splitlines():
        left, _, right = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), left.split(" ")[4])
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split(" ")[0]
    return kind


def virtualisation() -> str:
    """Return the hypervisor as far as it is told for nothing, `none`, or `unknown`."""
    text = _text(Path("/proc/cpuinfo"))
    if platform.machine() in ("x86_64", "i686") and not re.search(
        r"^flags.* hypervisor", text, re.M
    ):
        return "none"
    product = _line(Path("/sys/class/dmi/id/sys_vendor")) or _line(Path("/sys/hypervisor/type"))
    return product or "unknown"


def in_container() -> bool:
    """Return whether this process seems to be in a container, by the marks that runtimes leave."""
    marks = ("/.dockerenv", "/run/.containerenv", "/var/run/secrets/kubernetes.io")
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(Path(mark).exists() for mark in marks)


def python_build() -> str:
    """Return the interpreter's implementation, version and path, for `swarmrace doctor`."""
    return f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})"


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
