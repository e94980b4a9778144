"""Looking at a race before its end: after how many blocks, and at which level each time.

Who looks more than once and stops at the first answer is wrong more often than a single look's
level says. The levels are chosen so that over all looks together a false "met" and a false "missed"
each come in at most 5 % of races whose true ratio is exactly the bound, one-sided, in every kind of
noise of benchmarks/coverage.py: `python -m benchmarks.stopping` shows it. In noise that is
symmetric the sum of the levels bounds it (Bonferroni): 2.6 %, as of one look at 95 %. The rest is
for the one-sided kinds, in which limits that rest on signed ranks are a little too narrow.

Group-sequential levels in general: S. J. Pocock, Biometrika 64, 1977; K. K. G. Lan, D. L. DeMets,
Biometrika 70, 1983. At 6 blocks the exact signed-rank test has no smaller level than 1/64.
"""

from __future__ import annotations

from typing import Final

LOOKS: Final = {6: 0.968, 10: 0.99, 20: 0.99}
"""Complete blocks to the confidence of the interval that is looked at then, two-sided."""
LIMIT: Final = 0.05
"""The most races with a false "met", and with a false "missed", over all looks."""


def confidence_at(complete: int) -> float:
    """Return the confidence of the interval after so many complete blocks: that of the look they
    are for. A race that ends between two looks takes the later one's."""
    return next((level for blocks, level in LOOKS.items() if complete <= blocks), LOOKS[20])
