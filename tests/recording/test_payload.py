"""The payload: known answers, any range, and the same content however it is read."""

from __future__ import annotations

import errno
import hashlib
import resource
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmrace.recording.payload import Payload, file_sha256

MIB = 1 << 20


def test_known_answer():
    """Computed by another program: `openssl enc -aes-256-ctr` over zeros, with the key
    `printf swarmrace | sha256sum` and the first counter 0."""
    payload = Payload("swarmrace", 1_000_003)
    assert (
        payload.read(0, 32).hex()
        == "bb0f6e0b32cac0009bf6cc1a0e58b4443f99301dc2448dad773a337b25b19e17"
    )
    assert payload.sha256() == "80bd2f9939e9fb260676db4e373cda35675d04afc95734ddb096d52810015c21"


def test_known_answer_at_the_end_of_five_gigabytes():
    """By the same program, with the first counter (5 * 10^9 - 16) / 16."""
    payload = Payload("swarmrace", 5_000_000_000)
    assert payload.read(5_000_000_000 - 16, 100).hex() == "07e2d4a252e557b12bb3d17b74b97116"


WHOLE = Payload("ranges", MIB + 77)
WHOLE_BYTES = b"".join(bytes(chunk) for chunk in WHOLE.chunks())


@given(
    offset=st.integers(0, MIB + 200) | st.integers(MIB - 40, MIB + 90),
    length=st.integers(0, 100) | st.integers(0, MIB + 200),
)
def test_any_range_equals_a_slice_of_the_whole(offset, length):
    assert WHOLE.read(offset, length) == WHOLE_BYTES[offset : offset + length]


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1)])
def test_negative_ranges_are_refused(offset, length):
    with pytest.raises(ValueError, match="negative"):
        WHOLE.read(offset, length)


@settings(max_examples=20)
@given(size=st.integers(0, 5) | st.sampled_from([MIB - 1, MIB, MIB + 1, 4 * MIB, 9 * MIB + 13]))
def test_payloads_of_all_sizes_have_the_same_beginning(size):
    payload = Payload("sizes", size)
    data = b"".join(bytes(chunk) for chunk in payload.chunks())
    assert len(data) == size
    assert data == Payload("sizes", 9 * MIB + 13).read(0, size)
    assert payload.sha256() == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 4 * MIB, 11 * MIB + 3])
def test_the_written_file_is_the_payload(tmp_path, size):
    """11 MiB use the ring of buffers more than twice."""
    payload, path = Payload("files", size), tmp_path / "file"
    path.write_bytes(b"longer than what is to be written" * 400_000)
    sha256 = payload.write(path)
    data = path.read_bytes()
    assert data == payload.read(0, size)
    assert sha256 == hashlib.sha256(data).hexdigest() == file_sha256(path) == payload.sha256()


def test_payloads_of_two_seeds_have_nothing_in_common():
    assert Payload("1/1/0/a", 1000).read(0, 1000) != Payload("1/1/0/b", 1000).read(0, 1000)


def test_a_full_disk_is_an_error_and_leaves_no_thread():
    """In a separate process whose files may have at most 3 MiB: RLIMIT_FSIZE raises EFBIG."""
    code = """
import resource, sys, tempfile, threading, pathlib
from swarmrace.recording.payload import Payload
resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))
with tempfile.TemporaryDirectory() as folder:
    try:
        Payload("full", 20 << 20).write(pathlib.Path(folder) / "file")
    except OSError as error:
        print(error.errno, threading.active_count())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == [str(errno.EFBIG), "1"], done.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    assert threading.active_count() >= 1
