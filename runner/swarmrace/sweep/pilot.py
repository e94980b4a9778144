"""`swarmrace plan --pilot FOLDER`: estimates from a pilot how many blocks an acceptance needs.

Races of several lengths are resampled from the pilot's blocks (a smoothed bootstrap: B. Efron,
R. J. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 16) and judged as the verdict
judges them. The answer is the shortest length at which most races are decided. A few blocks say
little about the spread, so this is an estimate for planning, not a guarantee.
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

MIN_PILOT_BLOCKS = 3
"""Fewer blocks don't show the spread."""
DECIDED_SHARE = 0.8
"""Share of races that should be decided."""
RACE_LENGTHS = (6, 7, 8, 10, 12, 15, 20, 30, 50)
"""Numbers of blocks that are tried."""
_RESAMPLED_RACES = 2000


@dataclass(frozen=True, slots=True)
class Need:
    """How many blocks one acceptance needs."""

    text: str
    """The acceptance."""
    blocks: int | None
    """Smallest number of blocks at which most races are decided; None if it is above the maximum
    that was tried."""
    decided: float
    """Share of races that are decided after these blocks."""
    pilot_blocks: int
    ratio: float
    """Typical ratio of a pilot's block."""

    def line(self) -> str:
        """Return one human-readable line."""
        needs = (
            f"about {self.blocks} blocks decide it in {100 * self.decided:.0f} % of races"
            if self.blocks is not None
            else f"more than {max(RACE_LENGTHS)} blocks: only {100 * self.decided:.0f} % of races "
            "are decided by then, so the ratio may be at the bound"
        )
        return f"{self.text}: {needs} (pilot: {self.pilot_blocks} blocks, ratio {self.ratio:.3g})"


def needs(scenario: Scenario, pilot: Path) -> list[str]:
    """Return one human-readable line on each acceptance: how many blocks it needs.

    Args:
        scenario: the scenario with the acceptances.
        pilot: a results folder, or the folder of a sweep, whose cells are then listed one by one.

    Raises:
        ResultsError: the pilot can't be read, or has other entrants or too few blocks.
    """
    lines = []
    for name, loaded in _pilots(scenario, pilot):
        head = f"{name}: " if name else ""
        for wanted in scenario.race.acceptance:
            ratios = _ratios(loaded, wanted)
            if len(ratios) < MIN_PILOT_BLOCKS:
                raise ResultsError(
                    f"{loaded.folder}: found {len(ratios)} blocks with results of "
                    f"{wanted.entrant} and {wanted.of}, expected at least {MIN_PILOT_BLOCKS}; race "
                    "more blocks"
                )
            found = need(ratios, wanted, stopping=scenario.race.stopping)
            lines.append(head + found.line())
    return lines or ["the scenario sets no acceptance: there is nothing to decide"]


def need(ratios: Sequence[float], wanted: Acceptance, *, stopping: bool) -> Need:
    """Return how many blocks an acceptance needs.

    Args:
        ratios: log ratio of each block of the pilot; infinite if one side failed.
        wanted: the acceptance.
        stopping: whether the race stops once it is decided.
    """
    seen = np.asarray(ratios, dtype=float)
    drawn = _resample(seen, max(RACE_LENGTHS), np.random.default_rng(len(seen)))
    levels = _levels(wanted, stopping=stopping)
    share, blocks = 0.0, None
    decided = np.zeros(len(drawn), bool)
    for length, confidence in levels.items():
        decided_now = _decided(drawn[:, :length], wanted, confidence)
        decided = decided | decided_now if stopping else decided_now
        share = float(decided.mean())
        if share >= DECIDED_SHARE:
            blocks = length
            break
    averages = intervals.walsh_averages(seen)
    middle = float(np.median(averages[~np.isnan(averages)]))
    text = f"{wanted.entrant} within {wanted.within} of {wanted.of}"
    return Need(text, blocks, share, len(seen), math.exp(middle))


def _levels(wanted: Acceptance, *, stopping: bool) -> dict[int, float]:
    if stopping:
        return dict(LOOKS)
    confidence = EQUIVALENCE_CONFIDENCE if wanted.equivalent else intervals.CONFIDENCE
    return dict.fromkeys(RACE_LENGTHS, confidence)


def _decided(ratios: Floats, wanted: Acceptance, confidence: float) -> np.ndarray:
    """Return for each race whether its times meet or miss the acceptance."""
    rank = signed_rank_order(ratios.shape[1], confidence).rank
    low, high = intervals.limits(intervals.walsh_averages(ratios), rank)
    bound = math.log(wanted.bound)
    if wanted.equivalent:
        inside = (low >= -bound) & (high <= bound)
        return inside | (low > bound) | (high < -bound)
    return (high <= bound) | (low > bound)


def _resample(seen: Floats, blocks: int, rng: np.random.Generator) -> Floats:
    """Return races with blocks drawn from the pilot's, smoothed by a fraction of their spread."""
    drawn = rng.choice(seen, size=(_RESAMPLED_RACES, blocks))
    finite = seen[np.isfinite(seen)]
    spread = float(np.std(finite, ddof=1)) if len(finite) > 1 else 0.0
    # The variance of the draws is too small by (n - 1) / n: this more than makes up for it.
    width = spread / math.sqrt(max(1, len(finite) - 1))
    with np.errstate(invalid="ignore"):
        return drawn + rng.normal(0.0, width, drawn.shape)


def _ratios(loaded: Results, wanted: Acceptance) -> list[float]:
    """Return each block's log ratio of the two entrants, without blocks in which both failed."""
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
            wanted, missing = (", ".join(sorted(names)) for names in (scenario.entrants, absent))
            raise ResultsError(
                f"{pilot}: expected a race of {wanted}, found no results of {missing}; give a "
                "pilot with the same entrants"
            )
        yield "", loaded
        return
    found = [cell for cell in state.read(pilot).cells if cell.begun]
    if not found:
        raise ResultsError(f"{pilot}: expected a cell that ran to its end, found none")
    for cell in found:
        yield names.get(cell.cell.id, cell.cell.name), cell.results()
