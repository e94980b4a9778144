"""`swarmrace plan --pilot FOLDER`: how many blocks an acceptance will need, by blocks raced before.

Blocks are drawn anew from the pilot's (a smoothed bootstrap: B. Efron, R. J. Tibshirani, An
Introduction to the Bootstrap, 1993, chapter 16), races of each length are judged as the verdict
judges them, and the shortest length is named at which most of them are decided. Few blocks say
little about the spread, so it is an estimate to plan with, no promise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swarmrace.errors import ResultsError
from swarmrace.plan.plan import expand
from swarmrace.results import folder as results
from swarmrace.results.folder import Results
from swarmrace.scenario.scenario import Acceptance, Scenario
from swarmrace.statistics import intervals
from swarmrace.statistics.looks import LOOKS
from swarmrace.statistics.ranks import Floats, signed_rank_order
from swarmrace.sweep import book, state
from swarmrace.verdict.acceptance import EQUIVALENCE_CONFIDENCE
from swarmrace.verdict.runs import view

LEAST_BLOCKS = 3
"""Fewer say nothing about the spread."""
WANTED = 0.8
"""The share of races that should be decided."""
FIXED = (6, 7, 8, 10, 12, 15, 20, 30, 50)
_RACES = 2000


@dataclass(frozen=True, slots=True)
class Need:
    """What one acceptance needs."""

    text: str
    """The acceptance."""
    blocks: int | None
    """The fewest at which most races are decided; None where not even the most are."""
    decided: float
    """The share that is decided then."""
    pilot_blocks: int
    ratio: float
    """The pilot's typical block."""

    def line(self) -> str:
        """Return it for people."""
        most = max(FIXED)
        needs = (
            f"about {self.blocks} blocks decide it in {100 * self.decided:.0f} % of races"
            if self.blocks is not None
            else f"more than {most} blocks: only {100 * self.decided:.0f} % of races are decided "
            "by then, so the ratio may be at the bound"
        )
        return f"{self.text}: {needs} (pilot: {self.pilot_blocks} blocks, ratio {self.ratio:.3g})"


def needs(scenario: Scenario, pilot: Path) -> list[str]:
    """Return for people how many blocks each acceptance of a scenario needs, one line each.

    Args:
        scenario: with the acceptances; of a matrix each cell that the pilot has is named.
        pilot: a results folder, or a sweep's.

    Raises:
        ResultsError: the pilot can't be read, has other entrants, or too few blocks.
    """
    lines = []
    for name, loaded in _pilots(scenario, pilot):
        head = f"{name}: " if name else ""
        for wanted in scenario.race.acceptance:
            ratios = _ratios(loaded, wanted)
            if len(ratios) < LEAST_BLOCKS:
                raise ResultsError(
                    f"{loaded.folder}: expected at least {LEAST_BLOCKS} blocks with numbers of "
                    f"{wanted.entrant} and {wanted.of}, found {len(ratios)}; race more blocks"
                )
            found = need(ratios, wanted, stopping=scenario.race.stopping)
            lines.append(head + found.line())
    return lines or ["the scenario sets no acceptance: nothing is to be decided"]


def need(ratios: Sequence[float], wanted: Acceptance, *, stopping: bool) -> Need:
    """Return how many blocks an acceptance needs.

    Args:
        ratios: the pilot's log ratios by block; infinite where one side failed.
        wanted: the acceptance.
        stopping: whether the race will look before its end.
    """
    seen = np.asarray(ratios, dtype=float)
    drawn = _drawn(seen, max(FIXED), np.random.default_rng(len(seen)))
    levels = _levels(wanted, stopping=stopping)
    share, blocks = 0.0, None
    over = np.zeros(len(drawn), bool)
    for blocks_, confidence in levels.items():
        share_now = _decided(drawn[:, :blocks_], wanted, confidence)
        over = over | share_now if stopping else share_now
        share = float(over.mean())
        if share >= WANTED:
            blocks = blocks_
            break
    averages = intervals.walsh_averages(seen)
    middle = float(np.median(averages[~np.isnan(averages)]))
    text = f"{wanted.entrant} within {wanted.within} of {wanted.of}"
    return Need(text, blocks, share, len(seen), math.exp(middle))


def _levels(wanted: Acceptance, *, stopping: bool) -> dict[int, float]:
    if stopping:
        return dict(LOOKS)
    confidence = EQUIVALENCE_CONFIDENCE if wanted.equivalent else intervals.CONFIDENCE
    return dict.fromkeys(FIXED, confidence)


def _decided(ratios: Floats, wanted: Acceptance, confidence: float) -> np.ndarray:
    """Return which races are met or missed by their times."""
    rank = signed_rank_order(ratios.shape[1], confidence).rank
    low, high = intervals.limits(intervals.walsh_averages(ratios), rank)
    bound = math.log(wanted.bound)
    if wanted.equivalent:
        inside = (low >= -bound) & (high <= bound)
        return inside | (low > bound) | (high < -bound)
    return (high <= bound) | (low > bound)


def _drawn(seen: Floats, blocks: int, rng: np.random.Generator) -> Floats:
    """Return races of blocks drawn from the pilot's, smoothed by a share of their spread."""
    drawn = rng.choice(seen, size=(_RACES, blocks))
    finite = seen[np.isfinite(seen)]
    spread = float(np.std(finite, ddof=1)) if len(finite) > 1 else 0.0
    # The draws' own spread is too small by (n - 1) / n: this makes up for it, and more.
    width = spread / math.sqrt(max(1, len(finite) - 1))
    with np.errstate(invalid="ignore"):
        return drawn + rng.normal(0.0, width, drawn.shape)


def _ratios(loaded: Results, wanted: Acceptance) -> list[float]:
    """Return the blocks' log ratios of two entrants' runs, without blocks in which both failed."""
    numbers: dict[str, dict[int, float]] = {wanted.entrant: {}, wanted.of: {}}
    for record in loaded.runs:
        if record.run.entrant not in numbers:
            continue
        number = view(record, loaded.scenario.race).number
        if number is not None:
            numbers[record.run.entrant][record.run.repetition] = number
    a, b = numbers[wanted.entrant], numbers[wanted.of]
    common = sorted(a.keys() & b.keys())
    return list(map(float, intervals.log_ratios([a[k] for k in common], [b[k] for k in common])))


def _pilots(scenario: Scenario, pilot: Path) -> Iterator[tuple[str, Results]]:
    names = {cell.scenario.cell_id(): cell.name for cell in expand(scenario)}
    if not book.exists(pilot):
        loaded = results.load(pilot)
        absent = scenario.entrants.keys() - loaded.scenario.entrants.keys()
        if absent:
            wanted, missing = (", ".join(sorted(of)) for of in (scenario.entrants, absent))
            raise ResultsError(
                f"{pilot}: expected a race of {wanted}, found none of {missing}; give a pilot with "
                "the same entrants"
            )
        yield "", loaded
        return
    found = [cell for cell in state.look(pilot).cells if cell.begun]
    if not found:
        raise ResultsError(f"{pilot}: expected a cell that ran to its end, found none")
    for cell in found:
        yield names.get(cell.cell.id, cell.cell.name), cell.results()
