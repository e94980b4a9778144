"""The figures of a report, for the page and for files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from swarmrace.report import curve_figures, matrix_figures
from swarmrace.report.drawing import Drawing
from swarmrace.report.model import CellReport, Growth, Panel, PanelRow, Report, Shares


class Figures:
    """The figures of one report.

    Args:
        report: the report that they show.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._of_cell: dict[str, list[Drawing]] = {}

    @cached_property
    def legend(self) -> Drawing:
        """The legend of the panels' colours."""
        return matrix_figures.legend(self._report)

    @cached_property
    def entrants(self) -> Drawing:
        """The legend of the entrants' colours."""
        return curve_figures.entrants_legend(self._report)

    def panel(self, row: PanelRow, each: Panel) -> Drawing:
        """Return one panel."""
        return matrix_figures.panel(row, each)

    def growth(self, each: Growth) -> Drawing:
        """Return one figure of growth."""
        return curve_figures.growth(each, self._report)

    def shares(self, each: Shares) -> Drawing:
        """Return the bars of one file size."""
        return matrix_figures.share_bars(each, self._report)

    def of_cell(self, cell: CellReport) -> list[Drawing]:
        """Return a cell's figures: completion, runs in order, curves of median runs."""
        report = self._report
        if cell.anchor not in self._of_cell:
            self._of_cell[cell.anchor] = [
                curve_figures.completion(cell, report),
                curve_figures.in_order(cell, report),
                *curve_figures.leecher_curves(cell, report),
            ]
        return self._of_cell[cell.anchor]

    def every(self) -> Iterator[Drawing]:
        """Yield all figures."""
        report = self._report
        yield self.entrants
        if report.panels:
            yield self.legend
        for row in report.panels:
            for each in row.panels:
                yield self.panel(row, each)
        yield from map(self.growth, report.growth)
        yield from map(self.shares, report.shares)
        for cell in report.cells:
            yield from self.of_cell(cell)
