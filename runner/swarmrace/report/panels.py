"""The matrix at a glance: one square for each cell, with its ratio, interval and verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from swarmrace.report.facts import Facts
from swarmrace.report.model import Panel, PanelRow, Square, State, comparison_of
from swarmrace.report.selection import Chosen
from swarmrace.units import canonical_size
from swarmrace.verdict.matrix import MatrixJudgement
from swarmrace.verdict.model import FAILED, Comparison, EntrantVerdict, Ratio
from swarmrace.verdict.registry import mark_label
from swarmrace.verdict.wording import counted, interval, value

EDGES = (1.1, 1.5, 2.5, 6.0)
"""At each of these ratios a square's colour is one level further from 1."""
_KINDS = ("arrival", "written", "delivery", "wire")

Get = Callable[[Comparison], Ratio | None]


def panel_rows(
    chosen: Chosen, pair: tuple[str, str], judged: Sequence[MatrixJudgement], *, all_figures: bool
) -> Iterator[PanelRow]:
    """Yield the figures of a pair over the matrix: all of them, or only t100."""
    entrant, of = pair
    ratio = f"{entrant}'s / {of}'s; below 1 {entrant} is faster"
    yield _row(
        chosen, pair, "t100", "Time to done (t100)", f"Median leecher's time, {ratio}.",
        lambda each: each.t100, judged, first=all_figures,
    )  # fmt: skip
    if not all_figures:
        return
    for percent, key in ((50, "t50"), (0, "first-byte")):
        kind = _kind(chosen, pair, percent)
        if kind is not None:
            name = {0: "Time to the first byte"}.get(percent, f"Time to half ({mark_label(50)})")
            curve = "on the wire" if kind == "wire" else kind
            yield _row(
                chosen, pair, key, f"{name}, {curve}", f"Median leecher's time, {ratio}.",
                partial(_mark, kind=kind, percent=percent), (),
            )  # fmt: skip
    yield _row(
        chosen, pair, "upload", "Publishing the file",
        f"Publish time of the first seeder, {ratio}. The upload speed is its inverse.",
        lambda each: each.publish, (),
    )  # fmt: skip
    yield _row(
        chosen, pair, "wire", "Bytes on the wire",
        f"Bytes that all peers send for each byte of payload, {entrant}'s / {of}'s, in complete "
        "runs.",
        lambda each: each.wire_sent, (),
    )  # fmt: skip
    yield _completion(chosen, pair)


def _row(
    chosen: Chosen, pair: tuple[str, str], key: str, title: str, text: str, get: Get,
    judged: Sequence[MatrixJudgement], *, first: bool = True,
) -> PanelRow:  # fmt: skip
    verdicts = {
        cell.cell: cell.verdict for each in judged if (each.entrant, each.of) == pair
        for cell in each.cells
    }  # fmt: skip
    name = f"{pair[0]} / {pair[1]}"

    def square(seeders: int, size: int, file_size: int, network: str) -> Square:
        cell = _cell(chosen.at(size, seeders, file_size, network), pair)
        if cell is None or seeders >= size:
            return _empty(seeders, size)
        found = comparison_of(cell, pair)
        mark = verdicts.get(chosen.name_of(cell), "")
        drawn = ratio_square(seeders, size, get(found) if found else None, mark)
        failed = any(_failed(cell.verdict.entrants.get(each)) for each in pair)
        name = chosen.name_of(cell)
        label = f"{name}: {drawn.text} {drawn.detail} {mark}".strip()
        return replace(drawn, failures=failed, cell=name, label=label)

    prefix = key if first else f"{key}-{pair[0]}-{pair[1]}"
    return PanelRow(key, title, text, name, tuple(_panels(chosen, prefix, square)))


def _cell(cells: Sequence[Facts], pair: tuple[str, str]) -> Facts | None:
    """Return the first cell that compares a pair, otherwise the first one; None without cells."""
    compare = (
        cell
        for cell in cells
        if (found := comparison_of(cell, pair)) is not None and found.t100 is not None
    )
    return next(compare, cells[0] if cells else None)


def _empty(seeders: int, size: int) -> Square:
    """Return the square of an impossible cell, or of one without results."""
    if seeders >= size:
        return Square(seeders, size, "impossible", "", label="needs a leecher")
    return Square(seeders, size, "missing", "", "no results", label="no results")


def ratio_square(seeders: int, size: int, found: Ratio | None, mark: str = "") -> Square:
    """Return the square of a ratio. The estimate sets its colour; it is hatched if the interval
    doesn't confirm it."""
    if found is None or found.blocks == 0:
        why = "both failed" if found is not None and found.both_failed else "not compared"
        return Square(seeders, size, "empty", "–", why, mark)
    if counted(found):
        state: State = "failed"
        ahead = found.slower - found.faster
        level = 0 if not ahead else (4 if ahead > 0 else -4)
        detail = f"slower in {found.slower} of {found.blocks}"
        return Square(seeders, size, state, "failed", detail, mark, level, found.claim is None)
    text = value(found.estimate)
    text = f"{text} ×" if isinstance(found.estimate, float) and found.estimate else text
    detail = interval(found) if found.has_interval else "no interval"
    undecided = found.claim in (None, "not shown to differ") or mark == "undecided"
    return Square(seeders, size, "ratio", text, detail, mark, level_of(found.estimate), undecided)


def level_of(estimate: object) -> int:
    """Return how far a ratio is from 1, by `EDGES`: -4 to 4."""
    if estimate == FAILED:
        return 4
    if not isinstance(estimate, float | int):
        return 0
    if estimate <= 0:
        return -4
    away = math.exp(abs(math.log(estimate)))
    level = sum(away >= edge for edge in EDGES)
    return level if estimate > 1 else -level


def _completion(chosen: Chosen, pair: tuple[str, str]) -> PanelRow:
    def square(seeders: int, size: int, file_size: int, network: str) -> Square:
        cell = _cell(chosen.at(size, seeders, file_size, network), pair)
        if cell is None or seeders >= size:
            return _empty(seeders, size)
        shown = [cell.verdict.entrants.get(each) for each in pair]
        texts = [_complete(each) for each in shown]
        failed = any(_failed(each) for each in shown)
        name = chosen.name_of(cell)
        return Square(
            seeders, size, "counts", texts[0], texts[1], level=3 if failed else 0,
            failures=failed, cell=name,
            label=f"{name}: {pair[0]} {texts[0]}, {pair[1]} {texts[1]}",
        )  # fmt: skip

    text = f"Runs in which every leecher completed / runs raced: {pair[0]} above, {pair[1]} below."
    panels = tuple(_panels(chosen, "completion", square))
    return PanelRow("completion", "Complete runs", text, f"{pair[0]} / {pair[1]}", panels)


def _complete(entrant: EntrantVerdict | None) -> str:
    if entrant is None:
        return "–"
    return f"{entrant.reliability.runs_complete} / {entrant.reliability.runs_raced}"


def _failed(entrant: EntrantVerdict | None) -> bool:
    if entrant is None:
        return False
    return entrant.reliability.runs_complete < entrant.reliability.runs_raced


def _panels(
    chosen: Chosen, key: str, square: Callable[[int, int, int, str], Square]
) -> Iterator[Panel]:
    for network in chosen.networks:
        for file_size in chosen.file_sizes:
            sizes, seeding = chosen.axes_of(file_size, network)
            squares = tuple(
                square(seeders, size, file_size, network) for seeders in seeding for size in sizes
            )
            if all(each.state in ("impossible", "missing") for each in squares):
                continue
            title = canonical_size(file_size) + (f", {network}" if network else "")
            slug = f"{key}-{canonical_size(file_size)}" + (
                f"-net{chosen.networks.index(network)}" if len(chosen.networks) > 1 else ""
            )
            yield Panel(title, slug, sizes, seeding, squares)


def _kind(chosen: Chosen, pair: tuple[str, str], percent: float) -> str | None:
    """Return the kind of curve on which most cells compare the pair at a percent."""
    counts = {
        kind: sum(
            (found := comparison_of(cell, pair)) is not None
            and _mark(found, kind, percent) is not None
            for cell in chosen.cells
        )
        for kind in _KINDS
    }
    best = max(_KINDS, key=lambda kind: counts[kind])
    return best if counts[best] else None


def _mark(found: Comparison, kind: str, percent: float) -> Ratio | None:
    for mark in found.marks:
        if (mark.kind, mark.percent) == (kind, percent):
            return mark.ratio
    return None
