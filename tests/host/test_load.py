from __future__ import annotations

import time

from swarmrace.host import load


def test_a_busy_machine():
    outside = time.monotonic()
    meter = load.LoadMeter()
    began = time.process_time()
    while time.process_time() - began < 0.3:
        pass
    found = meter.stop()
    outside = time.monotonic() - outside
    assert found.busy_cpu_seconds >= 0.25, "this process alone was"
    # The kernel counts in ticks of 10 ms, or fewer, of each processor.
    assert found.busy_cpu_seconds <= found.cpus * (outside + 0.03)
    assert 0.3 <= found.seconds <= outside


def test_a_kernel_without_counters(tmp_path, monkeypatch):
    monkeypatch.setattr(load, "_PRESSURE", tmp_path / "none")
    assert load.LoadMeter().stop().pressure_seconds is None
    monkeypatch.setattr(load, "_STAT", tmp_path / "none")
    assert load.LoadMeter().stop() is None


def test_pressure_is_read_if_the_kernel_has_it(tmp_path, monkeypatch):
    file = tmp_path / "cpu"
    monkeypatch.setattr(load, "_PRESSURE", file)
    file.write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0 total=9\n")
    meter = load.LoadMeter()
    file.write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=4000000\nfull avg10=0 total=9\n")
    assert meter.stop().pressure_seconds == 2.5
