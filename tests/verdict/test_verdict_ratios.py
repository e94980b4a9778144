"""Ratios of random blocks: failures and missing runs never strengthen a claim."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from made_results import INF
from swarmrace.verdict.ratios import ratio

blocks = st.dictionaries(
    st.integers(0, 6),
    st.tuples(st.floats(1e-3, 1e3) | st.just(INF), st.floats(0, 0.1)),
    max_size=7,
)


@given(blocks, blocks, st.booleans())
def test_failures_and_missing_runs_never_strengthen_a_claim(a, b, paired):
    found = ratio(a, b, paired=paired)
    if paired:
        common = a.keys() & b.keys()
        pairs = [(a[block][0], b[block][0]) for block in common]
        used = [value for pair in pairs if pair != (INF, INF) for value in pair]
        assert found.blocks == len(used) / 2 == found.slower + found.faster + found.ties
        assert found.blocks + found.both_failed == len(common)
    else:
        assert found.blocks == min(len(a), len(b))
        used = [value for value, _ in (*a.values(), *b.values())]
    enough = found.blocks >= (6 if paired else 5)
    assert found.has_interval is (enough or (found.blocks >= 3 and INF not in used))
    if found.has_interval and found.estimate is not None:
        low, estimate, high = (
            INF if value == "failed" else value for value in (found.low, found.estimate, found.high)
        )
        assert low <= estimate <= high
    back = ratio(b, a, paired=paired)
    assert (found.slower, found.faster) == (back.faster, back.slower)
    opposite = {"slower": "faster", "faster": "slower"}
    if INF not in used and not min(found.resolution_seconds, 1):
        assert back.claim == opposite.get(found.claim, found.claim)
