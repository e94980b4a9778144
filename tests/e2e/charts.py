"""`make e2e-charts`: chart-testing with the top-level ct.yaml lints all charts and installs each
`ci/*-values.yaml`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import cluster
import pytest
from cluster import ROOT, say

pytestmark = [pytest.mark.timeout(3000), pytest.mark.usefixtures("image", "double")]


def ct(*arguments: str) -> str:
    """Run chart-testing with this environment's yamllint and yamale; return its output."""
    path = f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["ct", *arguments, "--config", "ct.yaml"], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_lint_of_every_chart() -> None:
    cluster.need("ct", "helm")
    charts = [path.parent.name for path in ROOT.glob("charts/*/Chart.yaml")]
    output = ct("lint", "--excluded-charts", "")
    for chart in charts:
        assert f"{chart} => (version" in output, chart
    say(f"ct lint: {len(charts)} charts")


def test_install_of_every_ci_file() -> None:
    files = sorted(path.name for path in Path(ROOT, "charts/swarmrace/ci").glob("*-values.yaml"))
    output = ct("install")
    missing = [name for name in files if name not in output]
    assert missing == [], "every file was installed"
    say(f"ct install: {len(files)} values files")
