"""One definition of start, first byte, done and verified, for every system.

Everything that says what a figure means says it from here: the verdict prints it,
docs/methodology.md is checked against it, metrics and results use its names.
"""

from __future__ import annotations

from typing import Final

STAGES: Final = (
    "wait",
    "make",
    "prepare",
    "publish",
    "settle",
    "race",
    "serve",
    "verify",
    "remove",
    "upload",
)
"""A peer's stages in one run, in order. Seeders skip `race` and `verify`, leechers `make`
and `publish`."""

BARRIERS: Final = ("open", "prepared", "first", "published", "ready", "raced", "cleared")
"""Where the peers of a run meet, in order.

`open`: the run before is over. `prepared`: every peer is up, joined and idle, and the seeders'
files lie ready. `first`: the first seeder has published, alone. `published`: the others have.
`ready`: settled; its release carries the common start instant. `raced`: the last leecher has
ended. `cleared`: verified, results accepted, content removed."""

DEFINITIONS: Final[dict[str, str]] = {
    "publish": "from handing the system a file that lies ready on disk until it can serve it; "
    "making the file is not in it. The first seeder publishes alone.",
    "start": "nodes are up, joined and idle; leechers hold only the content's short reference. "
    "Each leecher counts from its own monotonic stamp, taken just before it hands the reference "
    "to the system.",
    "startLag": "a leecher's start stamp minus the common instant, on its own clock.",
    "discovery": "from the start until metadata or manifest are known; inside the race.",
    "arrival": "a payload byte has arrived when the leecher's node holds it, in any order.",
    "delivery": "the length of the verified prefix that an application can read in order.",
    "first byte": "the first payload byte, not a response header.",
    "done": "the last payload byte is held and verified by the system itself, or read to the end.",
    "verified": "SHA-256 and length of what lies there are the payload's; checked after the run.",
    "wire": "bytes of the peers' own interfaces from the common start to the run's end, protocol, "
    "duplicates and headers included, control traffic of the runner apart.",
    "mark": "time to p % of the payload, of arrival or of delivery; each carries its resolution, "
    "and a difference below it is none. t100 is done.",
    "stall": "the longest time without a new payload byte, after the first.",
    "variation": "coefficient of variation of throughput in 100 ms bins, first to last byte.",
    "run": "a run's number is its median leecher's t100, the last leecher's beside it; a failed "
    "transfer counts as slower than any. Of an even number: the mean of the middle two.",
    "missing": "a run lost to the infrastructure (tracker lost, interrupted, peer lost before the "
    "start) is missing, not slow; what the entrant itself failed at is slower than any.",
    "ratio": "geometric mean over blocks of the entrants' numbers, Student's t interval of 95 % on "
    "logarithms; none below 3 blocks or with failed runs.",
    "acceptance": "met: the interval's upper end is at most the bound; missed: its lower end is "
    "above it; else undecided.",
    "minimum": "max(F/u_s, F/d_min, N·F/(u_s+Σu_i)), Kumar and Ross 2006; bounds the last "
    "leecher's t100. HTTP's own: N·F/u_s.",
}
