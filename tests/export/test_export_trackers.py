"""The formats of benchmark trackers, and the programs that read them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import jsonschema
import pytest
from click.testing import CliRunner

from made_matrices import cell, times
from made_results import BT, HTTP, INF, build, scenario_of
from swarmrace.cli.main import main
from swarmrace.systems.built import built

TIMES = {"bt": [[1, 2, 3], [2, 4, INF]], "web": [[0.5, 0.5, 0.5], [INF, INF, INF]]}
CODEX = {"codex-1": {"kind": "synthetic"}, "codex-2": {"kind": "synthetic"}, "bt": BT}
BMF_SCHEMA = {
    "type": "object",
    "patternProperties": {
        ".+": {
            "type": "object",
            "patternProperties": {
                ".+": {
                    "type": "object",
                    "properties": {
                        "value": {"type": "number"},
                        "lower_value": {"type": "number"},
                        "upper_value": {"type": "number"},
                    },
                    "required": ["value"],
                }
            },
        }
    },
}
"""Bencher's JSON Schema of its metric format (bencher.dev/docs/reference/bencher-metric-format)."""

BENCHSTAT = shutil.which("benchstat") or shutil.which(built("benchstat"))
needs_benchstat = pytest.mark.skipif(
    BENCHSTAT is None, reason="NOT TESTED: needs benchstat (`make systems` builds it, with Go)"
)


@pytest.fixture
def folder(tmp_path):
    scenario = scenario_of({"bt": BT, "web": HTTP}, repetitions=2)
    return build(tmp_path / "results", scenario, TIMES)


def printed(folder, format_):
    ran = CliRunner().invoke(main, ["export", str(folder), "--format", format_])
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def strict_json(text):
    """Parse JSON, which has no number for infinity."""

    def refuse(constant):
        raise AssertionError(f"found {constant}")

    return json.loads(text, parse_constant=refuse)


def benchstat(*arguments):
    """Return what benchstat prints as CSV: lines of cells."""
    ran = subprocess.run(
        [str(BENCHSTAT), "-format", "csv", *map(str, arguments)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [line.split(",") for line in ran.stdout.splitlines()]


def test_bencher(folder):
    found = json.loads(printed(folder, "bmf"))
    assert set(found) == {"4x1-10MB/bt", "4x1-10MB/web"}
    bt = found["4x1-10MB/bt"]
    assert bt["seconds"] == {"value": 3.0, "lower_value": 2.0, "upper_value": 4.0}
    assert bt["download-bytes-per-second"]["value"] == pytest.approx(1e7 / 3)
    assert bt["complete-runs-share"] == {"value": 0.5}
    # The median of 0.5 and infinity is infinite: it has no number, not even a large one.
    assert "seconds" not in found["4x1-10MB/web"]
    for measures in found.values():
        for values in measures.values():
            assert set(values) <= {"value", "lower_value", "upper_value"}


def test_bencher_keeps_to_its_schema(folder, tmp_path):
    """Numbers are finite and in order; names fit Bencher's limits of 1024 and 64 characters."""
    two = tmp_path / "both"
    shutil.copytree(folder, two / "1")
    cell(two / "2", {"a": times(1), "b": [INF] * 6}, swarmSize=8)
    cell(two / "3", {"a": [None] * 3, "b": [None] * 3}, swarmSize=16)
    found = strict_json(printed(two, "bmf"))
    jsonschema.validate(found, BMF_SCHEMA)
    assert found
    for name, measures in found.items():
        assert 0 < len(name) <= 1024
        assert measures
        for measure, values in measures.items():
            assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", measure)
            assert len(measure) <= 64
            low = values.get("lower_value", values["value"])
            high = values.get("upper_value", values["value"])
            assert low <= values["value"] <= high


def test_cells_that_differ_in_an_option_have_names_of_their_own(tmp_path):
    """Both are 4x1-10MB; neither replaces the other."""
    other = {"a": {"kind": "synthetic"}, "b": {"kind": "bittorrent", "utp": False}}
    cell(tmp_path / "m" / "1", {"a": times(1), "b": times(1)})
    cell(tmp_path / "m" / "2", {"a": times(3), "b": times(1)}, entrants=other)
    found = json.loads(printed(tmp_path / "m", "bmf"))
    [suffixed] = {name for name in found if name.endswith("/a")} - {"4x1-10MB/a"}
    assert re.fullmatch(r"4x1-10MB-[0-9a-f]{4}/a", suffixed)
    assert found["4x1-10MB/a"]["seconds"]["value"] == 1.0
    assert found[suffixed]["seconds"]["value"] == 3.0
    text = printed(tmp_path / "m", "benchfmt")
    names = set(re.findall(r"cell=(\S+)", text))
    assert len(names) == 2
    assert any(re.fullmatch(r"4x1-10MB#[0-9a-f]{4}", name) for name in names)


def test_an_output_that_is_a_folder_is_named(folder, tmp_path):
    arguments = ["export", str(folder), "--format", "bmf", "-o", str(tmp_path)]
    ran = CliRunner().invoke(main, arguments)
    assert ran.exit_code == 8
    assert f"{tmp_path}: found a folder, expected the name of a file to write" in ran.stderr


def test_only_the_attempt_that_counts_is_exported(tmp_path):
    cell(tmp_path / "m" / "1", {"a": times(1), "b": times(1)}, attempt=1)
    cell(tmp_path / "m" / "2", {"a": times(3), "b": times(1)}, attempt=2)
    for format_ in ("bmf", "benchfmt"):
        ran = CliRunner().invoke(main, ["export", str(tmp_path / "m"), "--format", format_])
        assert "left out: another attempt at 4x1-10MB counts" in ran.stderr
        assert "3.0" not in ran.stdout
    text = printed(tmp_path / "m", "benchfmt")
    assert len(re.findall(r"^BenchmarkTransfer/entrant=a", text, re.MULTILINE)) == 6


def test_benchstat_format(folder):
    """By golang.org/design/14313-benchmark-format: name, iterations, pairs of value and unit."""
    text = printed(folder, "benchfmt")
    lines = [line for line in text.splitlines() if line.startswith("Benchmark")]
    assert len(lines) == 3
    for line in lines:
        name, iterations, *pairs = line.split()
        assert re.fullmatch(r"BenchmarkTransfer(/[a-z]+=[A-Za-z0-9.-]+)+", name)
        assert not re.search(r"-\d+$", name), "benchstat would read a number of processors"
        assert iterations == "1"
        assert len(pairs) % 2 == 0
        assert {"sec/op", "B/s"} <= set(pairs[1::2])
        assert all(float(value) > 0 for value in pairs[::2])
    assert "BenchmarkTransfer/entrant=bt/cell=4x1-10MB 1 2.0 sec/op 5000000.0 B/s" in text
    keys = [line for line in text.splitlines() if re.match(r"[a-z][^ A-Z]*: ", line)]
    assert {key.split(":")[0] for key in keys} >= {"file-size", "swarm-size", "seeders"}
    [failed] = [line for line in text.splitlines() if " failed: " in line]
    assert failed.startswith("# BenchmarkTransfer/entrant=web/cell=4x1-10MB")
    assert text.endswith("# 1 failed runs have no line: these times are only of the others\n")


@needs_benchstat
def test_benchstat_compares_two_files(tmp_path):
    """Entrants that end in a number stay apart; races with other ids are compared."""
    for side, factor in (("old", 1.0), ("new", 1.5)):
        for size in (4, 8):
            raced = {"codex-1": times(factor), "codex-2": times(2), "bt": times(1)}
            cell(
                tmp_path / side / str(size), raced, entrants=CODEX,
                swarmSize=size, attempt=1 if side == "old" else 2,
            )  # fmt: skip
        (tmp_path / f"{side}.txt").write_text(printed(tmp_path / side, "benchfmt"))
    rows = benchstat("-filter", ".unit:sec/op", tmp_path / "old.txt", tmp_path / "new.txt")
    found = {row[0]: row[1:] for row in rows if row[0].startswith("Transfer/")}
    assert set(found) == {
        f"Transfer/entrant={name}/cell={size}x1-10MB" for size in (4, 8) for name in CODEX
    }
    for name, (old, _, new, _, change, _) in found.items():
        slower = "codex-1" in name
        assert float(old) == (2.0 if "codex-2" in name else 1.0)
        assert float(new) == (1.5 * float(old) if slower else float(old))
        assert change == ("+50.00%" if slower else "~")


@needs_benchstat
def test_benchstat_compares_entrants_with_the_baseline(tmp_path):
    raced = {"codex-1": times(3), "codex-2": times(2), "bt": times(1)}
    made = cell(tmp_path / "r", raced, entrants=CODEX)
    (tmp_path / "r.txt").write_text(printed(made, "benchfmt"))
    rows = benchstat("-col", "/entrant", tmp_path / "r.txt")
    head = next(row for row in rows if "codex-1" in row)
    assert [name for name in head if name] == ["bt", "codex-1", "codex-2"]
