"""When each byte came: recording in the hot path, and every figure derived from it.

`ByteLog` is written while a transfer runs: it appends fixed-size records to preallocated memory.
`Curve` is read afterwards: it holds only each byte's first record, and answers time to any percent,
the deliverable prefix, stalls and bins. A stored curve carries its `Origin`.

All times are nanoseconds of the recording host's monotonic clock; a `Curve` counts from its
transfer's start stamp.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from swarmrace.errors import ResultsError
from swarmrace.recording import npz
from swarmrace.recording.duplicates import first_only

_RECORD = struct.Struct("=qqq")
_COLUMNS = ("offset", "length", "t_ns")
_SINCE = "since_ns"
_ORIGIN = ("raceId", "runId", "entrant", "peer")

Int64s = npt.NDArray[np.int64]


class Origin(NamedTuple):
    """Whose curve it is; stored in the file, so that a file from another run is recognized."""

    race_id: str
    run_id: str
    entrant: str
    peer: int

    def __str__(self) -> str:
        return f"peer {self.peer} of {self.entrant} in run {self.run_id} of race {self.race_id}"


class Stall(NamedTuple):
    """A time without a new byte, in nanoseconds."""

    length_ns: int
    began_ns: int
    resolution_ns: int
    """How much longer it may have been than `length_ns`."""


def bytes_of_percent(size_bytes: int, percent: float) -> int:
    """Return how many bytes make `percent` % of the payload.

    Rounded up: 50 % of 3 bytes is 2. 0 % is the first byte. `percent` is rounded to a millionth.

    Raises:
        ValueError: `percent` isn't within 0 to 100.
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"found {percent} %, expected 0 to 100")
    return max(1, -(-size_bytes * round(percent * 1_000_000) // 100_000_000))


class ByteLog:
    """Append-only records (offset, length, time) of payload bytes.

    Args:
        expected_records: how many to preallocate memory for; more still fit (the memory doubles,
            outside the usual path).
        offsets_known: False for a system that reports only how many bytes it holds, not which;
            offsets are then running totals, and no single byte's time is known.
    """

    __slots__ = ("_buffer", "_end", "bytes_recorded", "last_ns", "offsets_known")

    def __init__(self, expected_records: int, *, offsets_known: bool = True) -> None:
        self._buffer = bytearray(max(1, expected_records) * _RECORD.size)
        self._end = 0
        self.offsets_known = offsets_known
        self.bytes_recorded = 0
        self.last_ns = 0

    def __len__(self) -> int:
        return self._end // _RECORD.size

    def record(
        self,
        offset: int,
        length: int,
        t_ns: int,
        _pack_into: Callable[[bytearray, int, int, int, int], None] = _RECORD.pack_into,
    ) -> None:
        """Record that `length` bytes from `offset` were there at `t_ns`. The hot path."""
        end = self._end
        try:
            _pack_into(self._buffer, end, offset, length, t_ns)
        except struct.error:
            if end + _RECORD.size <= len(self._buffer):
                raise
            # A new buffer instead of a longer one: another thread may be reading the old one.
            grown = bytearray(2 * len(self._buffer))
            grown[:end] = self._buffer
            self._buffer = grown
            _pack_into(grown, end, offset, length, t_ns)
        self._end = end + _RECORD.size
        self.bytes_recorded += length
        if t_ns > self.last_ns:
            self.last_ns = t_ns

    def record_many(self, offset: Int64s, length: Int64s, t_ns: Int64s) -> None:
        """Record many at once, in their order, at a tenth of the cost of one at a time."""
        data = np.stack((offset, length, t_ns), axis=1).astype(np.int64, copy=False).tobytes()
        end = self._end + len(data)
        if end > len(self._buffer):
            grown = bytearray(max(end, 2 * len(self._buffer)))
            grown[: self._end] = self._buffer[: self._end]
            self._buffer = grown
        memoryview(self._buffer)[self._end : end] = data
        self._end = end
        self.bytes_recorded += int(length.sum())
        if len(t_ns):
            self.last_ns = max(self.last_ns, int(t_ns.max()))

    def columns(self) -> tuple[Int64s, Int64s, Int64s]:
        """Return offsets, lengths and times as recorded, duplicates included.

        Safe to call from another thread than the one that records.
        """
        count = len(self)  # read before the buffer: one that grows meanwhile holds at least these
        rows = np.frombuffer(self._buffer, dtype=np.int64, count=3 * count).reshape(-1, 3)
        return rows[:, 0].copy(), rows[:, 1].copy(), rows[:, 2].copy()

    def since(self, first: int) -> tuple[Int64s, Int64s, Int64s]:
        """Return offsets, lengths and times of the records from number `first` (from 0) on.

        Safe to call from another thread than the one that records; costs only the new records.
        """
        data = self._buffer[first * _RECORD.size : self._end]
        rows = np.frombuffer(data, dtype=np.int64).reshape(-1, 3)
        return rows[:, 0], rows[:, 1], rows[:, 2]

    def curve(self, start_ns: int, size_bytes: int) -> Curve:
        """Return the curve from `start_ns` on, with each byte's first record."""
        offset, length, t_ns = self.columns()
        return Curve(offset, length, t_ns - start_ns, size_bytes, offsets_known=self.offsets_known)


class Curve:
    """Each payload byte at the time it first came, counted from the start of the transfer.

    Args:
        offset: first byte of each record.
        length: bytes in each record.
        t_ns: nanoseconds since the start.
        size_bytes: the payload's size; records beyond it are refused.
        offsets_known: see `ByteLog`.
        since_ns: for sampled totals (`recording.samples`), when each record was last known not to
            be there; None for records that were stamped as they happened.

    Raises:
        ValueError: records outside the payload, or columns of different lengths.
    """

    def __init__(
        self,
        offset: Int64s,
        length: Int64s,
        t_ns: Int64s,
        size_bytes: int,
        *,
        offsets_known: bool = True,
        since_ns: Int64s | None = None,
    ) -> None:
        offset, length, t_ns = (np.asarray(c, dtype=np.int64) for c in (offset, length, t_ns))
        if not len(offset) == len(length) == len(t_ns):
            raise ValueError("columns differ in length")
        if len(offset) and (
            offset.min() < 0 or length.min() <= 0 or int((offset + length).max()) > size_bytes
        ):
            raise ValueError(f"records outside a payload of {size_bytes} bytes")
        self.size_bytes = size_bytes
        self.offsets_known = offsets_known
        self.origin: Origin | None = None
        """Whose curve it is, if it was stored with its origin."""
        self.records = len(offset)
        self.since_ns = since_ns
        self.duplicate_bytes = 0
        if since_ns is None:
            offset, length, t_ns, self.duplicate_bytes = first_only(offset, length, t_ns)
        elif len(since_ns) != len(t_ns) or np.any(np.diff(t_ns) < 0):
            raise ValueError("samples out of order, or columns that differ in length")
        self.offset, self.length, self.t_ns = offset, length, t_ns
        self._cumulative = np.cumsum(length)
        gaps = np.diff(t_ns)
        gaps = gaps[gaps > 0]
        if len(gaps) > 1:
            gaps = np.delete(gaps, np.argmax(gaps))
        self.pace_ns = int(gaps.mean()) if len(gaps) else 0
        """What one record takes: the mean time between distinct record times; of two or more such
        gaps, excluding the longest."""

    @property
    def total_bytes(self) -> int:
        """Distinct payload bytes that came."""
        return int(self._cumulative[-1]) if len(self._cumulative) else 0

    @property
    def complete(self) -> bool:
        """Whether every byte came."""
        return self.total_bytes == self.size_bytes

    def time_to_bytes(self, count: int) -> int | None:
        """Return when the byte number `count` (from 1) came, in ns, or None if it never did."""
        if count < 1 or count > self.total_bytes:
            return None
        return int(self.t_ns[int(np.searchsorted(self._cumulative, count))])

    def time_to_percent(self, percent: float) -> int | None:
        """Return when `percent` % of the payload was there, in ns, or None if it never was.

        See `bytes_of_percent`: 0 % is the first byte, 50 % of 3 bytes is 2.
        """
        return self.time_to_bytes(bytes_of_percent(self.size_bytes, percent))

    def mark(self, percent: float) -> tuple[int, int] | None:
        """Return `time_to_percent` with its resolution, both in ns, or None if it never was.

        For sampled totals the resolution is the real gap around the mark: the byte came between
        the sample before, which didn't have it, and the one at the mark.

        Otherwise a record's stamp is exact for its last byte, so the resolution of a mark is what
        one record takes, `pace_ns`. It isn't the time since the record before: a stall before the
        mark doesn't make it less exact, nor do the microseconds within a burst make it more exact.
        For the delay between socket and stamp see docs/methodology.md.
        """
        count = bytes_of_percent(self.size_bytes, percent)
        if count > self.total_bytes:
            return None
        at = int(np.searchsorted(self._cumulative, count))
        t_ns = int(self.t_ns[at])
        unknown_ns = self.pace_ns if self.since_ns is None else t_ns - int(self.since_ns[at])
        return t_ns, max(0, min(t_ns, unknown_ns))

    def prefix(self) -> Curve:
        """Return the delivery curve: the prefix that an application could read in order.

        Each of its records means that the prefix grew by `length` at `t_ns`. Its pace is that of
        the records it is derived from.
        """
        self._need_offsets("the deliverable prefix")
        order = np.argsort(self.offset, kind="stable")
        offset, length = self.offset[order], self.length[order]
        expected = np.concatenate(([0], np.cumsum(length)[:-1])) if len(length) else length
        whole = (
            int(np.argmin(offset == expected)) if not np.all(offset == expected) else len(length)
        )
        ready = np.maximum.accumulate(self.t_ns[order][:whole]) if whole else length[:0]
        times, first = np.unique(ready, return_index=True)
        ends = np.append(first[1:], whole) - 1
        starts = offset[:whole][first]
        stops = offset[:whole][ends] + length[:whole][ends] if whole else starts
        prefix = Curve(starts, stops - starts, times, self.size_bytes)
        prefix.pace_ns = self.pace_ns
        return prefix

    def longest_stall(self, end_ns: int | None = None) -> Stall:
        """Return the longest time without a new byte.

        For sampled totals it is the span between equal samples. Its resolution is by how much the
        longest silence that the samples permit, there or elsewhere, is longer. For records stamped
        as they happened it is the gap between two, and its resolution is what one record takes. The
        time before the first byte isn't a stall (it has its own mark). The time from the last byte
        to `end_ns` is one if the transfer didn't complete.
        """
        times = self.t_ns
        if self.since_ns is None and len(times):  # each instant once
            times = times[np.append(True, np.diff(times) > 0)]
        since = self.since_ns if self.since_ns is not None else times
        unknown = times - since if self.since_ns is not None else np.full(len(times), self.pace_ns)
        if end_ns is not None and not self.complete and len(times):
            end_ns = max(end_ns, int(times[-1]))
            times, since = np.append(times, end_ns), np.append(since, end_ns)
            unknown = np.append(unknown, 0)
        if len(times) < 2:
            return Stall(0, 0, 0)
        gaps = since[1:] - times[:-1]
        at = int(np.argmax(gaps))
        claimed = max(0, int(gaps[at]))
        resolution = int(unknown[at])
        if self.since_ns is not None:
            resolution = int(np.max(times[1:] - since[:-1])) - claimed
        return Stall(claimed, int(times[at]), resolution)

    def bins(self, width_ns: int = 100_000_000, end_ns: int | None = None) -> Int64s:
        """Return bytes per bin of `width_ns`, from the start to `end_ns` or the last byte."""
        last = int(self.t_ns[-1]) if len(self.t_ns) else 0
        count = max(last, (end_ns or 0) - 1) // width_ns + 1
        result = np.zeros(count, dtype=np.int64)
        np.add.at(result, np.maximum(self.t_ns, 0) // width_ns, self.length)
        return result

    def variation(self, width_ns: int = 100_000_000) -> float | None:
        """Return the coefficient of variation of throughput in whole bins, first to last byte.

        None if there are fewer than two whole bins between them.
        """
        if not len(self.t_ns):
            return None
        first = max(0, -(-int(self.t_ns[0]) // width_ns))
        last = max(0, int(self.t_ns[-1]) // width_ns)
        whole = self.bins(width_ns)[first:last]
        if len(whole) < 2:
            return None
        return float(np.std(whole) / np.mean(whole)) if whole.any() else None

    def to_npz(self, origin: Origin | None = None) -> bytes:
        """Return the curve as a compressed npz (numpy's open format), exact and compact.

        Columns are stored as differences between neighbours, which compress well: `offset`,
        `length`, `t_ns`, each int64; `meta` holds size, offsets_known, duplicates and records.
        Sampled totals have another column, `since_ns`. With an origin, `raceId`, `runId` and
        `entrant` are strings and `peer` is an int64.
        """
        buffer = io.BytesIO()
        meta = [self.size_bytes, int(self.offsets_known), self.duplicate_bytes, self.records]
        stored_origin = dict(zip(_ORIGIN, origin, strict=True)) if origin is not None else {}
        arrays: dict[str, Any] = {
            "meta": np.array(meta, dtype=np.int64),
            **{
                name: np.diff(getattr(self, name), prepend=0)
                for name in (*_COLUMNS, _SINCE)
                if getattr(self, name) is not None
            },
            **{name: np.array(value) for name, value in stored_origin.items()},
        }
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_npz(cls, source: bytes | str | PathLike[str]) -> Curve:
        """Load a curve that `to_npz` returned.

        Raises:
            ResultsError: it isn't one.
        """
        try:
            data = npz.read(source)
            size_bytes, known, duplicates, records = (int(value) for value in data["meta"])
            steps = [data[name] for name in (*_COLUMNS, _SINCE) if name in data]
            origin = _origin(data)
            if any(step.dtype != np.int64 or step.ndim != 1 for step in steps):
                raise ValueError("columns that are not one-dimensional int64")
            offset, length, t_ns, *since = map(np.cumsum, steps)
            since_ns = since[0] if since else None
            curve = cls(
                offset, length, t_ns, size_bytes, offsets_known=bool(known), since_ns=since_ns
            )
        except Exception as error:  # numpy, zipfile and zlib each raise their own
            raise _not_an_npz(source, error) from error
        curve.duplicate_bytes, curve.records, curve.origin = duplicates, records, origin
        return curve

    def _need_offsets(self, what: str) -> None:
        if not self.offsets_known:
            raise ValueError(f"{what} can't be known: the system reports totals, not offsets")


def origin_of(source: bytes | str | PathLike[str]) -> Origin | None:
    """Return whose curve an npz holds, or None if it doesn't say (results format 1).

    Raises:
        ResultsError: not an npz.
    """
    try:
        return _origin(npz.read(source, _ORIGIN))
    except Exception as error:
        raise _not_an_npz(source, error) from error


def _origin(data: Mapping[str, npt.NDArray[Any]]) -> Origin | None:
    if "raceId" not in data:
        return None
    race_id, run_id, entrant, peer = (data[name].item() for name in _ORIGIN)
    return Origin(str(race_id), str(run_id), str(entrant), int(peer))


def _not_an_npz(source: bytes | str | PathLike[str], error: Exception) -> ResultsError:
    name = "the given bytes" if isinstance(source, bytes) else source
    return ResultsError(f"{name}: expected an arrivals npz, found: {error or type(error).__name__}")
