"""Every figure of a report: drawn once, for the page and for files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from swarmrace.report import curve_figures, matrix_figures
from swarmrace.report.drawing import Drawing
from swarmrace.report.model import Cell, Growth, Panel, PanelRow, Report, Shares


class Figures:
    """The figures of one report.

    Args:
        report: what they show.
    """

    def __init__(self, report: Report) -> None:
        self._report = report

    @cached_property
    def legend(self) -> Drawing:
        """What the panels' colours mean."""
        return matrix_figures.legend(self._report)

    @cached_property
    def entrants(self) -> Drawing:
        """Which colour is whose."""
        return curve_figures.entrants_legend(self._report)

    def panel(self, row: PanelRow, each: Panel) -> Drawing:
        """Return one panel."""
        return matrix_figures.panel(row, each)

    def growth(self, each: Growth) -> Drawing:
        """Return one of the small multiples."""
        return curve_figures.growth(each, self._report)

    def shares(self, each: Shares) -> Drawing:
        """Return the bars of one file size."""
        return matrix_figures.share_bars(each, self._report)

    def of_cell(self, cell: Cell) -> list[Drawing]:
        """Return a cell's figures: completion, runs in order, curves of one run of each."""
        report = self._report
        return [
            curve_figures.completion(cell, report),
            curve_figures.in_order(cell, report),
            *curve_figures.leecher_curves(cell, report),
        ]

    def every(self) -> Iterator[Drawing]:
        """Yield all of them."""
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
