"""The verdict: what a results folder says, with its intervals, its failures and its conditions.

`compute` turns `swarmrace.results.folder.Results` into a `Verdict`, which is plain data (`model`).

- From records to numbers: `runs` (what counts), `figures`, `run_numbers`, `positions`.
- Statistics, each in one place: `ranks` and `proportions` (exact distributions), `intervals` (which
  method from how many blocks), `ratios` (a ratio and its claim), `stats` (medians).
- Judging: `sides` (who may be compared), `compare`, `completion`, `acceptance`, flags.
- In words: `wording` (sentences about ratios), `render` (the whole page), `short` (what fits a
  terminal), `explain`; `command` is `swarmrace show`.
"""

from __future__ import annotations

from swarmrace.verdict.compute import compute
from swarmrace.verdict.model import Verdict

__all__ = ["Verdict", "compute"]
