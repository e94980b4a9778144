"""A sweep's own metrics: what is served and what is pushed."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from made_sweeps import attempt, begin, finish
from swarmrace.errors import UnavailableError
from swarmrace.metrics import table
from swarmrace.sweep import state
from swarmrace.sweep.watching import SweepMetrics


def values(text):
    return {
        sample.name: (sample.value, sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("swarmrace_sweep")
    }


def scraped(port):
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=300) as answer:
        return values(answer.read().decode())


def test_a_scrape_reports_the_sweeps_progress(tmp_path):
    clock = [100.0]
    metrics = SweepMetrics(now=lambda: clock[0])
    port = metrics.serve("127.0.0.1", 0)
    assert scraped(port) == {}, "nothing before it has begun"
    begin(tmp_path)
    finish(tmp_path, but=("2x1-1kB", "3x1-2kB"))
    attempt(tmp_path, "2x1-1kB", status="running", runs=1)
    metrics.update(state.read(tmp_path), "2x1-1kB", 2)
    found = scraped(port)
    assert found["swarmrace_sweep_cells_done"] == (2.0, {"sweep": "made"})
    assert found["swarmrace_sweep_cells_left"][0] == 2
    assert found["swarmrace_sweep_failed_attempts"][0] == 1
    assert found["swarmrace_sweep_cell_info"] == (
        1.0,
        {"sweep": "made", "cell": "2x1-1kB", "attempt": "2"},
    )
    left = found["swarmrace_sweep_left_seconds"][0]
    assert left > 0
    clock[0] += left / 2  # the time left shrinks while a cell is raced
    assert scraped(port)["swarmrace_sweep_left_seconds"][0] == pytest.approx(left / 2)
    own = {metric.name for metric in table.METRICS if metric.served == "sweep"}
    assert set(found) == own, "each of the table's"
    metrics.update(state.read(tmp_path))
    assert set(scraped(port)) == own - {"swarmrace_sweep_cell_info"}


def test_an_address_in_use_is_reported(tmp_path):
    port = SweepMetrics().serve("127.0.0.1", 0)
    with pytest.raises(UnavailableError, match="--metrics: expected to listen on 127"):
        SweepMetrics().serve("127.0.0.1", port)


def test_each_change_is_pushed_and_a_failed_push_ends_nothing(tmp_path, caplog):
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((self.path, values(body.decode())))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    begin(tmp_path)
    metrics = SweepMetrics(f"http://127.0.0.1:{server.server_port}")
    metrics.update(state.read(tmp_path), "2x1-1kB", 1)
    ((path, found),) = received
    assert path == "/api/v1/import/prometheus"
    assert found["swarmrace_sweep_cells_left"][0] == 4
    server.shutdown()
    server.server_close()
    metrics.update(state.read(tmp_path))
    assert "the sweep's metrics were not accepted" in caplog.text
