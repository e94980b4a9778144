"""What every e2e module needs: programs, the image on the nodes, the umbrella's dependencies."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import cluster
import pytest
from cluster import ROOT, call, say


def build_and_load(name: str, context: str, **more: str) -> None:
    """Build the image of a folder of this checkout and bring it to the nodes."""
    began = time.monotonic()
    environment = {**os.environ, "IMAGE": name, "CONTEXT": context, **more}
    subprocess.run([ROOT / "tests/e2e/image"], check=True, env=environment)
    say(f"image {name} built and loaded in {time.monotonic() - began:.0f} s")


@pytest.fixture(scope="session")
def image() -> str:
    """The runner's image, built from this checkout and loaded, and the charts ready to install."""
    cluster.need("kubectl", "helm")
    build_and_load(cluster.IMAGE, ".")
    call("helm", "dependency", "build", "--skip-refresh", ROOT / "charts/swarmrace")
    return cluster.IMAGE


@pytest.fixture(scope="session")
def double() -> str:
    """The Codex test double's image, on the nodes under the name that the ci files have."""
    name = "localhost/codex-double:dev"
    build_and_load(name, "images/codex-double")
    return name


@pytest.fixture(scope="session")
def sweep_image(image: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image of a sweep's steps, with this machine's helm and kubectl."""
    folder = tmp_path_factory.mktemp("tools")
    for program in ("helm", "kubectl"):
        found = shutil.which(program)
        assert found is not None
        shutil.copy2(found, folder / program)
    shutil.copy(ROOT / "tests/e2e/tools.Dockerfile", folder / "Dockerfile")
    tools, name = "localhost/swarmrace-tools:e2e", "localhost/swarmrace-sweep:0.1.0"
    build_and_load(tools, str(folder), LOAD="true")
    build_and_load(name, ".", TARGET="sweep", TOOLS_IMAGE=tools)
    return name
