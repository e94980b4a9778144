"""The `helm` that is found, and a copy of the charts with their dependencies built."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from helm_charts import ROOT, Render, Rendered, call, need_tool


@pytest.fixture(scope="session")
def helm() -> str:
    return need_tool("helm")


@pytest.fixture(scope="session")
def checkout(helm: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The charts of a clean clone, after one `helm dependency build` of the umbrella."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "charts", "tests/charts", "scenarios"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    call(helm, "dependency", "build", folder / "charts" / "swarmrace")
    return folder


@pytest.fixture(scope="session")
def render(helm: str, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Render a chart: `render(values, "--set", …, chart="swarmrace", release="race")`."""
    folder = tmp_path_factory.mktemp("values")
    seen: dict[str, Any] = {}

    def run(
        values: Mapping[str, Any] | Path,
        *arguments: str,
        chart: str = "swarmrace",
        release: str = "race",
        refused: bool = False,
        fresh: bool = False,
    ) -> Any:
        about = json.dumps([str(values) if isinstance(values, Path) else values, arguments])
        about += f"{chart} {release} {refused}"
        if about not in seen or fresh:
            seen[about] = again(values, *arguments, chart=chart, release=release, refused=refused)
        return copy.deepcopy(seen[about])

    def again(
        values: Any, *arguments: str, chart: str, release: str, refused: bool
    ) -> Rendered | str:
        if not isinstance(values, Path):
            file = folder / "values.json"
            file.write_text(json.dumps(values))
            values = file
        path = checkout / "charts" / chart if "/" not in chart else checkout / chart
        output = call(helm, "template", release, path, "-f", values, *arguments, refused=refused)
        if refused:
            return output
        return Rendered(o for o in yaml.safe_load_all(output) if o)

    return run
