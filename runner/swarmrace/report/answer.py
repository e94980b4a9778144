"""The answer in sentences. Each claim has an interval that shows it, or is called undecided."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from swarmrace.report.facts import Facts
from swarmrace.report.model import comparison_of
from swarmrace.report.selection import Chosen
from swarmrace.report.words import number_of
from swarmrace.verdict.model import Ratio
from swarmrace.verdict.wording import counted, digits, ratio_text

_MAX_NAMED = 6


def answers(
    chosen: Chosen, pairs: Sequence[tuple[str, str]], left_out: Sequence[str] = ()
) -> Iterator[str]:
    """Yield the answer: the verdict's sentences for one cell, those of each pair for a matrix.

    Args:
        chosen: the cells.
        pairs: the pairs that are compared.
        left_out: a line for each folder that is not counted.
    """
    if len(chosen.cells) == 1 and not chosen.planned:
        yield from chosen.cells[0].verdict.headline
        return
    if not chosen.cells:
        yield "No cell has usable results." if left_out else "No cell has results yet."
        return
    if not pairs:
        yield "No entrants are compared: no cell has two entrants with matching profiles."
    for pair in pairs:
        yield from _of_pair(chosen, pair)


def _of_pair(chosen: Chosen, pair: tuple[str, str]) -> Iterator[str]:
    entrant, of = pair
    found = [
        (chosen.name_of(cell), cell, compared.t100)
        for cell in chosen.cells
        if (compared := comparison_of(cell, pair)) is not None and compared.t100 is not None
    ]
    if not found:
        yield f"{entrant} and {of}: no cell compares them."
        return
    if len(found) == 1:
        name, cell, _ = found[0]
        compared = comparison_of(cell, pair)
        yield f"Only in {name}: {compared.text if compared else ''}."
        return
    claims = Counter(_claim(ratio) for _, _, ratio in found)
    parts = [
        f"{text} in {claims[claim]}"
        for claim, text in (
            ("slower", "slower"),
            ("faster", "faster"),
            ("no difference", "not different"),
            ("not shown to differ", "not shown to differ"),
            ("", "undecided"),
        )
        if claims[claim]
    ]
    cells = number_of(len(found), "cell")
    yield (
        f"{entrant} against {of}, over {cells}: {entrant} was {', '.join(parts)} (t100, "
        "the median leecher's time to done; each cell by its own 95 % interval, unadjusted)."
    )
    known = [
        (ratio.estimate, name, ratio)
        for name, _, ratio in found
        if isinstance(ratio.estimate, float) and ratio.estimate > 0 and not counted(ratio)
    ]
    if known:
        low, high = min(known), max(known)
        without = [name for name, _, _ in found if name not in {name for _, name, _ in known}]
        more = f"; none in {_named(without)} (failed or missing runs)" if without else ""
        yield (
            f"The ratio ranges from {ratio_text(low[2])} ({low[1]}) to {ratio_text(high[2])} "
            f"({high[1]}){more}."
        )
    yield from _mean(chosen, pair, found)


def _mean(
    chosen: Chosen, pair: tuple[str, str], found: Sequence[tuple[str, Facts, Ratio]]
) -> Iterator[str]:
    """Yield the geometric mean over the cells that are complete on both sides."""
    if len(found) < 2:
        return
    mean, used, left = geometric_mean(
        [(name, ratio.estimate, is_complete(cell, pair)) for name, cell, ratio in found]
    )
    if mean is None:
        yield "No geometric mean: fewer than two cells are complete on both sides."
        return
    text = f"Geometric mean over {number_of(used, 'cell')} complete on both sides: {digits(mean)} ×"
    yield f"{text}; left out: {_named(left)}." if left else f"{text}."


def geometric_mean(
    cells: Sequence[tuple[str, object, bool]],
) -> tuple[float | None, int, list[str]]:
    """Return the geometric mean of the complete cells' ratios, the number of these cells, and the
    names of the cells left out.

    Args:
        cells: name, ratio, and whether every run of both sides was complete.
    """
    used = [value for _, value, ok in cells if ok and isinstance(value, float) and value > 0]
    left = [
        name for name, value, ok in cells if not (ok and isinstance(value, float) and value > 0)
    ]
    if len(used) < 2:
        return None, len(used), left
    return math.exp(math.fsum(map(math.log, used)) / len(used)), len(used), left


def is_complete(cell: Facts, pair: Sequence[str]) -> bool:
    """Return whether every scheduled run of both sides was raced and complete."""
    return all(
        entrant.reliability.runs_complete == entrant.reliability.runs_scheduled
        for name in pair
        if (entrant := cell.verdict.entrants.get(name)) is not None
    )


def completed(chosen: Chosen) -> Iterator[str]:
    """Yield a line for each entrant: how many transfers completed, and why others failed."""
    started: Counter[str] = Counter()
    done: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = {}
    for cell in chosen.cells:
        for name, entrant in cell.verdict.entrants.items():
            reliability = entrant.reliability
            started[name] += reliability.transfers_started
            done[name] += reliability.transfers_completed
            reasons.setdefault(name, Counter()).update(reliability.failures)
    for name, total in started.items():
        why = ", ".join(f"{reason} {n} ×" for reason, n in reasons[name].most_common(3))
        text = f"{name}: {done[name]:,} of {total:,} transfers completed"
        yield f"{text} ({why})" if why and done[name] < total else text


def _claim(ratio: Ratio) -> str:
    return ratio.claim or ""


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more
