"""The verdict on a results folder, with its intervals, failures and conditions.

`compute` turns `swarmrace.results.folder.Results` into a `Verdict`, which is plain data (`model`).

- From records to numbers: `runs` (which runs count), `figures`, `run_numbers`, `positions`.
- Ratios: `ratios` (a ratio and its claim), by the statistics of `swarmrace.statistics`.
- Judging: `sides` (which entrants may be compared), `compare`, `completion`, `acceptance`, `flags`.
- In words: `wording` (sentences about ratios), `render` (the full page), `short` (the page that
  fits a terminal), `explain`.
"""

from __future__ import annotations

from swarmrace.verdict.compute import compute
from swarmrace.verdict.model import Verdict

__all__ = ["Verdict", "compute"]
