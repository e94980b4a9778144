"""How often the verdict's interval contains the true value: a simulation of the nominal 95 %.

Two entrants race in blocks. A run's time is its true time × a block effect that both share (the
state of the machine in those minutes) × its own noise. The verdict's own code computes the
interval; the benchmark counts how often it contains the true value. The true value is what the
verdict estimates for the typical block: the pseudo-median of the block's log ratio, computed from
the noise itself.

The hard kinds of noise are one-sided: only one of the two entrants is much slower now and then.
From 6 blocks on, the limits come from ranks, and the aim holds for every kind. With fewer blocks
the limits come from Student's t, which assumes log-normal times: the aim holds for those, and the
other kinds show how the t limits do without that assumption.

    python -m benchmarks.coverage [--replicates N] [--seed N]

Prints one JSON object per line: name, value, unit, spread (standard error), n, aim, met.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator

import click
import numpy as np

from swarmrace.statistics import intervals
from swarmrace.statistics.ranks import rank_sum_order, signed_rank_order

AIM = 0.93
RANKED_BLOCKS = (6, 10, 20, 50)
T_BLOCKS = (3, 5)
UNPAIRED_RUNS = (5, 10)
RATIO = 1.9
BLOCK_SPREAD = 0.2
RUN_SPREAD = 0.08
TRUTH_DRAWS = 4_000_000
"""Draws for the pseudo-median: its standard error is below 0.0002; an interval's half-width is 0.02
or more."""
_CHUNK = 2_000_000
"""Pairs of blocks simulated at once."""

Noise = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
Case = tuple[Noise, Noise]


def _normal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.normal(0.0, RUN_SPREAD, shape)


def _heavy(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Student's t with 3 degrees of freedom: about every 30th run is beyond 3 spreads."""
    return RUN_SPREAD * rng.standard_t(3, shape)


def _slow_runs(share: float, factor: float) -> Noise:
    """Return noise in which a share of the runs takes `factor` times as long."""

    def noise(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
        return _normal(rng, shape) + math.log(factor) * (rng.random(shape) < share)

    return noise


def _wide(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Normal noise with four times the spread."""
    return 4 * _normal(rng, shape)


LOG_NORMAL = "log-normal"
CASES: dict[str, Case] = {
    LOG_NORMAL: (_normal, _normal),
    f"{LOG_NORMAL}, one entrant with 4 times the spread": (_wide, _normal),
    "heavy tails (t, 3 degrees)": (_heavy, _heavy),
    "one run in ten 1.4 times as long, of both": (_slow_runs(0.1, 1.4), _slow_runs(0.1, 1.4)),
    "one run in ten 1.4 times as long, of one": (_slow_runs(0.1, 1.4), _normal),
    "one run in five 2.2 times as long, of one": (_slow_runs(0.2, 2.2), _normal),
    "one run in ten 7.4 times as long, of one": (_slow_runs(0.1, 7.4), _normal),
}


def pseudo_median(case: Case, rng: np.random.Generator) -> float:
    """Return the typical block's log ratio relative to the true ratio: the median of the mean of
    two independent blocks."""
    a, b = (noise(rng, (2, TRUTH_DRAWS)) for noise in case)
    return float(np.median((a - b).mean(axis=0)))


def shift(case: Case, rng: np.random.Generator) -> float:
    """Return the same for runs that aren't paired: the median of their difference."""
    a, b = (noise(rng, (1, TRUTH_DRAWS)) for noise in case)
    return float(np.median(a - b))


def paired(case: Case, blocks: int, truth: float, count: int, rng: np.random.Generator) -> int:
    """Return how many of `count` races have an interval that contains the true value."""
    shape = (count, blocks)
    block_effect = rng.normal(0.0, BLOCK_SPREAD, shape)
    log_a = math.log(RATIO) + block_effect + case[0](rng, shape)
    log_b = block_effect + case[1](rng, shape)
    ratios = log_a - log_b
    true = math.log(RATIO) + truth
    if blocks < intervals.MIN_RANKED_BLOCKS:
        half = intervals.t_half_widths(ratios)
        return int(np.sum(np.abs(ratios.mean(axis=-1) - true) <= half))
    rank = signed_rank_order(blocks, intervals.CONFIDENCE).rank
    low, high = intervals.limits(intervals.walsh_averages(ratios), rank)
    return int(np.sum((low <= true) & (true <= high)))


def unpaired(case: Case, runs: int, truth: float, count: int, rng: np.random.Generator) -> int:
    """Return the same for `runs` unpaired runs on each side, each with its own block effect."""
    shape = (count, runs)
    log_a, log_b = (rng.normal(0.0, BLOCK_SPREAD, shape) + noise(rng, shape) for noise in case)
    shifts = (log_a[:, :, None] - log_b[:, None, :]).reshape(count, runs**2)
    rank = rank_sum_order(runs, runs, intervals.CONFIDENCE).rank
    low, high = intervals.limits(shifts, rank)
    return int(np.sum((low <= truth) & (truth <= high)))


def coverage(
    judge: Callable[..., int],
    case: Case,
    blocks: int,
    truth: float,
    replicates: int,
    rng: np.random.Generator,
) -> float:
    """Return the share of `replicates` races whose interval contains the true value."""
    chunk = max(1, _CHUNK // blocks**2)
    chunks = [chunk] * (replicates // chunk) + [replicates % chunk]
    return sum(judge(case, blocks, truth, count, rng) for count in chunks) / replicates


def rows(replicates: int, rng: np.random.Generator) -> Iterator[tuple[str, float, bool]]:
    """Yield name, coverage and whether the aim applies."""
    for name, case in CASES.items():
        truth = pseudo_median(case, rng)
        for blocks in T_BLOCKS:
            value = coverage(paired, case, blocks, truth, replicates, rng)
            yield f"coverage of Student's t, {name}, {blocks} blocks", value, name == LOG_NORMAL
        for blocks in RANKED_BLOCKS:
            value = coverage(paired, case, blocks, truth, replicates, rng)
            yield f"coverage of signed ranks, {name}, {blocks} blocks", value, True
        truth = shift(case, rng)
        for runs in UNPAIRED_RUNS:
            value = coverage(unpaired, case, runs, truth, replicates, rng)
            yield f"coverage of rank sums, {name}, {runs} + {runs} runs", value, False


@click.command()
@click.option("--replicates", type=click.IntRange(1000), default=100_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def main(replicates: int, seed: int) -> None:
    """Simulate the coverage of the verdict's intervals."""
    for name, value, has_aim in rows(replicates, np.random.default_rng(seed)):
        line = {
            "name": name,
            "value": round(value, 4),
            "unit": "1",
            "spread": round(math.sqrt(value * (1 - value) / replicates), 4),
            "n": replicates,
            "aim": f">= {AIM}" if has_aim else "",
            "met": value >= AIM or not has_aim,
        }
        click.echo(json.dumps(line))


if __name__ == "__main__":
    main()
