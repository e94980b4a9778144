"""Records of arrivals, drawn by hypothesis, and the curves they make."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from swarmrace.recording.arrivals import ByteLog

SIZE = 60
MS = 1_000_000


@st.composite
def record_lists(draw, max_records=25):
    """Return records with duplicates, overlaps, gaps, any order and equal times."""
    rows = []
    for _ in range(draw(st.integers(0, max_records))):
        offset = draw(st.integers(0, SIZE - 1))
        length = draw(st.integers(1, SIZE - offset))
        rows.append((offset, length, draw(st.integers(0, 12) | st.integers(0, 10**12))))
    return rows


@st.composite
def transfers(draw):
    """Return records that cover every byte once, in any order, and some bytes again later."""
    cuts = sorted({0, SIZE, *draw(st.lists(st.integers(1, SIZE - 1), max_size=12))})
    blocks = draw(st.permutations(list(pairwise(cuts))))
    again = draw(st.lists(st.sampled_from(blocks), max_size=5))
    times = sorted(draw(st.lists(st.integers(0, 10**9), min_size=20, max_size=20)))
    return [(a, b - a, times[k]) for k, (a, b) in enumerate([*blocks, *again][:20])]


def arrival_of(curve, byte):
    """Return when the byte at offset `byte` came, in ns, or None if it never did."""
    inside = (curve.offset <= byte) & (byte < curve.offset + curve.length)
    return int(curve.t_ns[inside.argmax()]) if inside.any() else None


def curve_of(rows, size=SIZE, start_ns=0):
    log = ByteLog(2)
    for row in rows:
        log.record(*row)
    return log.curve(start_ns, size)
