"""`make race` fails if the race fails, and prints swarmrace's exit code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from paths import ROOT
from racing import scenario_file
from swarmrace.errors import Exit


@pytest.mark.skipif(not shutil.which("make"), reason="NOT TESTED: make is not installed")
@pytest.mark.parametrize(
    ("faults", "acceptance", "code"),
    [
        ({}, [], Exit.OK),
        ({1: "wrongBytes", 2: "wrongBytes"}, [], Exit.TRANSFERS_FAILED),
        ({}, [{"entrant": "b", "within": 1.2, "of": "a"}], Exit.ACCEPTANCE_UNDECIDED),
    ],
)
def test_the_last_lines_print_swarmraces_exit_code(tmp_path, faults, acceptance, code):
    quick = {"kind": "synthetic", "curve": [[0, 0], [0.2, 1]]}
    entrants = {"a": quick, "b": {**quick, "faults": faults}}
    race = {"rotateSeeders": False, "acceptance": acceptance}
    scenario = scenario_file(tmp_path, entrants, **race)
    ready = f"VENV={sys.prefix}", "-o", f"{sys.prefix}/.ready"  # this installation, as it is
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    done = subprocess.run(
        ["make", "race", *ready, f"SCENARIO={scenario}", f"RACE_ARGS=--results {tmp_path}/results"],
        cwd=ROOT,
        env={**environment, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    if code == Exit.OK:
        assert done.returncode == 0, done.stderr
        assert "exit code" not in done.stderr
        return
    assert done.returncode == 2, done.stderr  # make's own code for any failed recipe
    our_line, make_line = done.stderr.splitlines()[-2:]
    assert our_line == f"swarmrace: exit code {code:d} (docs/cli.md, Exit codes)"
    assert make_line.endswith(f"Error {code:d}")
    assert list((tmp_path / "results").glob("*/race.json"))
