"""One definition of start, first byte, done and verified, for every system.

Everything that says what a figure means says it from here: the verdict prints it,
docs/methodology.md is checked against it, metrics and results use its names.
"""

from __future__ import annotations

import hashlib
import json
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

HEADER_BYTES: Final = 66
"""Ethernet, IPv4 and TCP with timestamps: what each segment of an offloaded packet adds."""

HEADER_BYTES_V6: Final = 86
"""The same over IPv6."""

DEFINITIONS: Final[dict[str, str]] = {
    "publish": "from handing the system a file that lies ready on disk until it can serve it; "
    "making the file is not in it. The first seeder publishes alone.",
    "upload speed": "file size over the first seeder's publish: with one client.",
    "settle": "after the last publish a bounded pause, not counted, in which connections are "
    "checked.",
    "start": "nodes are up, joined and idle; leechers hold only the content's short reference. "
    "Each leecher counts from its own monotonic stamp, taken just before it hands the reference "
    "to the system.",
    "startLag": "a leecher's start stamp minus the common instant, on its own clock.",
    "cold start": "every run begins with a fresh session, or a node started again on an empty data "
    "directory and joined again. In a race of warm starts a run with a peer that began cold is "
    "missing: the two are never mixed.",
    "discovery": "from the start until metadata or manifest are known; inside the race.",
    "arrival": "a payload byte has arrived when the leecher's socket has received it, in any "
    "order; one that turns out to be redundant or wrong never arrived.",
    "written": "a payload byte is written when the leecher's node has written it, in any order. On "
    "a disk that may be seconds after it arrived.",
    "delivery": "the length of the verified prefix that an application can read in order.",
    "first byte": "the first payload byte, not a response header.",
    "done": "the last payload byte is held, and verified where the system itself verifies "
    "(HTTP does not), or read to the end.",
    "serve": "a leecher that is done serves on until the last leecher of the run has ended; only "
    "behind that second barrier come verification, removal, upload of results and pushes.",
    "verified": "SHA-256 and length of what lies there are the payload's; checked after the run.",
    "wire": "bytes of the peers' own interfaces from the common start to the run's end, protocol, "
    "duplicates and headers included, control traffic of the runner apart. Where offload hides "
    f"segments from the interface, {HEADER_BYTES} bytes of headers ({HEADER_BYTES_V6} over IPv6) "
    "are added for each. What the peer's own limiter drops was not sent.",
    "wire curve": "bytes that the peer's own interface received since the start, sampled every 10 "
    "ms or sooner, control traffic of the runner apart. Its marks (t10, t50, t90 on the wire) are "
    "percents of what the interface received until the transfer was done, headers, protocol and "
    "duplicates included, not of the payload. Every system has it, so unlike systems are compared "
    "on it.",
    "mark": "time to p % of the payload, of arrival, written or delivery. At 100 % the last "
    "byte has come; done (t100) may lie a little later, because then it is verified and written.",
    "resolution": "what is unknown of a mark. Where totals are sampled: the gap from the sample "
    "before the mark, which did not have the byte, to the one that did. Where each record is "
    "stamped as it happens: what one record takes (the mean time between two, the longest silence "
    "left out). A difference below it is none.",
    "stall": "the longest time without a new payload byte, after the first; where totals are "
    "sampled, only the span between equal samples. Of arrival, written and delivery, each by "
    "itself.",
    "variation": "coefficient of variation of throughput in 100 ms bins, first to last byte; of "
    "arrival, written and delivery, each by itself.",
    "CPU and memory": "CPU seconds and highest resident set from the common start to the run's "
    "end, of the node's process, or of the whole peer where the system is a part of it.",
    "waiting": "CPU and bytes of a peer while others race.",
    "run": "a run's number is its median leecher's t100, the last leecher's beside it; a failed "
    "transfer counts as slower than any, and of wrong bytes nothing has come. Of an even number: "
    "the mean of the middle two.",
    "missing": "a run lost to the infrastructure (tracker lost, interrupted, peer lost before the "
    "start) or to the runner's own slowness (making the payload, verifying it in time) is missing, "
    "not slow; what the entrant itself failed at is slower than any.",
    "reliability": "transfers completed of started, each failure with its reason and stage; "
    "retries are counted. A run is complete when every leecher completed; the share of complete "
    "runs has exact limits of 95 % (Clopper and Pearson).",
    "ratio": "of the typical block: the pseudo-median of the blocks' ratios (Hodges and Lehmann) "
    "with exact signed-rank limits of at least 95 %, from 6 complete blocks on; unpaired, of the "
    "runs, with exact Mann–Whitney limits, from 5 + 5 runs. From 3 blocks on the geometric mean "
    "with Student's t interval on logarithms (unpaired: Welch's), which assumes log-normal times "
    "and no failed run. Below, no interval.",
    "claim": "slower or faster: the interval excludes 1 by more than the resolution. No "
    "difference: all of the interval, times the reference's median time, is within the resolution. "
    "Otherwise: not shown to differ.",
    "acceptance": "met: the interval's upper end is at most the bound, and enough runs are "
    "complete; missed: its lower end is above it, or the share of complete runs is shown to be "
    "below what is asked for; otherwise undecided.",
    "minimum": "max(F/u_s, F/d_min, N·F/(u_s+Σu_i)), Kumar and Ross 2006; bounds the last "
    "leecher's t100. HTTP's own: N·F/u_s.",
}


def version() -> str:
    """Return what names this version of the definitions: 10 hex digits of a hash of them all."""
    text = json.dumps([DEFINITIONS, STAGES, BARRIERS, HEADER_BYTES, HEADER_BYTES_V6])
    return hashlib.sha256(text.encode()).hexdigest()[:10]
