from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from small_disks import fill, needs_root, small_disk
from swarmrace.errors import Reason, TransferError
from swarmrace.host import infrastructure


def caused_by(cause: BaseException) -> BaseException:
    try:
        raise ValueError("what a library makes of it") from cause
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.ENOSPC, "x"), errno.ENOSPC),
        (OSError(errno.EDQUOT, "x"), errno.EDQUOT),
        (OSError(errno.EIO, "x"), errno.EIO),
        (OSError(errno.EROFS, "x"), errno.EROFS),
        (BlockingIOError(errno.EAGAIN, "fork"), errno.EAGAIN),
        (MemoryError(), errno.ENOMEM),
        (RuntimeError("can't start new thread"), errno.EAGAIN),
        (TransferError(Reason.DISK_FULL, "x", errno.ENOSPC), errno.ENOSPC),
        (caused_by(OSError(errno.EMFILE, "x")), errno.EMFILE),
        (caused_by(caused_by(OSError(errno.ENOSPC, "x"))), errno.ENOSPC),
        (ConnectionResetError(errno.ECONNRESET, "x"), None),
        (OSError(errno.ENOTCONN, "a socket's"), None),
        (OSError(errno.ENOTCONN, "a file system's", "/mnt/x"), errno.ENOTCONN),
        (PermissionError(errno.EACCES, "x"), None),
        (FileNotFoundError(errno.ENOENT, "x"), None),
        (RuntimeError("anything else"), None),
        (TransferError(Reason.REFUSED, "x"), None),
    ],
)
def test_errors_of_the_machine(error, number):
    assert infrastructure.number_of(error) == number
    if number is not None:
        line = infrastructure.describe(number, Path("/data"))
        assert "\n" not in line
        assert "; " in line, "what to do is expected"


def test_an_error_that_only_came_before_is_no_cause():
    def fails():
        try:
            raise OSError(errno.ENOSPC, "handled")
        except OSError:
            raise ValueError("another matter")  # noqa: B904 (as it happens in libraries)

    with pytest.raises(ValueError, match="another matter") as caught:
        fails()
    assert infrastructure.number_of(caught.value) is None


def test_a_real_limit_on_open_files():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    code = (
        "import os, resource\n"
        "from swarmrace.host import infrastructure\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (40, {hard}))\n"
        "try:\n"
        "    files = [open('/dev/null') for _ in range(99)]\n"
        "except OSError as error:\n"
        "    print(infrastructure.describe(infrastructure.number_of(error)), flush=True)\n"
        "    os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "this process can't open more files; raise the limit (`ulimit -n`)\n"


def test_a_removed_folder(tmp_path):
    trouble = infrastructure.disk_trouble(tmp_path / "x")
    assert trouble.endswith("give a folder that no other program clears")


@needs_root
@pytest.mark.parametrize(
    ("options", "spoil", "expected"),
    [
        ("size=4m", fill, "no space left; make room"),
        ("size=4m,nr_inodes=9", lambda f: [(f / str(i)).touch() for i in range(8)], "no inodes"),
        ("size=4m,ro", lambda f: None, "the file system is read-only; repair"),
        ("size=4m", lambda f: None, ""),
    ],
)
def test_the_state_of_a_real_disk(tmp_path, options, spoil, expected):
    with small_disk(tmp_path / "disk", options) as folder:
        spoil(folder)
        found = infrastructure.disk_trouble(folder)
        assert expected in found
        assert bool(found) == bool(expected)


def test_disk_usage_of_a_folder(tmp_path):
    assert infrastructure.used(tmp_path / "nothing") == (0, 0)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(os.urandom(100_000))
    size, files = infrastructure.used(tmp_path)
    assert files == 2
    assert size >= 100_000
