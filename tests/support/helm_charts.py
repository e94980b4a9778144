"""What the chart tests share: the programs they find, and the objects that Helm renders."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from paths import ROOT


def find_tool(name: str) -> str | None:
    """Return a program from PATH, from the folder where the helper cluster (`CLUSTER`, see the
    Makefile) builds its own, or from `.venv`, where `make test` builds helm."""
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
    """Run a command; return its output, or its error output when it must be `refused`."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=100,
        env={**os.environ, "KUBECONFIG": os.devnull},
    )  # fmt: skip
    assert (done.returncode != 0) == refused, done.stderr or done.stdout
    return done.stderr if refused else done.stdout


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
