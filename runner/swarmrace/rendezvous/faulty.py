"""A rendezvous whose scenario can't be raced: it stays up and answers every request with why.

On a cluster nobody reads the log of a pod that keeps restarting. So the tracker of a release with
faulty values is healthy, and whoever asks it anything gets all faults: peers end at once, the
verdict and `helm test` print them.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

from swarmrace.errors import Fault, ScenarioError

_log = logging.getLogger(__name__)

STATUS = 422


class FaultyApp:
    """Answers `/healthz` with 200, everything else with 422 and the faults.

    Args:
        faults: what is wrong.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        text = str(ScenarioError(faults, "the release's values"))
        self._body = json.dumps(
            {"error": text, "faults": [str(fault) for fault in faults]}
        ).encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if "method" not in scope:
            return  # a WebSocket or the lifespan, which nobody serves here
        healthy = scope["path"] == "/healthz"
        body = b'{"status":"ok"}' if healthy else self._body
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send(
            {
                "type": "http.response.start",
                "status": 200 if healthy else STATUS,
                "headers": headers,
            }
        )
        await send({"type": "http.response.body", "body": body})


async def serve_faults(faults: Sequence[Fault], host: str, port: int) -> None:
    """Answer with the faults until cancelled.

    Raises:
        RendezvousError: the address can't be listened on.
    """
    from swarmrace.rendezvous.server import Server, bind

    _log.error("%s", ScenarioError(faults, "the release's values"))
    bound = bind(host, port)
    server = Server(FaultyApp(faults), sockets=[bound])
    task = asyncio.ensure_future(server.run_until_told())
    try:
        await server.started_or_failed(task)
        await asyncio.Event().wait()
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)
        bound.close()
