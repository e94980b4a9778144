"""Fixtures that several test modules share; what is no fixture is in `loopback`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from loopback import MemoryBoard, new_address
from swarmrace.clock import Clock, SystemClock
from swarmrace.systems.abc import Context

# The machine is shared: how long an example takes, or is drawn, says nothing.
settings.register_profile("swarmrace", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("swarmrace")


@pytest.fixture
def address() -> str:
    """A loopback address of this test's own."""
    return new_address()


@pytest.fixture
def make_context(tmp_path: Path) -> Callable[..., Context]:
    """Return a function that makes a peer's context; each peer has its own folder and address,
    all of one test the same board."""
    board = MemoryBoard()

    def make(peer: int = 0, *, clock: Clock | None = None, **changes: Any) -> Context:
        work_dir = tmp_path / f"peer{peer}"
        work_dir.mkdir(exist_ok=True)
        values: dict[str, Any] = {
            "entrant": "entrant",
            "peer": peer,
            "swarm_size": 3,
            "race_id": "0123456789",
            "address": new_address(),
            "work_dir": work_dir,
            "announce_url": "http://127.0.0.1:1/announce",
            "size_bytes": 1_000_000,
            "board": board,
            "clock": clock or SystemClock(),
        }
        return Context(**values | changes)

    return make


@pytest.fixture
def run_cli() -> Callable[..., Any]:
    """Return a function that calls the command line in this process."""
    from click.testing import CliRunner

    from swarmrace.cli.main import main

    return lambda *arguments, **options: CliRunner().invoke(main, list(arguments), **options)
