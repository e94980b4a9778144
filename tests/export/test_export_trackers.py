"""What tools that track benchmarks read."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner

from made_results import BT, HTTP, INF, build, scenario_of
from swarmrace.cli.main import main

TIMES = {"bt": [[1, 2, 3], [2, 4, INF]], "web": [[0.5, 0.5, 0.5], [INF, INF, INF]]}


@pytest.fixture
def folder(tmp_path):
    scenario = scenario_of({"bt": BT, "web": HTTP}, repetitions=2)
    return build(tmp_path / "results", scenario, TIMES)


def printed(folder, format_):
    ran = CliRunner().invoke(main, ["export", str(folder), "--format", format_])
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def test_bencher(folder):
    found = json.loads(printed(folder, "bmf"))
    assert set(found) == {"4x1-10MB/bt", "4x1-10MB/web"}
    bt = found["4x1-10MB/bt"]
    assert bt["seconds"] == {"value": 3.0, "lower_value": 2.0, "upper_value": 4.0}
    assert bt["download-bytes-per-second"]["value"] == pytest.approx(1e7 / 3)
    assert bt["complete-runs-share"] == {"value": 0.5}
    # The median of 0.5 and infinity is infinite: no number, never a large one.
    assert "seconds" not in found["4x1-10MB/web"]
    for measures in found.values():
        for values in measures.values():
            assert set(values) <= {"value", "lower_value", "upper_value"}


def test_benchstat(folder):
    """By golang.org/design/14313-benchmark-format: name, iterations, pairs of value and unit."""
    text = printed(folder, "benchfmt")
    lines = [line for line in text.splitlines() if line.startswith("Benchmark")]
    assert len(lines) == 3
    for line in lines:
        name, iterations, *pairs = line.split()
        assert re.fullmatch(r"BenchmarkTransfer(/[a-z]+=[A-Za-z0-9.-]+)+", name)
        assert iterations == "1"
        assert len(pairs) % 2 == 0
        assert {"sec/op", "B/s"} <= set(pairs[1::2])
        assert all(float(value) > 0 for value in pairs[::2])
    assert "BenchmarkTransfer/cell=4x1-10MB/entrant=bt 1 2.0 sec/op 5000000.0 B/s" in text
    keys = [line for line in text.splitlines() if re.match(r"[a-z][^ A-Z]*: ", line)]
    assert {key.split(":")[0] for key in keys} >= {"race", "file-size", "swarm-size", "seeders"}
    [failed] = [line for line in text.splitlines() if " failed: " in line]
    assert failed.startswith("# BenchmarkTransfer/cell=4x1-10MB/entrant=web")
    assert text.endswith("# 1 failed runs have no line: these times are of the others alone\n")
