"""An edited folder is refused and its edits are named, in every results format."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from paths import DATA, ROOT
from racing_peers import raced
from swarmrace.errors import Exit, ResultsError
from swarmrace.integrity import by_cpu, records
from swarmrace.integrity.verify import require, verify
from swarmrace.recording import npz
from swarmrace.results import folder as results
from swarmrace.results import manifest
from swarmrace.scenario.loading import parse

REAL = ROOT / "docs" / "results" / "2026-11-real-codex" / "raw"
ENTRANT = {"kind": "synthetic", "curve": [[0, 0], [0.5, 0.4], [2, 1]]}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    race = {"swarmSize": 3, "seeders": 1, "repetitions": 2, "fileSize": "1MB"}
    scenario = parse({"global": {"race": race, "entrants": {"a": ENTRANT}}})
    loaded, _ = raced(scenario, tmp_path_factory.mktemp("made"))
    return loaded.folder


@pytest.fixture
def folder(made, tmp_path) -> Path:
    return shutil.copytree(made, tmp_path / "copy")


def leecher(folder: Path) -> Path:
    """Return the first record of a leecher."""
    paths = sorted(folder.glob("runs/*/*-*.json"))
    return next(p for p in paths if json.loads(p.read_text())["role"] == "leecher")


def seeder(folder: Path) -> Path:
    paths = sorted(folder.glob("runs/*/*-*.json"))
    return next(p for p in paths if json.loads(p.read_text())["role"] == "seeder")


def edit(path: Path, change: Callable[[dict], None]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_an_unchanged_folder_is_sound(folder):
    report = verify(folder)
    assert (report.changed, report.broken) == ((), ())
    assert report.complete
    assert report.transfers == 4
    assert report.commit
    require(folder)


def faster(data):
    data["transfer"]["doneSeconds"] /= 50


def all_faster(data):
    transfer = data["transfer"]
    transfer["doneSeconds"] /= 50
    for kind in ("arrival", "written", "delivery"):
        for mark in transfer[kind]:
            mark["seconds"] /= 50


def slower(data):
    data["transfer"]["doneSeconds"] *= 50


def one_mark(data):
    kind = next(kind for kind in ("arrival", "written", "delivery") if data["transfer"][kind])
    data["transfer"][kind][3]["seconds"] *= 0.9


def no_mark(data):
    kind = next(kind for kind in ("arrival", "written", "delivery") if data["transfer"][kind])
    del data["transfer"][kind][2]


def unverified(data):
    data["transfer"]["verified"] = False


def completed(data):
    data["transfer"]["verified"] = None


def failed(data):
    data["outcome"] = "failed"


def received(data):
    data["transfer"]["receivedBytes"] -= 1


def another_payload(data):
    data["payloadSeed"] += "x"


def steady(data):
    data["transfer"]["arrivalVariation"] = 0.001


EDITS = [
    (faster, "doneSeconds"),
    (all_faster, "arrival at"),
    (slower, "doneSeconds"),
    (one_mark, " at 50 %"),
    (no_mark, " at 10 %"),
    (unverified, "verified"),
    (completed, "verified"),
    (failed, "outcome"),
    (received, "receivedBytes"),
    (another_payload, "payloadSeed"),
    (steady, "arrivalVariation"),
]


@pytest.mark.parametrize(("change", "key"), EDITS)
@pytest.mark.parametrize("hashed", [True, False])
def test_an_edited_record_is_named_and_refused(run_cli, folder, change, key, hashed):
    path = leecher(folder)
    edit(path, change)
    if not hashed:  # like a folder of an older format
        (folder / manifest.FILE).unlink()
        edit(folder / "race.json", lambda data: data.pop("commit"))
    name = path.relative_to(folder).as_posix()
    report = verify(folder)
    assert any(line.startswith(name) and key in line for line in report.changed), report.changed
    if hashed:
        assert f"{name}: changed after the race (its SHA-256 differs from the recorded)" in (
            report.changed
        )
    shown, checked = run_cli("show", str(folder)), run_cli("verify", str(folder))
    assert shown.exit_code == checked.exit_code == Exit.RESULTS == 8
    assert name in shown.stderr
    assert name in checked.stdout
    assert shown.stdout == ""


def test_the_hashes_find_edits_that_no_curve_contradicts(folder):
    edit(leecher(folder), lambda data: data["transfer"].update(discoverySeconds=0.0))
    with pytest.raises(ResultsError, match="changed after the race"):
        require(folder)


def test_a_transfer_may_outlast_an_aborted_run(folder):
    run = leecher(folder).parent / "run.json"
    edit(run, lambda data: data.update(wallSeconds=1e-6))
    assert any("its run took" in line for line in verify(folder).changed)
    edit(run, lambda data: data.update(status="aborted"))
    assert not any("its run took" in line for line in verify(folder).changed)


def test_a_publish_is_checked_against_its_stage(folder):
    edit(seeder(folder), lambda data: data["publish"].update(seconds=1e-9))
    assert any("publish.seconds" in line for line in verify(folder).changed)


def test_race_json_run_json_and_curves_are_hashed_too(folder):
    edit(folder / "race.json", lambda data: data.update(createdUtc="2020-01-01T00:00:00Z"))
    run = next(folder.glob("runs/*/run.json"))
    edit(run, lambda data: data.update(wallSeconds=9999.0))
    curve = next(folder.glob("runs/*/*.npz"))
    curve.write_bytes(curve.read_bytes() + b" ")
    changed = {line.partition(":")[0] for line in verify(folder).changed}
    assert {path.relative_to(folder).as_posix() for path in (run, curve)} | {"race.json"} <= changed


def test_a_removed_or_torn_manifest_is_not_taken_for_an_older_format(run_cli, folder):
    (folder / manifest.FILE).write_text("{")
    assert run_cli("verify", str(folder)).exit_code == Exit.RESULTS
    (folder / manifest.FILE).unlink()
    assert verify(folder).changed == (f"{manifest.FILE}: removed after the race",)


def test_neither_show_nor_verify_writes(run_cli, folder):
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}
    assert run_cli("show", str(folder)).exit_code == Exit.OK
    assert run_cli("verify", str(folder)).exit_code == Exit.OK
    after = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}
    assert after == before


@pytest.mark.parametrize("old", [DATA / "results-format-2", REAL / "2x1-1GB", REAL / "shaped"])
def test_real_folders_of_older_formats_are_sound_and_reported_as_not_hashed(old):
    report = verify(old)
    assert (report.changed, report.broken) == ((), ())
    assert "not hashed" in report.lines()[0]


def test_an_edited_real_folder_of_an_older_format_is_refused(tmp_path):
    folder = shutil.copytree(DATA / "results-format-2", tmp_path / "copy")
    edit(leecher(folder), faster)
    with pytest.raises(ResultsError, match=r"doneSeconds: found .*, before its last byte"):
        require(folder)


@pytest.fixture(scope="module")
def with_wire(tmp_path_factory) -> Path:
    """A folder of 20 transfers with wire curves, each with 30 records."""
    sys.path.insert(0, str(ROOT))
    try:
        bench = importlib.import_module("benchmarks.verify")
    finally:
        sys.path.pop(0)
    folder = tmp_path_factory.mktemp("wire") / "race"
    assert bench.write(folder, bench.scenario(20), 30) == 20
    return folder


def late_wire(wire):
    wire["marks"][1]["seconds"] += 0.05


def no_wire_mark(wire):
    del wire["marks"][0]


def more_until_done(wire):
    wire["bytesUntilDone"] += 1000


def more_received(wire):
    wire["receivedBytes"] += 1


def vague(wire):
    wire["marks"][2]["resolutionSeconds"] = 0.5


def fewer_samples(wire):
    wire["samples"] = 3


WIRE_EDITS = [
    (late_wire, "wireCurve at 50 %"),
    (no_wire_mark, "wireCurve.marks"),
    (more_until_done, "wireCurve.bytesUntilDone"),
    (more_received, "wireCurve.receivedBytes"),
    (vague, "found a resolution of 0.5"),
    (fewer_samples, "wireCurve.samples"),
]


@pytest.mark.parametrize(("change", "key"), WIRE_EDITS)
def test_an_edited_figure_of_a_wire_curve_is_named(with_wire, tmp_path, change, key):
    folder = shutil.copytree(with_wire, tmp_path / "copy")
    assert records.faults(results.load(folder)) == []
    path = leecher(folder)
    edit(path, lambda data: change(data["wireCurve"]))
    lines = [fault.text for fault in records.faults(results.load(folder))]
    name = path.relative_to(folder).as_posix()
    assert any(line.startswith(name) and key in line for line in lines), lines


def test_several_processes_find_the_same_faults_in_the_same_order(with_wire, tmp_path, monkeypatch):
    folder = shutil.copytree(with_wire, tmp_path / "copy")
    for path in sorted(folder.glob("runs/*/*-*.json")):
        if json.loads(path.read_text())["role"] == "leecher":
            edit(path, faster)
    loaded = results.load(folder)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    monkeypatch.setattr(by_cpu.threading, "active_count", lambda: 1)
    monkeypatch.setattr(by_cpu, "MIN_PEERS", 10**9)
    in_one_process = records.faults(loaded)
    assert len(in_one_process) > 20
    monkeypatch.setattr(by_cpu, "MIN_PEERS", 1)
    forked = []
    original = by_cpu._forked
    monkeypatch.setattr(by_cpu, "_forked", lambda *args: forked.append(1) or original(*args))
    assert records.faults(loaded) == in_one_process
    assert forked


def test_each_curve_is_read_once_and_broken_ones_are_named(folder, monkeypatch):
    """Reading thousands of curves takes most of a check's time."""
    first, second, third = sorted(folder.glob("runs/*/*.npz"))[:3]
    opened = Counter()
    original = npz.read
    monkeypatch.setattr(
        npz, "read", lambda file, *args: opened.update([file]) or original(file, *args)
    )
    monkeypatch.setattr(by_cpu, "MIN_PEERS", 10**9)
    assert verify(folder).sound
    assert set(opened) == set(folder.glob("runs/*/*.npz"))
    assert set(opened.values()) == {1}
    first.unlink()
    second.write_bytes(b"torn")
    shutil.copy(sorted(folder.glob("runs/*/*.npz"))[-1], third)
    broken = verify(folder).broken
    assert [line.partition(": ")[0] for line in broken] == [
        path.relative_to(folder).as_posix() for path in (first, second, third)
    ]
    signs = ("missing", "not a complete npz", "belongs to peer")
    assert [sign in line for sign, line in zip(signs, broken, strict=True)] == [True] * 3
