"""Every query of the dashboard and every recording rule, on a recorded real race."""

from __future__ import annotations

import asyncio
import functools
import json

import pytest

from databases import PROGRAMS, assert_holds, missing
from live_race import SIZE, LiveRace, filled_in, live_race, rules, targets
from swarmrace.metrics.push import Pusher
from swarmrace.network import namespaces

pytestmark = pytest.mark.skipif(
    bool(missing()), reason=f"absent: {', '.join(missing())} (Debian has both)"
)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory):
    with live_race(tmp_path_factory.mktemp("live")) as race:
        assert race.exit_codes == [0] * 6, race.logs
        yield race


@pytest.fixture(params=PROGRAMS)
def database(request: pytest.FixtureRequest, live: LiveRace):
    return live.databases[request.param]


def need_wire(live: LiveRace, expr: str) -> None:
    if "_wire_" in expr and not live.wired:
        pytest.skip(f"wire not measured: {'; '.join(namespaces.refusals())}")


@pytest.mark.parametrize(("title", "target"), targets(), ids=[title for title, _ in targets()])
def test_every_query_of_the_dashboard_returns_data(live, database, title, target):
    need_wire(live, target["expr"])
    for of in ("arrival", "delivery") if "$of" in target["expr"] else ("",):
        expr = filled_in(target, live.race_id, of)
        found = (live.instant if target["instant"] else live.range)(database, expr)
        assert found, f"{database.name}: no data for {expr}"
        legend = target["legendFormat"]
        for series in found:
            assert all(series["metric"].get(name) for name in _names(legend)), series["metric"]


def _names(legend: str) -> list[str]:
    return [part.split("}}")[0] for part in legend.split("{{")[1:]]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["record"])
def test_every_recording_rule_returns_data(live, database, rule):
    need_wire(live, rule["expr"])
    assert live.range(database, rule["expr"]), f"{database.name}: no data for {rule['expr']}"
    if database.name == "prometheus":
        recorded = live.range(database, rule["record"])
        assert recorded, f"no series {rule['record']}"


@pytest.mark.parametrize("query", ["swarmrace_peer_info", "swarmrace_run_info"])
def test_the_variables_find_their_values(live, database, query):
    wanted = {"race": {live.race_id}, "entrant": {"http", "curve"}}
    params = {"match[]": query, "start": live.began - 60, "end": live.ended}
    series = database.ask("/api/v1/series", **params)
    for label, values in wanted.items():
        assert {labels[label] for labels in series} == values


def test_both_databases_have_the_results(live, database):
    """The last value in each database is the result's, for every peer and run."""
    assert len(live.results) == 6
    assert all((result.wire is not None) == live.wired for result in live.results)
    assert assert_holds(database, live.results, live.race_id, live.ended) == 3 * 2 * 6


def test_failures_are_kept_with_their_reason(live, database):
    expr = "max by (entrant, peer, reason, stage) (last_over_time(swarmrace_failure_info[1h]))"
    (found,) = live.instant(database, expr)
    assert found["metric"] == {
        "entrant": "curve",
        "peer": "2",
        "reason": "refused",
        "stage": "race",
    }
    counted = "max by (entrant, peer, reason) (increase(swarmrace_failures_total[1h])) > 0"
    (found,) = live.instant(database, counted)
    assert found["metric"] == {"entrant": "curve", "peer": "2", "reason": "refused"}


def test_the_pushed_curve_is_finer_than_a_scrape(live):
    """The pushed series, which no scraper labelled, has exact times. Pushing it again changes
    nothing."""
    victoria = live.databases["victoria-metrics"]
    expr = 'swarmrace_arrived_bytes_total{entrant="curve",peer="1",job=""}'
    (before,) = victoria.get("/api/v1/export", **{"match[]": expr}).text.splitlines()
    data = json.loads(before)
    times, values = data["timestamps"], data["values"]
    (result,) = (r for r in live.results if (r.entrant, r.peer) == ("curve", 1))
    half = next(mark.seconds for mark in result.transfer.arrival if mark.percent == 50)
    began = 'swarmrace_start_timestamp_seconds{entrant="curve",peer="1"}'
    (newest,) = live.instant(victoria, f"max(last_over_time({began}[1h]))")
    start = float(newest["value"][1])
    at = next(t for t, value in zip(times, values, strict=True) if value >= SIZE / 2)
    assert at / 1000 == pytest.approx(start + half, abs=0.0011)
    assert len(times) > 40
    # Sent again, as after a lost answer: every query still returns the same.
    lines = victoria.get(
        "/api/v1/export", **{"match[]": '{race!="",job=""}', "max_rows_per_line": "1"}
    ).text.splitlines()
    ranges = [filled_in(t, live.race_id) for _, t in targets() if not t["instant"]]
    said = [live.range(victoria, query) for query in ranges]
    text = "\n".join(_line(json.loads(line)) for line in lines)

    async def push() -> int:
        pusher = Pusher(victoria.url)
        try:
            return await pusher.send("again", text.encode())
        finally:
            await pusher.aclose()

    work = functools.partial(asyncio.run, push())
    inside = victoria.namespace
    assert work() if inside is None else namespaces.call_inside(inside, work)
    victoria.get("/internal/force_flush")
    assert [live.range(victoria, query) for query in ranges] == said


def _line(row: dict) -> str:
    labels = dict(row["metric"])
    name = labels.pop("__name__")
    inner = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{inner}}} {row['values'][0]} {row['timestamps'][0]}"


def test_wire_bytes_leave_out_the_scrapes(live):
    """The synthetic entrant transfers nothing, so its peers have almost no wire bytes, although
    they are scraped twice a second."""
    if not live.wired:
        pytest.skip(f"wire not measured: {'; '.join(namespaces.refusals())}")
    wires = [result.wire for result in live.results if result.entrant == "curve"]
    assert len(wires) == 3
    assert all(wire.sent_bytes < SIZE / 50 for wire in wires), wires
    assert all(wire.control_sent_bytes > 2 * wire.sent_bytes for wire in wires), wires


def test_peers_left_because_they_had_been_scraped(live):
    assert live.logs.count("all results are accepted") == 6
    assert "found no scraper" not in live.logs
    assert "push:" not in live.logs
