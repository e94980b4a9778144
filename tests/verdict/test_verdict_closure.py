"""Wire bytes add up in a closed network, or the run is flagged."""

from __future__ import annotations

import pytest

from made_results import HTTP, build, scenario_of, updated
from swarmrace.recording.records import Wire
from swarmrace.results import folder as results
from swarmrace.verdict import compute
from swarmrace.verdict.closure import FRAME_BYTES

MB = 1_000_000


def flags(tmp_path, sent, received, *, dropped=0, relay=None, backend="local", counters=None):
    """Return the flags of a race in which every peer sent and received these bytes."""

    def peer(result):
        wire = Wire(
            sent_bytes=sent, received_bytes=received, sent_packets=1, received_packets=1,
            dropped_packets=dropped,
        )  # fmt: skip
        return result.model_copy(update={"wire": wire, "counters": counters or {}})

    folder = build(
        tmp_path, scenario_of({"x": HTTP}, repetitions=1), {"x": [[1, 2, 3]]}, peer=peer,
        run=updated(relay=relay or {}),
    )  # fmt: skip
    if backend != "local":
        path = folder / "race.json"
        path.write_text(path.read_text().replace('"local"', f'"{backend}"'))
    found = compute(results.load(folder)).flags
    return [flag.text for flag in found if "on the wire" in flag.text]


@pytest.mark.parametrize(
    ("sent", "received", "facts", "words"),
    [
        (100 * MB, 100 * MB, {}, ""),
        (100 * MB, 99.1 * MB, {}, ""),
        (100 * MB, 98.9 * MB, {}, "are unaccounted for"),
        (112 * MB, 100 * MB, {}, "are unaccounted for"),
        (100 * MB, 100.9 * MB, {}, ""),
        (100 * MB, 102 * MB, {}, "more was received than sent"),
        (1 * MB, 0.976 * MB, {}, ""),
        (1 * MB, 0.97 * MB, {}, "are unaccounted for"),
        (100 * MB, 95 * MB, {"dropped": 5 * MB // FRAME_BYTES}, ""),
        (100 * MB, 95 * MB, {"dropped": 2 * MB // FRAME_BYTES}, "were dropped"),
        (100 * MB, 95 * MB, {"relay": {"lost": 4 * 5 * MB // FRAME_BYTES, "late": 9}}, ""),
        (100 * MB, 95 * MB, {"relay": {"late": 10**6, "frames": 10**6}}, "unaccounted"),
        (100 * MB, 95 * MB, {"backend": "kubernetes"}, ""),
        (100 * MB, 105 * MB, {"backend": "kubernetes"}, "more was received than sent"),
        (1 * MB, 0.95 * MB, {"counters": {"tracker_sent_bytes": 50_000}}, ""),
    ],
)
def test_bytes_neither_received_nor_dropped_are_flagged(tmp_path, sent, received, facts, words):
    found = flags(tmp_path, int(sent), int(received), **facts)
    assert len(found) == bool(words)
    assert all(words in text for text in found)
