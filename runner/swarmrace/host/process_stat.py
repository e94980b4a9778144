"""A reader of /proc/PID/stat. Only uses the standard library, because the janitor imports it."""

from __future__ import annotations

from pathlib import Path

STARTED = 22
"""Number of the field with a process's start, in clock ticks since boot."""
_STATE = 3
_FIRST = 3
"""Number of the first field after the command's name, which may contain spaces and parentheses."""


def field_of(pid: int, number: int) -> str | None:
    """Return a field of /proc/PID/stat, numbered as in proc(5) from 3 on; None if the process has
    ended."""
    fields = _fields(pid)
    return fields[number - _FIRST] if fields else None


def start_ticks(pid: int) -> str | None:
    """Return when a process started, in clock ticks since boot, or None if it has ended (a zombie
    has). Together with the pid it identifies a process: a reused pid has another start."""
    fields = _fields(pid)
    return fields[STARTED - _FIRST] if fields and fields[_STATE - _FIRST] not in "ZX" else None


def _fields(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
