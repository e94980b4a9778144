"""The benchmarks' arithmetic and the command that runs them; their figures are not tested."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from paths import ROOT
from swarmrace.clock import VirtualClock
from swarmrace.peer.transfer import summarize
from swarmrace.recording.arrivals import ByteLog
from swarmrace.systems.abc import Observes, Record


@pytest.fixture(autouse=True)
def _from_the_checkout(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


def test_the_instruments_error_is_reported_minus_sent():
    """Ten pieces, one every 10 ms; each read gets two and is recorded 0.25 ms after the second."""
    instrument = importlib.import_module("benchmarks.instrument")
    piece, start_ns = instrument.PIECE, 1_000_000_000
    stamps = [start_ns + 10_000_000 * (k + 1) for k in range(10)]
    record = Record(VirtualClock(), 10 * piece)
    record.start_ns = start_ns
    log = record.arrivals = record.deliverable = ByteLog(5)
    for k in range(1, 10, 2):
        log.record((k - 1) * piece, 2 * piece, stamps[k] + 250_000)
    observes = Observes(arrival=True, delivery=True, unit="read")
    figures, _ = summarize(record, observes, start_ns, start_ns, log.last_ns)
    pieces, marks = instrument.errors_of(record, figures, stamps, [piece] * 10)
    np.testing.assert_allclose(pieces, [10.25, 0.25] * 5)
    assert marks["t50"] == pytest.approx((10.25, 100 * 10.25 / 50))  # the fifth piece waits
    assert marks["t100"] == pytest.approx((0.25, 0.25))


@pytest.mark.parametrize("curve", ["steady", "bursts", "late"])
def test_curves_rise_from_the_start_to_the_end(curve):
    instants = importlib.import_module("benchmarks.instrument").CURVES[curve](1000, 2.0)
    assert 0 < instants[0] < 0.2
    assert instants[-1] == pytest.approx(2.0)
    assert instants == sorted(instants)


def test_every_module_accepts_its_quick_arguments():
    report = importlib.import_module("benchmarks.all")
    names = report.modules()
    assert {"payload", "instrument", "coverage", "rendezvous", "swarm"} <= set(names)
    assert set(report.QUICK) <= set(names)
    for name in names:
        main = importlib.import_module(f"benchmarks.{name}").main
        main.make_context(name, list(report.QUICK.get(name, ())))


def test_one_command_runs_them_and_writes_their_figures(tmp_path):
    output = tmp_path / "report.json"
    arguments = ["payload", "instrument", "--quick", "--output", str(output)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(output.read_text())
    assert report["machine"]["cpus"] == len(os.sched_getaffinity(0))
    assert [b["module"] for b in report["benchmarks"]] == ["payload", "instrument"]
    figures = [figure for b in report["benchmarks"] for figure in b["figures"]]
    assert all(b["figures"] and not b["error"] for b in report["benchmarks"])
    assert all(figure["name"] in done.stdout for figure in figures)
    assert all(math.isfinite(figure["value"]) for figure in figures)


def test_a_failed_module_is_reported(monkeypatch, tmp_path):
    report = importlib.import_module("benchmarks.all")
    (tmp_path / "broken.py").write_text('print(\'{"name": "half a figure"}\')\nraise SystemExit(3)')
    (tmp_path / "silent.py").write_text("")
    monkeypatch.setattr(report, "_source", lambda name: tmp_path / "benchmarks" / f"{name}.py")
    (tmp_path / "benchmarks").mkdir()
    for name in ("broken", "silent"):
        (tmp_path / f"{name}.py").rename(tmp_path / "benchmarks" / f"{name}.py")
    assert report.run("broken")["error"] == "exited with 3"
    assert report.run("broken")["figures"] == []
    assert report.run("silent")["error"] == "printed no figure"


def test_a_figure_without_an_aim_counts_as_met_and_one_without_a_value_is_an_error():
    report = importlib.import_module("benchmarks.all")
    figure = {"name": "a", "value": 1, "unit": "s"}
    assert report.figure_of({**figure, "aim": None, "more": 2}) == {
        **figure, "spread": "", "n": 1, "aim": "", "met": True
    }  # fmt: skip
    with pytest.raises(KeyError):
        report.figure_of({"name": "a", "unit": "s"})


def test_an_unknown_name_is_refused():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "payloads"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "payloads" in done.stderr
    assert "payload," in done.stderr


@pytest.mark.parametrize(("different", "met"), [(5, True), (6, False)])
def test_at_most_five_of_forty_a_a_races_may_be_called_different(different, met):
    a_a = importlib.import_module("benchmarks.a_a")
    claims = ["slower", "faster"] * different + ["no difference", "not shown to differ"] * 40
    claims = claims[:different] + claims[2 * different :]
    raced = [{"claim": claim, "blocks": 6, "seconds": 1.0} for claim in claims[:40]]
    found = a_a.report(raced)
    assert (found["value"], found["n"], found["met"]) == (different, 40, met)


def test_the_two_entrants_of_an_a_a_race_are_identical():
    a_a = importlib.import_module("benchmarks.a_a")
    made = a_a.scenario(7, "1MB")
    one, other = made.entrants.values()
    assert one == other
    assert (made.race.repetitions, made.race.seed) == (6, 7)
