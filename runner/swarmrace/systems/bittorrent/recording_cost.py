"""The CPU that recording costs a leecher."""

from __future__ import annotations

from typing import Final, NamedTuple


class Cost(NamedTuple):
    """What a measurement costs, as a ratio from one run."""

    factor: float
    standard_error: float
    unit: str
    source: str

    def __str__(self) -> str:
        return f"{self.factor:.2f} ± {self.standard_error:.2f} × {self.unit} ({self.source})"


RECORDING_CPU: Final = Cost(
    1.35,
    0.05,
    "the CPU of a leecher without",
    "benchmarks/recording_cost.py, 60 MB at 20 ms round trip",
)
"""Compared with a bare session; it is part of the reported CPU. Samples, every 5 ms, are most of it
where processors are idle; where they aren't, samples are rare."""
