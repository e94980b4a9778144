"""Acceptance: met, missed or undecided, by the times and by the share of complete runs."""

from __future__ import annotations

from collections.abc import Mapping

from swarmrace.scenario.scenario import Acceptance, Race
from swarmrace.statistics.intervals import CONFIDENCE, MIN_BLOCKS
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
"""Confidence of the interval that must be inside [1/m, m]: two one-sided tests of 5 % each
(D. J. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987)."""
_WORST: tuple[Judgement, ...] = ("missed", "undecided", "met")


def accept(
    acceptance: Acceptance, sides: Mapping[str, Side], race: Race, look: float | None = None
) -> AcceptanceVerdict:
    """Judge one acceptance by the interval of the runs' t100, and by the complete runs.

    Met: the interval is within the bound. Missed: the whole interval is beyond the bound by more
    than the marks' resolution. Undecided: the interval crosses the bound, or there is none. The
    worse of times and completion decides.

    Args:
        acceptance: the acceptance to judge.
        sides: the entrants by name.
        race: what was raced.
        look: confidence of the interval if the race may have stopped early (`statistics.looks`);
            then also the level for equivalence and completion.
    """
    entrant, reference = sides[acceptance.entrant], sides[acceptance.of]
    paired = not not_paired(entrant, reference, sequential=race.order == "sequential")
    why_not = never(entrant, reference)
    confidence = look or (EQUIVALENCE_CONFIDENCE if acceptance.equivalent else CONFIDENCE)
    found = None
    if not why_not:
        found = ratio(
            numbers(entrant, done), numbers(reference, done), paired=paired, confidence=confidence
        )
    if entrant.test_double or reference.test_double:
        why_not = doubles.WARNING
    elif entrant is reference:
        why_not = "comparing an entrant with itself proves nothing"
    verdict, why = ("undecided", why_not) if why_not else _by_times(found, acceptance, confidence)
    by_runs, why_runs = completion.judge(
        entrant, reference, acceptance.completion, paired=paired, confidence=one_sided(look)
    )
    if not why_not:
        verdict = min(verdict, by_runs, key=_WORST.index)
    complete, runs = complete_runs(entrant.views)
    reasons = "; ".join(filter(None, (why, why_runs)))
    p_met, p_missed = None, None
    if not why_not:
        p_met, p_missed = _significance(entrant, reference, acceptance, paired)
    unequal = unlike(entrant, reference)
    return AcceptanceVerdict(
        entrant=acceptance.entrant,
        within=acceptance.within,
        bound=acceptance.bound,
        of=acceptance.of,
        completion=acceptance.completion,
        verdict=verdict,
        ratio=found,
        complete_runs=complete,
        runs=runs,
        p_met=p_met,
        p_missed=p_missed,
        p_incomplete=(
            fewer_p(complete, runs, acceptance.completion) if runs and not why_not else None
        ),
        text=(
            f"{verdict}: {entrant.label} {_requirement(acceptance)} {reference.owner} time"
            f"{f' ({reasons})' if reasons else ''}{f'; {unequal}' if unequal else ''}"
        ),
    )


def _significance(
    entrant: Side, reference: Side, acceptance: Acceptance, paired: bool
) -> tuple[float | None, float | None]:
    """Return the p value of the times for met, and the one for missed."""
    one, other = numbers(entrant, done), numbers(reference, done)
    if paired:
        blocks = sorted(one.keys() & other.keys())
        a, b = ([side[block][0] for block in blocks] for side in (one, other))
    else:
        a, b = ([number for number, _ in side.values()] for side in (one, other))
    if not a or not b or min(*a, *b) <= 0:
        return None, None
    below = p_below(a, b, acceptance.bound, paired=paired)
    above = p_above(a, b, acceptance.bound, paired=paired)
    if not acceptance.equivalent or below is None or above is None:
        return below, above
    # Equivalence is two tests: both must hold, and either may fail.
    inside = p_above(a, b, 1 / acceptance.bound, paired=paired)
    under = p_below(a, b, 1 / acceptance.bound, paired=paired)
    assert inside is not None
    assert under is not None
    return max(below, inside), min(1.0, 2 * min(above, under))


def one_sided(look: float | None) -> float:
    """Return the one-sided confidence that belongs to a look's two-sided confidence."""
    return 0.95 if look is None else (1 + look) / 2


def _requirement(acceptance: Acceptance) -> str:
    if acceptance.equivalent:
        return f"between {1 / acceptance.bound:.3g} and {acceptance.bound:g} × (equivalent)"
    preset = f" ({acceptance.within})" if isinstance(acceptance.within, str) else ""
    return f"within {acceptance.bound:g} ×{preset}"


def _by_times(
    found: Ratio | None, acceptance: Acceptance, confidence: float
) -> tuple[Judgement, str]:
    if found is None or found.blocks == 0:
        return "undecided", "no block has numbers of both"
    if not found.has_interval:
        return _without_interval(found)
    text = ratio_text(found)
    low, high = (_number(limit) for limit in (found.low, found.high))
    bound = acceptance.bound
    if acceptance.equivalent:
        text += f", the {100 * confidence:.3g} % interval"
    above = low > bound
    below = acceptance.equivalent and high < 1 / bound
    if above and not beyond(low, bound, found.reference_seconds, found.resolution_seconds):
        resolution = format_seconds(found.resolution_seconds)
        return "undecided", f"{text}, above the bound by less than the resolution of {resolution}"
    if above or below:
        return "missed", text
    if high <= bound and (not acceptance.equivalent or low >= 1 / bound):
        return "met", text
    return "undecided", f"{text}, which crosses the bound"


def _without_interval(found: Ratio) -> tuple[Judgement, str]:
    """Return the judgement without an interval: decided only if one entrant failed in every block
    and the other in none."""
    failed = {
        FAILED: "it failed in every block, the other entrant in none",
        0.0: "the other entrant failed in every block, it failed in none",
    }
    if found.claim is not None and found.estimate in failed:
        return "missed" if found.estimate == FAILED else "met", failed[found.estimate]
    if found.blocks < MIN_BLOCKS:
        return "undecided", ratio_text(found)
    return "undecided", no_interval(found)


def _number(limit: object) -> float:
    return float("inf") if limit == FAILED else float(limit)  # type: ignore[arg-type]
