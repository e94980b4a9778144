"""Known answers of the recorder, for orders of alerts that are rare on an idle machine."""

from __future__ import annotations

from types import SimpleNamespace

import libtorrent as lt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_arrivals import arrival_of
from swarmrace.clock import SystemClock
from swarmrace.systems.abc import Record
from swarmrace.systems.bittorrent.block_recorder import BlockRecorder

BLOCK = 16_384
SIZE = 5 * BLOCK + 100  # three pieces of two blocks, the last block short


class Alerts:
    """Passes alerts to a recorder as the session would."""

    def __init__(self, size: int = SIZE, piece_bytes: int | None = 2 * BLOCK) -> None:
        self.record = Record(SystemClock(), size)
        self.recorder = BlockRecorder(self.record)
        self.handlers = self.recorder.handlers
        if piece_bytes:
            self.recorder.set_piece_bytes(piece_bytes)

    def block(self, piece: int, block: int, t_ns: int) -> None:
        alert = SimpleNamespace(piece_index=piece, block_index=block)
        self.handlers[lt.block_finished_alert](alert, t_ns)

    def piece(self, piece: int, t_ns: int) -> None:
        self.handlers[lt.piece_finished_alert](SimpleNamespace(piece_index=piece), t_ns)

    def failed(self, piece: int, t_ns: int) -> None:
        self.handlers[lt.hash_failed_alert](SimpleNamespace(piece_index=piece), t_ns)

    def all(self, *, but: set[tuple[int, int]] = frozenset()) -> None:
        for index in range(6):
            if divmod(index, 2) not in but:
                self.block(*divmod(index, 2), 10 * index + 10)
        for piece in range(3):
            self.piece(piece, 20 * piece + 25)

    def rows(self, log) -> list[tuple[int, int, int]]:
        return sorted(zip(*(column.tolist() for column in log.columns()), strict=True))


def test_blocks_and_pieces_in_order():
    alerts = Alerts()
    alerts.all()
    assert alerts.recorder.complete
    assert alerts.recorder.finish(70) == 65
    assert alerts.record.complete is True
    assert alerts.record.notes == []
    assert alerts.rows(alerts.record.written) == [
        (index * BLOCK, BLOCK if index < 5 else 100, 10 * index + 10) for index in range(6)
    ]
    assert alerts.rows(alerts.record.deliverable) == [
        (0, 2 * BLOCK, 25),
        (2 * BLOCK, 2 * BLOCK, 45),
        (4 * BLOCK, BLOCK + 100, 65),
    ]


def test_alerts_before_the_metadata_are_recorded_once_it_is_known():
    alerts = Alerts(piece_bytes=None)
    alerts.all()
    assert not alerts.recorder.complete
    alerts.recorder.set_piece_bytes(2 * BLOCK)
    assert alerts.recorder.complete
    assert len(alerts.record.written) == 6


def test_a_piece_verified_before_its_blocks_are_written_is_delivered_once_they_are():
    alerts = Alerts(size=2 * BLOCK)
    alerts.block(0, 0, 10)
    alerts.piece(0, 20)
    assert len(alerts.record.deliverable) == 0
    assert not alerts.recorder.complete
    alerts.block(0, 1, 30)
    assert alerts.rows(alerts.record.deliverable) == [(0, 2 * BLOCK, 30)]
    assert alerts.recorder.finish(20) == 30


def test_duplicates_are_recorded_but_count_once():
    alerts = Alerts()
    alerts.all()
    alerts.block(1, 0, 500)
    assert alerts.recorder.finish(70) == 65
    curve = alerts.record.written.curve(0, SIZE)
    assert curve.duplicate_bytes == BLOCK
    assert arrival_of(curve, 2 * BLOCK) == 30
    assert len(alerts.record.deliverable) == 3


def test_padding_is_not_payload():
    alerts = Alerts(size=BLOCK + 5)
    alerts.block(0, 0, 1)
    alerts.block(0, 1, 2)
    alerts.block(1, 0, 3)
    alerts.block(1, 1, 4)
    alerts.piece(0, 5)
    assert alerts.rows(alerts.record.written) == [(0, BLOCK, 1), (BLOCK, 5, 2)]
    assert alerts.recorder.complete


@pytest.mark.parametrize("lost", [{(1, 1)}, {(0, 0), (2, 1)}])
def test_blocks_without_a_record_are_noted(lost):
    alerts = Alerts()
    alerts.all(but=lost)
    assert not alerts.recorder.complete
    alerts.recorder.finish(70)
    assert alerts.record.complete is False
    (note,) = alerts.record.notes
    assert note.startswith(f"{len(lost)} of 6 blocks have no record")
    assert all(str((2 * piece + block) * BLOCK) in note for piece, block in lost)
    assert alerts.record.deliverable.curve(0, SIZE).complete


def test_pieces_without_a_record_are_noted_and_count_when_the_torrent_was_finished():
    alerts = Alerts()
    for index in range(6):
        alerts.block(*divmod(index, 2), 10)
    alerts.piece(0, 20)
    assert alerts.recorder.finish(99) == 99
    assert alerts.record.complete is False
    assert "2 of 3 pieces" in alerts.record.notes[0]
    assert [row[2] for row in alerts.rows(alerts.record.deliverable)] == [20, 99, 99]


def test_after_a_failed_hash_only_blocks_that_come_again_count():
    alerts = Alerts(size=2 * BLOCK)
    alerts.block(0, 0, 10)
    alerts.block(0, 1, 20)
    alerts.failed(0, 30)
    assert not alerts.recorder.complete
    alerts.block(0, 1, 40)
    alerts.block(0, 0, 50)
    alerts.piece(0, 60)
    assert alerts.recorder.finish(70) == 60
    assert alerts.record.complete is True
    assert alerts.rows(alerts.record.written) == [(0, BLOCK, 50), (BLOCK, BLOCK, 40)]
    assert alerts.rows(alerts.record.deliverable) == [(0, 2 * BLOCK, 60)]
    assert alerts.record.notes == [
        "1 times a piece failed its hash (1 pieces); 32768 bytes that came before do not count "
        "as written"
    ]


def test_after_a_failed_hash_kept_blocks_keep_their_time():
    """In v2 (BEP 52) only the wrong block of a piece is fetched again."""
    alerts = Alerts(size=2 * BLOCK)
    alerts.block(0, 0, 10)
    alerts.block(0, 1, 20)
    alerts.failed(0, 30)
    alerts.block(0, 1, 40)
    alerts.piece(0, 50)
    alerts.recorder.finish(60)
    assert alerts.record.complete is True
    assert alerts.rows(alerts.record.written) == [(0, BLOCK, 10), (BLOCK, BLOCK, 40)]
    assert alerts.rows(alerts.record.deliverable) == [(0, 2 * BLOCK, 50)]


def test_a_piece_that_fails_twice_and_is_verified_before_it_is_written():
    alerts = Alerts(size=2 * BLOCK)
    for start in (0, 100):
        alerts.block(0, 0, start + 10)
        alerts.block(0, 1, start + 20)
        alerts.failed(0, start + 30)
    alerts.block(0, 0, 210)
    alerts.piece(0, 220)
    alerts.block(0, 1, 230)
    assert alerts.recorder.finish(220) == 230
    assert alerts.rows(alerts.record.written) == [(0, BLOCK, 210), (BLOCK, BLOCK, 230)]
    assert alerts.rows(alerts.record.deliverable) == [(0, 2 * BLOCK, 230)]
    assert alerts.record.notes[0].startswith("2 times a piece failed its hash (1 pieces); 65536 ")


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 99)), max_size=40),
    st.lists(st.integers(0, 40), max_size=6),
    st.sets(st.integers(0, 2)),
)
def test_blocks_recorded_together_equal_blocks_recorded_one_by_one(blocks, cuts, verified):
    single, together = Alerts(), Alerts()
    for piece in verified:
        single.piece(piece, 50)
        together.piece(piece, 50)
    for block in blocks:
        if block[1] < 2:
            single.recorder._note_block(*block)
    ends = [*sorted(cuts), len(blocks)]
    for start, end in zip([0, *ends], ends, strict=False):
        part = [block for block in blocks[start:end] if block[1] < 2]
        columns = np.array(part, dtype=np.int64).reshape(-1, 3)
        together.recorder._note_blocks(columns[:, 0], columns[:, 1], columns[:, 2])
    for name in ("_seen", "_missing", "_left", "_written_ns"):
        assert getattr(single.recorder, name) == getattr(together.recorder, name)
    for log in ("written", "deliverable"):
        first, second = getattr(single.record, log), getattr(together.record, log)
        assert single.rows(first) == together.rows(second)
        assert (first.bytes_recorded, first.last_ns) == (second.bytes_recorded, second.last_ns)
