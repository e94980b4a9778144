"""The rendezvous' process is killed and started again; no finished run is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from loopback import new_address
from meeting import RACE_ID, info, result, scenario
from swarmrace.clock import SystemClock
from swarmrace.errors import Reason
from swarmrace.plan.schedule import schedule
from swarmrace.rendezvous.client.client import RendezvousClient
from swarmrace.results import folder as results

MADE = scenario(repetitions=3)
RUNS = schedule(MADE)


class Tracker:
    """`swarmrace tracker` as a process that keeps its port when it is restarted."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder / "results", folder / "scenario.yaml"
        self.file.write_text(yaml.safe_dump(json.loads(MADE.model_dump_json())))
        self.host = new_address()  # its own, so that nothing else can take the port meanwhile
        with socket.socket() as probe:
            probe.bind((self.host, 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://{self.host}:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        code = "from swarmrace.cli.main import main; main()"
        arguments = ["tracker", "--scenario", str(self.file), "--race-id", RACE_ID]
        arguments += [
            "--no-trial",
            "--data-dir",
            str(self.folder),
            "--listen",
            f"{self.host}:{self.port}",
        ]
        self.process = subprocess.Popen([sys.executable, "-c", code, *arguments])

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def tracker(folder: Path) -> Iterator[Tracker]:
    made = Tracker(folder)
    made.start()
    try:
        yield made
    finally:
        made.kill()


def test_a_tracker_killed_in_flight_comes_back_and_the_race_goes_on(tmp_path):
    async def story(made: Tracker) -> None:
        peers = [RendezvousClient(made.url, RACE_ID, "a", k, SystemClock()) for k in range(3)]

        async def pass_all(run: int, *barriers: str, go: bool = True) -> list:
            for barrier in barriers:
                releases = await asyncio.gather(*(p.arrive(RUNS[run].id, barrier) for p in peers))
                assert [release.go for release in releases] == [go] * 3, (run, barrier, releases)
            return releases

        async def hand_in(run: int) -> None:
            await asyncio.gather(
                *(
                    p.put_result(
                        result(RUNS[run], p.peer), {f"a-{p.peer}.arrivals.npz": b"PK\x03\x04" * 9}
                    )
                    for p in peers
                )
            )

        before_start = ("prepared", "first", "published", "ready")
        await asyncio.gather(*(p.hello(info("a", p.peer)) for p in peers))
        await pass_all(0, "open", *before_start, "raced")
        await hand_in(0)
        await pass_all(0, "cleared")

        await pass_all(1, "open", *before_start)
        waiting = asyncio.ensure_future(peers[0].arrive(RUNS[1].id, "raced"))
        await peers[1].put_result(result(RUNS[1], 1, notes=["handed in before"]), {})
        while (await peers[2].status())["peers"][0]["stage"] is None:
            pass
        made.kill()
        handing_in = asyncio.ensure_future(peers[2].put_result(result(RUNS[1], 2), {}))
        beating = asyncio.ensure_future(peers[1].heartbeat(RUNS[1].id, "race", 5))
        made.start()
        release = await waiting
        assert not release.go
        assert release.failure.reason is Reason.TRACKER_LOST
        assert (await beating).aborted == release.failure
        await handing_in
        await peers[0].put_result(result(RUNS[1], 0), {})
        await peers[1].put_result(result(RUNS[1], 1, notes=["handed in before"]), {})
        await pass_all(1, "raced", go=False)
        await pass_all(1, "cleared")

        await pass_all(2, "open", *before_start, "raced")
        await hand_in(2)
        assert (await pass_all(2, "cleared"))[0].over
        status = await peers[0].status()
        assert (status["boot"], status["over"]) == (2, True)
        for peer in peers:
            await peer.goodbye()
            await peer.aclose()

    with tracker(tmp_path) as made:
        asyncio.run(story(made))
    loaded = results.load(made.folder)
    assert loaded.faults == ()
    assert loaded.info.rendezvous_restarts == 1
    assert loaded.info.status == "finished"
    assert [run.result.status for run in loaded.runs] == ["raced", "aborted", "raced"]
    assert loaded.runs[1].result.failure.reason is Reason.TRACKER_LOST
    for run in loaded.runs:
        assert sorted(run.peers) == [0, 1, 2]
        assert all(peer.outcome == "completed" for peer in run.peers.values())
    for run in (0, 2):
        assert len(list((made.folder / "runs" / RUNS[run].id).glob("*.npz"))) == 3
