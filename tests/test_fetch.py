"""A results folder travels whole or not at all."""

from __future__ import annotations

import io
import tarfile

import pytest

from swarmrace.errors import ResultsError
from swarmrace.fetch import SUMS, archive, unpack


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "data"
    (folder / "runs" / "000-a").mkdir(parents=True)
    (folder / "race.json").write_text('{"raceId": "0123456789"}')
    (folder / "state.json").write_text("{}")
    (folder / "runs" / "000-a" / "a-0.arrivals.npz").write_bytes(bytes(range(256)) * 500)
    (folder / "runs" / "000-a" / ".half-written").write_bytes(b"x")
    return folder


@pytest.fixture
def stream(folder):
    out = io.BytesIO()
    archive(folder, out)
    out.seek(0)
    return out


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def test_round_trip_leaves_out_what_is_private(folder, stream, tmp_path):
    unpack(stream, tmp_path / "there" / "results")
    arrived = files(tmp_path / "there" / "results")
    sent = files(folder)
    assert set(arrived) == {"race.json", "runs/000-a/a-0.arrivals.npz"}
    assert all(sent[name] == data for name, data in arrived.items())


@pytest.mark.parametrize("cut", [0, 100, 60_000, -11_000])
def test_a_stream_cut_short_leaves_nothing(stream, tmp_path, cut):
    short = io.BytesIO(stream.getvalue()[:cut])
    with pytest.raises(ResultsError, match=r"cut short|damaged"):
        unpack(short, tmp_path / "there")
    assert not (tmp_path / "there").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_a_changed_byte_is_found(stream, tmp_path):
    data = bytearray(stream.getvalue())
    data[data.index(bytes(range(256))) + 7] ^= 1
    with pytest.raises(ResultsError, match=r"a-0.arrivals.npz did not arrive whole"):
        unpack(io.BytesIO(bytes(data)), tmp_path / "there")


def test_never_writes_outside_its_folder(tmp_path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo("../evil")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    out.seek(0)
    with pytest.raises(ResultsError):
        unpack(out, tmp_path / "there")
    assert not (tmp_path / "evil").exists()


def test_an_existing_folder_is_kept(stream, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").write_text("x")
    with pytest.raises(ResultsError, match="exists already"):
        unpack(stream, tmp_path / "there")
    assert (tmp_path / "there" / "mine").read_text() == "x"


def test_no_race_no_archive(tmp_path):
    with pytest.raises(ResultsError, match=r"no race\.json"):
        archive(tmp_path, io.BytesIO())


def test_the_sums_are_what_sha256sum_reads(stream):
    with tarfile.open(fileobj=stream) as tar:
        last = tar.getmembers()[-1]
        assert last.name == SUMS
        lines = tar.extractfile(last).read().decode().splitlines()
    assert len(lines) == 2
    assert all(len(line.split("  ")[0]) == 64 for line in lines)
