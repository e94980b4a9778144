"""`helm test`: checks the answers of a release's tracker and board."""

from __future__ import annotations

from typing import Any

import httpx

from swarmrace.errors import Fault, RendezvousError, ScenarioError

_SECONDS = 60.0


def require_answers(rendezvous: str, race_id: str, token: str | None) -> None:
    """Require that tracker and board answer what they must, and refuse what they must.

    Args:
        rendezvous: its base URL, with the release's hash.
        race_id: the race that it serves.
        token: the token that guards changes of the race's state.

    Raises:
        ScenarioError: the release's values can't be raced.
        RendezvousError: a check fails; the message names all that do.
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
    if failed := [what for what, holds in checks.items() if not holds]:
        raise RendezvousError(
            f"{rendezvous}: found failed checks, expected none: {', '.join(failed)}; see the log "
            "of the tracker's pod"
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
