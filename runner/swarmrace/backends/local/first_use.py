"""A first request, made once before the race's processes are forked.

Libraries prepare much on first use (compiled patterns, caches of classes), which would cost every
peer several milliseconds of CPU.
"""

from __future__ import annotations

import asyncio
import contextlib

from swarmrace.clock import SystemClock
from swarmrace.rendezvous.client.client import RendezvousClient

_BODY = b'{"aborted":null,"over":false}'
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)


async def request() -> None:
    """Ask a server on this machine, by a peer's client.

    Raises:
        OSError: loopback can't be listened on.
        RendezvousError: there was no answer.
    """
    ended = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"}"):
                writer.write(_ANSWER)
        writer.close()
        ended.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = RendezvousClient(
        f"http://127.0.0.1:{port}", "0", "first", 0, SystemClock(), patience_seconds=1
    )
    try:
        for _ in range(2):
            await client.heartbeat(None, "wait", 0)
    finally:
        await client.aclose()
        await ended.wait()
        server.close()
