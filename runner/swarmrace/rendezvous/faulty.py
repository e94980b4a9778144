"""A rendezvous whose scenario can't be raced: it stays up and answers every request with why.

On a cluster nobody reads the log of a pod that keeps restarting. So the tracker of a release with
faulty values stays healthy and answers every request with all faults: peers exit at once; the
verdict and `helm test` print the faults.
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
            return  # a WebSocket or lifespan event, not served here
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
    from swarmrace.rendezvous.http_server import Server
    from swarmrace.rendezvous.server import bind

    _log.error("%s", ScenarioError(faults, "the release's values"))
    bound = bind(host, port)
    server = Server(FaultyApp(faults), sockets=[bound])
    task = asyncio.ensure_future(server.run_until_stopped())
    try:
        await server.started_or_failed(task)
        await asyncio.Event().wait()
    finally:
        server.stop()
        await asyncio.gather(task, return_exceptions=True)
        bound.close()
