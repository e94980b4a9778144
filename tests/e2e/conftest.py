"""Fixtures of all e2e modules: the images on the nodes and the umbrella chart's dependencies."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import cluster
import pytest
from cluster import ROOT, call, say


def build_and_load(name: str, context: str, **more: str) -> None:
    """Build the image of a folder of this checkout and load it onto the nodes."""
    began = time.monotonic()
    environment = {**os.environ, "IMAGE": name, "CONTEXT": context, **more}
    subprocess.run([ROOT / "tests/e2e/image"], check=True, env=environment)
    say(f"image {name} built and loaded in {time.monotonic() - began:.0f} s")


@pytest.fixture(scope="session")
def image() -> str:
    """Build and load the runner's image and make the charts installable; return its name."""
    cluster.need("kubectl", "helm")
    build_and_load(cluster.IMAGE, ".")
    call("helm", "dependency", "build", "--skip-refresh", ROOT / "charts/swarmrace")
    return cluster.IMAGE


@pytest.fixture(scope="session")
def report_image(image: str) -> str:
    """Build and load the image of the Dockerfile's target `report`; return its name."""
    name = "localhost/swarmrace-report:0.1.0"
    build_and_load(name, ".", TARGET="report")
    return name


@pytest.fixture(scope="session")
def double() -> str:
    """Build and load the Codex test double's image under the name in the ci files; return it."""
    name = "localhost/codex-double:dev"
    build_and_load(name, "images/codex-double")
    return name


@pytest.fixture(scope="session")
def sweep_image(image: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build and load the image of a sweep's steps, with this machine's helm and kubectl."""
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


@pytest.fixture(scope="session")
def kubo(tmp_path_factory: pytest.TempPathFactory) -> str:
    """kubo's image, from the program that `make systems` built."""
    built = subprocess.run(
        [ROOT / "programs/build", "--path"], check=True, capture_output=True, text=True
    )
    program = Path(built.stdout.strip()) / "ipfs"
    if not program.exists():
        pytest.fail(f"expected {program}, found none; run `make systems`", pytrace=False)
    folder, name = tmp_path_factory.mktemp("kubo"), "localhost/kubo:v0.43.1"
    shutil.copy2(program, folder / "ipfs")
    shutil.copy(ROOT / "images/kubo/Dockerfile", folder)
    build_and_load(name, str(folder))
    return name


@pytest.fixture(scope="session")
def transmission() -> str:
    """Debian's transmission-daemon as an image."""
    name = "localhost/transmission-daemon:3.00"
    build_and_load(name, "images/transmission")
    return name


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The example tcp_copy.py in an image of its own."""
    folder, name = tmp_path_factory.mktemp("copy"), "localhost/tcp-copy:e2e"
    shutil.copy2(ROOT / "examples/systems/tcp_copy.py", folder)
    shutil.copy(ROOT / "tests/e2e/copy.Dockerfile", folder / "Dockerfile")
    build_and_load(name, str(folder))
    return name


@pytest.fixture(scope="session")
def runner_with_copy(image: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The runner's image with the example tcp_copy.py added."""
    folder, name = tmp_path_factory.mktemp("runner"), "localhost/swarmrace-copy:e2e"
    shutil.copy2(ROOT / "examples/systems/tcp_copy.py", folder)
    (folder / "Dockerfile").write_text(f"FROM {image}\nCOPY tcp_copy.py /opt/\n")
    build_and_load(name, str(folder))
    return name
