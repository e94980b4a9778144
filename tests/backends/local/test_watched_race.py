"""Real BitTorrent races and a real sweep by the command line, with somebody who watches."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys

import pytest
import yaml

import racing
from swarmrace.integrity import verify
from watching import watching

ENTRANTS = {"bt": {"kind": "bittorrent"}}


def address(text: str) -> str:
    found = re.search(r"^live page: (http://127\.0\.0\.1:\d+/)$", text, re.MULTILINE)
    return found[1] if found else ""


def watched(url: str):
    """Return everything that a watcher gets until the command ends."""

    async def story():
        async with watching(f"{url}events") as stream:
            await stream.to_its_end()
            return stream

    return asyncio.run(story())


def test_a_bittorrent_race_is_seen_from_its_peers_reports_to_its_results(tmp_path):
    made = racing.scenario_file(tmp_path, ENTRANTS, fileSize="20MB", repetitions=2)
    with racing.race(tmp_path, made, "--watch") as race:
        stream = watched(racing.wait_for(lambda: address(race.output()), "the page's address"))
        assert race.end() in (0, 10)
        race.wait_until_nothing_is_left()
    assert "Traceback" not in race.output()
    now = stream.of("now")
    assert now[-1]["over"]
    assert {run["entrant"] for each in now if (run := each["run"])} == {"bt"}
    runs = stream.of("runs")[-1]
    for row in runs["rows"]:
        seconds = [
            race.record(row["id"], f"bt-{peer}")["transfer"]["doneSeconds"] for peer in (1, 2)
        ]
        assert row["median"] == pytest.approx(sum(seconds) / 2, abs=0.001)
        assert row["last"] == pytest.approx(max(seconds), abs=0.001)
        assert row["completed"] == 2
    last = stream.of("last")[-1]["bt"]
    assert last["curve"]["of"] == "arrival"
    assert len(last["curve"]["times"]) == 51
    assert [each["state"] for each in stream.of("link")][-1] == "ended"
    assert verify.verify(race.folder).sound


def test_a_race_in_namespaces_is_watched_from_outside_of_them(tmp_path):
    from swarmrace.network import namespaces

    if refusals := namespaces.refusals():
        pytest.skip(f"NOT TESTED: {refusals[0]}")
    made = racing.scenario_file(tmp_path, ENTRANTS, fileSize="1MB")
    with racing.race(tmp_path, made, "--watch", "--namespaces") as race:
        stream = watched(racing.wait_for(lambda: address(race.output()), "the page's address"))
        assert race.end() in (0, 10)
    assert stream.of("now")[-1]["over"]


def test_a_tracker_that_is_killed_is_said_to_be_lost_and_the_page_goes_on(tmp_path):
    slow = {"slow": {"kind": "synthetic", "curve": [[0, 0], [10, 1]]}}
    made = racing.scenario_file(tmp_path, slow, repetitions=2)
    with racing.race(tmp_path, made, "--watch") as race:
        url = racing.wait_for(lambda: address(race.output()), "the page's address")

        async def story():
            async with watching(f"{url}events") as stream:
                await stream.until(lambda it: it.of("now") and it.of("now")[-1]["run"], "a run")
                await asyncio.to_thread(race.wait_until, "race", "slow-1", progress=True)
                race.member("rendezvous").kill()
                await stream.until(
                    lambda it: "lost" in [each["state"] for each in it.of("link")], "that"
                )
                seen = len(stream.of("now"))
                await stream.until(lambda it: len(it.of("now")) > seen, "the race again")
                await stream.to_its_end()
                return stream

        stream = asyncio.run(story())
        race.end()
    assert stream.of("now")[-1]["over"]
    assert [row["status"] for row in stream.of("runs")[-1]["rows"]] == ["aborted", "raced"]
    reasons = [row["reason"] for row in stream.of("failures")[-1]["rows"]]
    assert "tracker lost" in reasons


def test_without_watch_nothing_is_served_and_nothing_is_said(tmp_path):
    made = racing.scenario_file(tmp_path, ENTRANTS)
    with racing.race(tmp_path, made) as race:
        race.end()
    assert "live page" not in race.output()


def test_one_address_over_all_cells_of_a_sweep(tmp_path):
    made = tmp_path / "matrix.yaml"
    race = {"matrix": {"swarmSize": [2, 3]}, "seeders": 1, "fileSize": "1MB", "repetitions": 1}
    made.write_text(yaml.safe_dump({"global": {"race": race, "entrants": ENTRANTS}}))
    command = [sys.executable, "-m", "swarmrace", "sweep", str(made), "--watch"]
    command += ["--folder", str(tmp_path / "sweep"), "--work-dir", str(tmp_path)]
    log = tmp_path / "log"
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        stream = watched(racing.wait_for(lambda: address(log.read_text()), "the page's address"))
        code = process.wait(racing.PATIENCE_SECONDS)
    assert code in (0, 10), log.read_text()
    assert log.read_text().count("live page: ") == 1
    sweeps = stream.of("sweep")
    assert len({each["cell"] for each in sweeps} - {""}) == 2
    assert sweeps[-1]["done"] == 2
    assert all(cell["answer"] for cell in sweeps[-1]["cells"])
    assert sorted({each["swarmSize"] for each in stream.of("race")}) == [2, 3]
    assert len({each["id"] for each in stream.of("race")}) == 2
    assert [each["state"] for each in stream.of("link")][-1] == "ended"
    assert str(tmp_path) not in json.dumps(sweeps)


def test_an_address_that_is_taken_ends_the_command_before_the_race(tmp_path, run_cli):
    import socket

    made = racing.scenario_file(tmp_path, ENTRANTS)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = ["--results", str(tmp_path / "results"), "--watch-on", f"127.0.0.1:{port}"]
        answer = run_cli("run", str(made), *options)
    assert answer.exit_code == 4
    assert "--watch-on: expected an address to listen on" in answer.output
    assert not list((tmp_path / "results").glob("*"))


def test_a_sweep_on_a_cluster_says_where_its_pages_are(tmp_path, run_cli):
    made = racing.scenario_file(tmp_path, ENTRANTS)
    answer = run_cli("sweep", str(made), "--on", "kubernetes", "--watch")
    assert answer.exit_code == 2
    assert "port-forward" in answer.output
