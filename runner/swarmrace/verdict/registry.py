"""The registry of figures: what each is called, its unit, and how one run's value comes about."""

from __future__ import annotations

from typing import Literal, NamedTuple

from swarmrace.recording.records import MARK_PERCENTS, WIRE_PERCENTS

Unit = Literal["second", "second/second", "byte", "byte/second", "1"]


class Figure(NamedTuple):
    """One row of the registry of figures."""

    unit: Unit
    label: str
    text: str
    """How one run's value comes about; a verdict shows the median over runs, least and most."""


def mark_label(percent: float) -> str:
    """Return what a mark is called. Not t100 at 100 %: that is done, and may lie later."""
    names: dict[float, str] = {0: "first byte", 100: "last byte"}
    return names.get(percent, f"t{percent:g}")


def _marks(kind: str) -> dict[str, Figure]:
    return {
        f"{kind}{percent}": Figure(
            "second",
            f"{kind}, {mark_label(percent)}",
            f"median leecher's time to {percent or 'the first byte'}{' %' if percent else ''}",
        )
        for percent in MARK_PERCENTS
    }


FIGURES: dict[str, Figure] = {
    "t100": Figure(
        "second", "done (t100), median leecher", "median over leechers; the run's number"
    ),
    "last": Figure("second", "done (t100), last leecher", "most over leechers"),
    "downloadSpeed": Figure("byte/second", "download speed", "file size over t100"),
    "publish": Figure("second", "publish, first seeder", "the first seeder's publish, alone"),
    "uploadSpeed": Figure("byte/second", "upload speed", "file size over publish"),
    "discovery": Figure("second", "discovery", "median over leechers"),
    **_marks("arrival"),
    **_marks("written"),
    **_marks("delivery"),
    **{
        f"wire{percent}": Figure(
            "second",
            f"{mark_label(percent)} on the wire",
            f"median leecher's time to {percent} % of what its interface received until done",
        )
        for percent in WIRE_PERCENTS
    },
    "startLagP99": Figure(
        "second",
        "start lag, p99",
        "over all leechers of all runs, nearest rank; of fewer than 100 the most",
    ),
    "startError": Figure("second", "start instant known to ±", "most over all leechers and runs"),
    "wireSent": Figure("1", "wire sent / payload", "all peers' bytes over payload × leechers"),
    "wireReceived": Figure("1", "wire received / payload", "likewise"),
    "wirePackets": Figure(
        "1", "packets sent", "all peers summed; each segment of an offloaded packet, the runner's"
    ),
    "leechersShare": Figure(
        "1", "payload sent by leechers", "over all payload sent, by the systems' own counters"
    ),
    "leechersShareOfWire": Figure(
        "1",
        "the same by wire",
        "share of the bytes leechers' interfaces received that seeders' did not send",
    ),
    "connectedPeers": Figure(
        "1", "connected peers", "median leecher's connections, on average over its transfer"
    ),
    "duplicates": Figure("1", "duplicate payload", "duplicate bytes over payload × leechers"),
    "longestStall": Figure("second", "longest stall (arrival)", "most over leechers"),
    "longestWrittenStall": Figure("second", "longest stall (written)", "most over leechers"),
    "longestDeliveryStall": Figure("second", "longest stall (delivery)", "most over leechers"),
    "arrivalVariation": Figure(
        "1", "variation (arrival)", "of throughput in 100 ms bins, median leecher's coefficient"
    ),
    "writtenVariation": Figure("1", "variation (written)", "likewise"),
    "deliveryVariation": Figure("1", "variation (delivery)", "likewise"),
    "spread": Figure("1", "spread between runs (CV)", "sd over mean of the runs' t100"),
    "slowRuns": Figure(
        "1", "slow runs, share", "runs that took above 1.5 × the entrant's median run"
    ),
    "slowestRun": Figure("1", "slowest run / median run", "how badly"),
    "cpuLeecher": Figure("second", "CPU, median leecher", "the system's CPU seconds"),
    "cpuSeeder": Figure("second", "CPU, median seeder", "the system's CPU seconds"),
    "cpuAll": Figure("second", "CPU, all peers", "summed"),
    "runnerCpu": Figure("second", "CPU of the runner, all peers", "where it is a process apart"),
    "peakMemory": Figure("byte", "peak memory, highest peer", "resident set, most over peers"),
    "runnerMemory": Figure(
        "byte", "peak memory of the runner", "likewise, where it is a process apart"
    ),
    "waitingCpu": Figure(
        "second/second",
        "waiting: CPU",
        "most over peers, while others race; 10 ms is 1 % of a core",
    ),
    "waitingBytes": Figure(
        "byte/second", "waiting: bytes", "likewise; of its interface, and the runner's own"
    ),
    "minimumMultiple": Figure(
        "1", "last / theoretical minimum", "last over Kumar and Ross's bound"
    ),
    "httpMinimumMultiple": Figure("1", "last / HTTP's minimum", "last over N·F/u_s"),
    "minimum": Figure("second", "theoretical minimum", "bound of the last leecher's t100"),
    "httpMinimum": Figure("second", "HTTP's minimum", "N·F/u_s"),
}

STABILITY: dict[str, str] = {
    "longestStall": "arrival",
    "longestWrittenStall": "written",
    "longestDeliveryStall": "delivery",
    "arrivalVariation": "arrival",
    "writtenVariation": "written",
    "deliveryVariation": "delivery",
}
"""Figures of stability that are of one kind of record, and set against the same kind only."""
