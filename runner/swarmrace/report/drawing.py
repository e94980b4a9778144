"""SVG drawing: shapes, text and axes. The same drawing is used in the page, which styles it, and in
a file, which contains its style. No colours here: shapes have classes (`style`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

from swarmrace.host.output import readable
from swarmrace.report.style import FIGURE_STYLE

Point = tuple[float, float]
Scale = Callable[[float], float]


class Drawing:
    """One figure.

    Args:
        width: width in its own units, which are pixels unless it is scaled.
        height: height in the same units.
        slug: unique on a page; prefix of the ids in the drawing.
        title: what the drawing shows, also for screen readers.
        links: whether shapes are links, which a screen reader must reach one by one.
    """

    def __init__(
        self, width: float, height: float, slug: str, title: str, *, links: bool = False
    ) -> None:
        self.width, self.height, self.slug, self.title = width, height, slug, title
        self._links = links
        self._parts: list[str] = []

    def add(self, text: str) -> None:
        """Add markup as it is."""
        self._parts.append(text)

    def text(
        self, x: float, y: float, text: str, kind: str = "t", anchor: str = "start", more: str = ""
    ) -> None:
        """Write a line of text; `y` is its baseline."""
        place = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.add(f'<text x="{n(x)}" y="{n(y)}" class="{kind}"{place}{more}>{escape(text)}</text>')

    def rect(
        self, x: float, y: float, width: float, height: float, kind: str, more: str = ""
    ) -> None:
        """Draw a rectangle."""
        self.add(
            f'<rect x="{n(x)}" y="{n(y)}" width="{n(width)}" height="{n(height)}" '
            f'class="{kind}"{more}/>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str = "g") -> None:
        """Draw a straight line."""
        self.add(f'<line x1="{n(x1)}" y1="{n(y1)}" x2="{n(x2)}" y2="{n(y2)}" class="{kind}"/>')

    def path(self, points: Iterable[Point], kind: str) -> None:
        """Draw a line through points; draw nothing for fewer than two points."""
        corners = [f"{n(x)},{n(y)}" for x, y in points]
        if len(corners) > 1:
            self.add(f'<path d="M{" ".join(corners)}" class="{kind}"/>')

    def dot(self, x: float, y: float, kind: str, radius: float = 2.5, label: str = "") -> None:
        """Draw a dot; `label` is its tooltip."""
        title = f"<title>{escape(label)}</title>" if label else ""
        shape = f'<circle cx="{n(x)}" cy="{n(y)}" r="{n(radius)}" class="{kind}"'
        self.add(f"{shape}>{title}</circle>" if title else f"{shape}/>")

    def cross(self, x: float, y: float, kind: str, label: str = "", radius: float = 3.5) -> None:
        """Draw a cross, which marks a failure; `label` is its tooltip."""
        r = radius
        title = f"<title>{escape(label)}</title>" if label else ""
        self.add(
            f'<path d="M{n(x - r)},{n(y - r)}L{n(x + r)},{n(y + r)}M{n(x - r)},{n(y + r)}'
            f'L{n(x + r)},{n(y - r)}" class="{kind}">{title}</path>'
        )

    def inline(self) -> str:
        """Return the SVG for a page, which holds the style."""
        return self._svg("")

    def file(self) -> str:
        """Return the SVG as a file with its own style, light or dark by the reader's preference."""
        return readable(self._svg(f"<style>{FIGURE_STYLE}</style>")) + "\n"

    def _svg(self, style: str) -> str:
        role = "group" if self._links else "img"
        size = f'width="{n(self.width)}" height="{n(self.height)}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {n(self.width)} '
            f'{n(self.height)}" {size} role="{role}" aria-label="{escape(self.title)}" '
            f'class="fig">{style}{"".join(self._parts)}</svg>'
        )


def n(value: float) -> str:
    """Format a coordinate, rounded to a tenth."""
    text = f"{value:.1f}"
    return text.removesuffix(".0")


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """Return a linear scale that maps `low` to `start` and `high` to `end`."""
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def logarithmic(low: float, high: float, start: float, end: float) -> Scale:
    """Return a logarithmic scale that maps `low` to `start` and `high` to `end`; both must be above
    0."""
    place = linear(math.log(low), math.log(high), start, end)
    return lambda value: place(math.log(value))


def nice_ticks(low: float, high: float, max_count: int = 6) -> list[float]:
    """Return at most `max_count` round values within the range."""
    if high <= low:
        return [low]
    for exponent in range(-9, 13):
        for step in (1, 2, 5):
            width = step * 10.0**exponent
            first = math.ceil(low / width - 1e-9)
            last = math.floor(high / width + 1e-9)
            if last - first + 1 <= max_count:
                return [at * width for at in range(first, last + 1)]
    return [low, high]


def log_ticks(low: float, high: float, max_count: int = 7) -> list[float]:
    """Return 1, 2 and 5 of each decade within the range, or fewer if there would be too many."""
    for steps in ((1, 2, 5), (1, 3), (1,)):
        found = [
            step * 10.0**exponent
            for exponent in range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
            for step in steps
            if low * 0.999 <= step * 10.0**exponent <= high * 1.001
        ]
        if len(found) <= max_count:
            return found
    return found[:: -(-len(found) // max_count)]


def short_seconds(value: float) -> str:
    """Format the time of a tick: `50 ms`, `2 s`, `5 min`."""
    for scale, unit in ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= scale * 0.9995 and not (unit in ("h", "min") and value % scale > 1e-9):
            return f"{value / scale:.3g} {unit}"
    return f"{value:.3g} s"


def stepped(points: Sequence[Point]) -> list[Point]:
    """Return the corners of a line that rises in steps."""
    found: list[Point] = []
    for x, y in points:
        if found:
            found.append((x, found[-1][1]))
        found.append((x, y))
    return found
