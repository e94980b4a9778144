"""Exported tables: values computed by hand, failed and missing runs, older folders."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import shutil
from operator import attrgetter
from pathlib import Path

import pytest
from click.testing import CliRunner

from made_results import BT, HTTP, INF, build, scenario_of
from swarmrace import definitions
from swarmrace.cli.main import main
from swarmrace.export import parts, writers
from swarmrace.export.cells import cell_name
from swarmrace.export.folders import map_folders
from swarmrace.export.tables import MARKS, TABLES
from swarmrace.results import folder as results
from swarmrace.scenario.loading import parse

DATA = Path(__file__).parents[1] / "data"
REAL = DATA.parents[1] / "docs" / "results" / "2026-11-real-codex" / "raw"
TIMES = {"bt": [[1, 2, 3], [2, INF, 4]], "web": [[0.5, 0.5, 0.5], None]}


@pytest.fixture
def folder(tmp_path) -> Path:
    scenario = scenario_of({"bt": BT, "web": HTTP}, repetitions=2)
    return build(tmp_path / "results", scenario, TIMES)


def exported(tmp_path: Path, *given: Path, format_: str = "csv") -> Path:
    target = tmp_path / "out"
    ran = CliRunner().invoke(
        main, ["export", *map(str, given), "--format", format_, "-o", str(target)]
    )
    assert ran.exit_code == 0, ran.output
    return target


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_runs_by_hand(tmp_path, folder):
    rows = {(r["entrant"], r["repetition"]): r for r in table(exported(tmp_path, folder), "runs")}
    assert len(rows) == 4
    first, second = rows["bt", "0"], rows["bt", "1"]
    assert (first["cell"], first["swarm_size"], first["seeders"]) == ("4x1-10MB", "4", "1")
    assert (first["status"], first["t100_seconds"], first["last_seconds"]) == (
        "counted",
        "2.0",
        "3.0",
    )
    assert (first["leechers"], first["completed"], first["publish_seconds"]) == ("3", "3", "0.5")
    # The median of 2, infinity and 4 is 4, and the last leecher never finished.
    assert (second["t100_seconds"], second["last_seconds"]) == ("4.0", "")
    assert second["completed"] == "2"
    assert "stall in race (no byte for 120 s)" in second["reason"]
    assert rows["web", "1"]["status"] == "missing"
    assert rows["web", "1"]["t100_seconds"] == ""
    assert {r["place"] for r in rows.values()} == {"1", "2"}
    assert float(first["cpu_seconds"]) == 1 + 2 + 3 + 4


def test_transfers_by_hand(tmp_path, folder):
    rows = table(exported(tmp_path, folder), "transfers")
    assert len(rows) == 9, "three leechers of each run that was raced"
    done = sorted(float(r["done_seconds"]) for r in rows if r["done_seconds"])
    assert done == [0.5, 0.5, 0.5, 1, 2, 2, 3, 4]
    [failed] = [row for row in rows if row["outcome"] == "failed"]
    assert (failed["reason"], failed["stage"], failed["detail"]) == (
        "stall",
        "race",
        "no byte for 120 s",
    )
    assert (failed["done_seconds"], failed["verified"]) == ("", "")
    whole = next(row for row in rows if row["outcome"] == "completed")
    assert (whole["verified"], whole["test_double"]) == ("true", "false")


def test_marks_hold_every_percent(tmp_path, folder):
    """Made curves rise in ten even steps: p11 to p20 are reached with the second."""
    rows = table(exported(tmp_path, folder), "marks")
    assert {row["curve"] for row in rows} == {"arrival", "delivery"}
    two = [r for r in rows if r["p100"] == "2.0" and r["curve"] == "arrival"]
    assert len(two) == 2
    for row in two:
        assert [float(row[f"p{p}"]) for p in (0, 1, 10, 11, 20, 21)] == pytest.approx(
            [0.2, 0.2, 0.2, 0.4, 0.4, 0.6]
        )
    [failed] = [r for r in rows if r["outcome"] == "failed" and r["curve"] == "arrival"]
    assert (failed["p10"], failed["p11"], failed["p100"]) == ("1.0", "", "")


def test_stored_percents_are_preferred_to_the_npz(tmp_path):
    """An export of thousands of transfers opens no npz, and works without them."""
    stored = {
        "arrival": {"seconds": [0.25] * 101, "resolutionSeconds": [0.001] * 101},
        "delivery": {"seconds": [0.5] * 101, "resolutionSeconds": [0.001] * 101},
    }
    scenario = scenario_of({"bt": BT}, repetitions=1)

    def with_percents(peer):
        transfer = peer.transfer
        if transfer is None:
            return peer
        data = transfer.model_dump() | {"percents": stored}
        return peer.model_copy(update={"transfer": type(transfer).model_validate(data)})

    made = build(tmp_path / "results", scenario, {"bt": [[1, 1, 1]]}, peer=with_percents)
    for file in made.rglob("*.npz"):
        file.unlink()
    rows = table(exported(tmp_path, made), "marks")
    assert {(r["curve"], r["p0"], r["p100"]) for r in rows} == {
        ("arrival", "0.25", "0.25"),
        ("delivery", "0.5", "0.5"),
    }


@pytest.mark.parametrize(
    "stored", [DATA / "results-format-1", DATA / "results-format-2", REAL / "4x1-100MB"]
)
def test_older_folders_are_computed_from_their_npz(tmp_path, stored):
    loaded = results.load(stored)
    rows = table(exported(tmp_path, stored), "marks")
    peers = {(r.run.id, n): p for r in loaded.runs for n, p in r.peers.items() if p.transfer}
    assert {(r["run_id"], int(r["peer"])) for r in rows} == {
        key
        for key, p in peers.items()
        if p.transfer.arrival or p.transfer.written or p.transfer.delivery
    }
    made_up = stored.name == "results-format-1"  # marks that its curves don't give
    for row in () if made_up else rows:
        transfer = peers[row["run_id"], int(row["peer"])].transfer
        for mark in getattr(transfer, row["curve"]):
            assert float(row[f"p{mark.percent:g}"]) == pytest.approx(mark.seconds, abs=2e-9)
    medians = {}
    for row in table(tmp_path / "out", "runs"):
        if row["t100_seconds"]:
            medians.setdefault(row["entrant"], []).append(float(row["t100_seconds"]))
    assert medians


def test_parquet_has_the_same_values_as_csv_and_its_dictionary(tmp_path, folder):
    parquet = pytest.importorskip("pyarrow.parquet", reason="NOT TESTED: needs pyarrow")
    target = exported(tmp_path, folder)
    exported(tmp_path, folder, format_="parquet")
    for each in TABLES:
        found = parquet.read_table(target / f"{each.name}.parquet")
        rows = table(target, each.name)
        assert found.column_names == [column.name for column in each.columns]
        assert found.num_rows == len(rows)
        for column in each.columns:
            field = found.schema.field(column.name)
            assert field.metadata[b"unit"].decode() == column.unit
            for value, text in zip(found[column.name].to_pylist(), rows, strict=True):
                plain = text[column.name]
                if value is None or value == "":
                    assert plain == ""
                elif column.type == "boolean":
                    assert plain == str(value).lower()
                else:
                    assert type(value)(plain) == value


def test_the_dictionary_names_every_column_once(tmp_path, folder):
    target = exported(tmp_path, folder)
    rows = table(target, "dictionary")
    assert [(r["table"], r["column"]) for r in rows] == [
        (each.name, column.name) for each in TABLES for column in each.columns
    ]
    assert all(row["meaning"] for row in rows)
    units = {"second": "_seconds", "byte": "_bytes", "millisecond": "_ms"}
    for row in rows:
        if row["unit"] in units and not re.fullmatch(r"p\d+", row["column"]):
            assert row["column"].endswith(units[row["unit"]])
    text = (target / "dictionary.md").read_text()
    assert text == writers.dictionary_markdown()
    assert sum(column.name == "p50" for column in MARKS.columns) == 1


def test_a_text_that_looks_like_a_formula_is_escaped(tmp_path):
    scenario = scenario_of({"bt": BT}, repetitions=1)
    evil = {"reason": "stall", "stage": "race", "detail": '=HYPERLINK("http://x"),"a\nb"'}

    def failed(peer):
        if peer.role == "seeder":
            return peer
        return type(peer).model_validate(peer.model_dump() | {"failure": evil, "outcome": "failed"})

    made = build(tmp_path / "results", scenario, {"bt": [[1, 1, 1]]}, peer=failed)
    assert {r["detail"] for r in table(exported(tmp_path, made), "transfers")} == {
        '\'=HYPERLINK("http://x"),"a\nb"'
    }


def test_all_folders_below_a_folder_are_exported_and_each_race_once(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "results" / ".." / "again" / "copy")
    ran = CliRunner().invoke(
        main,
        ["export", str(folder), str(tmp_path / "again"), "-o", str(tmp_path / "out")],
    )
    assert ran.exit_code == 0
    assert "left out: it holds race" in ran.stderr
    assert len(table(tmp_path / "out", "runs")) == 4
    empty = tmp_path / "empty"
    empty.mkdir()
    assert CliRunner().invoke(main, ["export", str(empty)]).exit_code == 8


def test_a_run_of_an_interrupted_race_is_missing(tmp_path, folder):
    home = sorted((folder / "runs").iterdir())[-1]
    (home / "run.json").unlink()
    rows = table(exported(tmp_path, folder), "runs")
    assert {r["run_id"]: r["status"] for r in rows}[home.name] == "missing"


def test_cells_are_named_by_their_axes():
    def of(**race):
        entrants = {"bt": {"kind": "bittorrent"}}
        return parse({"global": {"race": race, "entrants": entrants}})

    assert cell_name(of(swarmSize=8, seeders=2, fileSize="1GB")) == "8x2-1GB"
    limited = {"upload": "20Mbit", "download": 1500, "delayMilliseconds": 10, "lossPercent": 0.5}
    assert cell_name(of(network=limited)) == "4x1-100MB-up20Mbit-down12kbit-delay10ms-loss0.5"
    assert of(attempt=1).cell_id() == of(attempt=2).cell_id() != of(seed=2).cell_id()


def test_an_edited_record_is_refused(tmp_path):
    from racing_peers import raced, scenario

    loaded, _ = raced(scenario(), tmp_path)
    assert loaded.info.definitions == definitions.version()
    assert (
        CliRunner()
        .invoke(main, ["export", str(loaded.folder), "-o", str(tmp_path / "o")])
        .exit_code
        == 0
    )
    path = next(loaded.folder.glob("runs/*/a-1.json"))
    data = json.loads(path.read_text())
    data["transfer"]["doneSeconds"] = 0.5
    path.write_text(json.dumps(data))
    ran = CliRunner().invoke(main, ["export", str(loaded.folder), "-o", str(tmp_path / "o")])
    assert ran.exit_code == 8
    assert f"{path.name}: changed after the race" in ran.stderr
    (loaded.folder / "manifest.json").unlink()
    ran = CliRunner().invoke(main, ["export", str(loaded.folder), "-o", str(tmp_path / "o")])
    assert ran.exit_code == 8
    assert "manifest.json: removed after the race" in ran.stderr


def test_a_new_race_has_percents_of_every_curve(tmp_path):
    from racing_peers import raced, scenario

    loaded, _ = raced(scenario(), tmp_path)
    rows = table(exported(tmp_path, loaded.folder), "marks")
    assert rows
    for row in rows:
        seconds = [float(row[f"p{p}"]) for p in range(101)]
        assert seconds == sorted(seconds)
        assert math.isfinite(seconds[-1])


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_a_folder_whose_name_is_no_text_is_exported(tmp_path, format_):
    """A path may have bytes that are not UTF-8, and control characters."""
    scenario = scenario_of({"bt": BT}, repetitions=1)
    build(tmp_path / os.fsdecode(b"caf\xe9\x1b[31m"), scenario, {"bt": [[1, 2, 3]]})
    out = exported(tmp_path, tmp_path, format_=format_)
    if format_ == "csv":
        [row] = csv.DictReader((out / "runs.csv").open(newline=""))
    else:
        parquet = pytest.importorskip("pyarrow.parquet", reason="NOT TESTED: needs pyarrow")
        [row] = parquet.read_table(out / "runs.parquet").to_pylist()
    assert row["folder"] == "caf\\xdce9\\x1b[31m"


def test_folders_are_read_largest_first_and_yielded_in_order(tmp_path):
    """The folder that is read first comes last."""
    folders = [tmp_path / name for name in "abcd"]
    for at, folder in enumerate(folders):
        folder.mkdir()
        (folder / "manifest.json").write_text("x" * (at + 1))
    assert list(map_folders(attrgetter("name"), folders)) == ["a", "b", "c", "d"]
    assert list(map_folders(len, [(folders[0],), (folders[2], folders[3])])) == [1, 2]


def test_a_folder_that_fails_ends_the_reading(tmp_path):
    with pytest.raises(AttributeError):
        list(map_folders(attrgetter("no_such"), [tmp_path / name for name in "abc"]))


def test_numbers_of_a_row_are_written_as_python_writes_them(tmp_path):
    """Also those of `marks`, which are formatted a hundred at once."""
    names = [column.name for column in MARKS.columns]
    seconds = [0.1 + 0.2, 1e-9, 123456.789, 5.0]
    head = ["r", 'a "cell", 1', "=e", "000-e", 0, 1, "completed", "arrival", 0.25, None, 0.001]
    row = (*head, *seconds, *(None,) * (len(names) - len(head) - len(seconds)))
    rows = {table.name: [row] if table is MARKS else [] for table in TABLES}
    writers.write_csv(tmp_path, [parts.csv_part(rows), parts.csv_part(rows)])
    first, second = csv.DictReader((tmp_path / "marks.csv").open(newline=""))
    assert first == second
    assert (first["cell"], first["entrant"], first["stall_began_seconds"]) == (
        'a "cell", 1',
        "'=e",
        "",
    )
    found = [first[f"p{percent}"] for percent in range(101)]
    assert [float(text) for text in found[:4]] == seconds
    assert set(found[4:]) == {""}
