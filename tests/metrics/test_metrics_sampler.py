"""The samples of a run in flight, and of its end, which agree with its result."""

from __future__ import annotations

import pytest

from hand_made import BLOCK, SIZE, START_NS, WALL_NS, HandMade, values
from swarmrace.definitions import STAGES
from swarmrace.errors import Reason
from swarmrace.metrics import table
from swarmrace.metrics.sampler import observed_curves
from swarmrace.metrics.table import METRICS
from swarmrace.recording.records import Failure, Publish
from swarmrace.systems.abc import Counters

BLOCKS = SIZE // BLOCK


def samples(made: HandMade):
    return made.sampler.samples(made.sampler.snapshot())


def end(made: HandMade, failure: Failure | None = None):
    result, curves = made.result(failure)
    return made.sampler.add_ended(result, observed_curves(result, curves)), result


def test_a_run_in_flight(tmp_path):
    made = HandMade(tmp_path)
    made.begin()
    for number in (0, 1, 3, 3):
        made.block(number, 100 * (number + 1))
    made.clock._now_ns += 2_000_000_000
    found = samples(made)
    run = made.runs[0].id
    assert values(found, "swarmrace_arrived_bytes_total", run=run) == [3 * BLOCK]
    assert values(found, "swarmrace_delivered_bytes_total", run=run) == [2 * BLOCK]
    assert values(found, "swarmrace_duplicate_bytes_total", run=run) == [BLOCK]
    assert values(found, "swarmrace_verified_bytes_total", run=run) == [0]
    assert values(found, "swarmrace_payload_bytes", run=run) == [SIZE]
    assert values(found, "swarmrace_wire_received_bytes_total", run=run) == [1_050_000]
    assert values(found, "swarmrace_cpu_seconds_total", run=run) == [0.25]
    assert values(found, "swarmrace_start_timestamp_seconds", run=run) == [WALL_NS / 1e9]
    assert values(found, "swarmrace_since_last_byte_seconds", run=run) == [pytest.approx(2.0)]
    assert values(found, "swarmrace_completed") == []
    assert {stage: values(found, "swarmrace_stage", run=run, stage=stage) for stage in STAGES} == {
        stage: [float(stage == "race")] for stage in STAGES
    }


def test_marks_in_flight_agree_with_the_result(tmp_path):
    made = HandMade(tmp_path)
    made.begin()
    names = table.MARK.name, table.START.name
    for number in range(BLOCKS):
        made.block(BLOCKS - 1 - number, 7 * number + 3)
        if number % 9 == 0:
            before = samples(made)
    before = samples(made)
    flying = [values(before, name) for name in names]
    _, result = end(made)
    made.clock._now_ns += 5_000_000_000
    made.sampler._wall_ns = lambda: 0  # a wall clock that is set back changes no mark
    after = samples(made)
    assert [sorted(values(after, name)) for name in names] == [sorted(row) for row in flying]
    marks = {f"{mark.percent:g}": mark.seconds for mark in result.transfer.arrival}
    assert len(marks) == 6
    (start,) = values(after, table.START.name)
    for percent, seconds in marks.items():
        (instant,) = values(after, table.MARK.name, of="arrival", percent=percent)
        assert instant - start == pytest.approx(seconds, abs=1e-6)
    # Delivery begins only with the last block to arrive, which is the first of the file.
    assert len(set(values(after, table.MARK.name, of="delivery"))) == 1


def test_a_finished_run_is_served_during_the_next_one(tmp_path):
    made = HandMade(tmp_path)
    made.begin()
    for number in range(BLOCKS):
        made.block(number, number + 1)
    end(made)
    first, second = made.runs[0].id, made.runs[1].id
    made.clock._now_ns += 10_000_000_000
    made.begin(run=1)
    made.block(0, 1)
    found = samples(made)
    assert values(found, "swarmrace_arrived_bytes_total", run=first) == [SIZE]
    assert values(found, "swarmrace_verified_bytes_total", run=first) == [SIZE]
    assert values(found, "swarmrace_completed", run=first) == [1]
    assert values(found, "swarmrace_start_timestamp_seconds", run=first) == [WALL_NS / 1e9]
    assert values(found, "swarmrace_arrived_bytes_total", run=second) == [BLOCK]
    assert values(found, "swarmrace_completed", run=second) == []
    # Ten seconds, the first run's 100 ms and a nanosecond later.
    assert values(found, "swarmrace_start_timestamp_seconds", run=second) == [
        pytest.approx(WALL_NS / 1e9 + 10.1, abs=1e-6)
    ]
    assert values(found, "swarmrace_system_info", version="hand-made 1") == [1]


def test_a_failed_run_keeps_its_bytes_and_its_reason(tmp_path):
    made = HandMade(tmp_path)
    made.begin()
    made.block(0, 5)
    end(made, Failure(reason=Reason.STALL, stage="race"))
    found = samples(made)
    assert values(found, "swarmrace_failure_info", reason="stall", stage="race") == [1]
    assert values(found, "swarmrace_completed") == [0]
    assert values(found, "swarmrace_arrived_bytes_total") == [BLOCK]
    assert values(found, "swarmrace_verified_bytes_total") == [0]
    assert values(found, "swarmrace_done_timestamp_seconds") == []


def test_failures_are_counted_over_a_peers_runs(tmp_path):
    made = HandMade(tmp_path)
    for number, reason in enumerate((None, Reason.STALL, Reason.STALL)):
        found = samples(made)
        assert values(found, "swarmrace_failures_total", reason="stall") == [max(0, number - 1)]
        assert values(found, "swarmrace_failures_total", reason="node died") == [0]
        failure = None if reason is None else Failure(reason=reason, stage="race")
        made.begin(run=number % 2)
        end(made, failure)
    found = samples(made)
    assert values(found, "swarmrace_failures_total", reason="stall") == [2]
    assert len(values(found, "swarmrace_failures_total")) == len(Reason)


def test_a_systems_own_figures_are_served_during_and_after_the_run(tmp_path):
    figure = 'libp2p_network_bytes_total{direction="in"}'

    class Counting:
        def counters(self):
            return Counters(sent_bytes=1, connections=3, extra={figure: 7.0})

    made = HandMade(tmp_path)
    made.begin()
    made.state.system = Counting()
    found = samples(made)
    assert values(found, "swarmrace_system_figure") == [7]
    assert values(found, "swarmrace_system_figure", figure=figure) == [7]
    assert values(found, "swarmrace_system_sent_bytes_total") == [1]
    assert values(found, "swarmrace_system_received_bytes_total") == []
    result, curves = made.result()
    counters = {"sent_bytes": 3.0, "connections": 2.0, figure: 8.0}
    result = result.model_copy(update={"counters": counters})
    made.sampler.add_ended(result, observed_curves(result, curves))
    found = samples(made)
    assert values(found, "swarmrace_system_figure") == [8]
    assert values(found, "swarmrace_system_figure", figure=figure) == [8]
    assert values(found, "swarmrace_connections") == []


def test_a_leecher_whose_run_was_not_raced_has_no_times(tmp_path):
    made = HandMade(tmp_path)
    made.state.start_ns = START_NS  # of the run before
    failure = Failure(reason=Reason.NOT_RUN, stage="wait")
    result = made._result(made.runs[0], failure)
    made.sampler.add_ended(result, observed_curves(result, {}))
    found = samples(made)
    assert values(found, "swarmrace_failure_info", reason="not run") == [1]
    assert values(found, "swarmrace_start_timestamp_seconds") == []
    assert values(found, "swarmrace_arrived_bytes_total") == [0]


def test_a_seeder_fetches_nothing(tmp_path):
    made = HandMade(tmp_path, peer=0)
    made.state.run, made.state.stage = made.runs[0], "publish"
    assert values(samples(made), "swarmrace_payload_bytes") == []
    publish = Publish(seconds=1.5, rank=0)
    made.sampler.add_ended(made._result(made.runs[0], None, publish=publish), {})
    found = samples(made)
    assert values(found, "swarmrace_publish_seconds", rank="0") == [1.5]
    assert values(found, "swarmrace_run_info", role="seeder") == [1]
    for name in ("payload_bytes", "arrived_bytes_total", "verified_bytes_total"):
        assert values(found, f"swarmrace_{name}") == []


def test_curves_that_a_system_does_not_observe_are_not_served(tmp_path):
    made = HandMade(tmp_path, kind="codex")  # a stream: only delivery
    record = made.begin()
    record.arrivals = None
    record.deliverable.record(0, BLOCK, START_NS + 5)
    found = samples(made)
    assert values(found, "swarmrace_delivered_bytes_total") == [BLOCK]
    assert values(found, "swarmrace_arrived_bytes_total") == []
    result, curves = made.result()
    assert set(observed_curves(result, curves)) == {"delivery"}
    made.sampler.add_ended(result, observed_curves(result, curves))
    assert values(samples(made), "swarmrace_arrived_bytes_total") == []
    assert values(samples(made), "swarmrace_longest_stall_seconds", of="arrival") == []
    assert values(samples(made), "swarmrace_longest_stall_seconds", of="delivery") != []


def test_a_system_whose_counters_fail_loses_only_its_counters(tmp_path):
    class Failing:
        def counters(self):
            raise RuntimeError("being closed")

    made = HandMade(tmp_path)
    made.begin()
    made.state.system = Failing()
    assert values(samples(made), "swarmrace_connections") == []
    assert values(samples(made), "swarmrace_payload_bytes") == [SIZE]


def test_every_metric_is_served_somewhere(tmp_path):
    class Connected:
        def counters(self):
            return Counters(sent_bytes=1, received_bytes=2, connections=3, extra={"blocks": 4.0})

    seen = set()
    for peer in (0, 1):
        made = HandMade(tmp_path, peer=peer, kind="bittorrent", recordWrites=True)
        record = made.begin()
        made.state.system = Connected()
        record.discovered(START_NS + 1)
        made.block(0, 5)
        seen |= {sample.metric for sample in samples(made)}
        publish = Publish(seconds=1.5, rank=0) if peer == 0 else None
        failure = Failure(reason=Reason.STALL, stage="race")
        record.done(START_NS + 9)
        result, curves = made.result(failure)
        result = result.model_copy(update={"publish": publish})
        made.sampler.add_ended(result, observed_curves(result, curves))
        seen |= {sample.metric for sample in samples(made)}
    # A sweep's driver serves the sweep's own metrics (tests/sweep/test_watching.py).
    assert seen == {metric for metric in METRICS if metric.served != "sweep"}


def test_written_and_arrived_bytes_are_both_served(tmp_path):
    made = HandMade(tmp_path, kind="bittorrent", recordWrites=True)
    made.begin()
    made.block(0, 5)
    before = samples(made)
    result, curves = made.result()
    made.sampler.add_ended(result, observed_curves(result, curves))
    for found in (before, samples(made)):
        assert values(found, "swarmrace_written_bytes_total") == [BLOCK]
        for of in ("arrival", "written"):
            assert len(values(found, table.MARK.name, of=of, percent="1")) == 1
    assert len(values(samples(made), table.STALL.name, of="written")) == 1


def test_no_series_is_served_twice(tmp_path):
    made = HandMade(tmp_path)
    for run in (0, 1):
        made.begin(run)
        for number in range(BLOCKS):
            made.block(number, number + 1)
        end(made)
    made.state.run = None
    keys = [(sample.metric.name, sample.labels) for sample in samples(made)]
    assert len(keys) == len(set(keys))
    assert len([key for key in keys if key[1][3:4] == (made.runs[0].id,)]) < 50
