"""The least time in which any protocol could distribute a file, where rates are set.

R. Kumar and K. W. Ross, "Peer-Assisted File Distribution: The Minimum Distribution Time", IEEE
Workshop on Hot Topics in Web Systems and Technologies (HOTWEB), 2006. It bounds the time until the
last leecher has everything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swarmrace.records import PeerInfo
from swarmrace.scenario import Network


@dataclass(frozen=True, slots=True)
class Bounds:
    """Least times of one run in seconds."""

    minimum_seconds: float
    """Of any protocol."""
    http_seconds: float
    """Of one in which only seeders send."""
    measured: bool
    """Whether every rate in it was measured by the preflight; otherwise some are as set."""


def minimum_seconds(
    size_bytes: int,
    seeder_uploads: Sequence[float],
    leecher_uploads: Sequence[float],
    leecher_downloads: Sequence[float],
) -> float:
    """Return max(F/u_s, F/d_min, N·F/(u_s + Σu_i)).

    Args:
        size_bytes: F.
        seeder_uploads: the seeders' upload rates in bytes per second; their sum is u_s. What isn't
            limited is `math.inf`.
        leecher_uploads: u_i, one for each of the N leechers.
        leecher_downloads: their download rates; the least is d_min.

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
    """Return N·F/u_s: every leecher's copy leaves a seeder.

    Raises:
        ValueError: no seeder, no leecher, or a rate that isn't positive.
    """
    _check(seeder_uploads, [math.inf] * leechers, [math.inf])
    return leechers * size_bytes / math.fsum(seeder_uploads)


def of_run(
    network: Network,
    infos: Mapping[int, PeerInfo],
    seeders: Sequence[int],
    swarm_size: int,
    size_bytes: int,
) -> Bounds | None:
    """Return the bounds of a run, or None where no rate is set.

    A rate that is set counts as the preflight measured it (`PeerInfo.rates`), else as set. A rate
    that isn't set doesn't bound, whatever was measured.
    """
    if not network.limited:
        return None
    measured = True

    def rate(peer: int, direction: str) -> float:
        nonlocal measured
        wanted = getattr(network.link(seeder=peer in seeders), direction)
        if wanted is None:
            return math.inf
        found = infos[peer].rates.get(direction) if peer in infos else None
        measured = measured and bool(found)
        return found or float(wanted)

    leechers = [peer for peer in range(swarm_size) if peer not in seeders]
    uploads = [rate(peer, "upload") for peer in seeders]
    least = minimum_seconds(
        size_bytes,
        uploads,
        [rate(peer, "upload") for peer in leechers],
        [rate(peer, "download") for peer in leechers],
    )
    return Bounds(least, http_minimum_seconds(size_bytes, len(leechers), uploads), measured)


def _check(*groups: Sequence[float]) -> None:
    for rates in groups:
        if not rates:
            raise ValueError("expected at least one seeder and one leecher")
        if any(not rate > 0 for rate in rates):
            raise ValueError(f"found rates {list(rates)}, expected them all above 0")
