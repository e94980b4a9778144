"""`/metrics`, served by prometheus-client in its own thread.

A request takes a snapshot in the peer's thread (well below a millisecond) and does the rest in its
own thread. The server's traffic is counted, so that it can be subtracted from the wire bytes.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from swarmrace.errors import UnavailableError
from swarmrace.host import sockets
from swarmrace.metrics import table
from swarmrace.metrics.sampler import Sampler
from swarmrace.rendezvous.client.wire import wire_bytes

_ANSWER_SECONDS = 10.0
_PROBES = ("kube-probe/",)
"""User agents whose requests are probes, not scrapes."""

log = logging.getLogger(__name__)


class StateCollector(Collector):
    """Reads a peer's state at each scrape.

    Args:
        sampler: the peer's sampler.
        loop: the peer's event loop; None if scrapes come from its own thread (in tests).
    """

    def __init__(self, sampler: Sampler, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._sampler = sampler
        self._loop = loop
        self._one_at_a_time = threading.Lock()

    def describe(self) -> list[Family]:
        """Return nothing: the served metrics depend on the peer's state."""
        return []

    def collect(self) -> Iterator[Family]:
        """Yield the metric families that have samples now."""
        with self._one_at_a_time:
            if self._loop is None:
                snapshot = self._sampler.snapshot()
            else:
                snapshot = asyncio.run_coroutine_threadsafe(self._snapshot(), self._loop).result(
                    _ANSWER_SECONDS
                )
            samples = self._sampler.samples(snapshot)
        yield from table.families(samples)

    async def _snapshot(self) -> Any:
        return self._sampler.snapshot()


class MetricsServer:
    """Serves `/metrics`, and `/healthz` for probes.

    Args:
        sampler: the sampler to serve.
        host: the IPv4 or IPv6 address to listen on; `*` for both families, if the host has both.
        port: the port; 0 for any.
        answered: called in the event loop after each complete answer to a scraper, with the
            client's address and the monotonic seconds at which the request began.

    Raises:
        UnavailableError: (by `start`) it can't listen on the port.
    """

    def __init__(
        self,
        sampler: Sampler,
        host: str,
        port: int,
        answered: Callable[[str, float], object] = lambda client, began: None,
    ) -> None:
        self._sampler = sampler
        self._host, self._port = host, port
        self._answered = answered
        self._server: _Server | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None
        return self._server.server_address[1]

    def start(self) -> None:
        """Begin to serve; call it in the peer's event loop."""
        loop = asyncio.get_running_loop()
        registry = CollectorRegistry()
        registry.register(StateCollector(self._sampler, loop))
        try:
            server = _Server(self._host, self._port)
        except OSError as error:
            raise UnavailableError(
                f"metrics: expected to listen on {self._host} port {self._port}, found "
                f"{error.strerror}; choose another port with --metrics-port"
            ) from error

        def answered(client: str, began: float) -> None:
            loop.call_soon_threadsafe(self._answered, client, began)

        server.set_app(_App(make_wsgi_app(registry), answered))
        self._server = server
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="metrics", daemon=True
        ).start()

    def control_bytes(self) -> tuple[int, int]:
        """Return the wire bytes (sent, received) of all scrapes answered so far."""
        return self._server.wire_bytes if self._server is not None else (0, 0)

    def stop(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _App:
    """Answers requests, and reports an answer once its last byte has been passed to the kernel."""

    def __init__(self, metrics: Callable[..., Any], answered: Callable[[str, float], None]) -> None:
        self._metrics = metrics
        self._answered = answered

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        path, began = environ["PATH_INFO"], time.monotonic()
        if path == "/healthz":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"ok\n"]
        if path != "/metrics":
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"expected /metrics or /healthz\n"]
        body = self._metrics(environ, start_response)
        scrapes = environ["REQUEST_METHOD"] == "GET" and not environ.get(
            "HTTP_USER_AGENT", ""
        ).startswith(_PROBES)
        return self._reported(body, environ["REMOTE_ADDR"], began) if scrapes else body

    def _reported(self, body: list[bytes], client: str, began: float) -> Iterator[bytes]:
        yield b"".join(body)
        # Not reached if the client disconnects before the whole answer is written.
        self._answered(client, began)


class _Handler(WSGIRequestHandler):
    timeout = _ANSWER_SECONDS

    def address_string(self) -> str:
        return self.client_address[0]

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)

    def finish(self) -> None:
        super().finish()
        assert isinstance(self.server, _Server)
        self.server.count(wire_bytes(self.connection))


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    wire_bytes = (0, 0)

    def __init__(self, host: str, port: int) -> None:
        self._counting = threading.Lock()
        super().__init__((host, port), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = sockets.listening(host, port, self.request_queue_size)
        self.server_address = self.socket.getsockname()
        # HTTPServer's own binding would ask the name service for this host's name.
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def count(self, sent_and_received: tuple[int, int]) -> None:
        with self._counting:
            sent, received = self.wire_bytes
            self.wire_bytes = sent + sent_and_received[0], received + sent_and_received[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("metrics: a scraper at %s disconnected", client_address, exc_info=True)
