"""Prints what share of each package's statements the tests have run.

Reads coverage's JSON report: `coverage json -o FILE`, then `python coverage_by_package.py FILE`.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

PACKAGE = "swarmrace"


def shares(report: dict) -> dict[str, tuple[int, int]]:
    """Return statements run and statements in all, by package; modules beside packages are one."""
    found = defaultdict(lambda: (0, 0))
    for path, file in report["files"].items():
        inside = Path(path).parts[Path(path).parts.index(PACKAGE) + 1 :]
        package = inside[0] if len(inside) > 1 else "(modules)"
        ran, count = found[package]
        summary = file["summary"]
        found[package] = (ran + summary["covered_lines"], count + summary["num_statements"])
    return dict(sorted(found.items()))


def table(report: dict) -> str:
    """Return a line for each package, and one for all of them.

    Processes that tests start (peers, commands) are not counted.
    """
    rows = shares(report)
    rows["all"] = tuple(map(sum, zip(*rows.values(), strict=True)))
    return "\n".join(
        f"{package:<12} {ran:>6} of {count:>6} statements run {100 * ran / count:6.1f} %"
        for package, (ran, count) in rows.items()
        if count
    )


if __name__ == "__main__":
    print("Statements run by the tests' own processes; peers and commands they start don't count.")
    print(table(json.loads(Path(sys.argv[1]).read_text())))
