"""A pod whose link's conditions can't be set reports the reason to the race."""

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
    """A rendezvous in a thread; returns its address and its folder."""
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
    assert up.wait(300)
    yield f"http://{address}:8080", config.data_dir
    loops[0].call_soon_threadsafe(end.set)
    thread.join()


def test_the_reason_is_recorded_in_the_race(rendezvous, tmp_path, run_cli):
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
    record = json.loads(run.read_text())
    assert record["status"] == "not raced"
    detail = record["failure"]["detail"]
    assert detail.startswith("peer 0 lost: network conditions can't be set: delay and loss need ")
    assert "nothing0" in detail


@pytest.mark.parametrize("token", [None, "wrong"])
def test_the_error_is_kept_if_it_can_not_be_reported(rendezvous, token, caplog):
    url, _ = rendezvous
    race, race_id = parse(SCENARIO).race, parse(SCENARIO).race_id()
    for where in (NOWHERE, url):
        caplog.clear()
        report = shape.lost_reporter(where, race_id, "a", 0, token, 0.2)
        with pytest.raises(ConditionError, match="nothing0"):
            shape.run(race, 0, "nothing0", report)
        assert "could not report to the race: " in caplog.text


def test_without_a_rendezvous_nothing_is_reported():
    with pytest.raises(ConditionError, match="nothing0"):
        shape.run(parse(SCENARIO).race, 0, "nothing0")
