"""The baseline's server with independent clients, and with bytes that no client sends."""

from __future__ import annotations

import http.client
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loopback import new_address
from patience import PATIENCE_SECONDS
from swarmrace.systems.http.server import FileServer

BODY = os.urandom(300_001)


@pytest.fixture
def server(tmp_path, address):
    file = tmp_path / "file"
    file.write_bytes(BODY)
    served = FileServer(address, file, "/a", lambda listener: None)
    yield served
    served.close()


def connect(server):
    url = httpx.URL(server.url)
    return socket.create_connection((url.host, url.port), timeout=PATIENCE_SECONDS)


def ask(server, request):
    """Send raw bytes; return status and the whole answer."""
    with connect(server) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    return int(answer.split(b" ", 2)[1]) if answer else None, answer


def test_get_by_two_independent_clients(server):
    response = httpx.get(server.url, trust_env=False, timeout=PATIENCE_SECONDS)
    assert response.status_code == 200
    assert response.content == BODY
    url = httpx.URL(server.url)
    connection = http.client.HTTPConnection(url.host, url.port, timeout=PATIENCE_SECONDS)
    connection.request("GET", "/a")
    assert connection.getresponse().read() == BODY
    connection.close()
    server.close()
    assert server.sent_bytes == 2 * len(BODY)
    assert server.accepted == 2


def test_head_has_the_length_and_no_body(server):
    response = httpx.head(server.url, trust_env=False, timeout=PATIENCE_SECONDS)
    assert response.headers["content-length"] == str(len(BODY))
    status, answer = ask(server, b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status == 200
    assert answer.endswith(b"\r\n\r\n")
    assert server.sent_bytes == 0


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /a HTTP/1.0\r\n\r\n", 200),
        (b"GET http://x:1/a HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n", 200),
        (b"GET /a HTTP/1.1\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"hello\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\nbroken\r\n\r\n", 400),
        (b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /../a HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000, 431),
        (b"GET /a HTT", None),
        (b"", None),
    ],
)
def test_every_request_gets_its_status(server, request_bytes, status):
    found, answer = ask(server, request_bytes)
    assert found == status
    if status == 200:
        assert answer.endswith(BODY)
    if status == 405:
        assert b"\r\nAllow: GET, HEAD\r\n" in answer


@settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(garbage=st.binary(min_size=1, max_size=300))
def test_no_garbage_ends_the_server(server, garbage):
    found, _ = ask(server, garbage + b"\r\n\r\n")
    assert found in (400, 404, 405, None)
    assert ask(server, b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200


def test_many_clients_at_once_get_the_whole_file(server):
    with ThreadPoolExecutor(20) as pool:
        bodies = pool.map(
            lambda _: httpx.get(server.url, trust_env=False, timeout=PATIENCE_SECONDS).content,
            range(20),
        )
        assert all(body == BODY for body in bodies)


def test_a_file_that_shrinks_ends_the_answer_early(server, tmp_path):
    os.truncate(tmp_path / "file", 1000)
    status, answer = ask(server, b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status == 200
    assert answer.endswith(b"\r\n\r\n" + BODY[:1000])


def test_closing_drops_connections_in_every_state_and_ends_all_threads(tmp_path):
    file = tmp_path / "big"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 30)
    threads = set(threading.enumerate())
    server = FileServer(new_address(), file, "/a", lambda listener: None)
    silent, asking, reading = (connect(server) for _ in range(3))
    asking.sendall(b"GET /a HT")
    reading.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
    assert reading.recv(100).startswith(b"HTTP/1.1 200")  # from here on it blocks in sendfile
    server.close()
    server.close()
    assert set(threading.enumerate()) == threads
    assert server.connections == 0
    with pytest.raises(ConnectionRefusedError):
        connect(server)
    for client in (silent, asking, reading):
        client.close()


def test_ipv6(tmp_path):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")
    (tmp_path / "file").write_bytes(BODY)
    server = FileServer("::1", tmp_path / "file", "/a", lambda listener: None)
    assert server.url.startswith("http://[::1]:")
    assert httpx.get(server.url, trust_env=False, timeout=PATIENCE_SECONDS).content == BODY
    server.close()
