"""`make e2e-report-image`: the image target `report` makes a report in a pod."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cluster
import pytest
from cluster import ROOT, call
from pyarrow import parquet

pytestmark = pytest.mark.timeout(900)

RESULTS = ROOT / "docs/results/2026-11-real-codex/raw"
LIBRARIES = ("jinja2", "pyarrow")
"""What only reports need."""


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    with cluster.namespace("swarmrace-report-image") as name:
        account = ("get", "serviceaccount", "default", "--ignore-not-found", "-o", "name")
        cluster.until("a pod's account", 60, lambda: call("kubectl", "-n", name, *account))
        yield name


def started(namespace: str, name: str, image: str) -> tuple[str, ...]:
    """Start a pod of an image that does nothing; return the command that runs another one in it."""
    call(
        "kubectl", "-n", namespace, "run", name, f"--image={image}", "--restart=Never",
        "--image-pull-policy=IfNotPresent", "--command", "--", "sleep", "900",
    )  # fmt: skip
    call("kubectl", "-n", namespace, "wait", f"pod/{name}", "--for=condition=Ready", "--timeout=2m")
    return "kubectl", "-n", namespace, "exec", name, "--"


def test_a_report_is_made_in_a_pod(tmp_path: Path, namespace: str, report_image: str) -> None:
    inside = started(namespace, "report", report_image)
    call("kubectl", "-n", namespace, "cp", RESULTS, "report:/tmp/results")
    call(*inside, "swarmrace", "report", "/tmp/results", "-o", "/tmp/report")
    assert call(*inside, "swarmrace", "report", "/tmp/results", "--summary").startswith("#")
    call("kubectl", "-n", namespace, "cp", "report:/tmp/report", tmp_path / "report")
    page = (tmp_path / "report/report.html").read_text()
    assert "codex" in page
    assert "</html>" in page
    assert (tmp_path / "report/report.md").exists()
    table = parquet.read_table(tmp_path / "report/data/transfers.parquet")
    assert table.num_rows > 0


def test_peers_do_not_carry_what_reports_need(namespace: str, image: str) -> None:
    inside = started(namespace, "runner", image)
    found = call(
        *inside, "python3", "-c",
        f"import importlib.util as u; print([n for n in {LIBRARIES} if u.find_spec(n)])",
    )  # fmt: skip
    assert found.strip() == "[]"
