"""What recording takes of a leecher's CPU."""

from __future__ import annotations

from typing import Final, NamedTuple


class Cost(NamedTuple):
    """What an instrument costs, as a ratio measured in one run."""

    factor: float
    standard_error: float
    of: str
    source: str

    def __str__(self) -> str:
        return f"{self.factor:.2f} ± {self.standard_error:.2f} × {self.of} ({self.source})"


RECORDING_CPU: Final = Cost(
    1.30,
    0.03,
    "the CPU of a leecher without",
    "benchmarks/recording_cost.py, 60 MB at 20 ms round trip",
)
"""Every block recorded, over a bare session; it is part of the CPU that is reported."""
