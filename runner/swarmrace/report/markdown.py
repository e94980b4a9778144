"""The report as Markdown: one page, one for each cell, and a short form for a comment."""

from __future__ import annotations

import re

from swarmrace.report.figures import Figures
from swarmrace.report.model import Cell, Entry, Report, Series, TableData
from swarmrace.report.templates import environment

MAX_CHARACTERS = 65_000
"""Of a short form: a comment on a pull request holds 65,536."""
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~])")


def page(report: Report) -> str:
    """Return `report.md`."""
    return _rendered("report.md.j2", report=report, exponents=exponents(report))


def cell_page(report: Report, cell: Cell, figures: Figures) -> str:
    """Return a cell's own page."""
    drawn = [(drawing.slug, drawing.title) for drawing in figures.of_cell(cell)]
    return _rendered("cell.md.j2", report=report, cell=cell, figures=drawn)


def short(report: Report) -> str:
    """Return the short form: the answer, a table of ratios, warnings; below `MAX_CHARACTERS`."""
    most = len(report.warnings)
    while True:
        shown = report.warnings[:most]
        text = _rendered("summary.md.j2", report=report, ratios=ratios(report), warnings=shown)
        if len(text) < MAX_CHARACTERS or not most:
            break
        most //= 2
    if len(text) < MAX_CHARACTERS:
        return text
    cut = text[: MAX_CHARACTERS - 100].rsplit("\n", 1)[0]
    return f"{cut}\n\n… cut here: the whole is in report.md\n"


def exponents(report: Report) -> TableData:
    """Return the fitted exponents: a row for each figure of growth, a column for each entrant."""
    names = list(dict.fromkeys(s.entrant for each in report.growth for s in each.series))
    rows = []
    for each in report.growth:
        found = {series.entrant: series for series in each.series}
        entries = [_exponent(found.get(name)) for name in names]
        if any(entry.value is not None for entry in entries):
            rows.append((Entry(each.title), *entries))
    return TableData(
        "Exponent of the swarm's size",
        "exponents",
        ("t100 ~ peers^b: b of", *names),
        tuple(rows),
        note="From three swarm sizes on: least squares on logarithms over runs, limits of 95 %. "
        "0: the swarm's size costs nothing; 1: twice the peers take twice as long.",
        numeric=tuple(range(1, len(names) + 1)),
    )


def _exponent(series: Series | None) -> Entry:
    if series is None or series.exponent is None:
        return Entry("failed runs" if series is not None and series.failed else "–")
    found = series.exponent
    return Entry(f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]", found.value)


def ratios(report: Report) -> TableData:
    """Return the ratio of t100 of the first pair in every cell."""
    pair = report.pairs[0] if report.pairs else ("", "")
    rows = []
    for row in report.panels[:1]:
        for panel in row.panels:
            for square in panel.squares:
                if square.state in ("impossible", "missing"):
                    continue
                complete = _complete(report, square.cell)
                rows.append(
                    (
                        Entry(square.cell),
                        Entry(square.text),
                        Entry(square.detail),
                        Entry(square.mark or "–"),
                        Entry(complete),
                    )
                )
    head = ("cell", f"{pair[0]} / {pair[1]}", "interval", "acceptance", "complete runs")
    return TableData("Ratios", "ratios", head, tuple(rows))


def _complete(report: Report, name: str) -> str:
    cell = next(cell for cell in report.cells if cell.name == name)
    parts = []
    for entrant, found in cell.facts.verdict.entrants.items():
        told = found.reliability
        raced = told.runs_scheduled - told.runs_missing
        if told.runs_complete < raced:
            parts.append(f"{entrant} {told.runs_complete} of {raced}")
    return ", ".join(parts) or "all"


def escaped(text: object) -> str:
    """Return a text so that Markdown shows it as it is, in a table too."""
    plain = " ".join(str(text).split())
    return _SPECIAL.sub(r"\\\1", plain).replace("&", "&amp;")


def table(found: TableData) -> str:
    """Return a table in Markdown; one without rows is nothing."""
    if not found.rows:
        return ""
    ruler = ["---:" if at in found.numeric else "---" for at in range(len(found.head))]
    lines = [[escaped(each) for each in found.head], ruler]
    lines += [[escaped(entry.text) for entry in row] for row in found.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rendered(name: str, **values: object) -> str:
    made = environment(html=False)
    made.filters |= {"md": escaped, "mdtable": table}
    text = made.get_template(name).render(**values)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
