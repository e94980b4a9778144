"""Wire figures in a verdict: one curve for all systems, and the runs that wire bytes are from."""

from __future__ import annotations

from made_results import BT, CODEX, INF, STALL, verdict_between, verdict_of
from swarmrace.recording.records import Mark, PeerResult, Wire, WireCurve
from swarmrace.verdict import render

WIRE = Wire(sent_bytes=1, received_bytes=1, sent_packets=1, received_packets=1)


def on_the_wire(result: PeerResult) -> PeerResult:
    """Return a record with a wire curve: t10, t50, t90 after 1, 2, 3 s, of Codex twice that."""
    twice, done = 2 if result.entrant == "codex" else 1, result.outcome == "completed"
    marks = [
        Mark(percent=percent, seconds=twice * seconds, resolution_seconds=0.009)
        for percent, seconds in ((10, 1), (50, 2), (90, 3))
        if done and result.transfer
    ]
    curve = WireCurve(
        marks=marks, received_bytes=9, samples=5, longest_gap_seconds=0.01, file="x.wire.npz"
    )
    return result.model_copy(update={"wire": WIRE, "wire_curve": curve})


def test_unlike_systems_are_compared_on_the_wire(tmp_path):
    times = {"codex": [[8, 8, 8]] * 3, "bt": [[4, 4, 4]] * 3}
    found = verdict_between(
        tmp_path, {"codex": CODEX, "bt": BT}, times, folder={"peer": on_the_wire}
    )
    (comparison,) = found.comparisons
    marks = {mark.percent: mark for mark in comparison.marks if mark.kind == "wire"}
    assert list(marks) == [10, 50, 90]
    assert all(abs(mark.ratio.estimate - 2) < 1e-9 for mark in marks.values())
    assert all(mark.ratio.resolution_seconds == 0.009 for mark in marks.values())
    assert found.entrants["codex"].figures["wire50"].value == 4
    text = render.text(found)
    assert "Received on the wire" in text
    assert not [m for m in comparison.marks if m.kind != "wire" and m.ratio]


def test_a_wire_curve_of_only_one_side_is_not_compared(tmp_path):
    def only_bt(result: PeerResult) -> PeerResult:
        return on_the_wire(result) if result.entrant == "bt" else result

    times = {"codex": [[8, 8, 8]] * 3, "bt": [[4, 4, 4]] * 3}
    found = verdict_between(tmp_path, {"codex": CODEX, "bt": BT}, times, folder={"peer": only_bt})
    marks = [mark for mark in found.comparisons[0].marks if mark.kind == "wire"]
    assert {mark.why_not for mark in marks} == {"codex's wire curve was not recorded"}
    assert not any(mark.ratio for mark in marks)


def test_a_failed_transfer_has_no_mark_and_is_slower_than_any(tmp_path):
    found = verdict_of(tmp_path, {"x": [[1, INF, INF], [2, 2, 2]]}, race={"repetitions": 2},
                       peer=on_the_wire)  # fmt: skip
    summary = found.entrants["x"].figures["wire10"]
    assert (summary.least, summary.most, summary.runs) == (1, "failed", 2)


def test_wire_bytes_note_their_runs(tmp_path):
    times = {"x": [[1, 1, INF], [2, 2, 2], [3, INF, 3]]}
    text = render.text(verdict_of(tmp_path, times, peer=on_the_wire))
    assert "wire bytes are only of runs in which every leecher completed: x 1 of 3" in text
    assert "wire not measured" not in text


def test_measured_without_a_complete_run_is_not_shown_as_unmeasured(tmp_path):
    times = {"x": [[1, 1, INF], [2, 2, INF], [3, INF, 3]]}
    found = verdict_of(tmp_path, times, peer=on_the_wire)
    assert found.entrants["x"].wire_measured
    text = render.text(found)
    assert "no complete run" in text
    assert "wire not measured" not in text
    assert STALL.detail in text
