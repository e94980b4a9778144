"""A file is replaced completely or not at all."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from swarmrace import atomic


def test_a_write_makes_its_folders_and_leaves_no_other_file(tmp_path):
    path = tmp_path / "a" / "b" / "file.json"
    atomic.write_bytes(path, b"one")
    atomic.write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("broken", ["fsync", "rename"])
def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path, monkeypatch, broken):
    path = tmp_path / "file"
    atomic.write_bytes(path, b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    if broken == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        atomic.write_bytes(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def _write_for_ever(path: Path) -> None:
    number = 0
    while True:
        number += 1
        atomic.write_bytes(path, str(number % 10).encode() * 200_000)


def test_readers_never_see_a_part_and_a_kill_leaves_a_whole_file(tmp_path):
    path = tmp_path / "file"
    atomic.write_bytes(path, b"0" * 200_000)
    writer = multiprocessing.get_context("fork").Process(target=_write_for_ever, args=(path,))
    writer.start()
    seen = set()
    try:
        while len(seen) < 5:
            data = path.read_bytes()
            assert len(data) == 200_000
            assert len(set(data)) == 1
            seen.add(data[0])
    finally:
        writer.kill()
        writer.join()
    assert len(set(path.read_bytes())) == 1
    left = [p for p in tmp_path.iterdir() if p != path]
    assert all(p.name.startswith(atomic.TEMPORARY_PREFIX) for p in left)
    assert len(left) <= 1
