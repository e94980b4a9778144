"""Acceptance: met, missed or undecided, by the times and by how often transfers came through."""

from __future__ import annotations

from collections.abc import Mapping

from swarmrace.scenario.scenario import Acceptance, Race
from swarmrace.statistics.intervals import CONFIDENCE, LEAST_BLOCKS
from swarmrace.statistics.proportions import fewer_p
from swarmrace.statistics.significance import p_above, p_below
from swarmrace.systems import doubles
from swarmrace.units import format_seconds
from swarmrace.verdict import completion
from swarmrace.verdict.compare import not_paired
from swarmrace.verdict.model import FAILED, AcceptanceVerdict, Judgement, Ratio
from swarmrace.verdict.ratios import beyond, ratio
from swarmrace.verdict.run_numbers import done, numbers
from swarmrace.verdict.runs import complete_runs
from swarmrace.verdict.sides import Side, never, unlike
from swarmrace.verdict.wording import no_interval, ratio_text

EQUIVALENCE_CONFIDENCE = 0.9
"""Of the interval that must be inside [1/m, m]: two one-sided tests of 5 % each (D. J. Schuirmann,
Journal of Pharmacokinetics and Biopharmaceutics 15, 1987)."""
_WORST: tuple[Judgement, ...] = ("missed", "undecided", "met")


def accept(
    wanted: Acceptance, sides: Mapping[str, Side], race: Race, look: float | None = None
) -> AcceptanceVerdict:
    """Judge one acceptance by the interval of the runs' t100, and by the complete runs.

    Met: the interval is within the bound. Missed: all of it is beyond the bound, by more than the
    marks' resolution. Undecided: it crosses, or there is none. The worse of times and completion
    decides.

    Args:
        wanted: what is asked for.
        sides: by entrant.
        race: what was raced.
        look: confidence of the interval where the race may have stopped early
            (`statistics.looks`); it also is the level of what equivalence and completion ask.
    """
    entrant, of = sides[wanted.entrant], sides[wanted.of]
    paired = not not_paired(entrant, of, sequential=race.order == "sequential")
    why_not = never(entrant, of)
    confidence = look or (EQUIVALENCE_CONFIDENCE if wanted.equivalent else CONFIDENCE)
    found = None
    if not why_not:
        found = ratio(
            numbers(entrant, done), numbers(of, done), paired=paired, confidence=confidence
        )
    if entrant.test_double or of.test_double:
        why_not = doubles.WARNING
    elif entrant is of:
        why_not = "an entrant set against itself proves nothing"
    verdict, why = ("undecided", why_not) if why_not else _by_times(found, wanted, confidence)
    by_runs, why_runs = completion.judge(
        entrant, of, wanted.completion, paired=paired, confidence=one_sided(look)
    )
    if not why_not:
        verdict = min(verdict, by_runs, key=_WORST.index)
    complete, runs = complete_runs(entrant.views)
    reasons = "; ".join(filter(None, (why, why_runs)))
    p_met, p_missed = (None, None) if why_not else _significance(entrant, of, wanted, paired)
    unequal = unlike(entrant, of)
    return AcceptanceVerdict(
        entrant=wanted.entrant,
        within=wanted.within,
        bound=wanted.bound,
        of=wanted.of,
        completion=wanted.completion,
        verdict=verdict,
        ratio=found,
        complete_runs=complete,
        runs=runs,
        p_met=p_met,
        p_missed=p_missed,
        p_incomplete=fewer_p(complete, runs, wanted.completion) if runs and not why_not else None,
        text=(
            f"{verdict}: {entrant.label} {_asked(wanted)} {of.owner} time"
            f"{f' ({reasons})' if reasons else ''}{f'; {unequal}' if unequal else ''}"
        ),
    )


def _significance(
    entrant: Side, of: Side, wanted: Acceptance, paired: bool
) -> tuple[float | None, float | None]:
    """Return the p of the times by which it is met, and by which it is missed."""
    one, other = numbers(entrant, done), numbers(of, done)
    if paired:
        blocks = sorted(one.keys() & other.keys())
        a, b = ([side[block][0] for block in blocks] for side in (one, other))
    else:
        a, b = ([number for number, _ in side.values()] for side in (one, other))
    if not a or not b or min(*a, *b) <= 0:
        return None, None
    below = p_below(a, b, wanted.bound, paired=paired)
    above = p_above(a, b, wanted.bound, paired=paired)
    if not wanted.equivalent or below is None or above is None:
        return below, above
    # Equivalent are two tests: both must hold, and either one may fail.
    inside = p_above(a, b, 1 / wanted.bound, paired=paired)
    under = p_below(a, b, 1 / wanted.bound, paired=paired)
    assert inside is not None
    assert under is not None
    return max(below, inside), min(1.0, 2 * min(above, under))


def one_sided(look: float | None) -> float:
    """Return the one-sided confidence of a look's two-sided one."""
    return 0.95 if look is None else (1 + look) / 2


def _asked(wanted: Acceptance) -> str:
    if wanted.equivalent:
        return f"between {1 / wanted.bound:.3g} and {wanted.bound:g} × (equivalent)"
    preset = f" ({wanted.within})" if isinstance(wanted.within, str) else ""
    return f"within {wanted.bound:g} ×{preset}"


def _by_times(found: Ratio | None, wanted: Acceptance, confidence: float) -> tuple[Judgement, str]:
    if found is None or found.blocks == 0:
        return "undecided", "no block has a number of both"
    if not found.has_interval:
        return _without_interval(found)
    text = ratio_text(found)
    low, high = (_number(limit) for limit in (found.low, found.high))
    if wanted.equivalent:
        text += f", the {100 * confidence:.3g} % interval"
    above = low > wanted.bound
    below = wanted.equivalent and high < 1 / wanted.bound
    if above and not beyond(low, wanted.bound, found.reference_seconds, found.resolution_seconds):
        resolution = format_seconds(found.resolution_seconds)
        return "undecided", f"{text}, above it by less than the resolution of {resolution}"
    if above or below:
        return "missed", text
    if high <= wanted.bound and (not wanted.equivalent or low >= 1 / wanted.bound):
        return "met", text
    return "undecided", f"{text}, which crosses it"


def _without_interval(found: Ratio) -> tuple[Judgement, str]:
    """Decided only where one failed in every block and the other in none."""
    failed = {
        FAILED: "it failed in every block, the other in none",
        0.0: "the other failed in every block, it in none",
    }
    if found.claim is not None and found.estimate in failed:
        return "missed" if found.estimate == FAILED else "met", failed[found.estimate]
    if found.blocks < LEAST_BLOCKS:
        return "undecided", ratio_text(found)
    return "undecided", no_interval(found)


def _number(limit: object) -> float:
    return float("inf") if limit == FAILED else float(limit)  # type: ignore[arg-type]
