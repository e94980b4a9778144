"""Interim looks at a race: after how many blocks, and at which confidence.

Several looks that stop at the first answer are wrong more often than one look's level. The levels
here are chosen so that, over all looks together, a false "met" and a false "missed" each occur in
at most 5 % of races whose true ratio is exactly the bound (one-sided), in every kind of noise of
benchmarks/coverage.py; `python -m benchmarks.stopping` shows this. In symmetric noise the sum of
the levels is a bound (Bonferroni): 2.6 %, like one look at 95 %. The rest allows for skewed noise,
in which limits from signed ranks are a little too narrow.

Group-sequential levels in general: S. J. Pocock, Biometrika 64, 1977; K. K. G. Lan, D. L. DeMets,
Biometrika 70, 1983. At 6 blocks, the smallest level of the exact signed-rank test is 1/64.
"""

from __future__ import annotations

from typing import Final

LOOKS: Final = {6: 0.968, 10: 0.99, 20: 0.99}
"""Confidence (two-sided) of the interval at each look, by the number of complete blocks."""
LIMIT: Final = 0.05
"""Maximum share of races with a false "met", and with a false "missed", over all looks."""


def confidence_at(complete: int) -> float:
    """Return the confidence of the interval after `complete` complete blocks. Between two looks, it
    is that of the later look."""
    return next((level for blocks, level in LOOKS.items() if complete <= blocks), LOOKS[20])
