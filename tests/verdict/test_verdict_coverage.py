"""The coverage benchmark in small: it runs, and it detects a wrong interval."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest
from click.testing import CliRunner

from paths import ROOT

ONE_SIDED = "one run in five 2.2 times as long, of one"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    module = importlib.import_module("benchmarks.coverage")
    cases = {name: module.CASES[name] for name in (module.LOG_NORMAL, ONE_SIDED)}
    monkeypatch.setattr(module, "CASES", cases)
    monkeypatch.setattr(module, "TRUTH_DRAWS", 400_000)
    return module


def lines(benchmark):
    ran = CliRunner().invoke(benchmark.main, ["--replicates", "3000"], catch_exceptions=False)
    return [json.loads(line) for line in ran.output.splitlines()]


def test_every_kind_of_noise_meets_the_aim_and_is_reported(benchmark):
    found = lines(benchmark)
    assert len(found) == 2 * (2 + 4 + 2)
    for line in found:
        assert set(line) == {"name", "value", "unit", "spread", "n", "aim", "met"}
        assert line["met"] is (line["value"] >= 0.93 or not line["aim"])
        assert line["met"], line
        assert bool(line["aim"]) is (
            "signed ranks" in line["name"] or "Student's t, log-normal," in line["name"]
        )


def test_an_interval_that_is_too_narrow_is_detected(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark.intervals, "CONFIDENCE", 0.85)
    met = {line["name"]: line["met"] for line in lines(benchmark)}
    assert not met["coverage of signed ranks, log-normal, 20 blocks"]
    assert not met[f"coverage of signed ranks, {ONE_SIDED}, 50 blocks"]


def test_the_true_value_is_computed_from_the_noise(benchmark, monkeypatch):
    """A third of one side's runs are shifted by 1: 4/9 of block pairs have no shift, 4/9 half."""

    def none(rng, shape):
        return np.zeros(shape)

    def shifted(rng, shape):
        return 1.0 * (rng.random(shape) < 1 / 3)

    rng = np.random.default_rng(1)
    assert benchmark.pseudo_median((shifted, none), rng) == 0.5
    assert benchmark.pseudo_median((none, shifted), rng) == -0.5
    assert benchmark.shift((shifted, none), rng) == 0
