"""The minimum time in which any protocol could distribute a file, if rates are set.

R. Kumar and K. W. Ross, "Peer-Assisted File Distribution: The Minimum Distribution Time", IEEE
Workshop on Hot Topics in Web Systems and Technologies (HOTWEB), 2006. It bounds the time until the
last leecher has the whole file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from swarmrace.network.conditions import policer_burst_bytes
from swarmrace.recording.records import PeerInfo
from swarmrace.scenario.scenario import Network


class Limit(NamedTuple):
    """One limiter. A link without one has an infinite rate."""

    rate: float
    burst: float = 0.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Minimum times of one run in seconds."""

    minimum_seconds: float
    """For any protocol."""
    http_seconds: float
    """For a protocol in which only seeders send."""
    measured: bool
    """Whether the preflight measured every rate used; otherwise some are as set."""
    limits_seconds: float = 0.0
    """Minimum time that the limiters allow: with the rates as set (or as measured, if higher), and
    with each limiter's burst. A faster run shows that a rate did not hold; a run that is only
    faster than `minimum_seconds` doesn't."""


def minimum_seconds(
    size_bytes: int,
    seeder_uploads: Sequence[float],
    leecher_uploads: Sequence[float],
    leecher_downloads: Sequence[float],
) -> float:
    """Return max(F/u_s, F/d_min, N·F/(u_s + Σu_i)).

    Args:
        size_bytes: F.
        seeder_uploads: the seeders' upload rates in bytes per second; their sum is u_s. An
            unlimited rate is `math.inf`.
        leecher_uploads: u_i, one for each of the N leechers.
        leecher_downloads: their download rates; the lowest is d_min.

    Raises:
        ValueError: no seeder, no leecher, or a rate that isn't positive.
    """
    _check(seeder_uploads, leecher_uploads, leecher_downloads)
    u_s, leechers = math.fsum(seeder_uploads), len(leecher_uploads)
    return max(
        size_bytes / u_s,
        size_bytes / min(leecher_downloads),
        leechers * size_bytes / (u_s + math.fsum(leecher_uploads)),
    )


def http_minimum_seconds(size_bytes: int, leechers: int, seeder_uploads: Sequence[float]) -> float:
    """Return N·F/u_s: a seeder sends every leecher's copy.

    Raises:
        ValueError: no seeder, no leecher, or a rate that isn't positive.
    """
    _check(seeder_uploads, [math.inf] * leechers, [math.inf])
    return leechers * size_bytes / math.fsum(seeder_uploads)


def limits_seconds(
    size_bytes: int,
    seeder_uploads: Sequence[Limit],
    leecher_uploads: Sequence[Limit],
    leecher_downloads: Sequence[Limit],
) -> float:
    """Return `minimum_seconds` with full token buckets at the start: a limiter of rate r and burst
    b passes r·t + b within t, so each term is (bytes - bursts) / rate, at least 0.

    Raises:
        ValueError: no seeder or no leecher.
    """
    terms = [
        (size_bytes, seeder_uploads),
        *((size_bytes, [download]) for download in leecher_downloads),
        (len(leecher_uploads) * size_bytes, [*seeder_uploads, *leecher_uploads]),
    ]
    _check([limit.rate for limit in seeder_uploads], [limit.rate for limit in leecher_uploads])
    return max(
        max(0.0, bytes_ - math.fsum(limit.burst for limit in limits))
        / math.fsum(limit.rate for limit in limits)
        for bytes_, limits in terms
    )


def of_run(
    network: Network,
    infos: Mapping[int, PeerInfo],
    seeders: Sequence[int],
    swarm_size: int,
    size_bytes: int,
) -> Bounds | None:
    """Return the bounds of a run, or None if no rate is set.

    A rate that is set counts as the preflight measured it (`PeerInfo.rates`), otherwise as set. A
    rate that isn't set doesn't count, even if it was measured.
    """
    if not network.limited:
        return None
    measured = True

    def rates(peers: Sequence[int], direction: str) -> tuple[list[float], list[Limit]]:
        nonlocal measured
        counted, limits = [], []
        for peer in peers:
            wanted = getattr(network.link(seeder=peer in seeders), direction)
            if wanted is None:
                counted.append(math.inf)
                limits.append(Limit(math.inf))
                continue
            found = infos[peer].rates.get(direction) if peer in infos else None
            measured = measured and bool(found)
            counted.append(found or float(wanted))
            # A policer has the largest burst of our limiters.
            limits.append(Limit(max(found or 0.0, float(wanted)), policer_burst_bytes(wanted)))
        return counted, limits

    leechers = [peer for peer in range(swarm_size) if peer not in seeders]
    of_seeders, seeder_limits = rates(seeders, "upload")
    uploads, upload_limits = rates(leechers, "upload")
    downloads, download_limits = rates(leechers, "download")
    return Bounds(
        minimum_seconds(size_bytes, of_seeders, uploads, downloads),
        http_minimum_seconds(size_bytes, len(leechers), of_seeders),
        measured,
        limits_seconds(size_bytes, seeder_limits, upload_limits, download_limits),
    )


def _check(*groups: Sequence[float]) -> None:
    for rates in groups:
        if not rates:
            raise ValueError("expected at least one seeder and one leecher")
        if any(not rate > 0 for rate in rates):
            raise ValueError(f"found rates {list(rates)}, expected them all above 0")
