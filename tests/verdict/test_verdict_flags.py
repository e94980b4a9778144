from __future__ import annotations

import json

import pytest

from made_results import HTTP, TIMES, build, figure, scenario_of, updated, verdict_of
from swarmrace.errors import Reason
from swarmrace.plan.schedule import schedule
from swarmrace.recording.records import Failure, Usage, Waiting
from swarmrace.results import folder as results
from swarmrace.verdict import compute, render


def test_no_minimum_without_rates_and_a_flag_below_it(tmp_path):
    assert figure(verdict_of(tmp_path / "1"), "minimumMultiple") is None
    found = verdict_of(tmp_path / "2", race={"network": {"upload": "8Mbit"}})
    texts = [flag.text for flag in found.flags]
    # The seeder's 10 MB at 1 MB/s take 10 s, 9.95 with its burst; the last leecher took 3.
    assert any(
        text.startswith("a run took 0.302 × the minimum time at the set rates") for text in texts
    )
    assert any("the rates did not hold" in text for text in texts)
    assert any("the preflight measured none (3 of 3 runs)" in text for text in texts)


@pytest.mark.parametrize(
    ("last", "measured", "flag"),
    [
        (9.97, 1e6, "explain it"),  # the burst does: 50 kB
        (9.9, 1e6, "did not hold"),
        (10.6, 9.5e5, ""),  # the preflight measured less: 10.53 s
        (10.2, 9.5e5, "explain it"),
    ],
)
def test_rates_that_did_not_hold_are_flagged_and_no_others(tmp_path, last, measured, flag):
    found = verdict_of(
        tmp_path,
        {"x": [[last] * 3] * 3},
        race={"network": {"upload": "8Mbit"}},
        entrants={"x": {"kind": "bittorrent"}},  # HTTP has a minimum of its own
        rates={"upload": measured},
    )
    texts = [each.text for each in found.flags]
    assert [flag in text for text in texts] == ([True] if flag else [])
    assert found.entrants["x"].rates["upload"].value == measured


def test_a_clusters_limiter_may_have_an_unknown_burst(tmp_path):
    scenario = scenario_of({"x": HTTP}, network={"upload": "8Mbit"})
    on_a_node = {"nodes": lambda entrant, peer: "node-1", "rates": {"upload": 1e6}}
    folder = build(tmp_path, scenario, {"x": [[5] * 3] * 3}, **on_a_node)
    [flag] = compute(results.load(folder)).flags
    assert "unless the burst of the cluster's own limiter explains it" in flag.text


def test_only_the_seeders_own_rates_are_measured(tmp_path):
    scenario = scenario_of(
        {"x": {"kind": "bittorrent"}},
        network={"seeders": {"upload": "8Mbit"}},
        rotateSeeders=False,
    )
    folder = build(tmp_path, scenario, {"x": [[11] * 3] * 3})
    race = folder / "race.json"
    data = json.loads(race.read_text())
    data["peers"][0]["rates"] = {"upload": 980_000.0}  # peer 0 seeds
    race.write_text(json.dumps(data))
    found = compute(results.load(folder))
    assert found.flags == []
    assert found.entrants["x"].rates["seeders' upload"].value == 980_000


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"waiting": Waiting(seconds=10, cpu_seconds=0.3)},
            "more than 2 % of a core while others raced, 12 times (maximum 3.0 %",
        ),
        (
            {"usage": Usage(cpu_seconds=1, peak_memory_bytes=1, throttled_seconds=0.5)},
            "CPU throttled in 12 records (maximum 500 ms",
        ),
        ({"notes": ["odd thing"]}, "odd thing (12 ×)"),
        ({"system": {"version": "v0.2.5-double"}}, "a test double was raced"),
    ],
)
def test_flags(tmp_path, changes, text):
    found = verdict_of(tmp_path, peer=updated(**changes))
    assert any(text in flag.text and flag.entrant == "x" for flag in found.flags)


@pytest.mark.parametrize(
    ("waiting", "share"),
    [
        ({"wire_bytes": 150_000, "control_bytes": 50_000}, "2.7 %"),
        ({"wire_bytes": None, "control_bytes": 200_000}, "2.7 %"),  # no interface of its own
        ({"wire_bytes": 60_000, "control_bytes": None}, ""),  # 0.8 %
        ({"wire_bytes": None, "control_bytes": None}, ""),
        ({"wire_bytes": 200_000, "seconds": 30.0}, ""),  # no more than heartbeats
    ],
)
def test_bytes_of_waiting_peers_are_shown_and_flagged(tmp_path, waiting, share):
    """4 peers wait while the other swarm moves 10 MB × 3."""
    whole = Waiting(**{"seconds": 2.0, "cpu_seconds": 0.01} | waiting)
    scenario = scenario_of({"x": HTTP, "y": HTTP}, repetitions=1)
    second = schedule(scenario)[1]

    def waited(result):
        other = result.run_id == second.id
        return result.model_copy(update={"waiting": whole} if other else {})

    times = {"x": [[1, 1, 1]], "y": [[1, 1, 1]]}
    found = compute(results.load(build(tmp_path, scenario, times, peer=waited)))
    texts = [flag.text for flag in found.flags]
    assert figure(found, "waitingCpu", second.entrant)[0] == 0.01 / whole.seconds
    known = [each for each in (whole.wire_bytes, whole.control_bytes) if each is not None]
    shown = figure(found, "waitingBytes", second.entrant)
    assert shown == (None if not known else (*[sum(known) / whole.seconds] * 3, 1))
    assert len(texts) == bool(share)
    if share:
        assert "more than 1 % of what the others moved meanwhile, once" in texts[0]
        assert f"(maximum {share}, before {second.id})" in texts[0]


@pytest.mark.parametrize("met", [False, True])
def test_a_wait_includes_runs_without_its_peers(tmp_path, met):
    """x waits while y's swarm moves 10 MB × 3 in each block. The middle run of x is not raced:
    given up at `open`, nobody waited for it by itself; met for, somebody did."""
    order = [*"xy", *"yx", *"yx"]  # so that one of y's runs, or three, are before x's last
    scenario = next(
        made
        for seed in range(100)
        for made in [scenario_of({"x": HTTP, "y": HTTP}, seed=seed)]
        if [run.entrant for run in schedule(made)] == order
    )
    [_, middle, last] = [run for run in schedule(scenario) if run.entrant == "x"]
    failure = Failure(reason=Reason.TRACKER_LOST, stage="prepare")
    quiet = Waiting(seconds=2.0, cpu_seconds=0.01, control_bytes=0)
    loud = Waiting(seconds=2.0, cpu_seconds=0.01, control_bytes=300_000)

    def run(result):
        update = {"status": "not raced", "failure": failure}
        return result.model_copy(update=update if result.run_id == middle.id else {})

    def peer(result):
        if result.run_id == middle.id:
            update = {"failure": failure, "outcome": "failed", "transfer": None}
            return result.model_copy(update=update | {"waiting": quiet if met else None})
        waiting = loud if result.run_id == last.id else quiet
        return result.model_copy(update={"waiting": waiting})

    times = {name: [[1, 1, 1]] * 3 for name in "xy"}
    found = compute(results.load(build(tmp_path, scenario, times, run=run, peer=peer)))
    [text] = [flag.text for flag in found.flags if "of what the others moved" in flag.text]
    # 4 × 300 kB over 30 MB, or over 90: since the last run that x took part in.
    assert f"(maximum {'4' if met else '1.3'} %, before {last.id})" in text


def test_quiet_peers_raise_no_flag(tmp_path):
    quiet = updated(waiting=Waiting(seconds=10, cpu_seconds=0.2))
    assert verdict_of(tmp_path, peer=quiet).flags == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"records_complete": False}, "9 transfers without a record of every byte"),
        ({"verified": False}, "9 transfers with wrong length or SHA-256"),
        ({"verified": None}, "9 transfers completed but not verified"),
        ({"start_lag_seconds": 0.02}, "start lag p99 of 20 ms, above 5 ms"),
    ],
)
def test_flags_of_transfers(tmp_path, changes, text):
    def change(result):
        if result.transfer is None:
            return result
        moved = result.transfer.model_copy(update=changes)
        return result.model_copy(update={"transfer": moved})

    found = verdict_of(tmp_path, peer=change)
    assert any(text in flag.text for flag in found.flags)


@pytest.mark.parametrize(
    ("reason", "stage", "verified", "wrong"),
    [
        (Reason.WRONG_BYTES, "verify", False, True),
        (Reason.TIMEOUT, "verify", False, False),  # as format 1 wrote it
        (Reason.TIMEOUT, "verify", None, False),
        (Reason.NODE_DIED, "verify", None, False),
    ],
)
def test_only_bytes_verified_as_wrong_are_flagged_as_wrong(
    tmp_path, reason, stage, verified, wrong
):
    def change(result):
        if result.transfer is None:
            return result
        moved = result.transfer.model_copy(update={"verified": verified})
        failure = Failure(reason=reason, stage=stage)
        return result.model_copy(
            update={"outcome": "failed", "failure": failure, "transfer": moved}
        )

    texts = [flag.text for flag in verdict_of(tmp_path, peer=change).flags]
    assert any("wrong length or SHA-256" in text for text in texts) is wrong


@pytest.mark.parametrize("nested", [False, True], ids=["at the top", "nested"])
def test_different_settings_are_flagged_but_not_each_peers_addresses(tmp_path, nested):
    def with_settings(result, settings):
        settings = {"config": settings, "b": 2} if nested else settings
        return result.model_copy(update={"system": {"settings": settings}})

    def own_address(result):
        command = ["--metrics", f"--api-port={9000 + result.peer}"]
        listen = f"127.0.0.{result.peer}:0"
        return with_settings(result, {"listen": listen, "a": 1, "command": command})

    def odd(result):
        return with_settings(result, {"command": ["--cache"] if result.peer == 2 else []})

    assert verdict_of(tmp_path / "1", peer=own_address).flags == []
    found = verdict_of(tmp_path / "2", peer=odd)
    assert any("leechers had 2 different sets of settings" in flag.text for flag in found.flags)


@pytest.mark.parametrize(
    ("cold_start", "started", "text"),
    [
        (False, None, "it was not recorded which runs began cold"),
        (True, "warm", "12 records of peers that began warm in a race of cold starts"),
        (False, "warm", ""),
        (True, "cold", ""),
        (True, None, ""),
    ],
)
def test_possibly_mixed_starts_are_flagged(tmp_path, cold_start, started, text):
    found = verdict_of(tmp_path, race={"coldStart": cold_start}, peer=updated(started=started))
    texts = [flag.text for flag in found.flags if flag.entrant]
    assert [text in each for each in texts] == ([True] if text else [])


def test_warm_starts_and_torrent_files_are_marked(tmp_path):
    found = verdict_of(
        tmp_path,
        entrants={"x": {"kind": "bittorrent", "reference": "torrent"}},
        race={"coldStart": False},
    )
    texts = [flag.text for flag in found.flags]
    assert any("warm starts" in text for text in texts)
    assert any("held the .torrent file" in text for text in texts)


UTP = {"version": "libtorrent 2.1", "utp": True, "settings": {}, "reasons": {}}


@pytest.mark.parametrize(
    ("utp", "network", "flagged"),
    [
        (True, {}, True),
        (True, {"delayMilliseconds": 5}, True),
        (False, {}, False),
        (True, {"upload": "8Mbit"}, False),
        (True, {"seeders": {"upload": "8Mbit"}}, False),
    ],
)
def test_utp_without_a_rate_is_flagged(tmp_path, utp, network, flagged):
    found = verdict_of(
        tmp_path,
        {"x": [[40] * 3] * 3},
        race={"network": network, "rotateSeeders": False},
        entrants={"x": {"kind": "bittorrent"}},
        peer=updated(system=UTP | {"utp": utp}),
    )
    assert any("uTP was on and no rate was set" in flag.text for flag in found.flags) == flagged


def test_the_head_shows_that_a_race_was_cut_off(tmp_path):
    folder = build(tmp_path, scenario_of({"x": HTTP}), {"x": [[1, 1, 1], [1, 1, 1], None]})
    head = {}
    for status in ("finished", "interrupted", "running"):
        race = folder / "race.json"
        race.write_text(json.dumps(json.loads(race.read_text()) | {"status": status}))
        opened = ("2026-11-23T18:00:00+00:00", "2026-11-23T18:05:00+00:00")
        for file, when in zip(sorted(folder.rglob("run.json")), opened, strict=False):
            file.write_text(json.dumps(json.loads(file.read_text()) | {"openedUtc": when}))
        (folder / "verdict.txt").write_text("shown, not raced")
        found = compute(results.load(folder))
        head[status] = render.text(found).splitlines()[1]
        texts = [flag.text for flag in found.flags]
        assert not any("below" in text for text in texts)
        assert len(texts) == (status != "finished")
    assert head["interrupted"] == "interrupted: 2 of 3 runs raced"
    assert head["running"] == "not finished: 2 of 3 runs raced"
    assert head["finished"].startswith("4 peers")
    assert "its last recorded run was opened at 2026-11-23T18:05:00+00:00" in texts[0]
    assert "it was killed after that or is still running" in texts[0]


def test_a_race_without_a_recorded_run_says_since_when(tmp_path):
    folder = build(tmp_path, scenario_of({"x": HTTP}), {"x": [None] * 3})
    race = folder / "race.json"
    race.write_text(json.dumps(json.loads(race.read_text()) | {"status": "running"}))
    found = compute(results.load(folder))
    assert any(f"no run is recorded since {found.created_utc}" in f.text for f in found.flags)


def test_http_below_its_own_minimum_is_flagged_and_a_swarm_is_not(tmp_path):
    """The seeders' 10 MB × 3 at 1 MB/s take HTTP 30 s; a swarm 13.3 s at best."""
    kinds = {"web": HTTP, "bt": {"kind": "bittorrent"}}
    times = dict.fromkeys(kinds, [[29.97] * 3] * 3)
    race = {"network": {"upload": "8Mbit"}}
    found = verdict_of(tmp_path, times, race=race, entrants=kinds, rates={"upload": 1e6})
    [flag] = found.flags
    assert flag.entrant == "web"
    assert flag.text.startswith("a run took 0.999 × HTTP's minimum: ")


@pytest.mark.parametrize(("load", "flagged"), [(0.5, False), (0.51, True), (None, False)])
def test_a_machine_that_was_busy_at_the_start_is_flagged(tmp_path, load, flagged):
    folder = build(tmp_path, scenario_of({"x": HTTP}), TIMES)
    data = json.loads((folder / "race.json").read_text())
    if load is not None:
        data["machine"]["load_average_1_minute"] = load
    (folder / "race.json").write_text(json.dumps(data))
    found = compute(results.load(folder))
    assert [flag.text.startswith("the machine was busy") for flag in found.flags] == (
        [True] if flagged else []
    )
    said = f"load average in the minute before the start {load}"
    assert (said in render.text(found, width=200)) == (load is not None)
