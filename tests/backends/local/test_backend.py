"""Parts of the local backend that whole races don't exercise on purpose."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import threading

import psutil
import pytest

from patience import PATIENCE_SECONDS
from swarmrace.backends.local import backend, processes
from swarmrace.backends.local.backend import LocalRace, _uninterrupted, run
from swarmrace.backends.local.endings import all_ended
from swarmrace.scenario.loading import parse


def test_a_rendezvous_that_hangs_is_restarted(tmp_path, monkeypatch):
    """It runs but doesn't answer, here because of SIGSTOP; a hanging network disk does the same."""
    patience, end = backend._HANG_SECONDS, backend._Backend._end_rendezvous

    def end_once(self):
        end(self)
        backend._HANG_SECONDS = patience  # on a busy machine the next one takes longer to start

    monkeypatch.setattr(backend, "_HANG_SECONDS", patience)
    monkeypatch.setattr(backend._Backend, "_end_rendezvous", end_once)
    race = {"swarmSize": 2, "seeders": 1, "fileSize": "1MB", "repetitions": 2}
    entrants = {"a": {"kind": "synthetic", "curve": [[0, 0], [1, 1]]}}
    local = LocalRace(parse({"global": {"race": race, "entrants": entrants}}), "hangs", tmp_path)
    stopped: list[int] = []

    def watch(status):
        if not stopped and any(peer["stage"] == "race" for peer in status["peers"]):
            family = psutil.Process().children(recursive=True)
            stopped.extend(each.pid for each in family if each.name() == "rendezvous")
            os.kill(stopped[0], signal.SIGSTOP)
            backend._HANG_SECONDS = 1.0

    folder = local.folder()
    asyncio.run(asyncio.wait_for(run(local, folder, watch), PATIENCE_SECONDS))
    assert len(stopped) == 1
    head = json.loads((folder / "race.json").read_text())
    assert (head["status"], head["rendezvousRestarts"]) == ("finished", 1)
    ends = [
        json.loads((folder / "runs" / run_id / "run.json").read_text())["status"]
        for run_id in ("000-a", "001-a")
    ]
    assert ends == ["aborted", "raced"]


def test_a_cancellation_waits_for_work_that_has_begun():
    begun, resume, started = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        assert resume.wait(PATIENCE_SECONDS)
        started.append("a peer")

    async def main():
        task = asyncio.ensure_future(_uninterrupted(work))
        await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        resume.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert started == ["a peer"]

    asyncio.run(main())


def test_work_that_fails_after_its_cancellation_causes_no_warning():
    begun, resume, warnings = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        assert resume.wait(PATIENCE_SECONDS)
        raise EOFError("the fork server has ended")

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: warnings.append(context))
        task = asyncio.ensure_future(_uninterrupted(work))
        await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
        task.cancel()
        await asyncio.sleep(0)
        resume.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        gc.collect()

    asyncio.run(main())
    assert warnings == []


def test_the_end_of_the_last_process_is_noticed(tmp_path):
    fork = processes.context()

    async def main():
        ends = [
            processes.start(fork, f"child-{n}", tmp_path / "log", None, os.getppid) for n in (0, 1)
        ]
        with all_ended(ends) as event:
            await asyncio.wait_for(event.wait(), PATIENCE_SECONDS)
            assert all(process.exitcode is not None for process in ends)
        with all_ended(ends) as event:
            await asyncio.wait_for(event.wait(), PATIENCE_SECONDS)

    asyncio.run(main())
