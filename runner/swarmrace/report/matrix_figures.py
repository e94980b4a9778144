"""Draws the matrix's panels with their legend, and the bars of where the time goes."""

from __future__ import annotations

from html import escape

from swarmrace.report.cell_reports import anchor_of
from swarmrace.report.drawing import Drawing, n
from swarmrace.report.model import Panel, PanelRow, Report, Shares, Square
from swarmrace.report.style import LEVELS, level_class
from swarmrace.units import format_seconds

WIDTH = 356
"""Width of every figure in pixels, which a phone shows without scaling."""
_LEFT, _TOP, _ROW = 34.0, 44.0, 46.0
_MARKS = {"met": "✓", "missed": "✗", "undecided": "?"}


def panel(row: PanelRow, each: Panel) -> Drawing:
    """Draw one panel, with a row for each number of seeders and a column for each swarm size."""
    columns = len(each.swarm_sizes)
    wide = max(WIDTH, _LEFT + 64 * columns)
    cell = min(84.0, (wide - _LEFT - 2) / columns)
    width = max(_LEFT + cell * columns + 2, 62 + 6.9 * len(each.title))
    height = _TOP + _ROW * len(each.seeders) + 4
    title = f"{row.title}, {row.pair}, {each.title}: {len(each.squares)} combinations"
    drawing = Drawing(width, height, each.slug, title, links=True)
    _hatch(drawing)
    drawing.text(0, 13, each.title, "h")
    drawing.text(width - 2, 13, "peers →", "m", "end")
    drawing.text(0, _TOP - 5, "seed", "m")
    for at, size in enumerate(each.swarm_sizes):
        drawing.text(_LEFT + (at + 0.5) * cell, _TOP - 5, str(size), "b", "middle")
    for at, seeders in enumerate(each.seeders):
        drawing.text(_LEFT - 9, _TOP + (at + 0.5) * _ROW + 4, str(seeders), "b", "end")
    for square in each.squares:
        x = _LEFT + each.swarm_sizes.index(square.swarm_size) * cell
        y = _TOP + each.seeders.index(square.seeders) * _ROW
        _square(drawing, square, x, y, cell)
    return drawing


def _square(drawing: Drawing, square: Square, x: float, y: float, width: float) -> None:
    inner, height = width - 2, _ROW - 2
    middle = x + width / 2
    if square.state in ("impossible", "missing"):
        drawing.rect(x + 1.5, y + 1.5, inner - 1, height - 1, "e", ' rx="3"')
        word = "no leecher" if square.state == "impossible" else "no results"
        drawing.text(middle, y + _ROW / 2 + 3, word, "m", "middle")
        return
    drawing.add(
        f'<a href="#{anchor_of("cell-" + square.cell)}" aria-label="{escape(square.label)}">'
        f"<title>{escape(square.label)}</title>"
    )
    drawing.rect(x + 1, y + 1, inner, height, level_class(square.level), ' rx="3"')
    if square.hatched:
        hatch = f' rx="3" fill="url(#{drawing.slug}-hatch)"'
        drawing.rect(x + 1, y + 1, inner, height, "hatch", hatch)
    ink = f"i{square.level + 4}"
    drawing.text(middle, y + 20, square.text, f"q {ink}", "middle")
    drawing.text(middle, y + 34, square.detail, f"n {ink}", "middle")
    if square.mark in _MARKS:
        drawing.text(x + width - 6, y + 12, _MARKS[square.mark], f"n b {ink}", "end")
    if square.failures:
        drawing.text(x + 6, y + 12, "▲", f"n {ink}")
    drawing.add("</a>")


def legend(report: Report) -> Drawing:
    """Draw the legend of the panels' colours and marks."""
    drawing = Drawing(
        WIDTH, 64, "legend", "Legend: blue below 1, orange above 1, hatched if undecided"
    )
    _hatch(drawing)
    step = (WIDTH - 2) / len(LEVELS)
    for at, level in enumerate(LEVELS):
        drawing.rect(1 + at * step, 16, step - 1, 12, level_class(level))
    for place, label in ((1, "⅙"), (2, "0.4"), (3, "0.67"), (4, "0.91"), (5, "1.1"), (6, "1.5"),
                         (7, "2.5"), (8, "6 ×")):  # fmt: skip
        drawing.text(1 + place * step, 11, label, "m", "middle")
    drawing.rect(1, 36, 22, 12, level_class(0))
    drawing.rect(1, 36, 22, 12, "hatch", ' fill="url(#legend-hatch)"')
    drawing.text(28, 46, "undecided", "n")
    drawing.text(84, 46, "▲ failed transfers", "n")
    if report.acceptance:
        drawing.text(174, 46, "✓ met  ✗ missed  ? undecided", "n")
    drawing.text(1, 61, "ratio with its 95 % interval, each cell by itself (unadjusted)", "m")
    return drawing


def _hatch(drawing: Drawing) -> None:
    drawing.add(
        f'<defs><pattern id="{drawing.slug}-hatch" width="6" height="6" '
        'patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<line x1="0" y1="0" x2="0" y2="6" class="y"/></pattern></defs>'
    )


_BAR, _GAP, _LABEL, _TOTAL = 13.0, 7.0, 92.0, 54.0


def share_bars(shares: Shares, report: Report) -> Drawing:
    """Draw one bar for each cell and entrant: the shares of its segments, with the total time."""
    cells = list(dict.fromkeys(row.cell for row in shares.rows))
    height = 40 + len(cells) * (_GAP + 13) + len(shares.rows) * (_BAR + 2)
    drawing = Drawing(WIDTH, height, shares.slug, f"Where the time goes, {shares.title}")
    drawing.text(0, 13, shares.title, "h")
    x = 0.0
    for at, segment in enumerate(shares.segments):
        drawing.rect(x, 21, 9, 9, f"s{at}")
        drawing.text(x + 12, 29, segment, "n")
        x += 18 + 4.9 * len(segment)
    span = WIDTH - _LABEL - _TOTAL
    y = 40.0
    for cell in cells:
        y += _GAP
        drawing.text(0, y + 9, cell, "n b")
        y += 13
        for row in (row for row in shares.rows if row.cell == cell):
            drawing.text(_LABEL - 6, y + 10, _cut(row.entrant, 15), "n", "end")
            left = _LABEL
            for name, share in row.shares:
                width = span * share
                kind = f"s{shares.segments.index(name)}"
                drawing.add(
                    f'<rect x="{n(left)}" y="{n(y)}" width="{n(max(0.0, width))}" '
                    f'height="{n(_BAR)}" class="{kind}"><title>{escape(cell)}, '
                    f"{escape(row.entrant)}, {name}: {100 * share:.1f} %</title></rect>"
                )
                left += width
            drawing.text(WIDTH, y + 10, format_seconds(row.seconds), "n", "end")
            y += _BAR + 2
    drawing.height = y + 6
    return drawing


def _cut(text: str, max_length: int) -> str:
    return text if len(text) <= max_length else f"{text[: max_length - 1]}…"
