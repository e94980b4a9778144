"""A results folder is read as far as it goes, and each broken file is named."""

from __future__ import annotations

import json
import math

import pytest

from made_results import build, curve, scenario_of
from swarmrace.errors import ResultsError, UnavailableError
from swarmrace.plan.schedule import schedule
from swarmrace.results import folder as results
from swarmrace.scenario.entrants import StoredOptions

SCENARIO = scenario_of(
    {"a": {"kind": "synthetic"}, "b": {"kind": "synthetic"}}, repetitions=2, seed=5
)
TIMES = {"a": [[1, 2, 3], [1, math.inf, 3]], "b": [[2, 2, 2], [2, 2, 2]]}
FIRST = schedule(SCENARIO)[0]


@pytest.fixture
def folder(tmp_path):
    return build(tmp_path / "results", SCENARIO, TIMES)


def test_a_complete_folder(folder):
    found = results.load(folder)
    assert found.faults == ()
    assert found.scenario == SCENARIO
    assert [record.run for record in found.runs] == schedule(SCENARIO)
    assert all(record.result.run_id == record.run.id for record in found.runs)
    assert all(sorted(record.peers) == [0, 1, 2, 3] for record in found.runs)
    assert sorted(found.peer_infos("b")) == [0, 1, 2, 3]
    record = found.runs[0]
    assert record.leechers == tuple(p for p in range(4) if p not in record.run.seeders)


def test_curves_are_read_on_demand(folder):
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


def test_an_absent_run_is_not_a_fault(tmp_path):
    found = results.load(build(tmp_path, SCENARIO, TIMES | {"b": [None, TIMES["b"][1]]}))
    assert found.faults == ()
    [absent] = [record for record in found.runs if record.result is None]
    assert (absent.run.entrant, absent.run.repetition, absent.peers) == ("b", 0, {})


def test_peers_are_read_without_their_run_json(folder):
    (folder / "runs" / FIRST.id / "run.json").unlink()
    found = results.load(folder)
    assert found.faults == ()
    assert found.runs[0].result is None
    assert len(found.runs[0].peers) == 4


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda text: text[: len(text) // 2], "not complete JSON"),
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
def test_a_broken_file_is_named_and_the_others_are_read(folder, damage, fault):
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


def test_missing_and_incomplete_arrivals_are_named(folder):
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
        "not a complete npz",
    ]
    assert len(found.runs[0].peers) == 4
    with pytest.raises(ResultsError, match=r"arrivals\.npz"):
        found.curve(FIRST.id, record.leechers[0])
    with pytest.raises(ResultsError, match="expected an arrivals npz"):
        found.curve(FIRST.id, record.leechers[1])


def test_foreign_folders_are_named_and_unfinished_files_are_ignored(folder):
    (folder / "runs" / "099-stranger").mkdir()
    (folder / "runs" / FIRST.id / ".part-abc").write_text("{")
    (folder / "runs" / FIRST.id / ".part-abc.json").write_text("{")
    assert results.load(folder).faults == ("runs/099-stranger: not a run of this race; left out",)


def test_a_path_out_of_the_folder_is_not_followed(folder):
    record = results.load(folder).runs[0]
    path = folder / "runs" / FIRST.id / f"{FIRST.entrant}-{record.leechers[0]}.json"
    data = json.loads(path.read_text())
    data["transfer"]["arrivalsFile"] = "../../../secret.npz"
    path.write_text(json.dumps(data))
    [fault] = results.load(folder).faults
    assert fault.startswith(f"runs/{FIRST.id}/secret.npz: missing")


def test_other_folders_are_refused(tmp_path, folder):
    with pytest.raises(ResultsError, match="no such folder"):
        results.load(tmp_path / "nowhere")
    with pytest.raises(ResultsError, match=r"no race\.json"):
        results.load(tmp_path)
    (folder / "race.json").write_text('{"format": 3, "raceId"')
    with pytest.raises(ResultsError, match="not complete JSON"):
        results.load(folder)


def test_options_of_a_kind_that_is_not_installed_are_kept_as_stored(folder):
    text = (folder / "race.json").read_text().replace('"synthetic"', '"gnutella"')
    (folder / "race.json").write_text(text)
    found = results.load(folder)
    assert found.faults == ()
    options = found.scenario.entrants["a"]
    assert (options.kind, options.profile) == ("gnutella", "stock")
    assert options.model_dump()["recordSize"] == 16_384
    assert [sorted(record.peers) for record in found.runs] == [[0, 1, 2, 3]] * 4


def test_a_kind_whose_package_is_broken_counts_as_not_installed(folder, monkeypatch):
    def refuse(kind):
        raise UnavailableError("can't be imported")

    monkeypatch.setattr("swarmrace.systems.find_options", refuse)
    assert type(results.load(folder).scenario.entrants["a"]) is StoredOptions


def test_an_impossible_scenario_is_refused(folder):
    text = (folder / "race.json").read_text().replace('"seeders": 1', '"seeders": 9', 1)
    (folder / "race.json").write_text(text)
    with pytest.raises(ResultsError, match=r"can't read its scenario.*seeders: found 9"):
        results.load(folder)


def arrivals_of(record, number):
    peer = record.leechers[number]
    return f"runs/{record.run.id}/{record.run.entrant}-{peer}.arrivals.npz", peer


@pytest.mark.parametrize("from_another_race", [False, True])
def test_a_curve_of_another_transfer_is_named(folder, tmp_path, from_another_race):
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
    assert line.startswith(f"{name}: belongs to peer ")
    assert whose in line
    with pytest.raises(ResultsError, match=rf"npz: belongs to .*{whose}"):
        found.curve(record.run.id, peer)


def test_a_curve_without_its_transfer_is_a_fault_except_in_format_1(folder):
    record = results.load(folder).runs[0]
    name, peer = arrivals_of(record, 0)
    (folder / name).write_bytes(curve(2, 10_000_000).to_npz())
    [line] = results.load(folder).faults
    assert line.startswith(f"{name}: doesn't name its transfer")
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
        ("leecher", {"role": "seeder"}, "found role seeder, expected leecher in this run"),
        ("seeder", {"role": "leecher"}, "found role leecher, expected seeder in this run"),
    ],
)
def test_a_record_of_an_impossible_peer_is_left_out(folder, stem, change, fault):
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
