"""The coverage benchmark, small: it runs, and it would notice a wrong interval."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

PATH = Path(__file__).parents[2] / "benchmarks" / "coverage.py"


@pytest.fixture
def benchmark():
    spec = importlib.util.spec_from_file_location("swarmrace_coverage_benchmark", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_case_meets_the_aim_and_says_so(benchmark):
    ran = CliRunner().invoke(benchmark.main, ["--replicates", "20000"], catch_exceptions=False)
    lines = [json.loads(line) for line in ran.output.splitlines()]
    assert len(lines) == len(benchmark.CASES) * 3
    for line in lines:
        assert set(line) == {"name", "value", "unit", "spread", "n", "aim", "met"}
        assert line["met"] is (line["value"] >= 0.93)
        assert line["met"], line


def test_an_interval_that_is_too_narrow_is_noticed(benchmark, monkeypatch):
    right = benchmark.t_half_widths
    monkeypatch.setattr(benchmark, "t_half_widths", lambda ratios: right(ratios, 0.9))
    ran = CliRunner().invoke(benchmark.main, ["--replicates", "5000"], catch_exceptions=False)
    met = {line["name"]: line["met"] for line in map(json.loads, ran.output.splitlines())}
    assert not any(value for name, value in met.items() if "log-normal" in name)
