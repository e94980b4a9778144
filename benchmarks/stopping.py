"""How often a race that stops as soon as it is decided gives a wrong answer.

The simulated races have 20 blocks with every kind of noise of benchmarks/coverage.py, in both
directions; their true ratio (the pseudo-median) is exactly the bound of an acceptance. Each is
judged after the blocks and at the levels of `statistics.looks`. A false "met" is an upper limit
within the bound at any look, a false "missed" a lower limit beyond it: both are most frequent at
the bound itself. The verdict's own code computes the limits.

    python -m benchmarks.stopping [--replicates N] [--seed N]

Prints one JSON object per line: name, value, unit, spread (standard error), n, aim, met.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import click
import numpy as np

from benchmarks.coverage import CASES, Case, pseudo_median
from swarmrace.statistics.intervals import limits, walsh_averages
from swarmrace.statistics.looks import LIMIT, LOOKS
from swarmrace.statistics.ranks import signed_rank_order

_CHUNK = 5_000
"""Races simulated at once."""


def cases() -> Iterator[tuple[str, Case]]:
    """Yield every kind of noise; one-sided noise on either side."""
    for name, (a, b) in CASES.items():
        yield name, (a, b)
        if a is not b:
            yield f"{name}, the other way round", (b, a)


def wrong(case: Case, truth: float, count: int, rng: np.random.Generator) -> tuple[int, int]:
    """Return how many of `count` races end with a false "met" and how many with a false
    "missed"."""
    shape = (count, max(LOOKS))
    ratios = case[0](rng, shape) - case[1](rng, shape) - truth  # the block effects cancel
    met = np.zeros(count, bool)
    missed = np.zeros(count, bool)
    for blocks, confidence in LOOKS.items():
        rank = signed_rank_order(blocks, confidence).rank
        low, high = limits(walsh_averages(ratios[:, :blocks]), rank)
        open_ = ~(met | missed)
        met |= open_ & (high < 0)
        missed |= open_ & (low > 0)
    return int(met.sum()), int(missed.sum())


def rows(replicates: int, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Yield name and share of races with a wrong answer."""
    for name, case in cases():
        truth = pseudo_median(case, rng)
        counts = [wrong(case, truth, _CHUNK, rng) for _ in range(-(-replicates // _CHUNK))]
        races = len(counts) * _CHUNK
        for answer, each in zip(("met", "missed"), zip(*counts, strict=True), strict=True):
            yield f"false {answer!r} over all looks, {name}", sum(each) / races


@click.command()
@click.option("--replicates", type=click.IntRange(_CHUNK), default=100_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def main(replicates: int, seed: int) -> None:
    """Simulate wrong answers of races that stop as soon as they are decided."""
    for name, value in rows(replicates, np.random.default_rng(seed)):
        line = {
            "name": name,
            "value": round(value, 4),
            "unit": "1",
            "spread": round(math.sqrt(value * (1 - value) / replicates), 4),
            "n": replicates,
            "aim": f"<= {LIMIT}",
            "met": value <= LIMIT,
        }
        click.echo(json.dumps(line))


if __name__ == "__main__":
    main()
