"""Scrapes over real HTTP."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Callable

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hand_made import BLOCK, SIZE, HandMade
from patience import PATIENCE_SECONDS, until
from swarmrace.errors import UnavailableError
from swarmrace.metrics.exporter import MetricsServer
from swarmrace.metrics.sampler import observed_curves


@pytest.fixture
def made(tmp_path) -> HandMade:
    """A peer with a finished run and one in flight."""
    made = HandMade(tmp_path)
    made.begin()
    for number in range(SIZE // BLOCK):
        made.block(number, number + 1)
    result, curves = made.result()
    made.sampler.add_ended(result, observed_curves(result, curves))
    made.begin(run=1)
    made.block(0, 5)
    return made


def served(
    made: HandMade,
    ask: Callable[[httpx.Client, list], None],
    host: str = "127.0.0.1",
    complete: int = 0,
):
    """Serve, call `ask` in another thread, and return the bytes sent and received and the clients
    of complete answers, of which at least `complete` are waited for: a client has an answer a
    moment before the server knows that."""
    answered: list[str] = []

    async def main() -> tuple[int, int]:
        server = MetricsServer(made.sampler, host, 0, lambda client, began: answered.append(client))
        server.start()
        name = f"[{host}]" if ":" in host else host
        try:
            with httpx.Client(
                base_url=f"http://{name}:{server.port}", trust_env=False, timeout=PATIENCE_SECONDS
            ) as client:
                await asyncio.to_thread(ask, client, answered)
            await until(lambda: len(answered) >= complete)
        finally:
            await asyncio.to_thread(server.stop)
        return server.control_bytes()

    return asyncio.run(main()), answered


def test_scrape(made):
    def ask(client: httpx.Client, answered: list) -> None:
        answer = client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        families = {f.name: f for f in text_string_to_metric_families(answer.text)}
        arrived = {s.labels["run"]: s.value for s in families["swarmrace_arrived_bytes"].samples}
        assert arrived == {made.runs[0].id: SIZE, made.runs[1].id: BLOCK}
        assert {s.labels["peer"] for f in families.values() for s in f.samples} == {"1"}
        made.block(1, 6)  # a block that arrives between two scrapes is in the second
        again = client.get("/metrics", headers={"accept": "application/openmetrics-text"})
        assert again.headers["content-type"].startswith("application/openmetrics-text")
        assert again.text.endswith("# EOF\n")
        assert f'run="{made.runs[1].id}"}} {2 * BLOCK:.1f}' in again.text

    (sent, received), answered = served(made, ask, complete=2)
    assert answered == ["127.0.0.1"] * 2
    assert sent > 2_000
    assert received > 100


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="NOT TESTED: needs promtool (apt install prometheus)"
)
def test_promtool_finds_nothing_wrong(made):
    def ask(client: httpx.Client, answered: list) -> None:
        text = client.get("/metrics").content
        check = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
        assert check.returncode == 0, (check.stdout + check.stderr).decode()

    served(made, ask)


def test_probes_and_other_paths_are_not_scrapes(made):
    def ask(client: httpx.Client, answered: list) -> None:
        assert client.get("/healthz").text == "ok\n"
        assert client.get("/else").status_code == 404
        assert client.post("/metrics").status_code == 405
        probe = client.get("/metrics", headers={"user-agent": "kube-probe/1.33"})
        assert probe.status_code == 200

    assert served(made, ask)[1] == []


def test_an_interrupted_answer_is_not_complete(made):
    for number in range(40):  # make it larger than the sockets' buffers
        made.sampler.pushes[f"{number}" + "x" * 1_000_000] = 1

    def ask(client: httpx.Client, answered: list) -> None:
        with socket.create_connection((client.base_url.host, client.base_url.port)) as raw:
            raw.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert raw.recv(1000)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset
        assert client.get("/healthz").status_code == 200

    assert served(made, ask)[1] == []


def test_a_failing_sampler_is_an_error_and_not_an_answer(made, monkeypatch):
    monkeypatch.setattr(made.sampler, "samples", lambda snapshot: 1 / 0)

    def ask(client: httpx.Client, answered: list) -> None:
        assert client.get("/metrics").status_code == 500

    assert served(made, ask)[1] == []


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="NOT TESTED: this host has no IPv6")
def test_ipv6(made):
    def ask(client: httpx.Client, answered: list) -> None:
        assert client.get("/metrics").status_code == 200

    assert served(made, ask, "::1", complete=1)[1] == ["::1"]


def test_a_port_in_use_is_refused_with_what_to_do(made):
    async def main() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(UnavailableError, match="--metrics-port"):
                MetricsServer(made.sampler, "127.0.0.1", port).start()

    asyncio.run(main())
