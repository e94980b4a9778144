"""The definitions of start, first byte, done and verified, the same for every system.

Nothing else defines a figure: the verdict prints these texts, docs/methodology.md is checked
against them, and metrics and results use their names.
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
"""A peer's stages in one run, in order. Seeders skip `race` and `verify`; leechers skip `make` and
`publish`."""

BARRIERS: Final = ("open", "prepared", "first", "published", "ready", "raced", "cleared")
"""Where the peers of a run wait for each other, in order.

`open`: the run before is over. `prepared`: every peer is up, joined and idle, and the seeders'
files are ready. `first`: the first seeder has published, alone. `published`: the other seeders have
published. `ready`: all have settled; its release carries the common start instant. `raced`: the
last leecher has ended. `cleared`: verified, results accepted, content removed."""

HEADER_BYTES: Final = 66
"""Headers of each segment of an offloaded packet: Ethernet, IPv4, and TCP with timestamps."""

HEADER_BYTES_V6: Final = 86
"""The same over IPv6."""

DEFINITIONS: Final[dict[str, str]] = {
    "publish": "from handing the system a file that is ready on disk until the system can serve "
    "it; making the file is not included. The first seeder publishes alone.",
    "upload speed": "file size divided by the first seeder's publish time: one client's speed.",
    "settle": "a bounded pause after the last publish, in which connections are checked; it is "
    "part of no figure.",
    "start": "nodes are up, joined and idle; leechers hold only the content's short reference. "
    "Each leecher counts from its own monotonic stamp, taken just before it hands the reference "
    "to the system.",
    "startLag": "a leecher's start stamp minus the common instant, on its own clock.",
    "cold start": "every run begins with a fresh session, or with a node restarted on an empty "
    "data directory and joined again. In a race of warm starts, a run with a peer that began cold "
    "is missing: the two are never mixed.",
    "discovery": "from the start until the metadata or the manifest is known; part of the race.",
    "arrival": "a payload byte has arrived when the leecher's socket has received it, in any "
    "order; a byte that turns out to be redundant or wrong never arrived.",
    "written": "a payload byte is written when the leecher's node has written it, in any order. On "
    "a disk, that may be seconds after it arrived.",
    "delivery": "the length of the verified prefix that an application can read in order.",
    "first byte": "the first payload byte, not a response header.",
    "done": "the leecher holds the last payload byte, verified if the system itself verifies "
    "(HTTP does not), or has read the content to its end.",
    "serve": "a leecher that is done keeps serving until the last leecher of the run has ended; "
    "verification, removal, upload of results and pushes come only after that second barrier.",
    "verified": "length and SHA-256 of what the leecher holds are the payload's; checked after the "
    "run.",
    "wire": "bytes on the peers' own interfaces from the common start to the run's end, including "
    "protocol, duplicates and headers, excluding the runner's control traffic. Where offload hides "
    f"segments from the interface, {HEADER_BYTES} bytes of headers ({HEADER_BYTES_V6} over IPv6) "
    "are added for each. What the peer's own limiter drops does not count as sent.",
    "wire curve": "bytes that the peer's own interface received since the start, sampled at least "
    "every 10 ms, excluding the runner's control traffic. Its marks (t10, t50, t90 on the wire) "
    "are percents of what the interface received until the transfer was done, including headers, "
    "protocol and duplicates; they are not percents of the payload. Every system has this curve, "
    "so unlike systems are compared on it.",
    "mark": "time to p % of the payload, of arrival, written or delivery. At 100 % the last "
    "byte has come; done (t100) may be a little later, once that byte is verified and written.",
    "resolution": "the uncertainty of a mark. Where totals are sampled: the gap between the sample "
    "before the mark, which did not have the byte, and the sample that did. Where each record is "
    "stamped as it happens: the time that one record takes (the mean time between two, excluding "
    "the longest gap). A smaller difference is none.",
    "stall": "the longest time without a new payload byte, after the first; where totals are "
    "sampled, only the span between equal samples, and its resolution is by how much the longest "
    "silence that the samples permit is longer. Separate for arrival, written and delivery.",
    "variation": "coefficient of variation of throughput in 100 ms bins, from the first to the "
    "last byte. Separate for arrival, written and delivery.",
    "CPU and memory": "CPU seconds and peak resident set from the common start to the run's end: "
    "of the node's process, or of the whole peer if the system runs inside it.",
    "waiting": "a peer's CPU and bytes while other entrants race.",
    "run": "a run's number is its median leecher's t100, with the last leecher's beside it; of an "
    "even number of leechers, the mean of the middle two. A failed transfer counts as slower than "
    "any; of wrong bytes, none has arrived.",
    "missing": "a run lost to the infrastructure (tracker lost, interrupted, peer lost before the "
    "start) or to the runner's own slowness (making the payload, verifying it in time) is missing, "
    "not slow. A failure of the entrant itself is slower than any time.",
    "reliability": "transfers completed out of those started, each failure with its reason and "
    "stage; retries are counted. A run is complete when every leecher completed; the share of "
    "complete runs has exact 95 % limits (Clopper and Pearson).",
    "ratio": "that of the typical block: the pseudo-median of the blocks' ratios (Hodges and "
    "Lehmann) with exact signed-rank limits of at least 95 %, from 6 complete blocks on. Unpaired: "
    "that of the runs, with exact Mann–Whitney limits, from 5 + 5 runs on. From 3 blocks on: the "
    "geometric mean with Student's t interval on logarithms (unpaired: Welch's), which assumes "
    "log-normal times and no failed run. With fewer blocks there is no interval.",
    "claim": "slower or faster: the interval excludes 1 by more than the resolution. No "
    "difference: the whole interval, times the reference's median time, is within the resolution. "
    "Otherwise: not shown to differ.",
    "acceptance": "met: the interval's upper end is at most the bound, and enough runs are "
    "complete. Missed: the lower end is above the bound, or the share of complete runs is shown to "
    "be below what is required. Otherwise: undecided.",
    "minimum": "max(F/u_s, F/d_min, N·F/(u_s+Σu_i)), Kumar and Ross 2006; a lower bound of the "
    "last leecher's t100. HTTP's own: N·F/u_s.",
}


def version() -> str:
    """Return the version of the definitions: 10 hex digits of a hash of all of them."""
    text = json.dumps([DEFINITIONS, STAGES, BARRIERS, HEADER_BYTES, HEADER_BYTES_V6])
    return hashlib.sha256(text.encode()).hexdigest()[:10]
