from __future__ import annotations

import errno
import os

import pytest

from small_disks import fill, needs_root, small_disk
from swarmrace.errors import KilledForMemoryError, Reason
from swarmrace.peer.blame import DeclaredNeeds
from swarmrace.recording.records import Failure
from swarmrace.scenario.loading import parse

SIZE = 1_000_000


def declared(folder, *, peers=3, seeder=False, kind="http") -> DeclaredNeeds:
    race = {"swarmSize": peers, "seeders": 1, "fileSize": SIZE}
    scenario = parse({"global": {"race": race, "entrants": {"x": {"kind": kind}}}})
    for peer in range(peers):
        (folder / f"x-{peer}").mkdir(parents=True, exist_ok=True)
    return DeclaredNeeds(scenario, "x", folder / "x-1", seeder)


def reported(reason: Reason) -> Failure:
    return Failure(reason=reason, stage="race", detail="as the system reports it")


FULL = reported(Reason.DISK_FULL)
NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


def hold(folder, size_bytes):
    folder.mkdir(exist_ok=True)
    (folder / "payload").write_bytes(os.urandom(size_bytes))


@needs_root
def test_a_disk_that_others_filled(tmp_path):
    with small_disk(tmp_path / "disk", "size=40m") as disk:
        judge = declared(disk).blame
        hold(disk / "x-1" / "run", SIZE)
        fill(disk)
        for failure, error in [
            (FULL, NO_SPACE),
            (FULL, None),  # taken from a node's last words
            (reported(Reason.STALL), None),  # a node without last words hangs
            (reported(Reason.NODE_DIED), None),
        ]:
            found = judge(failure, error)
            assert found.reason is Reason.INFRASTRUCTURE, failure
            assert found.stage == "race"
            assert "other programs filled it" in found.detail
            assert "--work-dir" in found.detail


@needs_root
def test_a_disk_that_the_entrant_filled_itself(tmp_path):
    """What the entrant's other peers on the machine hold counts too."""
    with small_disk(tmp_path / "disk", "size=40m") as disk:
        judge = declared(disk).blame
        for peer in range(3):
            hold(disk / f"x-{peer}" / "system", 12_000_000)
        fill(disk)
        for failure, error in [(FULL, NO_SPACE), (FULL, None), (reported(Reason.STALL), None)]:
            assert judge(failure, error) == failure


@needs_root
def test_another_entrants_leftovers_are_the_machines_fault(tmp_path):
    with small_disk(tmp_path / "disk", "size=40m") as disk:
        judge = declared(disk).blame
        hold(disk / "y-1", 38_000_000)
        fill(disk)
        assert judge(FULL, NO_SPACE).reason is Reason.INFRASTRUCTURE


@needs_root
def test_a_quota_of_the_program_is_the_entrants_failure(tmp_path):
    """There is room for all it declares, and the operating system raised no error."""
    with small_disk(tmp_path / "disk", "size=90m") as disk:
        assert declared(disk).blame(FULL, None) == FULL
        assert declared(disk).blame(reported(Reason.STALL), None) == reported(Reason.STALL)


@needs_root
@pytest.mark.parametrize(("own_files", "reason"), [(5, "infrastructure"), (9000, "stall")])
def test_inodes_are_judged_as_bytes_are(tmp_path, own_files, reason):
    with small_disk(tmp_path / "disk", "size=90m,nr_inodes=9100") as disk:
        judge = declared(disk).blame
        for number in range(own_files):
            (disk / "x-1" / str(number)).touch()
        for number in range(os.statvfs(disk).f_favail):
            (disk / str(number)).touch()
        found = judge(reported(Reason.STALL), None)
        assert found.reason == reason
        if own_files == 5:
            assert "no inodes left" in found.detail


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.EAGAIN, errno.ENFILE])
def test_an_error_that_no_entrant_can_cause(tmp_path, number):
    found = declared(tmp_path).blame(reported(Reason.INTERNAL), OSError(number, "x"))
    assert found.reason is Reason.INFRASTRUCTURE


def test_a_removed_work_folder(tmp_path):
    judge = declared(tmp_path).blame
    (tmp_path / "x-1").rmdir()
    found = judge(reported(Reason.INTERNAL), FileNotFoundError(errno.ENOENT, "x", "payload.bin"))
    assert found.reason is Reason.INFRASTRUCTURE
    assert "was removed" in found.detail


def test_more_open_files_than_a_peer_should_need_are_its_own_failure(tmp_path, monkeypatch):
    many = OSError(errno.EMFILE, "x")
    failure = reported(Reason.INTERNAL)
    monkeypatch.setattr("resource.getrlimit", lambda _: (1_000_000, 1_000_000))
    assert declared(tmp_path).blame(failure, many) == failure
    monkeypatch.setattr("resource.getrlimit", lambda _: (64, 64))
    assert declared(tmp_path).blame(failure, many).reason is Reason.INFRASTRUCTURE


def test_a_failure_that_the_machine_did_not_cause_stays(tmp_path):
    judge = declared(tmp_path).blame
    for failure in (
        reported(Reason.REFUSED),
        reported(Reason.WRONG_BYTES),
        reported(Reason.TIMEOUT),
    ):
        assert judge(failure, ValueError("x")) == failure


@pytest.mark.parametrize(
    ("kind", "used_bytes", "reason"),
    [
        ("codex", 200_000_000, Reason.INFRASTRUCTURE),
        ("codex", 400_000_000, Reason.OUT_OF_MEMORY),
        ("http", 200_000_000, Reason.OUT_OF_MEMORY),
        ("http", None, Reason.INFRASTRUCTURE),
    ],
)
def test_a_kill_for_memory_is_judged_by_what_the_kind_declares(tmp_path, kind, used_bytes, reason):
    """The exit status doesn't show a kill for memory: a crashed node also ends by a signal."""
    error = KilledForMemoryError("the node was killed", used_bytes)
    found = declared(tmp_path, kind=kind).blame(reported(Reason.NODE_DIED), error)
    assert (found.reason, found.stage) == (reason, "race")
    assert found.detail.startswith("the node was killed")
    if used_bytes is not None:
        assert "that x declares to need for each peer" in found.detail


@needs_root
def test_what_other_peers_hold_on_other_disks_does_not_count(tmp_path):
    made = declared(tmp_path)
    with small_disk(tmp_path / "x-1", "size=4m") as disk:
        for peer in (0, 2):
            hold(tmp_path / f"x-{peer}" / "run", 40_000_000)
        hold(disk / "run", 3_500_000)
        found = DeclaredNeeds(made.scenario, "x", disk, False).blame(FULL, NO_SPACE)
    assert found.reason is Reason.INFRASTRUCTURE, "a disk of 4 MB is too small for it"
    assert "x uses 3.5" in found.detail
