"""How often the verdict's flag for two groups of runs is a false alarm, and its power.

False alarms: all times are log-normal, of one kind. Power: each run is, with some probability,
slower by a factor. Both use the verdict's own criterion (`verdict/groups.py`).

    python -m benchmarks.two_groups [--replicates N] [--seed N]

Prints one JSON object per line: name, runs, value, unit, spread (standard error), n, aim, met.
"""

from __future__ import annotations

import json
import math

import click
import numpy as np

from swarmrace.verdict.groups import in_two_groups

RUNS = (3, 4, 5, 6, 8, 10, 15, 20)
VARIATIONS = {0.05: 0.001, 0.1: 0.005, 0.2: 0.07, 0.5: 0.11}
"""The aim for the share of false alarms, by the runs' coefficient of variation."""
SHARES = {1 / 6: "a sixth", 1 / 3: "a third", 1 / 2: "half"}
"""Labels of the probabilities that a run is slow."""
SLOWER = 1.8
"""Factor by which a slow run takes longer."""


def alarms(logs: np.ndarray) -> float:
    """Return the share of races (rows of logarithms of times) that are flagged."""
    return float(np.mean(in_two_groups(np.sort(logs, axis=1))))


def _line(name: str, runs: int, value: float, n: int, aim: float | None) -> dict[str, object]:
    error = math.sqrt(value * (1 - value) / n)
    return {
        "name": name,
        "runs": runs,
        "value": round(value, 4),
        "unit": "1",
        "spread": round(error, 4),
        "n": n,
        "aim": None if aim is None else f"<= {aim}",
        "met": None if aim is None else value - 2 * error <= aim,
    }


@click.command()
@click.option("--replicates", type=click.IntRange(100), default=20_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def main(replicates: int, seed: int) -> None:
    """Simulate false alarms and power of the flag for two groups."""
    rng = np.random.default_rng(seed)
    for variation, aim in VARIATIONS.items():
        # A log-normal's CV² = exp(s²) - 1.
        spread = math.sqrt(math.log1p(variation**2))
        for runs in RUNS:
            value = alarms(rng.normal(0.0, spread, (replicates, runs)))
            name = f"false alarms, one kind, CV {variation:.0%}, {runs} runs".replace("%", " %")
            click.echo(json.dumps(_line(name, runs, value, replicates, aim)))
    for variation in (0.05, 0.1):
        spread = math.sqrt(math.log1p(variation**2))
        for probability, share in SHARES.items():
            for runs in RUNS:
                slow = rng.random((replicates, runs)) < probability
                logs = rng.normal(0.0, spread, (replicates, runs)) + math.log(SLOWER) * slow
                name = (
                    f"power, {share} of the runs {SLOWER} times as long, CV {variation:.0%}, "
                    f"{runs} runs"
                ).replace("%", " %")
                click.echo(json.dumps(_line(name, runs, alarms(logs), replicates, None)))


if __name__ == "__main__":
    main()
