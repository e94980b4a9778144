"""What `helm test` asks a release's tracker and board."""

from __future__ import annotations

from typing import Any

import httpx

from swarmrace.errors import Fault, RendezvousError, ScenarioError

_SECONDS = 20.0


def require(rendezvous: str, race_id: str, token: str | None) -> None:
    """Ask tracker and board for what they must and must not answer.

    Args:
        rendezvous: its base URL, the release's hash included.
        race_id: the race it serves.
        token: guards what changes the race's state.

    Raises:
        ScenarioError: the release's values can't be raced.
        RendezvousError: something is not as it must be; it names all of it.
    """
    bearer = {"authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(timeout=_SECONDS, headers=bearer) as client:
        root = httpx.URL(rendezvous).copy_with(path="/healthz")
        checks = {"/healthz answers": _get(client, str(root)).status_code == 200}
        status = _get(client, f"{rendezvous}/{race_id}/status")
        _raise_faults(status)
        checks["the board answers"] = status.status_code == 200 and "over" in status.json()
        announce = _get(client, f"{rendezvous}/{race_id}/announce")
        checks["the tracker answers"] = announce.content.startswith(b"d")
        other = _get(client, f"{rendezvous}/{race_id[::-1]}x/status")
        checks["another race is refused"] = other.status_code >= 400
    interrupt = f"{rendezvous}/{race_id}/interrupt"
    checks["no token is refused"] = httpx.post(interrupt, timeout=_SECONDS).status_code == 401
    if wrong := [what for what, holds in checks.items() if not holds]:
        raise RendezvousError(
            f"{rendezvous}: found that not: {', '.join(wrong)}; see the log of the tracker's pod"
        )


def _get(client: httpx.Client, url: str) -> httpx.Response:
    try:
        return client.get(url)
    except httpx.TransportError as error:
        raise RendezvousError(f"{url}: expected an answer, found {error}") from error


def _raise_faults(response: httpx.Response) -> None:
    body: Any = response.json() if response.status_code == 422 else {}
    if body.get("faults"):
        faults = [Fault("", str(fault)) for fault in body["faults"]]
        raise ScenarioError(faults, "the release's values")
