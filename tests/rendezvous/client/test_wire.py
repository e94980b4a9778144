"""The control connections' wire bytes, and their errors."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from serving import client, on_sockets
from swarmrace.rendezvous.client.wire import CountingTransport


def test_control_bytes_count_both_ways_and_outlive_their_connections(tmp_path):
    async def story(running, url):
        counted = client(None, url)
        assert counted.control_bytes() == (0, 0)
        await counted.status()
        before = counted.control_bytes()
        await counted.preflight_upload(500_000)
        sent, received = counted.control_bytes()
        # The kernel decides the number of segments and acknowledgements.
        assert 500_000 < sent - before[0] < 750_000
        assert 0 < received - before[1] < 100_000
        await counted.preflight_download(300_000)
        sent_2, received_2 = counted.control_bytes()
        assert 300_000 < received_2 - received < 450_000
        assert sent_2 > sent
        await counted.aclose()
        assert counted.control_bytes() >= (sent_2, received_2)

    on_sockets(tmp_path, story)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", httpx.RemoteProtocolError),
        (None, httpx.ConnectError),
    ],
)
def test_errors_of_a_counted_connection_are_those_of_httpx(answer, error, address):
    async def respond(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def story():
        server = await asyncio.start_server(respond, address, 0)
        port = server.sockets[0].getsockname()[1]
        if answer is None:
            server.close()
            await server.wait_closed()
        async with httpx.AsyncClient(
            transport=CountingTransport(), trust_env=False, timeout=300
        ) as http:
            with pytest.raises(error):
                await http.get(f"http://{address}:{port}/")
        server.close()

    asyncio.run(story())
