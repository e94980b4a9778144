"""The verdict: what a results folder says, with its intervals, its failures and its conditions.

`compute` turns `swarmrace.results.Results` into a `Verdict`, which is plain data; `render` prints
one; `command` is `swarmrace show`.
"""

from __future__ import annotations

from swarmrace.verdict.compute import compute
from swarmrace.verdict.model import Verdict

__all__ = ["Verdict", "compute"]
