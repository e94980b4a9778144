"""The wait before heavy imports."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading

import pytest

from swarmrace.rendezvous.client import listening


def test_returns_once_something_listens(address: str) -> None:
    with socket.socket() as server:
        server.bind((address, 0))
        url = f"http://{address}:{server.getsockname()[1]}"
        assert not listening.wait(url, 0.1), "bound, not listening"
        answers = []
        waiter = threading.Thread(target=lambda: answers.append(listening.wait(url, 300)))
        waiter.start()
        server.listen()
        waiter.join(300)
        assert answers == [True]


def test_gives_up_and_leaves_the_rest_to_the_client(address: str) -> None:
    with socket.socket() as server:
        server.bind((address, 0))
        assert not listening.wait(f"http://{address}:{server.getsockname()[1]}", 0.3)


def test_a_unix_socket_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening.time, "sleep", lambda _: pytest.fail("it waited"))
    assert listening.wait("unix:/nowhere", 60)


def test_the_command_line_and_the_wait_import_nothing_heavy() -> None:
    """Otherwise the heavy imports would come before the wait that should delay them."""
    code = (
        "import sys, swarmrace.cli.main, swarmrace.rendezvous.client.listening; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "pydantic", "httpx", "libtorrent", "scipy"} & set(done.stdout.split())
