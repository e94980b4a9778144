"""What an operating system's error says about the machine, and the state of a disk.

Three kinds matter to a race. A *full* disk may be the entrant's own fault (`peer.blame` decides). A
*broken* disk (read-only, I/O errors, gone) never is. A *scarce* resource (descriptors, memory,
processes) is the machine's fault as long as the entrant stays within what it declares to need.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No room: blocks or inodes, a quota, a limit on file sizes."""

BROKEN = frozenset(
    {
        errno.EROFS,
        errno.EIO,
        errno.ESTALE,
        errno.ENODEV,
        errno.ENXIO,
        errno.ENOTCONN,  # a FUSE file system whose server has ended
        errno.ESHUTDOWN,
        getattr(errno, "EUCLEAN", errno.EIO),  # ext4 and xfs: the file system is damaged
    }
)
"""The storage itself fails."""

SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOLCK})
"""Descriptors, memory, processes or threads (fork answers EAGAIN), locks."""

_NAMES = {
    errno.ENOSPC: "no space left",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the limit on file sizes is reached",
    errno.EROFS: "the file system is read-only",
    errno.EIO: "the disk has input/output errors",
    errno.EMFILE: "this process can't open more files",
    errno.ENFILE: "the machine can't open more files",
    errno.ENOMEM: "out of memory",
    errno.EAGAIN: "no more processes or threads can be started",
}
_WHAT_TO_DO = {
    errno.EDQUOT: "remove files of this user, or have the quota raised",
    errno.EFBIG: "raise the limit (`ulimit -f`)",
    errno.EMFILE: "raise the limit (`ulimit -n`)",
    errno.ENFILE: "raise fs.file-max, or end programs that hold many files open",
    errno.ENOMEM: "race fewer peers, or give the machine more memory",
    errno.EAGAIN: "raise the limit of processes (`ulimit -u`, pids.max of the cgroup)",
}
FULL_BYTES = 1_000_000
"""A disk with less free space than this counts as full."""


def number_of(error: BaseException) -> int | None:
    """Return the errno of the machine's failure behind an exception, or None.

    Looks along the chain of causes; `MemoryError` and "can't start new thread" have numbers too.
    """
    for each in _chain(error):
        if isinstance(each, MemoryError):
            return errno.ENOMEM
        if isinstance(each, RuntimeError) and "can't start new thread" in str(each):
            return errno.EAGAIN
        number: int | None = getattr(each, "number", None)  # `TransferError`
        if isinstance(each, OSError):
            number = each.errno
            # A socket's EAGAIN and ENOTCONN are no failures: only those of fork and files count.
            if isinstance(each, ConnectionError) or _is_from_socket(each):
                number = None
        if number in FULL | BROKEN | SCARCE:
            return number
    return None


def describe(number: int, where: Path | str = "") -> str:
    """Return one human-readable line: what is wrong, where, and what to do."""
    what = _NAMES.get(number, os.strerror(number))
    place = f"{where}: " if where else ""
    todo = _WHAT_TO_DO.get(number, "make room" if number in FULL else "repair or replace the disk")
    return f"{place}{what}; {todo}"


def disk_trouble(folder: Path, *, room: bool = True) -> str:
    """Return what is wrong with the disk that `folder` is on, or an empty string.

    Detects a missing folder, a read-only file system, no space and no inodes, without writing.

    Args:
        folder: the folder to be written to.
        room: whether too little space counts.
    """
    try:
        found = os.statvfs(folder)
    except FileNotFoundError:
        return f"{folder}: the folder was removed; give a folder that no other program clears"
    except OSError as error:
        return describe(error.errno or errno.EIO, folder)
    if found.f_flag & os.ST_RDONLY:
        return describe(errno.EROFS, folder)
    if found.f_files and not found.f_favail:
        return f"{folder}: no inodes left; remove files there"
    if room and found.f_bavail * found.f_frsize < FULL_BYTES:
        return describe(errno.ENOSPC, folder)
    return ""


def is_full(folder: Path) -> bool:
    """Return whether the disk of `folder` can be written but has no space, or no inodes, left."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    no_inodes = bool(found.f_files) and not found.f_favail
    no_room = found.f_bavail * found.f_frsize < FULL_BYTES
    return not found.f_flag & os.ST_RDONLY and (no_inodes or no_room)


def free(folder: Path) -> tuple[int, int | None]:
    """Return the free bytes and inodes for this user on the file system of `folder`; None for
    inodes if the file system creates them on demand.

    Raises:
        OSError: the file system can't be queried.
    """
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None


def used(folder: Path) -> tuple[int, int]:
    """Return the bytes on disk and the number of files below `folder`; zeros if there is none.
    Files removed meanwhile don't count."""
    size = count = 0
    folders = [folder]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                    count += 1
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
    return size, count


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__  # an error that only came before (`__context__`) is no cause


def _is_from_socket(error: OSError) -> bool:
    """Return whether an ambiguous error came from a socket: then it names no file."""
    return error.errno == errno.ENOTCONN and error.filename is None
