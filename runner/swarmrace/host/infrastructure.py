"""What an operating system's error says of the machine, and the state of a disk.

Three kinds matter to a race. A *full* disk may be the entrant's own doing (`peer.blame` decides).
A *broken* one (read-only, I/O errors, gone) never is. What is *scarce* (descriptors, memory,
processes) is the machine's as long as the entrant stays within what it declares to need.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No room: blocks or inodes, a quota, a limit of the file's size."""

BROKEN = frozenset(
    {
        errno.EROFS,
        errno.EIO,
        errno.ESTALE,
        errno.ENODEV,
        errno.ENXIO,
        errno.ENOTCONN,  # a FUSE file system whose server is gone
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
    errno.EFBIG: "the limit of a file's size is reached",
    errno.EROFS: "the file system is read-only",
    errno.EIO: "the disk answers with input/output errors",
    errno.EMFILE: "this process may open no more files",
    errno.ENFILE: "the machine may open no more files",
    errno.ENOMEM: "out of memory",
    errno.EAGAIN: "no further process or thread may be started",
}
_WHAT_TO_DO = {
    errno.EDQUOT: "remove files of this user, or have the quota raised",
    errno.EFBIG: "raise the limit (`ulimit -f`)",
    errno.EMFILE: "raise the limit (`ulimit -n`)",
    errno.ENFILE: "raise fs.file-max, or end what holds so many files open",
    errno.ENOMEM: "race fewer peers, or give the machine more memory",
    errno.EAGAIN: "raise the limit of processes (`ulimit -u`, pids.max of the cgroup)",
}
FULL_BYTES = 1_000_000
"""A disk with less room than this is full, whatever the error said."""


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
            # A socket's EAGAIN and ENOTCONN are nobody's fault: only fork's and files' count.
            if isinstance(each, ConnectionError) or _of_a_socket(each):
                number = None
        if number in FULL | BROKEN | SCARCE:
            return number
    return None


def describe(number: int, where: Path | str = "") -> str:
    """Return one line for a person: what is wrong, where, and what to do."""
    what = _NAMES.get(number, os.strerror(number))
    place = f"{where}: " if where else ""
    todo = _WHAT_TO_DO.get(number, "make room" if number in FULL else "repair or replace the disk")
    return f"{place}{what}; {todo}"


def disk_trouble(folder: Path, *, room: bool = True) -> str:
    """Return what is wrong with the disk that `folder` is on, or an empty string.

    Finds: the folder is gone, the file system read-only, no space, no inodes. It doesn't write.

    Args:
        folder: it or one in it is to be written.
        room: whether too little space counts.
    """
    try:
        found = os.statvfs(folder)
    except FileNotFoundError:
        return f"{folder}: the folder was removed; give a folder that nobody else clears"
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
    """Whether the disk of `folder` can be written but has no room, or no inodes, left."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    no_inodes = bool(found.f_files) and not found.f_favail
    no_room = found.f_bavail * found.f_frsize < FULL_BYTES
    return not found.f_flag & os.ST_RDONLY and (no_inodes or no_room)


def free(folder: Path) -> tuple[int, int | None]:
    """Return the bytes and the inodes that this user can still have where `folder` is; None for
    inodes where the file system makes them as it goes.

    Raises:
        OSError: it can't be asked.
    """
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None


def used(folder: Path) -> tuple[int, int]:
    """Return the bytes on disk and the number of files below `folder`. What goes meanwhile is not
    counted; 0 where there is no such folder."""
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
        at = at.__cause__  # what merely went before (`__context__`) explains nothing


def _of_a_socket(error: OSError) -> bool:
    """Whether an error that has two meanings came from a socket: then no file is named."""
    return error.errno == errno.ENOTCONN and error.filename is None
