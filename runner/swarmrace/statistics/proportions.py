"""Exact limits of shares, and exact tests of whether one side's share is larger."""

from __future__ import annotations

import math

SIGNIFICANCE = 0.05
"""One-sided level below which a difference is significant."""


def share_limits(hits: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the two-sided exact limits of a share (C. J. Clopper, E. S. Pearson, Biometrika 26,
    1934); 0 and 1 if `count` is 0."""
    tail = (1 - confidence) / 2
    return 1 - _upper(count - hits, count, tail), _upper(hits, count, tail)


def upper_bound(hits: int, count: int, confidence: float = 0.95) -> float:
    """Return the one-sided exact upper bound of a share (Clopper and Pearson)."""
    return _upper(hits, count, 1 - confidence)


def fewer_p(hits: int, count: int, share: float) -> float:
    """Return the one-sided p of at most `hits` hits if each has probability `share` (binomial)."""
    from scipy.special import bdtr

    return float(bdtr(hits, count, share))


def sign_test(more: int, less: int) -> float:
    """Return the two-sided p of the sign test; ties are left out."""
    return min(1.0, 2 * more_p(max(more, less), min(more, less)))


def more_p(more: int, less: int) -> float:
    """Return the one-sided p of at least `more` of the `more + less` blocks that differ: the exact
    sign test, which for yes-or-no pairs is McNemar's test (Q. McNemar, Psychometrika 12, 1947)."""
    count = more + less
    return sum(math.comb(count, k) for k in range(more, count + 1)) / (1 << count)


def fisher_p(hits_a: int, count_a: int, hits_b: int, count_b: int) -> float:
    """Return the one-sided p of at least `hits_a` of all hits on side a, unpaired: Fisher's exact
    test (R. A. Fisher, Journal of the Royal Statistical Society 98, 1935)."""
    hits = hits_a + hits_b
    ways = sum(
        math.comb(count_a, k) * math.comb(count_b, hits - k)
        for k in range(hits_a, min(hits, count_a) + 1)
    )
    return ways / math.comb(count_a + count_b, hits)


def _upper(hits: int, count: int, tail: float) -> float:
    """Return the share at which at most `hits` hits have probability `tail`."""
    if hits >= count:
        return 1.0
    from scipy.special import betaincinv

    return float(betaincinv(hits + 1, count - hits, 1 - tail))
