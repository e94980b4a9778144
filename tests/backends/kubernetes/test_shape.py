"""A pod whose link can't be shaped says so to the race, where everybody reads it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopback import new_address
from swarmrace.backends.kubernetes import shape
from swarmrace.errors import ConditionError, Exit
from swarmrace.rendezvous.server import ServerConfig, listening
from swarmrace.scenario.loading import parse

NOWHERE = "http://127.0.0.1:9"
SCENARIO = {
    "global": {
        "race": {
            "swarmSize": 2,
            "repetitions": 1,
            "network": {"delayMilliseconds": 5},
        },
        "entrants": {"a": {"kind": "http"}},
    }
}


@pytest.fixture
def rendezvous(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A rendezvous in a thread of its own: its address, and its folder."""
    address, scenario = new_address(), parse(SCENARIO)
    config = ServerConfig(
        scenario, scenario.race_id(), tmp_path / "race", address, 8080, token="secret"
    )
    up, end = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        async with listening(config):
            loops.append(asyncio.get_running_loop())
            up.set()
            await end.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert up.wait(60)
    yield f"http://{address}:8080", config.data_dir
    loops[0].call_soon_threadsafe(end.set)
    thread.join()


def test_what_cannot_be_set_stands_in_the_race(rendezvous, tmp_path, run_cli):
    url, folder = rendezvous
    (tmp_path / "scenario.json").write_text(json.dumps(SCENARIO))
    (tmp_path / "token").write_text("secret\n")
    for peer in (0, 1):
        result = run_cli(
            "shape", "--scenario", str(tmp_path / "scenario.json"), "--entrant", "a",
            "--peer", str(peer), "--device", "nothing0", "--rendezvous", url,
            "--token-file", str(tmp_path / "token"),
        )  # fmt: skip
        assert result.exit_code == Exit.UNAVAILABLE
        assert "nothing0" in result.stderr
    (run,) = folder.glob("runs/*/run.json")
    told = json.loads(run.read_text())
    assert told["status"] == "not raced"
    detail = told["failure"]["detail"]
    assert detail.startswith("peer 0 lost: network conditions can't be set: delay and loss need ")
    assert "nothing0" in detail


@pytest.mark.parametrize("token", [None, "wrong"])
def test_a_race_that_cannot_be_told_keeps_the_error(rendezvous, token, caplog):
    url, _ = rendezvous
    race, race_id = parse(SCENARIO).race, parse(SCENARIO).race_id()
    for where in (NOWHERE, url):
        caplog.clear()
        with pytest.raises(ConditionError, match="nothing0"):
            shape.run(race, 0, "nothing0", shape.teller(where, race_id, "a", 0, token, 0.2))
        assert "the race could not be told: " in caplog.text


def test_nobody_is_told_when_it_is_called_by_hand():
    with pytest.raises(ConditionError, match="nothing0"):
        shape.run(parse(SCENARIO).race, 0, "nothing0")
