"""Exact distributions of rank statistics, by counting: no approximation at any size.

scipy has neither distribution in its public interface, and its tests are checked against in ours.

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
    """Which ordered values are the limits of an interval."""

    rank: int
    """The limits are the `rank`-th smallest and the `rank`-th largest value; 0: even the whole
    range doesn't attain the confidence."""
    attained: float
    """The confidence that they have, which is at least what was asked for."""


@cache
def signed_rank_order(count: int, confidence: float) -> Order:
    """Return the limits among the count·(count+1)/2 Walsh averages of `count` paired values."""
    return _order(_signed_rank(count), confidence)


@cache
def rank_sum_order(count_a: int, count_b: int, confidence: float) -> Order:
    """Return the limits among the count_a·count_b differences of two samples' values."""
    return _order(_rank_sum(count_a, count_b), confidence)


def signed_rank_p(count: int, most: int) -> float:
    """Return the chance that at most so many Walsh averages of `count` values are positive, when
    every sign is as likely."""
    return min(1.0, float(_signed_rank(count)[: most + 1].sum()))


def rank_sum_below(count_a: int, count_b: int, most: int) -> float:
    """Return the chance that in at most so many pairs a is above b, when every order is as
    likely."""
    return min(1.0, float(_rank_sum(count_a, count_b)[: most + 1].sum()))


def rank_sum_p(a: Floats, b: Floats) -> float:
    """Return the two-sided p of the Mann–Whitney test; of ties each half is counted, rounded
    towards no difference."""
    above = np.sum(a[:, None] > b[None, :]) + np.sum(a[:, None] == b[None, :]) / 2
    pairs = len(a) * len(b)
    extreme = int(np.ceil(min(above, pairs - above)))
    return min(1.0, 2 * float(_rank_sum(len(a), len(b))[: extreme + 1].sum()))


def _order(chances: Floats, confidence: float) -> Order:
    """Return the largest rank k with P(statistic < k) of at most half of what is left."""
    below = np.cumsum(chances)
    tail = (1 - confidence) / 2 * (1 + 1e-9)  # a tail of exactly that size is allowed
    rank = int(np.searchsorted(below, tail, side="right"))
    return Order(rank, 1 - 2 * float(below[rank - 1]) if rank else 1.0)


@cache
def _signed_rank(count: int) -> Floats:
    """Return the chance of each sum of positive ranks, when every sign is as likely."""
    chances = np.zeros(count * (count + 1) // 2 + 1)
    chances[0] = 1.0
    for rank in range(1, count + 1):
        chances[rank:] = (chances[rank:] + chances[:-rank]) / 2
        chances[:rank] /= 2
    return chances


@cache
def _rank_sum(count_a: int, count_b: int) -> Floats:
    """Return the chance of each number of pairs with a above b, when every order is as likely.

    The counts are the coefficients of the product over i of (1 - q^(b+i)) / (1 - q^i).
    """
    few, many = sorted((count_a, count_b))
    chances = np.zeros(few * many + 1)
    chances[0] = 1.0
    for i in range(1, few + 1):
        shifted = chances.copy()
        shifted[many + i :] -= chances[: -(many + i)]
        for start in range(i):  # divided by (1 - q^i): summed up in steps of i
            np.cumsum(shifted[start::i], out=shifted[start::i])
        chances = shifted * (i / (many + i))
    return chances
