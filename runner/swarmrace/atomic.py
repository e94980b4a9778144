"""Atomic writes: a reader finds the old content or the new, never a part."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

PROBE_PREFIX = ".swarmrace-"
"""Prefix of an empty folder that shows whether another one can be written; a killed process may
leave one."""

TEMPORARY_PREFIX = ".part-"
"""Prefix of unfinished files: a killed process may leave some, and readers skip them."""


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically and durably; make the folder if it doesn't exist.

    It writes a temporary file in the same folder, fsyncs it, renames it, and fsyncs the folder.

    Raises:
        OSError: the file can't be written; `path` is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    try:
        with open(handle, "wb") as file:  # noqa: PTH123 (a descriptor, not a path)
            os.fchmod(handle, 0o644)
            file.write(data)
            file.flush()
            os.fsync(handle)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    commit(Path(name), path)


def commit(temporary: Path, path: Path) -> None:
    """Rename a finished, fsynced file to `path` and fsync the folder.

    Raises:
        OSError: the file can't be renamed; `temporary` has been removed.
    """
    try:
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of entries to disk.

    Raises:
        OSError: it can't be flushed.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
