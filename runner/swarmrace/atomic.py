"""Writing files so that whoever reads them finds the old or the new content, never a part."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

TEMPORARY_PREFIX = ".part-"
"""Names of unfinished files begin so; a killed process may leave them, readers skip them."""


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`: a temporary file in the same folder, fsync, rename, fsync the folder.

    Makes the folder if it isn't there. When it returns, the content is on disk.

    Raises:
        OSError: it can't be written; `path` is then as it was.
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
    """Rename a finished, fsynced file to its name and make the renaming itself durable.

    Raises:
        OSError: it can't be renamed; `temporary` is then removed.
    """
    try:
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
