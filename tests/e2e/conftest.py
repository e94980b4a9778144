"""What every e2e module needs: programs, the image on the nodes, the umbrella's dependencies."""

from __future__ import annotations

import os
import subprocess
import time

import cluster
import pytest
from cluster import ROOT, call, say


@pytest.fixture(scope="session")
def image() -> str:
    """The runner's image, built from this checkout and loaded, and the charts ready to install."""
    cluster.need("kubectl", "helm")
    began = time.monotonic()
    subprocess.run(
        [ROOT / "tests/e2e/image"], check=True, env={**os.environ, "IMAGE": cluster.IMAGE}
    )
    say(f"image {cluster.IMAGE} built and loaded in {time.monotonic() - began:.0f} s")
    call("helm", "dependency", "build", "--skip-refresh", ROOT / "charts/swarmrace")
    return cluster.IMAGE


@pytest.fixture(scope="session")
def double() -> str:
    """The Codex test double's image, on the nodes under the name that the ci files have."""
    name = "localhost/codex-double:dev"
    environment = {**os.environ, "IMAGE": name, "CONTEXT": "images/codex-double"}
    subprocess.run([ROOT / "tests/e2e/image"], check=True, env=environment)
    return name
