"""Figures as table entries: the value and its range in one unit."""

from __future__ import annotations

from swarmrace.verdict.model import FAILED, Ratio, Summary, Value
from swarmrace.verdict.registry import FIGURES, Unit
from swarmrace.verdict.wording import counted, interval, value

_SCALES: dict[Unit, tuple[tuple[float, str], ...]] = {
    "second": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "second/second": ((1.0, "s/s"), (1e-3, "ms/s"), (1e-6, "µs/s")),
    "byte": ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")),
    "byte/second": ((1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"), (1.0, "B/s")),
    "1": ((1.0, ""),),
}
_NONE = "–"


def entry(name: str, summary: Summary | None, *, absent: str = _NONE) -> str:
    """Return a figure with its range over runs: `1.25 s (1.20–1.31)`."""
    if summary is None or summary.value is None:
        return absent
    unit = FIGURES[name].unit if name in FIGURES else "1"
    scale, label = _scale(unit, summary)
    text = f"{_digits(summary.value, scale)}{' ' if label else ''}{label}"
    if summary.value == FAILED:
        text = FAILED
    if summary.runs < 2 or summary.least is None or summary.most is None:
        return text
    low, high = (_digits(value, scale) for value in (summary.least, summary.most))
    return text if low == high == _digits(summary.value, scale) else f"{text} ({low}–{high})"


def duration(value: Value) -> str:
    """Return one time: `1.25 s`, `failed`, or a dash if there is none."""
    return entry("t100", Summary(value=value))


def ratio_entry(found: Ratio | None) -> str:
    """Return a ratio with its interval, or why there is none."""
    if found is None or found.blocks == 0:
        return _NONE
    if counted(found):
        return f"slower in {found.slower}, faster in {found.faster}"
    if found.estimate is None and not found.has_interval:
        return _NONE
    if found.claim == "no difference":
        return "no difference"
    return value(found.estimate) + (f" {interval(found)}" if found.has_interval else "")


def _scale(unit: Unit, summary: Summary) -> tuple[float, str]:
    known = [v for v in (summary.value, summary.least, summary.most) if isinstance(v, float)]
    size = (
        abs(summary.value) if isinstance(summary.value, float) else max(map(abs, known), default=1)
    )
    scales = _SCALES[unit]
    if size == 0:
        return scales[0] if unit.startswith("second") else scales[-1]
    return next((scale for scale in scales if size >= scale[0] * 0.9995), scales[-1])


def _digits(value: Value, scale: float) -> str:
    if not isinstance(value, float):
        return FAILED if value == FAILED else _NONE
    scaled = value / scale
    if scaled == int(scaled) and abs(scaled) < 1000:
        return f"{scaled:.0f}"
    if abs(scaled) >= 999.5:
        return f"{scaled:.0f}"
    if abs(scaled) < 0.001:
        return f"{scaled:.1g}"
    return f"{scaled:#.{3 if abs(scaled) >= 0.01 else 2}g}".rstrip(".")
