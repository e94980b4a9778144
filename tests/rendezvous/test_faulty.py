"""A tracker whose release has invalid values answers every client with the reason."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from loopback import new_address
from patience import PATIENCE_SECONDS
from swarmrace.rendezvous.client import listening

GOOD = {"global": {"race": {"swarmSize": 2}, "entrants": {"a": {"kind": "http"}}}}
FAULTY = {**GOOD, "monitoring": {"enabled": True, "lingerSeconds": 3}, "enabled": True}
"""Values whose fault only the tracker sees: the race itself is sound."""
FAULT = "monitoring.lingerSeconds: found 3, expected at least 9"
HASH = "0123456789"


def swarmrace(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "swarmrace", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "scenario.json").write_text(json.dumps(GOOD))
    (folder / "values.json").write_text(json.dumps(FAULTY))
    (folder / "token").write_text("secret")
    return folder


@pytest.fixture(scope="module")
def url(files: Path) -> Iterator[str]:
    """The release's address at a tracker that stays up."""
    host = new_address()  # its own, so that nothing else can take the port meanwhile
    with socket.create_server((host, 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "swarmrace", "tracker", "--scenario", files / "scenario.json",
         "--values", files / "values.json", "--data-dir", files / "data", "--release-hash", HASH,
         "--listen", f"{host}:{port}"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    base = f"http://{host}:{port}"
    try:
        assert listening.wait(base, PATIENCE_SECONDS)
        yield f"{base}/{HASH}"
    finally:
        process.terminate()
        _, log = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, "SIGTERM ends it in order"
    assert FAULT in log


def test_a_faulty_tracker_is_healthy_and_answers_everything_else_with_the_faults(url: str) -> None:
    healthy = httpx.get(httpx.URL(url).join("/healthz"), timeout=PATIENCE_SECONDS)
    assert healthy.status_code == 200
    for path in ("", "/", "/0123456789/status", "/x/announce"):
        answer = httpx.get(f"{url}{path}", timeout=PATIENCE_SECONDS)
        assert answer.status_code == 422
        assert answer.json()["faults"][0].startswith(FAULT)


@pytest.mark.parametrize("command", ["peer", "verdict", "answers"])
def test_clients_exit_with_3_and_print_the_faults(
    url: str, files: Path, tmp_path: Path, command: str
) -> None:
    more: list[object] = []
    if command == "peer":
        more = ["--entrant", "a", "--peer", 0, "--address", "127.0.0.1", "--work-dir", tmp_path]
    done = swarmrace(
        command, "--rendezvous", url, "--scenario", files / "scenario.json",
        "--token-file", files / "token", *more,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert FAULT in done.stdout + done.stderr


def test_the_upgrade_hook_finds_the_same_faults(files: Path) -> None:
    done = swarmrace("judge", files / "values.json")
    assert done.returncode == 3
    assert FAULT in done.stderr
    assert swarmrace("judge", files / "scenario.json").returncode == 0


def test_a_volume_that_cannot_hold_the_payload_is_refused_with_the_size(
    files: Path, tmp_path: Path
) -> None:
    done = swarmrace(
        "peer", "--rendezvous", "http://127.0.0.1:9", "--scenario", files / "scenario.json",
        "--entrant", "a", "--peer", 0, "--address", "127.0.0.1", "--work-dir", tmp_path,
        "--storage", "100MB",
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "global.peers.storage.size: found 100000000, expected at least 116777216" in done.stderr
