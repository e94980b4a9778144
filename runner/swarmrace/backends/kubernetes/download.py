"""Downloads a race's results folder inside the cluster, from the tracker."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from swarmrace.clock import SystemClock
from swarmrace.errors import RaceError, RendezvousError
from swarmrace.rendezvous.client.client import RendezvousClient

_POLL_SECONDS = 2.0
_LAST_POLL_SECONDS = 0.25
_PATIENCE_SECONDS = 300.0


async def wait_and_download(
    rendezvous: str,
    race_id: str,
    token: str | None,
    folder: Path,
    *,
    timeout_seconds: float,
    watch: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Wait until the race is over and download its results folder; return the last status.

    Raises:
        RaceError: the race is not over within `timeout_seconds`.
        RendezvousError: the rendezvous can't be reached for a long time.
    """
    client = RendezvousClient(
        rendezvous,
        race_id,
        "verdict",
        0,
        SystemClock(),
        token=token,
        patience_seconds=_PATIENCE_SECONDS,
        first_patience_seconds=timeout_seconds,
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            while not (status := await client.status())["over"]:
                watch(status)
                await asyncio.sleep(pause_seconds(status))
        watch(status)
        for file in await client.files():
            data = await client.download(file["path"])
            if hashlib.sha256(data).hexdigest() != file["sha256"]:
                raise RendezvousError(f"{file['path']}: the download is incomplete")
            path = folder / file["path"]
            if not path.resolve().is_relative_to(folder.resolve()):
                raise RendezvousError(f"{file['path']}: is outside of the results folder; refused")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return status
    except TimeoutError as error:
        raise RaceError(f"race {race_id}: not over within {timeout_seconds:g} s") from error
    finally:
        await client.aclose()


def pause_seconds(status: dict[str, Any]) -> float:
    """Return how long to wait before the status is read again: less once the last run has been
    raced, because then it disturbs no transfer and the next race of a sweep waits for it."""
    run = status["run"]
    ends = run and run["index"] == run["total"] - 1 and run["barrier"] == "cleared"
    return _LAST_POLL_SECONDS if ends else _POLL_SECONDS
