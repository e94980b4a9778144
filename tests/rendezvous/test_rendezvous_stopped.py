"""A race on a machine that fails: what is missing, what is reported, when it stops."""

from __future__ import annotations

import asyncio
import errno

import pytest

from meeting import UP_TO_RACED, Meeting, result, scenario, served_race
from small_disks import fill, needs_root, small_disk
from swarmrace.definitions import BARRIERS
from swarmrace.errors import Exit, Reason
from swarmrace.recording.records import Failure, RaceInfo
from swarmrace.rendezvous import trouble
from swarmrace.rendezvous.client.calls import StoppedError
from swarmrace.rendezvous.trouble import RESERVE_FILE, Trouble


def no_space(stage: str = "race") -> Failure:
    return Failure(reason=Reason.INFRASTRUCTURE, stage=stage, detail="no space left")


def head(folder) -> RaceInfo:
    return RaceInfo.model_validate_json((folder / "race.json").read_bytes())


def race_with_full_disk(race: Meeting, run: int) -> None:
    """Race a run in which one leecher's disk is full."""
    race.all_pass(*BARRIERS[1:5], run=run)
    assert not race.arrive(1, "raced", no_space(), run=run).go
    race.arrive(2, "raced", run=run)
    race.arrive(0, "raced", run=run)
    race.all_pass("cleared", run=run)


def test_a_failure_of_one_peers_machine_ends_the_run_for_all_and_it_is_missing(tmp_path):
    race = Meeting(tmp_path, scenario(repetitions=3))
    race.assemble()
    race.all_pass(*BARRIERS[1:5])
    race.arrive(1, "raced", no_space())
    found = race.conductor.heartbeat(race.conductor.roster.known("a", 2), race.runs[0].id, "", 0)
    assert found.aborted == Failure(
        reason=Reason.INFRASTRUCTURE, stage="race", detail="peer 1: no space left"
    )
    race.all_pass("cleared")
    assert race.written().status == "aborted"
    assert race.written().failure.reason is Reason.INFRASTRUCTURE
    race.all_pass("open", *BARRIERS[1:], run=1)
    assert race.written(1).status == "raced", "the race continues if it can"


@pytest.mark.parametrize("barrier", [*UP_TO_RACED[:4], "cleared"])
def test_a_failure_of_the_machine_ends_the_run_at_any_barrier(tmp_path, barrier):
    race = Meeting(tmp_path, scenario(repetitions=2))
    race.assemble()
    for each in BARRIERS[1 : BARRIERS.index(barrier)]:
        race.all_pass(each)
    race.arrive(1, barrier, no_space("make"))
    for peer in (0, 1, 2):
        race.arrive(peer, "cleared")
    before = barrier != "cleared"
    assert race.written().status == ("not raced" if before else "aborted")
    assert race.written().failure.reason is Reason.INFRASTRUCTURE
    assert race.written().failure.stage == "make"


def test_two_runs_in_a_row_stop_the_race(tmp_path):
    race = Meeting(tmp_path, scenario(repetitions=6))
    race.assemble()
    race_with_full_disk(race, 0)
    race.all_pass(*BARRIERS[1:], run=1)
    race_with_full_disk(race, 2)
    race_with_full_disk(race, 3)
    assert race.conductor.over
    assert race.conductor.stopped == "peer 1: no space left"
    assert head(tmp_path).status == "stopped"
    assert head(tmp_path).stopped_by == "peer 1: no space left"
    for run in (4, 5):
        assert race.written(run).status == "not raced"
        assert race.written(run).failure.reason is Reason.INFRASTRUCTURE
    assert not (tmp_path / RESERVE_FILE).exists()
    race.restart()
    assert race.conductor.over
    assert head(tmp_path).status == "stopped", "also after a restart"


def test_a_peer_that_the_infrastructure_took_stops_the_race(tmp_path):
    race = Meeting(tmp_path, scenario(repetitions=2))
    race.assemble()
    race.all_pass(*BARRIERS[1:5])
    race.conductor.lose("a", 1, "out of memory", Reason.INFRASTRUCTURE)
    for peer in (0, 2):
        race.arrive(peer, "raced")
        race.arrive(peer, "cleared")
    assert race.written().status == "aborted"
    assert {race.written(run).failure.reason for run in (0, 1)} == {Reason.INFRASTRUCTURE}
    assert head(tmp_path).stopped_by == "peer 1 of a: out of memory"


def test_memory_that_the_entrant_used_up_itself_is_its_own_failure(tmp_path):
    race = Meeting(tmp_path, scenario(repetitions=2))
    race.assemble()
    race.all_pass(*BARRIERS[1:5])
    race.conductor.lose("a", 1, "out of memory", Reason.OUT_OF_MEMORY)
    for peer in (0, 2):
        race.arrive(peer, "raced")
        race.arrive(peer, "cleared")
    assert race.written().status == "raced"
    assert race.written_peer(1).failure.reason is Reason.OUT_OF_MEMORY
    assert not race.conductor.stopped


def test_a_suspended_machine_costs_the_run_in_flight(tmp_path):
    race = Meeting(tmp_path, scenario(repetitions=2))
    race.assemble()
    race.all_pass(*BARRIERS[1:5])
    race.conductor.end_run("the machine was suspended for 9.0 s")
    race.all_pass("cleared")
    assert race.written().failure.detail == "the machine was suspended for 9.0 s"
    race.all_pass("open", *BARRIERS[1:], run=1)
    assert head(tmp_path).status == "finished"


@needs_root
def test_a_disk_that_stays_full_stops_the_race_and_race_json_says_so(tmp_path, monkeypatch):
    with small_disk(tmp_path / "disk", "size=2m") as disk:
        race = Meeting(disk, scenario(repetitions=3))
        race.assemble()
        fill(disk)
        with pytest.raises(OSError, match="No space"):
            race.all_pass(*BARRIERS[1:])
        watched = race.store.trouble
        assert watched.text.endswith("no space left; make room"), "shown at once"
        assert watched.reason_to_stop() == "", "the race waits for space"
        monkeypatch.setattr(trouble, "PATIENCE_SECONDS", 0.0)
        race.conductor.stop(watched.reason_to_stop())
        for peer in range(3):
            race.arrive(peer, "cleared")
        assert race.conductor.over
        assert head(disk).status == "stopped"
        assert "no space left" in head(disk).stopped_by


def test_free_space_is_noticed_again(tmp_path):
    watched = Trouble(tmp_path)
    watched.note(OSError(errno.ENOSPC, "x"), "results")
    watched.attempt(lambda: None)
    assert watched.text, "a small record may fit where a result doesn't"
    watched.clear("results")
    assert (watched.text, watched.reason_to_stop()) == ("", "")


def test_a_removed_or_replaced_folder_is_never_written(tmp_path):
    folder = tmp_path / "results"
    race = Meeting(folder, scenario())
    race.assemble()
    folder.rename(tmp_path / "moved")
    for again in (False, True):
        if again:
            folder.mkdir()
        assert "removed or replaced" in race.store.trouble.reason_to_stop()
        with pytest.raises(FileNotFoundError):
            race.store.write_info()
    assert list(folder.iterdir()) == []


def test_an_upload_after_the_stop_is_refused(tmp_path):
    async def story():
        async with served_race(tmp_path / "data", scenario()) as at:
            clients = await at.clients()
            (tmp_path / "data").rename(tmp_path / "moved")
            at.rendezvous._check_machine()
            with pytest.raises(StoppedError, match="removed or replaced") as caught:
                await clients[0].put_result(result(at.runs[0], 0), {})
            assert caught.value.exit_code == Exit.INFRASTRUCTURE == 11
            assert (await clients[0].status())["stopped"]

    asyncio.run(story())
