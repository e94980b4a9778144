"""The registry of figures: each figure's label, its unit, and the value of one run."""

from __future__ import annotations

from typing import Literal, NamedTuple

from swarmrace.recording.records import MARK_PERCENTS, WIRE_PERCENTS

Unit = Literal["second", "second/second", "byte", "byte/second", "1"]


class Figure(NamedTuple):
    """One figure."""

    unit: Unit
    label: str
    text: str
    """The value of one run; a verdict shows median, minimum and maximum over runs."""


def mark_label(percent: float) -> str:
    """Return the label of a mark. At 100 % it is not t100: that is done, which may be later."""
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


def _variation(kind: str) -> Figure:
    text = "median leecher's coefficient of variation of throughput in 100 ms bins"
    return Figure("1", f"variation ({kind})", text)


FIGURES: dict[str, Figure] = {
    "t100": Figure(
        "second", "done (t100), median leecher", "median over leechers; the run's number"
    ),
    "last": Figure("second", "done (t100), last leecher", "maximum over leechers"),
    "downloadSpeed": Figure("byte/second", "download speed", "file size over t100"),
    "publish": Figure(
        "second", "publish, first seeder", "the first seeder's publish time; it publishes alone"
    ),
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
        "over all leechers of all runs, nearest rank; of fewer than 100, the maximum",
    ),
    "startError": Figure(
        "second", "start instant known to ±", "maximum over all leechers and runs"
    ),
    "wireSent": Figure("1", "wire sent / payload", "all peers' bytes over payload × leechers"),
    "wireReceived": Figure(
        "1", "wire received / payload", "all peers' bytes over payload × leechers"
    ),
    "wirePackets": Figure(
        "1",
        "packets sent",
        "summed over peers, with each segment of an offloaded packet and the runner's packets",
    ),
    "leechersShare": Figure(
        "1", "payload sent by leechers", "over all payload sent, by the systems' own counters"
    ),
    "leechersShareOfWire": Figure(
        "1",
        "the same by wire",
        "share of the bytes received by leechers' interfaces that seeders' did not send",
    ),
    "connectedPeers": Figure(
        "1", "connected peers", "median leecher's connections, averaged over its transfer"
    ),
    "duplicates": Figure("1", "duplicate payload", "duplicate bytes over payload × leechers"),
    "longestStall": Figure("second", "longest stall (arrival)", "maximum over leechers"),
    "longestWrittenStall": Figure("second", "longest stall (written)", "maximum over leechers"),
    "longestDeliveryStall": Figure("second", "longest stall (delivery)", "maximum over leechers"),
    "arrivalVariation": _variation("arrival"),
    "writtenVariation": _variation("written"),
    "deliveryVariation": _variation("delivery"),
    "spread": Figure(
        "1", "spread between runs (CV)", "standard deviation over mean of the runs' t100"
    ),
    "slowRuns": Figure(
        "1", "slow runs, share", "runs that took more than 1.5 × the entrant's median run"
    ),
    "slowestRun": Figure("1", "slowest run / median run", "maximum t100 over median t100 of runs"),
    "cpuLeecher": Figure("second", "CPU, median leecher", "the system's CPU seconds"),
    "cpuSeeder": Figure("second", "CPU, median seeder", "the system's CPU seconds"),
    "cpuAll": Figure("second", "CPU, all peers", "the system's CPU seconds, summed"),
    "runnerCpu": Figure(
        "second", "CPU of the runner, all peers", "summed, if it is a separate process"
    ),
    "peakMemory": Figure("byte", "peak memory, highest peer", "resident set, maximum over peers"),
    "runnerMemory": Figure(
        "byte",
        "peak memory of the runner",
        "resident set, maximum over peers, if it is a separate process",
    ),
    "waitingCpu": Figure(
        "second/second",
        "waiting: CPU",
        "maximum over peers, while others race; 10 ms/s is 1 % of a core",
    ),
    "waitingBytes": Figure(
        "byte/second",
        "waiting: bytes",
        "maximum over peers, while others race, of its interface and the runner",
    ),
    "minimumMultiple": Figure(
        "1", "last / theoretical minimum", "last leecher's t100 over Kumar and Ross's bound"
    ),
    "httpMinimumMultiple": Figure("1", "last / HTTP's minimum", "last leecher's t100 over N·F/u_s"),
    "minimum": Figure("second", "theoretical minimum", "lower bound of the last leecher's t100"),
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
"""Figures of stability, each with the kind of curve that it belongs to and is compared within."""
