"""Older formats are migrated, and newer ones are refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from made_results import build, scenario_of
from paths import DATA
from swarmrace.errors import ResultsError
from swarmrace.plan.schedule import schedule
from swarmrace.recording.records import FORMAT, MARK_PERCENTS
from swarmrace.results import folder as results
from swarmrace.results import formats
from swarmrace.verdict import compute, render

SCENARIO = scenario_of(
    {"a": {"kind": "synthetic"}, "b": {"kind": "synthetic"}}, repetitions=2, seed=5
)
TIMES = {"a": [[1, 2, 3], [1, math.inf, 3]], "b": [[2, 2, 2], [2, 2, 2]]}


@pytest.mark.parametrize("name", ["race.json", "runs/{first}/run.json"])
def test_newer_formats_are_refused(tmp_path, name):
    folder = build(tmp_path / "results", SCENARIO, TIMES)
    path = folder / name.format(first=schedule(SCENARIO)[0].id)
    path.write_text(path.read_text().replace('"format": 3', '"format": 4', 1))
    with pytest.raises(ResultsError, match="found results format 4, expected at most 3"):
        results.load(folder)


STORED_1 = DATA / "results-format-1"


def test_a_stored_folder_of_format_1_still_loads():
    found = results.load(STORED_1)
    assert found.faults == ()
    transfers = {
        record.run.entrant: record.peers[record.leechers[0]].transfer for record in found.runs
    }
    bt, stream, polled = (transfers[name] for name in ("bt", "stream", "polled"))
    assert [t.done_seconds for t in (bt, stream, polled)] == [1.5, 6.0, 4.0]
    # Format 1 had one variation, of arrival or otherwise of delivery, and duplicates that were
    # never observed. It called the write of a block its arrival.
    assert [t.arrival_variation for t in (bt, stream, polled)] == [None, None, 0.3]
    assert [t.written_variation for t in (bt, stream, polled)] == [0.3, None, None]
    assert [t.delivery_variation for t in (bt, stream, polled)] == [None, 0.3, None]
    assert [t.duplicate_bytes for t in (bt, stream, polled)] == [None, None, None]
    assert {t.done_resolution_seconds for t in transfers.values()} == {None}
    for record in found.runs:
        kind = {"stream": "deliveries", "bt": "written"}.get(record.run.entrant, "arrivals")
        assert found.curve(record.run.id, record.leechers[0], kind).complete


NEW_FIGURES = {"slowRuns", "slowestRun", "leechersShare", "leechersShareOfWire", "connectedPeers"}
"""Figures that the verdict got after the stored ones were written."""


@pytest.mark.parametrize("name", ["results-format-1", "results-format-2"])
def test_an_archived_folder_gives_the_same_figures_except_arrival(name):
    before = json.loads((DATA / "figures-before-format-3.json").read_text())[name]
    found = results.load(DATA / name)
    assert found.faults == ()
    now = compute(found).entrants
    assert set(now) == set(before)
    for entrant, figures in before.items():
        by_blocks = now[entrant].kind == "bittorrent"  # the records' unit is "block"
        expected = {
            written_name(figure) if by_blocks else figure: value
            for figure, value in figures.items()
        }
        if not now[entrant].uploads:
            del expected["uploadSpeed"]  # an entrant that only starts to listen uploads nothing
        assert {figure: now[entrant].figures[figure].value for figure in expected} == expected
        assert set(now[entrant].figures) - set(expected) <= NEW_FIGURES
        assert now[entrant].arrival is (entrant not in ("bittorrent", "bt", "stream"))
        assert now[entrant].written is by_blocks


def written_name(figure):
    name = figure.replace("arrival", "written")
    return "longestWrittenStall" if figure == "longestStall" else name


def test_a_stored_folder_of_format_2_has_its_blocks_as_written():
    found = results.load(DATA / "results-format-2")
    for record in found.runs:
        for peer in record.leechers:
            transfer = record.peers[peer].transfer
            kind, other = (
                ("written", "arrivals") if "bit" in record.run.id else ("arrivals", "written")
            )
            assert found.curve(record.run.id, peer, kind).complete
            with pytest.raises(ResultsError, match=f"recorded no {other}"):
                found.curve(record.run.id, peer, other)
            if kind == "written":
                assert (transfer.arrival, transfer.longest_stall_seconds) == ([], None)
                assert [mark.percent for mark in transfer.written] == list(MARK_PERCENTS)
                assert transfer.longest_written_stall_seconds is not None


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("recorded", [None, 50, 120])
def test_a_folder_from_before_the_queue_could_be_set_was_raced_with_50_ms(
    tmp_path, recorded, number
):
    scenario = scenario_of({"a": {"kind": "synthetic"}}, network={"upload": "20Mbit"})
    folder = build(tmp_path / "results", scenario, {"a": [[1, 2, 3]] * 3})
    assert results.load(folder).scenario.race.network.queue_milliseconds == 200
    data = json.loads((folder / "race.json").read_text())
    network = data["scenario"]["global"]["race"]["network"]
    assert network.pop("queueMilliseconds") == 200, "the current format stores it"
    if recorded is not None:
        network["queueMilliseconds"] = recorded
    (folder / "race.json").write_text(json.dumps(data | {"format": number}))
    found = results.load(folder)
    assert found.scenario.race.network.queue_milliseconds == (recorded or 50)
    assert f"queue {recorded or 50} ms" in render.text(compute(found), width=200)


@pytest.mark.parametrize("recorded", [None, True, False])
def test_a_folder_from_before_an_option_existed_has_what_was_raced_then(tmp_path, recorded):
    scenario = scenario_of({"a": {"kind": "bittorrent"}, "b": {"kind": "http"}})
    folder = build(tmp_path / "results", scenario, {"a": [[1, 2, 3]] * 3, "b": [[1, 2, 3]] * 3})
    assert results.load(folder).scenario.entrants["a"].record_writes is False
    data = json.loads((folder / "race.json").read_text())
    options = data["scenario"]["global"]["entrants"]["a"]
    assert options.pop("recordWrites") is False, "the current format stores it"
    if recorded is not None:
        options["recordWrites"] = recorded
    (folder / "race.json").write_text(json.dumps(data))
    found = results.load(folder).scenario.entrants["a"]
    assert found.record_writes is (recorded is not False)


@pytest.mark.parametrize("entrants", [None, {"a": None}, {"a": {}}, {"a": {"kind": "unknown"}}])
def test_entrants_that_are_none_are_left_alone(entrants):
    data = {"format": FORMAT, "scenario": {"global": {"entrants": entrants}}}
    assert formats.migrate(Path("race.json"), "race", data) == data


@pytest.mark.parametrize("scenario", [None, [], {"global": None}, {"global": {"race": {}}}])
def test_a_scenario_without_a_network_is_left_alone(scenario):
    data = {"format": FORMAT, "scenario": scenario}
    assert formats.migrate(Path("race.json"), "race", data) == data


def test_a_format_without_a_migration_is_refused_and_with_one_it_is_read(tmp_path, monkeypatch):
    def unobserved(result):  # fields that formats 1 and 2 didn't have
        update = {"duplicate_bytes": None, "unit": "read"}
        moved = result.transfer and result.transfer.model_copy(update=update)
        return result.model_copy(update={"transfer": moved})

    folder = build(tmp_path / "results", SCENARIO, TIMES, peer=unobserved)
    now = results.load(folder)
    for path in folder.rglob("*.json"):
        data = json.loads(path.read_text()) | {"format": 0}
        if path.stem == "run":
            data["wallMilliseconds"] = round(1000 * data.pop("wallSeconds"))
        path.write_text(json.dumps(data))
    with pytest.raises(ResultsError, match="found results format 0, expected 1 to 3"):
        results.load(folder)

    def step(kind, data):
        if kind == "run":
            return {k: v for k, v in data.items() if k != "wallMilliseconds"} | {
                "wallSeconds": data["wallMilliseconds"] / 1000
            }
        return data

    monkeypatch.setitem(formats.MIGRATIONS, 0, step)
    found = results.load(folder)
    assert found.faults == ()
    assert found.runs == now.runs
    assert found.info == now.info
