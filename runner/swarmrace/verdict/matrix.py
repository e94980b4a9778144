"""One acceptance over all cells of a matrix.

The claim that it is met in **every** cell needs no correction: it is made only if each cell's own
test shows it, so the chance of a wrong claim is at most that of one test (intersection–union;
R. L. Berger, Technometrics 24, 1982). Naming **single** cells as met or missed is another claim:
among many cells some would be named by chance, so Holm's procedure decides (S. Holm, Scandinavian
Journal of Statistics 6, 1979), at 5 % for all cells together, separately for times and completion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from swarmrace.errors import Exit
from swarmrace.model import Model
from swarmrace.statistics.significance import FAMILY_ERROR, blocks_needed
from swarmrace.verdict.model import AcceptanceVerdict, Judgement


class CellJudgement(Model):
    """One cell under an acceptance."""

    cell: str
    verdict: Judgement | Literal["missing"]
    """By the cell's own interval, unadjusted. `missing`: the cell has no results."""
    text: str = ""
    p_met: float | None = None
    """Adjusted by Holm. The cell is named as met if it is at most `FAMILY_ERROR`."""
    p_missed: float | None = None
    """The same for missed: the smaller p of times and completion."""
    named: Literal["met", "missed"] | None = None
    """How the cell may be named individually."""


class MatrixJudgement(Model):
    """One acceptance over a matrix."""

    entrant: str
    of: str
    within: float | str
    bound: float
    verdict: Judgement
    """`met`: in every cell. `missed`: at least one cell is named as missed. Otherwise undecided."""
    cells: list[CellJudgement]
    blocks_needed: int
    """Minimum number of complete blocks for naming a single cell."""
    text: str
    """The sentence that follows the verdict."""

    def count(self, verdict: str) -> int:
        """Return the number of cells with this verdict."""
        return sum(cell.verdict == verdict for cell in self.cells)

    def named(self, what: str) -> list[str]:
        """Return the cells that may be named as `what` individually."""
        return [cell.cell for cell in self.cells if cell.named == what]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's adjusted p values; an unknown one (None) counts as 1 and stays None."""
    order = sorted(range(len(p_values)), key=lambda at: 1.0 if (p := p_values[at]) is None else p)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, at in enumerate(order):
        p = p_values[at]
        highest = max(highest, min(1.0, (len(order) - rank) * (1.0 if p is None else p)))
        adjusted[at] = None if p is None else highest
    return adjusted


def judge(
    found: Mapping[str, AcceptanceVerdict | None], example: AcceptanceVerdict
) -> MatrixJudgement:
    """Judge one acceptance over all cells.

    Args:
        found: each cell's verdict, or None for a planned cell without results.
        example: one of the verdicts, for its entrants and its bound.
    """
    names = list(found)
    met = holm([_p(found[name], "p_met") for name in names])
    times = holm([_p(found[name], "p_missed") for name in names])
    completion = holm([_p(found[name], "p_incomplete") for name in names])
    cells = []
    for at, name in enumerate(names):
        each = found[name]
        missed = min((p for p in (times[at], completion[at]) if p is not None), default=None)
        named: Literal["met", "missed"] | None = None
        if each is not None and each.verdict != "undecided":
            if each.verdict == "missed" and missed is not None and missed <= FAMILY_ERROR:
                named = "missed"
            elif each.verdict == "met" and (p := met[at]) is not None and p <= FAMILY_ERROR:
                named = "met"
        cells.append(
            CellJudgement(
                cell=name,
                verdict="missing" if each is None else each.verdict,
                text="no results" if each is None else each.text,
                p_met=met[at],
                p_missed=missed,
                named=named,
            )
        )
    verdict: Judgement = "undecided"
    if any(cell.named == "missed" for cell in cells):
        verdict = "missed"
    elif cells and all(cell.verdict == "met" for cell in cells):
        verdict = "met"
    elif len(cells) == 1 and cells[0].verdict != "missing":
        verdict = cells[0].verdict
    judged = MatrixJudgement(
        entrant=example.entrant,
        of=example.of,
        within=example.within,
        bound=example.bound,
        verdict=verdict,
        cells=cells,
        blocks_needed=blocks_needed(len(cells)),
        text="",
    )
    return judged.model_copy(update={"text": _text(judged)})


def exit_of(judged: Sequence[MatrixJudgement]) -> Exit:
    """Return the exit code of several acceptances over a matrix: the worst of missed, undecided and
    met, as for a race."""
    verdicts = {each.verdict for each in judged}
    if "missed" in verdicts:
        return Exit.ACCEPTANCE_MISSED
    return Exit.ACCEPTANCE_UNDECIDED if "undecided" in verdicts else Exit.OK


def _p(found: AcceptanceVerdict | None, name: str) -> float | None:
    return None if found is None else getattr(found, name)


def _text(judged: MatrixJudgement) -> str:
    """Return the sentence that a report and a terminal show."""
    preset = f"{judged.within}: " if isinstance(judged.within, str) else ""
    requirement = f"{judged.entrant} within {preset}{judged.bound:g} × {judged.of}'s time"
    count = len(judged.cells)
    if count == 1:
        (cell,) = judged.cells
        known = cell.verdict != "missing"
        return cell.text.removeprefix(f"{cell.verdict}: ") if known else requirement
    if judged.verdict == "met":
        return f"in each of {count} cells: {requirement}"
    parts = [
        f"{number} {what}"
        for what in ("met", "missed", "undecided", "missing")
        if (number := judged.count(what))
    ]
    text = f"over {count} cells: {requirement}; individually {', '.join(parts)}"
    if named := judged.named("missed"):
        text += f"; named as missed (Holm): {_some(named)}"
    if named := judged.named("met"):
        text += f"; named as met (Holm): {_some(named)}"
    if not judged.named("met") and not judged.named("missed"):
        text += (
            f"; no cell can be named individually (by its times, that takes at least "
            f"{judged.blocks_needed} complete blocks with {count} cells)"
        )
    return text


def _some(names: Sequence[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
