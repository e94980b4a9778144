"""The bytes that each leecher of the run in flight held over time, in a bounded number of
points."""

from __future__ import annotations

MAX_POINTS = 100
"""Maximum number of points of one leecher."""
_MAX_POINTS_OF_ALL = 8000
_MIN_POINTS = 8


class Curves:
    """The curves of one run: (tenths of a second since the start, thousandths of the file).

    A curve that is full loses every second point, so it covers any length of time.

    Args:
        leechers: number of leechers; a large swarm's curves have fewer points.
        size_bytes: of the file.
    """

    def __init__(self, leechers: int, size_bytes: int) -> None:
        share = _MAX_POINTS_OF_ALL // max(1, leechers)
        self._max_points = min(MAX_POINTS, max(_MIN_POINTS, share))
        self._size_bytes = size_bytes
        self._points: dict[int, list[tuple[int, int]]] = {}

    def add(self, peer: int, seconds: float, held_bytes: int) -> None:
        """Record the bytes that a leecher held. Points that don't rise are left out."""
        share = round(1000 * min(1.0, held_bytes / self._size_bytes)) if self._size_bytes else 0
        points = self._points.setdefault(peer, [])
        if points and share <= points[-1][1]:
            return
        points.append((max(0, round(10 * seconds)), share))
        if len(points) > self._max_points:
            del points[1:-1:2]

    def to_json(self) -> dict[str, list[int]]:
        """Return alternating times and shares, by peer."""
        return {
            str(peer): [number for point in points for number in point]
            for peer, points in self._points.items()
        }
