"""The report as Markdown: one page, one for each cell, and a short form for a comment."""

from __future__ import annotations

import re

from swarmrace.host.output import readable
from swarmrace.report.figures import Figures
from swarmrace.report.model import CellReport, Entry, Report, Series, TableData
from swarmrace.report.templates import environment

MAX_CHARACTERS = 65_000
"""Maximum length of the short form: a comment on a pull request holds 65,536."""
_BLOCK = re.compile(r"(\d*)((?<=\d)[.)]|#+|[+-]|=+|-+)(?: |$)")
"""What begins a heading, a list or a rule at the start of a line."""
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~])")


def page(report: Report) -> str:
    """Return `report.md`."""
    return _rendered("report.md.j2", report=report, exponents=exponents(report))


def cell_page(report: Report, cell: CellReport, figures: Figures) -> str:
    """Return a cell's own page."""
    drawn = [(drawing.slug, drawing.title) for drawing in figures.of_cell(cell)]
    return _rendered("cell.md.j2", report=report, cell=cell, figures=drawn)


def short(report: Report) -> str:
    """Return the short form: the answer, a table of ratios, warnings. It is shorter than
    `MAX_CHARACTERS`."""
    max_warnings = len(report.warnings)
    while True:
        shown = report.warnings[:max_warnings]
        text = _rendered("summary.md.j2", report=report, ratios=ratios(report), warnings=shown)
        if len(text) < MAX_CHARACTERS or not max_warnings:
            break
        max_warnings //= 2
    if len(text) < MAX_CHARACTERS:
        return text
    cut = text[: MAX_CHARACTERS - 100].rsplit("\n", 1)[0]
    end = "\n\n</details>" if "<details>" in cut else ""
    return f"{cut}{end}\n\n… cut here; report.md has all of it\n"


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
        note="Least squares on logarithms over runs, with 95 % limits, from three swarm sizes on. "
        "0: the swarm size makes no difference; 1: twice the peers take twice as long.",
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
        reliability = found.reliability
        if reliability.runs_complete < reliability.runs_raced:
            parts.append(f"{entrant} {reliability.runs_complete} of {reliability.runs_raced}")
    return ", ".join(parts) or "all"


def escaped(text: object) -> str:
    """Escape a text so that Markdown shows it literally, also in a table."""
    plain = _SPECIAL.sub(r"\\\1", " ".join(str(text).split())).replace("&", "&amp;")
    if begins := _BLOCK.match(plain):
        plain = f"{begins[1]}\\{plain[begins.start(2) :]}"
    return plain


def table(found: TableData) -> str:
    """Return a table in Markdown; an empty string for a table without rows."""
    if not found.rows:
        return ""
    ruler = ["---:" if at in found.numeric else "---" for at in range(len(found.head))]
    lines = [[escaped(each) for each in found.head], ruler]
    lines += [[escaped(entry.text) for entry in row] for row in found.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rendered(name: str, **values: object) -> str:
    templates = environment(html=False)
    templates.filters |= {"md": escaped, "mdtable": table}
    text = readable(templates.get_template(name).render(**values))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
