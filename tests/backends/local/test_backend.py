"""The parts of the local backend that no whole race brings about on purpose."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import threading

import psutil
import pytest

from swarmrace.backends.local import backend
from swarmrace.backends.local.backend import LocalRace, _to_its_end, run
from swarmrace.scenario.loading import parse


def test_a_rendezvous_that_hangs_is_started_again(tmp_path, monkeypatch):
    """It lives and answers nobody: stopped here; a network file system that hangs does the same."""
    monkeypatch.setattr(backend, "_HANG_SECONDS", 1.0)
    race = {"swarmSize": 2, "seeders": 1, "fileSize": "1MB", "repetitions": 2}
    entrants = {"a": {"kind": "synthetic", "curve": [[0, 0], [1, 1]]}}
    local = LocalRace(parse({"global": {"race": race, "entrants": entrants}}), "hangs", tmp_path)
    stopped: list[int] = []

    def watch(status):
        if not stopped and any(peer["stage"] == "race" for peer in status["peers"]):
            family = psutil.Process().children(recursive=True)
            stopped.extend(each.pid for each in family if each.name() == "rendezvous")
            os.kill(stopped[0], signal.SIGSTOP)

    folder = local.folder()
    asyncio.run(asyncio.wait_for(run(local, folder, watch), 120))
    assert len(stopped) == 1
    head = json.loads((folder / "race.json").read_text())
    assert (head["status"], head["rendezvousRestarts"]) == ("finished", 1)
    ends = [
        json.loads((folder / "runs" / run_id / "run.json").read_text())["status"]
        for run_id in ("000-a", "001-a")
    ]
    assert ends == ["aborted", "raced"]


def test_a_cancellation_waits_for_what_is_being_started():
    begun, go_on, started = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        assert go_on.wait(10)
        started.append("a peer")

    async def main():
        task = asyncio.ensure_future(_to_its_end(work))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert started == ["a peer"]

    asyncio.run(main())


def test_what_fails_while_it_is_cancelled_is_nothing_to_complain_of():
    begun, go_on, complaints = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        assert go_on.wait(10)
        raise EOFError("the server that forks has gone")

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        task = asyncio.ensure_future(_to_its_end(work))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        gc.collect()

    asyncio.run(main())
    assert complaints == []
