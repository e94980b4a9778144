from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from made_results import build, curve, scenario_of
from paths import DATA
from swarmrace.errors import ResultsError, UnavailableError
from swarmrace.plan.schedule import schedule
from swarmrace.recording.records import FORMAT, MARK_PERCENTS
from swarmrace.results import folder as results
from swarmrace.scenario.entrants import StoredOptions
from swarmrace.verdict import compute, render

SCENARIO = scenario_of(
    {"a": {"kind": "synthetic"}, "b": {"kind": "synthetic"}}, repetitions=2, seed=5
)
TIMES = {"a": [[1, 2, 3], [1, math.inf, 3]], "b": [[2, 2, 2], [2, 2, 2]]}
FIRST = schedule(SCENARIO)[0]


@pytest.fixture
def folder(tmp_path):
    return build(tmp_path / "results", SCENARIO, TIMES)


def test_a_whole_folder(folder):
    found = results.load(folder)
    assert found.faults == ()
    assert found.scenario == SCENARIO
    assert [record.run for record in found.runs] == schedule(SCENARIO)
    assert all(record.result.run_id == record.run.id for record in found.runs)
    assert all(sorted(record.peers) == [0, 1, 2, 3] for record in found.runs)
    assert sorted(found.peer_infos("b")) == [0, 1, 2, 3]
    record = found.runs[0]
    assert record.leechers == tuple(p for p in range(4) if p not in record.run.seeders)


def test_curves_are_read_when_asked_for(folder):
    found = results.load(folder)
    record = next(r for r in found.runs if r.run.entrant == "a" and r.run.repetition == 0)
    loaded = found.curve(record.run.id, record.leechers[1])
    assert loaded.time_to_percent(100) == curve(2, 10_000_000).time_to_percent(100) == 2_000_000_000
    with pytest.raises(ResultsError, match="recorded no deliveries"):
        found.curve(record.run.id, record.leechers[1], "deliveries")
    with pytest.raises(ResultsError, match="no transfer of peer"):
        found.curve(record.run.id, record.run.seeders[0])
    with pytest.raises(ResultsError, match="no transfer of peer"):
        found.curve("999-nobody", 0)


def test_an_absent_run_is_a_fact_and_no_fault(tmp_path):
    found = results.load(build(tmp_path, SCENARIO, TIMES | {"b": [None, TIMES["b"][1]]}))
    assert found.faults == ()
    [absent] = [record for record in found.runs if record.result is None]
    assert (absent.run.entrant, absent.run.repetition, absent.peers) == ("b", 0, {})


def test_an_absent_run_json_keeps_its_peers(folder):
    (folder / "runs" / FIRST.id / "run.json").unlink()
    found = results.load(folder)
    assert found.faults == ()
    assert found.runs[0].result is None
    assert len(found.runs[0].peers) == 4


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda text: text[: len(text) // 2], "not whole JSON"),
        (lambda text: "", "empty"),
        (lambda text: "[1, 2]", "found list, expected a JSON object"),
        (lambda text: text.replace('"peer": 0', '"peer": "zero"'), "peer: found 'zero'"),
        (
            lambda text: text.replace('"role"', '"rolle": 1, "role"'),
            "rolle: unknown key (did you mean 'role'",
        ),
        (lambda text: text.replace('"format": 3', '"format": null'), "format: found None"),
        (lambda text: text.replace(SCENARIO.race_id(), "0123456789"), "belongs to race 0123456789"),
        (lambda text: text.replace(f'"{FIRST.id}"', '"077-x"'), "belongs to run 077-x"),
        (lambda text: text.replace('"peer": 0', '"peer": 3'), f"holds {FIRST.entrant}-3"),
    ],
)
def test_a_broken_file_is_named_and_the_rest_is_read(folder, damage, fault):
    path = folder / "runs" / FIRST.id / f"{FIRST.entrant}-0.json"
    before = path.read_text()
    after = damage(before)
    assert after != before
    path.write_text(after)
    found = results.load(folder)
    [line] = found.faults
    assert line.startswith(f"runs/{FIRST.id}/{FIRST.entrant}-0.json: ")
    assert fault in line
    assert sorted(found.runs[0].peers) == [1, 2, 3]
    assert sorted(found.runs[1].peers) == [0, 1, 2, 3]


def test_missing_and_torn_arrivals_are_named(folder):
    record = results.load(folder).runs[0]
    one, other, _ = (
        folder / "runs" / FIRST.id / f"{FIRST.entrant}-{peer}.arrivals.npz"
        for peer in record.leechers
    )
    one.unlink()
    other.write_bytes(other.read_bytes()[:-30])
    found = results.load(folder)
    assert [line.partition(": ")[2].split(";")[0] for line in found.faults] == [
        "missing",
        "not a whole npz",
    ]
    assert len(found.runs[0].peers) == 4
    with pytest.raises(ResultsError, match=r"arrivals\.npz"):
        found.curve(FIRST.id, record.leechers[0])
    with pytest.raises(ResultsError, match="expected an arrivals npz"):
        found.curve(FIRST.id, record.leechers[1])


def test_foreign_folders_are_named_and_unfinished_files_are_not(folder):
    (folder / "runs" / "099-stranger").mkdir()
    (folder / "runs" / FIRST.id / ".part-abc").write_text("{")
    (folder / "runs" / FIRST.id / ".part-abc.json").write_text("{")
    assert results.load(folder).faults == ("runs/099-stranger: not a run of this race; left out",)


def test_a_file_that_names_another_folder_is_not_followed(folder):
    record = results.load(folder).runs[0]
    path = folder / "runs" / FIRST.id / f"{FIRST.entrant}-{record.leechers[0]}.json"
    data = json.loads(path.read_text())
    data["transfer"]["arrivalsFile"] = "../../../secret.npz"
    path.write_text(json.dumps(data))
    [fault] = results.load(folder).faults
    assert fault.startswith(f"runs/{FIRST.id}/secret.npz: missing")


def test_what_is_no_results_folder(tmp_path, folder):
    with pytest.raises(ResultsError, match="no such folder"):
        results.load(tmp_path / "nowhere")
    with pytest.raises(ResultsError, match=r"no race\.json"):
        results.load(tmp_path)
    (folder / "race.json").write_text('{"format": 3, "raceId"')
    with pytest.raises(ResultsError, match="not whole JSON"):
        results.load(folder)


def test_a_kind_that_is_not_installed_here_keeps_its_options_as_they_stand(folder):
    text = (folder / "race.json").read_text().replace('"synthetic"', '"gnutella"')
    (folder / "race.json").write_text(text)
    found = results.load(folder)
    assert found.faults == ()
    options = found.scenario.entrants["a"]
    assert (options.kind, options.profile) == ("gnutella", "stock")
    assert options.model_dump()["recordSize"] == 16_384
    assert [sorted(record.peers) for record in found.runs] == [[0, 1, 2, 3]] * 4


def test_a_kind_whose_package_is_broken_is_one_that_is_not_installed(folder, monkeypatch):
    def refuse(kind):
        raise UnavailableError("can't be imported")

    monkeypatch.setattr("swarmrace.systems.find_options", refuse)
    assert type(results.load(folder).scenario.entrants["a"]) is StoredOptions


def test_what_can_not_have_been_raced_is_said(folder):
    text = (folder / "race.json").read_text().replace('"seeders": 1', '"seeders": 9', 1)
    (folder / "race.json").write_text(text)
    with pytest.raises(ResultsError, match=r"scenario can't be read.*seeders: found 9"):
        results.load(folder)


@pytest.mark.parametrize("name", ["race.json", f"runs/{FIRST.id}/run.json"])
def test_newer_formats_are_refused(folder, name):
    path = folder / name
    path.write_text(path.read_text().replace('"format": 3', '"format": 4', 1))
    with pytest.raises(ResultsError, match=r"results format 4, this swarmrace reads up to 3"):
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
    # Format 1 had one variation, of arrival or else of delivery, and duplicates that none had seen.
    # What it called the arrival of a block was its write.
    assert [t.arrival_variation for t in (bt, stream, polled)] == [None, None, 0.3]
    assert [t.written_variation for t in (bt, stream, polled)] == [0.3, None, None]
    assert [t.delivery_variation for t in (bt, stream, polled)] == [None, 0.3, None]
    assert [t.duplicate_bytes for t in (bt, stream, polled)] == [None, None, None]
    assert {t.done_resolution_seconds for t in transfers.values()} == {None}
    for record in found.runs:
        kind = {"stream": "deliveries", "bt": "written"}.get(record.run.entrant, "arrivals")
        assert found.curve(record.run.id, record.leechers[0], kind).complete


LATER = {"slowRuns", "slowestRun", "leechersShare", "leechersShareOfWire", "connectedPeers"}
"""Figures that the verdict got after those were written down."""


@pytest.mark.parametrize("name", ["results-format-1", "results-format-2"])
def test_an_archived_folder_gives_the_same_figures_but_for_arrival(name):
    before = json.loads((DATA / "figures-before-format-3.json").read_text())[name]
    found = results.load(DATA / name)
    assert found.faults == ()
    now = compute(found).entrants
    assert set(now) == set(before)
    for entrant, figures in before.items():
        by_blocks = now[entrant].kind == "bittorrent"  # these folders' own records say "block"
        expected = {
            written_as(figure) if by_blocks else figure: value for figure, value in figures.items()
        }
        if not now[entrant].uploads:
            del expected["uploadSpeed"]  # what only starts to listen uploads nothing
        assert {figure: now[entrant].figures[figure].value for figure in expected} == expected
        assert set(now[entrant].figures) - set(expected) <= LATER
        assert now[entrant].arrival is (entrant not in ("bittorrent", "bt", "stream"))
        assert now[entrant].written is by_blocks


def written_as(figure):
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
    assert network.pop("queueMilliseconds") == 200, "a folder of now says it"
    if recorded is not None:
        network["queueMilliseconds"] = recorded
    (folder / "race.json").write_text(json.dumps(data | {"format": number}))
    found = results.load(folder)
    assert found.scenario.race.network.queue_milliseconds == (recorded or 50)
    assert f"queue {recorded or 50} ms" in render.text(compute(found), width=200)


@pytest.mark.parametrize("scenario", [None, [], {"global": None}, {"global": {"race": {}}}])
def test_a_scenario_that_names_no_network_is_left_alone(scenario):
    data = {"format": FORMAT, "scenario": scenario}
    assert results.migrate(Path("race.json"), "race", data) == data


def test_a_format_without_a_way_on_is_refused_and_a_step_leads_on(tmp_path, monkeypatch):
    def unseen(result):  # what formats 1 and 2 could not know
        update = {"duplicate_bytes": None, "unit": "read"}
        moved = result.transfer and result.transfer.model_copy(update=update)
        return result.model_copy(update={"transfer": moved})

    folder = build(tmp_path / "results", SCENARIO, TIMES, peer=unseen)
    now = results.load(folder)
    for path in folder.rglob("*.json"):
        data = json.loads(path.read_text()) | {"format": 0}
        if path.stem == "run":
            data["wallMilliseconds"] = round(1000 * data.pop("wallSeconds"))
        path.write_text(json.dumps(data))
    with pytest.raises(ResultsError, match="results format 0, this swarmrace reads from 1 up to 3"):
        results.load(folder)

    def step(kind, data):
        if kind == "run":
            return {k: v for k, v in data.items() if k != "wallMilliseconds"} | {
                "wallSeconds": data["wallMilliseconds"] / 1000
            }
        return data

    monkeypatch.setitem(results.MIGRATIONS, 0, step)
    found = results.load(folder)
    assert found.faults == ()
    assert found.runs == now.runs
    assert found.info == now.info


def arrivals_of(record, number):
    peer = record.leechers[number]
    return f"runs/{record.run.id}/{record.run.entrant}-{peer}.arrivals.npz", peer


@pytest.mark.parametrize("from_another_race", [False, True])
def test_a_curve_of_another_transfer_is_named_as_foreign(folder, tmp_path, from_another_race):
    record = results.load(folder).runs[0]
    name, peer = arrivals_of(record, 0)
    other_name, other_peer = arrivals_of(record, 1)
    whose = f"peer {other_peer} of {record.run.entrant} in run {record.run.id}"
    other = folder
    if from_another_race:
        scenario = scenario_of({"a": {"kind": "synthetic"}, "b": {"kind": "synthetic"}}, seed=5)
        other = build(tmp_path / "other", scenario, TIMES | {k: [[1, 1, 1]] * 3 for k in TIMES})
        other_name, whose = name, f"in run {record.run.id} of race {scenario.race_id()}"
    (folder / name).write_bytes((other / other_name).read_bytes())
    found = results.load(folder)
    [line] = found.faults
    assert line.startswith(f"{name}: is of peer ")
    assert whose in line
    with pytest.raises(ResultsError, match=rf"npz: is of .*{whose}"):
        found.curve(record.run.id, peer)


def test_a_curve_that_names_nobody_is_named_but_in_format_1(folder):
    record = results.load(folder).runs[0]
    name, peer = arrivals_of(record, 0)
    (folder / name).write_bytes(curve(2, 10_000_000).to_npz())
    [line] = results.load(folder).faults
    assert line.startswith(f"{name}: doesn't say of which transfer it is")
    path = folder / "runs" / record.run.id / f"{record.run.entrant}-{peer}.json"
    data = json.loads(path.read_text()) | {"format": 1}
    for key in ("arrivalVariation", "deliveryVariation", "doneResolutionSeconds"):
        del data["transfer"][key]
    path.write_text(json.dumps(data))
    assert results.load(folder).faults == ()


@pytest.mark.parametrize(
    ("stem", "change", "fault"),
    [
        ("99", {"peer": 99}, "found peer 99, expected 0 to 3"),
        ("-1", {"peer": -1}, "found peer -1, expected 0 to 3"),
        ("leecher", {"role": "seeder"}, "found the role seeder, expected leecher in this run"),
        ("seeder", {"role": "leecher"}, "found the role leecher, expected seeder in this run"),
    ],
)
def test_a_record_of_a_peer_that_can_not_be_is_left_out(folder, stem, change, fault):
    record = results.load(folder).runs[0]
    index = {"leecher": record.leechers[0], "seeder": record.run.seeders[0]}
    source = index.get(stem, record.leechers[0])
    target = index.get(stem, stem)
    home = folder / "runs" / record.run.id
    data = json.loads((home / f"{record.run.entrant}-{source}.json").read_text()) | change
    (home / f"{record.run.entrant}-{target}.json").write_text(json.dumps(data))
    found = results.load(folder)
    [line] = found.faults
    assert line == f"runs/{record.run.id}/{record.run.entrant}-{target}.json: {fault}; left out"
    assert sorted(found.runs[0].peers) == [peer for peer in range(4) if peer != target]
