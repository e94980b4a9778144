"""How often the verdict's interval holds the true ratio: a simulation of the nominal 95 %.

Two entrants race in blocks. A run's time is its true time × a block effect that both share (the
machine's mood of those minutes) × noise of its own. The true ratio is set; the interval is made by
the verdict's own code; counted is how often it holds the truth.

The hard case is one in which only one of the two now and then takes far longer: its differences are
skewed. The truth is then the ratio of the geometric means, which is what the verdict estimates. The
aim is held up to slow runs of 1.4 times the usual; `--limits` shows how far coverage falls beyond.

    python benchmarks/coverage.py [--replicates N] [--seed N]

Prints one JSON object a line: name, value, unit, spread (standard error), n, aim, met.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import click
import numpy as np

from swarmrace.verdict.stats import t_half_widths

AIM = 0.93
BLOCKS = (3, 5, 10)
RATIO = 1.9
BLOCK_SPREAD = 0.2
RUN_SPREAD = 0.08

Noise = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def _normal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.normal(0.0, RUN_SPREAD, shape)


def _heavy(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Student's t with 3 degrees: every 30th run or so lies beyond 3 spreads."""
    return RUN_SPREAD * rng.standard_t(3, shape)


def _slow_runs(factor: float) -> Noise:
    """One run in ten takes `factor` times as long; centred, so that the truth stays the truth."""

    def noise(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
        return _normal(rng, shape) + math.log(factor) * ((rng.random(shape) < 0.1) - 0.1)

    return noise


def _unlike(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Four times the spread."""
    return 4 * _normal(rng, shape)


CASES: dict[str, tuple[Noise, Noise]] = {
    "log-normal": (_normal, _normal),
    "log-normal, one entrant with 4 times the spread": (_unlike, _normal),
    "heavy tails (t, 3 degrees)": (_heavy, _heavy),
    "one run in ten 1.4 times as long, of both": (_slow_runs(1.4), _slow_runs(1.4)),
    "one run in ten 1.4 times as long, of one": (_slow_runs(1.4), _normal),
}
LIMITS: dict[str, tuple[Noise, Noise]] = {
    f"limit: one run in ten {factor} times as long, of one": (_slow_runs(factor), _normal)
    for factor in (1.5, 2, 3)
}


def coverage(
    case: tuple[Noise, Noise], blocks: int, replicates: int, rng: np.random.Generator
) -> float:
    """Return the share of `replicates` races whose interval holds the true ratio."""
    shape = (replicates, blocks)
    mood = rng.normal(0.0, BLOCK_SPREAD, shape)
    log_a = math.log(RATIO) + mood + case[0](rng, shape)
    log_b = mood + case[1](rng, shape)
    ratios = log_a - log_b
    error = np.abs(ratios.mean(axis=-1) - math.log(RATIO))
    return float(np.mean(error <= t_half_widths(ratios)))


@click.command()
@click.option("--replicates", type=click.IntRange(1000), default=100_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--limits", is_flag=True, help="Show the cases in which it doesn't hold, too.")
def main(replicates: int, seed: int, limits: bool) -> None:
    """Simulate the coverage of the paired interval."""
    rng = np.random.default_rng(seed)
    for name, case in (CASES | LIMITS if limits else CASES).items():
        for blocks in BLOCKS:
            value = coverage(case, blocks, replicates, rng)
            line = {
                "name": f"coverage of the paired interval, {name}, {blocks} blocks",
                "value": round(value, 4),
                "unit": "1",
                "spread": round(math.sqrt(value * (1 - value) / replicates), 4),
                "n": replicates,
                "aim": f">= {AIM}",
                "met": value >= AIM,
            }
            click.echo(json.dumps(line))


if __name__ == "__main__":
    main()
