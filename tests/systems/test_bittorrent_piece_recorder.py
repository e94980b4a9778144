"""Known answers of the recorder of pieces."""

from __future__ import annotations

from types import SimpleNamespace

import libtorrent as lt
import numpy as np

from swarmrace.clock import SystemClock
from swarmrace.systems.abc import Record
from swarmrace.systems.bittorrent.piece_recorder import PieceRecorder

PIECE = 32_768
SIZE = 2 * PIECE + 100


def made(*pieces: tuple[int, int], before: bool = False) -> tuple[PieceRecorder, Record]:
    """Return a recorder that got these alerts, each a piece and its time, and its record."""
    record = Record(SystemClock(), SIZE)
    recorder = PieceRecorder(record)
    if not before:
        recorder.set_piece_bytes(PIECE)
    for piece, t_ns in pieces:
        alert = SimpleNamespace(piece_index=piece)
        recorder.handlers[lt.piece_finished_alert](alert, t_ns)
    if before:
        recorder.set_piece_bytes(PIECE)
    return recorder, record


def rows(record: Record) -> list[tuple[int, int, int]]:
    assert record.deliverable is not None
    return sorted(zip(*(column.tolist() for column in record.deliverable.columns()), strict=True))


def test_a_piece_is_delivered_when_it_has_passed_its_hash():
    recorder, record = made((2, 5), (0, 7), (1, 9))
    assert recorder.finish(10) == 10
    assert rows(record) == [(0, PIECE, 7), (PIECE, PIECE, 9), (2 * PIECE, 100, 5)]
    assert record.complete is True
    assert record.notes == []
    assert record.written is None


def test_it_is_not_done_before_its_last_piece():
    """Stamps of two readings may be off against each other by a slewing clock."""
    recorder, _ = made((0, 1), (1, 2), (2, 6))
    assert recorder.finish(5) == 6


def test_alerts_before_the_metadata_count():
    recorder, record = made((0, 1), (1, 2), (2, 3), before=True)
    recorder.finish(4)
    assert [row[2] for row in rows(record)] == [1, 2, 3]


def test_a_piece_without_an_alert_counts_at_the_end_and_is_noted():
    recorder, record = made((1, 2))
    recorder.finish(4)
    assert [row[2] for row in rows(record)] == [4, 2, 4]
    assert record.complete is False
    assert record.notes == [
        "2 of 3 pieces have no record of their own; they count as delivered when the torrent was "
        "finished"
    ]


def test_padding_and_repeated_pieces_are_ignored():
    recorder, record = made((0, 1), (0, 2), (3, 2), (1, 3), (2, 4))
    recorder.finish(4)
    assert rows(record) == [(0, PIECE, 1), (PIECE, PIECE, 3), (2 * PIECE, 100, 4)]


def test_a_slice_of_alerts_is_recorded_at_once_and_the_others_are_left(monkeypatch):
    class Finished:
        def __init__(self, piece: int, t_ns: int) -> None:
            self.piece_index, self.t_ns = piece, t_ns

    class Stamps:
        def many(self, alerts: list[Finished]) -> np.ndarray:
            return np.array([alert.t_ns for alert in alerts])

    monkeypatch.setattr(lt, "piece_finished_alert", Finished)
    recorder, record = made((1, 2))
    alerts = [Finished(2, 3), "other", Finished(2, 4), Finished(1, 5), Finished(3, 6)]
    assert recorder.record_alerts(alerts, Stamps()) == ["other"]  # type: ignore[arg-type]
    assert recorder.record_alerts([Finished(0, 7)], Stamps()) == []  # type: ignore[arg-type]
    assert recorder.finish(8) == 8
    assert rows(record) == [(0, PIECE, 7), (PIECE, PIECE, 2), (2 * PIECE, 100, 3)]
