"""A/A test: how often the verdict calls two identical entrants different.

    python -m benchmarks.a_a                                40 races of 6 blocks
    python -m benchmarks.a_a --first 1 --races 10 --state aa.jsonl     in slices, one per call
    python -m benchmarks.a_a --first 11 --races 10 --state aa.jsonl

Two BitTorrent entrants with the same options race on this machine; each race has its own seed. A
race counts as different when its claim is slower or faster. The exact confidence of 6 blocks is
96.9 %, so 1.25 of 40 races are expected if blocks are independent; more than 5 happen by chance
once in 700 times. With `--state`, each race is appended to a file when it ends, a race in the file
isn't raced again, and the printed figure covers the whole file.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from swarmrace.backends.local.backend import LocalRace, run
from swarmrace.results import folder as results
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Scenario
from swarmrace.verdict import compute

MAX_DIFFERENT = 5
"""Of 40 races."""
BLOCKS = 6
DIFFERENT = ("slower", "faster")


def scenario(seed: int, size: str) -> Scenario:
    """Return a race of two identical entrants."""
    race = {
        "swarmSize": 2,
        "seeders": 1,
        "fileSize": size,
        "repetitions": BLOCKS,
        "seed": seed,
        "timeouts": {"stallSeconds": 30, "transferSeconds": 120},
    }
    entrant = {"kind": "bittorrent", "profile": "tuned"}
    return parse({"global": {"race": race, "entrants": {"one": entrant, "other": entrant}}})


def race(seed: int, size: str) -> dict[str, Any]:
    """Race once and return the verdict's claim and interval."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        local = LocalRace(scenario(seed, size), "a-a", Path(folder))
        target = local.folder()
        asyncio.run(run(local, target, lambda _: None))
        [comparison] = compute(results.load(target)).comparisons
    found = comparison.t100
    assert found is not None
    return {
        "race": seed,
        "claim": found.claim,
        "blocks": found.blocks,
        "estimate": found.estimate,
        "low": found.low,
        "high": found.high,
        "seconds": round(time.monotonic() - began, 1),
    }


def report(raced: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figure over all races; the aim is for 40 races and grows in proportion."""
    different = [each for each in raced if each["claim"] in DIFFERENT]
    complete = [each for each in raced if each["blocks"] == BLOCKS]
    aim = MAX_DIFFERENT * max(40, len(raced)) / 40
    return {
        "name": f"A/A races of {BLOCKS} blocks called different",
        "value": len(different),
        "unit": "races",
        "n": len(raced),
        "spread": f"{len(raced) - len(complete)} with fewer blocks; "
        f"{sum(each['seconds'] for each in raced):.0f} s in all",
        "aim": f"<= {aim:g}",
        "met": len(different) <= aim and bool(complete),
    }


@click.command()
@click.option("--races", type=click.IntRange(1), default=40, show_default=True)
@click.option("--first", type=click.IntRange(1), default=1, show_default=True)
@click.option("--size", default="10MB", show_default=True)
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path))
def main(races: int, first: int, size: str, state: Path | None) -> None:
    """Race a program against itself and count how often the verdict calls it different."""
    raced = _read(state)
    for seed in range(first, first + races):
        if any(each["race"] == seed for each in raced):
            continue
        raced.append(race(seed, size))
        click.echo(f"# {json.dumps(raced[-1])}", err=True)
        if state is not None:
            with state.open("a") as file:
                file.write(json.dumps(raced[-1]) + "\n")
    click.echo(json.dumps(report(raced)))


def _read(state: Path | None) -> list[dict[str, Any]]:
    if state is None or not state.exists():
        return []
    return [json.loads(line) for line in state.read_text().splitlines()]


if __name__ == "__main__":
    main()
