"""What /proc/PID/stat says of a process. Only the standard library: the janitor imports it."""

from __future__ import annotations

from pathlib import Path

STARTED = 22
"""The field with the start of a process, in clock ticks since boot."""
_STATE = 3
_FIRST = 3
"""The field after the command's name, which may itself hold spaces and parentheses."""


def field_of(pid: int, number: int) -> str | None:
    """Return a field of /proc/PID/stat, numbered as in proc(5) from 3 on; None when the process is
    gone."""
    fields = _fields(pid)
    return fields[number - _FIRST] if fields else None


def start_ticks(pid: int) -> str | None:
    """Return when a process started, in clock ticks since boot, or None when it has ended (a zombie
    has). With the pid it names one process: a reused pid has another start."""
    fields = _fields(pid)
    return fields[STARTED - _FIRST] if fields and fields[_STATE - _FIRST] not in "ZX" else None


def _fields(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
