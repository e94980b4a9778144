"""Helpers of the chart tests: find programs, read the objects that Helm renders."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paths import ROOT
from patience import PATIENCE_SECONDS


def find_tool(name: str) -> str | None:
    """Return a program from PATH, from the folder of programs that the helper cluster (`CLUSTER`,
    see the Makefile) builds, or from `.venv`, where `make test` builds helm."""
    folders = [os.environ.get("PATH", os.defpath)]
    if cluster := os.environ.get("CLUSTER"):
        build = ROOT / cluster / "build"
        answer = subprocess.run([build, "--path"], capture_output=True, text=True, check=True)
        folders.append(answer.stdout.strip())
    return shutil.which(name, path=os.pathsep.join([*folders, str(ROOT / ".venv/bin")]))


def need_tool(name: str) -> str:
    found = find_tool(name)
    if found is None:
        pytest.skip(f"{name} is not on PATH: the charts are not tested here (docs/kubernetes.md)")
    return found


def call(*command: Any, refused: bool = False) -> str:
    """Run a command; return its output, or its error output if it must be `refused`."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=PATIENCE_SECONDS,
        env={**os.environ, "KUBECONFIG": os.devnull},
    )  # fmt: skip
    assert (done.returncode != 0) == refused, done.stderr or done.stdout
    return done.stderr if refused else done.stdout


def run_unit_tests(chart: Path) -> int:
    """Run a chart's unit tests, all of which must pass; return their number."""
    done = subprocess.run(
        [need_tool("helm-unittest"), chart],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"Tests:\s+(\d+) passed", done.stdout)
    assert passed, done.stdout
    return int(passed[1])


class Rendered(list[dict[str, Any]]):
    """The objects of one `helm template`."""

    def of(self, kind: str, part: str = "") -> list[dict[str, Any]]:
        return [o for o in self if o["kind"] == kind and part in o["metadata"]["name"]]

    def one(self, kind: str, part: str = "") -> dict[str, Any]:
        (found,) = self.of(kind, part)
        return found

    @property
    def release_hash(self) -> str:
        return self.one("ConfigMap", "-scenario")["metadata"]["name"].split("-")[-2]


Render = Callable[..., Rendered]
