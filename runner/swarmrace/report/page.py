"""The report as one self-contained HTML file with its styles, figures, script and data.

Peers' curves are drawn when a cell is opened. They are stored as compressed text: thousands of them
take a few megabytes.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import numpy as np

from swarmrace.host.output import readable
from swarmrace.recording.records import WIRE
from swarmrace.report.cell_reports import anchor_of
from swarmrace.report.facts import Leecher, RunFacts, Seconds
from swarmrace.report.figures import Figures
from swarmrace.report.markdown import exponents
from swarmrace.report.model import CellReport, Report, TableData
from swarmrace.report.style import DARK, FIGURE_RULES, LIGHT
from swarmrace.report.templates import environment
from swarmrace.verdict.entries import duration

_STEPS = 1000
"""The times of a curve are stored in this many steps of its last one, finer than a screen shows."""
_ESCAPE = 255
"""A byte with this value means that a step follows in two bytes."""


def page(report: Report, figures: Figures) -> str:
    """Return `report.html`."""
    templates = environment(html=True)
    table_template = templates.get_template("table.html.j2")

    def table(each: TableData, sortable: bool = True) -> Any:
        from markupsafe import Markup

        if not each.rows:
            return ""
        text = table_template.render(each=each, sortable=sortable, anchor=anchor_of, key=_key)
        return Markup(text)  # the template has escaped it

    page: str = templates.get_template("page.html.j2").render(
        report=report,
        figures=figures,
        table=table,
        exponents=exponents(report),
        sections=list(_sections(report)),
        css=_css(),
        js=_text("page.js"),
        data=[(cell.anchor, packed(cell, report)) for cell in report.cells],
    )
    return readable(page)


def _key(value: float) -> str:
    return "1e308" if math.isinf(value) else f"{value:.9g}"


def _sections(report: Report) -> Iterator[tuple[str, str]]:
    yield "answer", "Answer"
    yield "believe", "Before believing"
    if report.panels:
        yield "matrix", "Matrix"
    if report.growth:
        yield "growth", "Growth"
    if report.shares or report.uploads:
        yield "time", "Time"
    yield "tables", "Tables"
    yield "cells", "Cells"
    yield "methods", "Methods"
    yield "provenance", "Provenance"


def _text(name: str) -> str:
    return (files("swarmrace.report") / "templates" / name).read_text()


def _css() -> Any:
    from markupsafe import Markup

    colours = f":root{{{LIGHT}}}@media(prefers-color-scheme:dark){{:root{{{DARK}}}}}"
    paper = f"@media print{{:root{{{LIGHT}}}}}"
    return Markup(colours + paper + FIGURE_RULES + _text("page.css"))


def packed(cell: CellReport, report: Report) -> str:
    """Return a cell's runs and peers for the page's script: JSON, gzip, base64."""
    numbers = {run.run_id: run for run in cell.facts.verdict.runs}
    runs = []
    for run in cell.facts.runs:
        colour = report.colour(run.entrant)
        verdict = numbers[run.run_id]
        text = "missing" if verdict.status == "missing" else duration(verdict.t100)
        runs.append(
            {
                "id": run.run_id,
                "text": text,
                "kind": cell.facts.kinds[run.entrant],
                "colour": "lr" if colour.reference else f"l{colour.index % 6}",
                "leechers": [_leecher(each, run, cell) for each in run.leechers],
            }
        )
    data = json.dumps({"runs": runs}, separators=(",", ":")).encode()
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()


def _leecher(each: Leecher, run: RunFacts, cell: CellReport) -> dict[str, Any]:
    wanted = (cell.facts.kinds[run.entrant], WIRE)
    return {
        "p": each.peer,
        "n": each.node,
        "o": each.outcome,
        "r": each.reason,
        "d": _rounded(each.done),
        "i": _rounded(each.discovery),
        "s": _rounded(each.stall),
        "a": _rounded(each.stall_began),
        "b": each.received,
        "u": _rounded(each.cpu),
        "m": each.memory,
        "c": {kind: pack(curve) for kind in wanted if (curve := each.curves.get(kind)) is not None},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def pack(curve: Seconds) -> dict[str, Any]:
    """Return a curve in few bytes: its last time, and the differences between its times."""
    last = float(curve[-1]) if len(curve) else 0.0
    if last <= 0:
        return {"last": 0, "q": base64.b64encode(bytes(len(curve))).decode()}
    times = np.rint(curve.astype(np.float64) * (_STEPS / last))
    steps = times.copy()
    steps[1:] -= times[:-1]
    np.maximum(steps, 0, out=steps)
    found = bytearray()
    if steps.max() < _ESCAPE:
        found += steps.astype(np.uint8).tobytes()
    else:
        for step in steps.astype(int).tolist():
            found += bytes((step,)) if step < _ESCAPE else bytes((_ESCAPE, step % 256, step // 256))
    return {"last": _rounded(last), "q": base64.b64encode(bytes(found)).decode()}


def unpack(found: dict[str, Any]) -> list[float]:
    """Return a packed curve's times, as the page's script unpacks them."""
    data = base64.b64decode(found["q"])
    times, total, at = [], 0, 0
    while at < len(data):
        step = data[at]
        at += 1
        if step == _ESCAPE:
            step = data[at] + 256 * data[at + 1]
            at += 2
        total += step
        times.append(total / _STEPS * found["last"])
    return times
