"""The HTTP server of the rendezvous and of the live page: uvicorn, ended by its owner."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from swarmrace.errors import RendezvousError

_log = logging.getLogger(__name__)
TRANSPORT = "swarmrace.transport"
"""Key of an ASGI scope: the connection's transport."""
BACKLOG = 4096
"""Maximum number of connections waiting to be accepted."""
_LEAVE_SECONDS = 2
_LEAVE_POLL_SECONDS = 0.005


class _Protocol(HttpToolsProtocol):
    """Gives each request its connection, so that a viewer that accepts no data can be cut off."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[TRANSPORT] = self.transport  # type: ignore[literal-required]


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: the owner of the event loop decides when to end."""

    def __init__(
        self, app: Any, *, sockets: list[socket.socket] | None = None, uds: Path | None = None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                uds=None if uds is None else str(uds),
                http=_Protocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=90,  # longer than the clients', which close first
            )
        )
        self._sockets = sockets
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """End: answer the current requests, close all connections. Call it in the event loop."""
        self.should_exit = True
        self._stopped.set()

    async def main_loop(self) -> None:
        """Wait for `stop`. uvicorn's own looks for its flag ten times a second."""
        await self.on_tick(0)
        await self._stopped.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the connections once their requests are answered, at most 2 s later.

        The same as uvicorn's, which sleeps for tenths of a second: a sweep waits for it after every
        cell.
        """
        for server in self.servers:
            server.close()
        for bound in sockets or ():
            bound.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        deadline = asyncio.get_running_loop().time() + _LEAVE_SECONDS
        while state.connections or state.tasks:
            if asyncio.get_running_loop().time() > deadline:
                _log.error("%d requests were not answered in time", len(state.tasks))
                for task in state.tasks:
                    task.cancel()
                break
            await asyncio.sleep(_LEAVE_POLL_SECONDS)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers."""
        yield

    async def run_until_stopped(self) -> None:
        """Serve until `stop`."""
        try:
            await self.serve(sockets=self._sockets)
        except (SystemExit, OSError) as error:
            where = self.config.uds or "the bound socket"
            raise RendezvousError(f"{where}: can't be listened on: {error}") from error

    async def started_or_failed(self, task: asyncio.Future[None]) -> None:
        """Wait until the server has started; raise the error of `task`, which runs it."""
        while not self.started and not task.done():
            await asyncio.sleep(0.005)
        if task.done():
            task.result()
            raise RendezvousError("the server ended before it had started")
