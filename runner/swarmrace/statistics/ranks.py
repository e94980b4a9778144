"""Exact distributions of rank statistics, by counting; no approximation at any size.

scipy's public interface has neither distribution. The tests compare p values with scipy's.

Sources: F. Wilcoxon, Biometrics Bulletin 1 (1945); H. B. Mann, D. R. Whitney, Annals of
Mathematical Statistics 18 (1947); J. L. Hodges, E. L. Lehmann, ibid. 34 (1963).
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Order(NamedTuple):
    """The ordered values that are the limits of an interval."""

    rank: int
    """The limits are the `rank`-th smallest and the `rank`-th largest value. 0 if even the whole
    range doesn't attain the confidence."""
    attained: float
    """Confidence of these limits; at least the requested one."""


@cache
def signed_rank_order(count: int, confidence: float) -> Order:
    """Return the limits among the count·(count+1)/2 Walsh averages of `count` paired values."""
    return _order(_signed_rank(count), confidence)


@cache
def rank_sum_order(count_a: int, count_b: int, confidence: float) -> Order:
    """Return the limits among the count_a·count_b differences of two samples' values."""
    return _order(_rank_sum(count_a, count_b), confidence)


def signed_rank_p(count: int, maximum: int) -> float:
    """Return the probability that at most `maximum` Walsh averages of `count` values are positive,
    if both signs are equally likely."""
    return min(1.0, float(_signed_rank(count)[: maximum + 1].sum()))


def rank_sum_below(count_a: int, count_b: int, maximum: int) -> float:
    """Return the probability that a is above b in at most `maximum` pairs, if all orders are
    equally likely."""
    return min(1.0, float(_rank_sum(count_a, count_b)[: maximum + 1].sum()))


def rank_sum_p(a: Floats, b: Floats) -> float:
    """Return the two-sided p of the Mann–Whitney test. A tie counts as one half; the sum is rounded
    towards no difference."""
    above = np.sum(a[:, None] > b[None, :]) + np.sum(a[:, None] == b[None, :]) / 2
    pairs = len(a) * len(b)
    extreme = int(np.ceil(min(above, pairs - above)))
    return min(1.0, 2 * float(_rank_sum(len(a), len(b))[: extreme + 1].sum()))


def _order(chances: Floats, confidence: float) -> Order:
    """Return the largest rank k with P(statistic < k) of at most (1 - confidence) / 2."""
    below = np.cumsum(chances)
    tail = (1 - confidence) / 2 * (1 + 1e-9)  # a tail of exactly that size is allowed
    rank = int(np.searchsorted(below, tail, side="right"))
    return Order(rank, 1 - 2 * float(below[rank - 1]) if rank else 1.0)


@cache
def _signed_rank(count: int) -> Floats:
    """Return the probability of each sum of positive ranks, if both signs are equally likely."""
    chances = np.zeros(count * (count + 1) // 2 + 1)
    chances[0] = 1.0
    for rank in range(1, count + 1):
        chances[rank:] = (chances[rank:] + chances[:-rank]) / 2
        chances[:rank] /= 2
    return chances


@cache
def _rank_sum(count_a: int, count_b: int) -> Floats:
    """Return the probability of each number of pairs with a above b, if all orders are equally
    likely.

    The counts are the coefficients of the product over i of (1 - q^(b+i)) / (1 - q^i).
    """
    few, many = sorted((count_a, count_b))
    chances = np.zeros(few * many + 1)
    chances[0] = 1.0
    for i in range(1, few + 1):
        shifted = chances.copy()
        shifted[many + i :] -= chances[: -(many + i)]
        for start in range(i):  # divide by (1 - q^i): cumulative sums in steps of i
            np.cumsum(shifted[start::i], out=shifted[start::i])
        chances = shifted * (i / (many + i))
    return chances
