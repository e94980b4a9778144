"""Reported figures against the wire: races captured by tcpdump in their own namespaces.

    python -m benchmarks.witness                              ten runs of every case
    python -m benchmarks.witness --case "HTTP" --runs 1       one run of the cases named HTTP
    python -m benchmarks.witness --keep runs.jsonl            append each run to a file
    python -m benchmarks.witness --keep runs.jsonl --runs 0   print the runs in the file

A run is one race of one entrant with one seeder and two leechers. A capture on each leecher's
interface gives the time at which each distinct payload byte arrived; it is compared with the
results folder, from the leecher's start stamp on. A run's difference is that of the leecher with
the larger one. The median and the worst over the runs are printed; the aim applies to the median.

A capture that dropped packets or began after the start is void: this is printed, and the run is
repeated.

Needs root, tcpdump and iproute2. The kernel stamps packets by the wall clock; the stamps are
converted to the monotonic clock by the clocks' offset, which must not move by more than 1 ms during
a run.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import psutil

from benchmarks import capture, streams
from swarmrace.backends.local.backend import LocalRace, run
from swarmrace.network import namespaces
from swarmrace.recording.arrivals import bytes_of_percent
from swarmrace.recording.records import PeerResult
from swarmrace.results import folder as results
from swarmrace.scenario.loading import parse
from swarmrace.verdict import load, runs

ENTRANT = "raced"
PERCENTS = {"first byte": 0, "t10": 10, "t50": 50, "t90": 90, "t100": 100}
EDGE_SECONDS = 0.005
"""Aim for the first byte and t100."""
MARK_SECONDS, MARK_SHARE = 0.010, 0.01
"""Aim for the marks between them: the larger of the two."""
STALL_SECONDS = 0.010
"""Aim for the longest stall, in addition to its resolution."""
BYTES_SHARE = 0.005
PEERS = 3
STARTED_SECONDS = 60.0
MAX_REPEATS = 2
"""How often a void run is repeated before the case fails."""
_TUNED = {"kind": "bittorrent", "profile": "tuned", "encryption": False}
_STOCK = {"kind": "bittorrent", "profile": "stock", "encryption": False}
_HTTP = {"kind": "http"}
_100_MBIT = {"upload": "100Mbit", "download": "100Mbit"}
_EDGES = ("first byte", "t100", "wire bytes")


@dataclass(frozen=True)
class Case:
    """One kind of race.

    Args:
        name: label in the output.
        options: the entrant's options.
        network: the race's network conditions.
        size: the payload's size.
        judged: figures with an aim; empty: all.
    """

    name: str
    options: dict[str, Any]
    network: dict[str, Any] = field(default_factory=dict)
    size: str = "100MB"
    judged: Sequence[str] = ()


def _cases() -> list[Case]:
    networks = {
        "no limit": {},
        "100 Mbit/s": _100_MBIT,
        "20 ms RTT": {"delayMilliseconds": 10},
        "100 ms RTT": {"delayMilliseconds": 50},
    }
    found = [
        Case(f"{name}, 100 MB, {how}", options, network, judged=judged)
        for name, options, judged in (
            ("BitTorrent tuned", _TUNED, ()),
            ("HTTP", _HTTP, ()),
            ("BitTorrent stock", _STOCK, _EDGES),
        )
        for how, network in networks.items()
    ]
    found.append(Case("BitTorrent tuned, 1 GiB, no limit", _TUNED, size="1GiB"))
    found.append(Case("HTTP, 1 GiB, no limit", _HTTP, size="1GiB"))
    return found


CASES = _cases()


@click.command()
@click.option("--runs", "count", default=10, show_default=True, help="Runs of each case.")
@click.option("--case", "part", default="", help="Only cases with this in their name.")
@click.option("--size", default="", help="Size for all cases.  [default: each case's own]")
@click.option(
    "--keep", type=click.Path(dir_okay=False, path_type=Path), help="Append each run to this file."
)
def main(count: int, part: str, size: str, keep: Path | None) -> None:
    """Capture races and print the reported figures minus the wire's."""
    cases = [case for case in CASES if part in case.name]
    if not cases:
        raise click.UsageError(f"--case: found {part}, expected part of a case's name")
    refusals = [*namespaces.refusals(), *capture.refusals()]
    if count and refusals:
        raise click.ClickException("; ".join(refusals))
    kept: dict[str, list[dict[str, Any]]] = {case.name: [] for case in cases}
    if keep is not None and keep.exists():
        for line in keep.read_text().splitlines():
            found = json.loads(line)
            kept.get(found["case"], []).append(found)
    for case in cases:
        for _ in range(count):
            compared = witness(case, size or case.size)
            kept[case.name].append(compared)
            if keep is not None:
                with keep.open("a") as file:
                    print(json.dumps(compared), file=file)
    missed = False
    for case in cases:
        for figure in summary(case, kept[case.name]):
            missed |= not figure["met"]
            print(json.dumps(figure), flush=True)
    print(table(cases, kept), file=sys.stderr)
    sys.exit(1 if missed else 0)


def witness(case: Case, size: str) -> dict[str, Any]:
    """Race once; return each figure as reported and on the wire, their difference and the aim.

    Raises:
        RuntimeError: every capture was void.
    """
    void = ""
    for _ in range(1 + MAX_REPEATS):
        with tempfile.TemporaryDirectory(dir=_memory()) as folder:
            compared, void = _race(case, size, Path(folder))
        if not void:
            return compared
        print(f"{case.name}: void run, repeated: {void}", file=sys.stderr, flush=True)
    raise RuntimeError(f"{case.name}: {1 + MAX_REPEATS} runs in a row were void; the last: {void}")


def _memory() -> str | None:
    """Return a folder in memory, if any: writing captures to the disk would slow the payloads."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _race(case: Case, size: str, folder: Path) -> tuple[dict[str, Any], str]:
    """Race once; return the comparison, and why it is void or an empty string."""
    race = {"swarmSize": PEERS, "seeders": 1, "repetitions": 1, "fileSize": size}
    race["network"] = case.network
    scenario = parse({"global": {"race": race, "entrants": {ENTRANT: case.options}}})
    local = LocalRace(scenario, "witness", folder, namespaces=True)
    captures: dict[int, capture.Capture] = {}
    starter = threading.Thread(target=_capture_all, args=(folder, captures))

    def watch(status: dict[str, Any]) -> None:
        if status["over"]:
            starter.join()
            time.sleep(capture.DRAIN_SECONDS)
            for each in captures.values():
                each.end()

    results_folder = local.folder()
    starter.start()
    try:
        asyncio.run(run(local, results_folder, watch))
    finally:
        starter.join()
        for each in captures.values():
            each.end()
    if len(captures) < PEERS:
        return {}, f"only {len(captures)} of {PEERS} captures began"
    read = results.load(results_folder)
    (record,) = read.runs
    addresses = {number: info.address for number, info in read.peer_infos(ENTRANT).items()}
    figures: dict[str, dict[str, float | None]] = {}
    for peer in record.leechers:
        result, captured = record.peers[peer], captures[peer]
        transfer = result.transfer
        if transfer is None or transfer.done_seconds is None:
            raise RuntimeError(f"{case.name}: peer {peer} did not complete: {result.failure}")
        assert transfer.start_monotonic_nanoseconds is not None
        if captured.void or captured.began_ns > transfer.start_monotonic_nanoseconds:
            return {}, captured.void or "the capture began after the start"
        sources = [address for number, address in addresses.items() if number != peer]
        packets = list(captured.packets())
        parse_payload = streams.http if case.options is _HTTP else streams.bittorrent
        progress = parse_payload(streams.streams(packets, sources))
        compared = compare(result, progress, _received(packets, sources, transfer))
        for name, figure in compared.items():
            old = figures.get(name)
            if old is None or abs(figure["difference"] or 0) > abs(old["difference"] or 0):
                figures[name] = figure
    foreign = load.foreign_share(read, runs.view(record, read.scenario.race))
    if foreign:
        loads = [peer.load for peer in record.peers.values() if peer.load is not None]
        seconds = statistics.median(each.seconds * each.cpus for each in loads)
        taken = sum(each.cpu_seconds for each in captures.values())
        foreign = max(0.0, foreign - taken / seconds)
    return {"case": case.name, "size": size, "figures": figures, "foreign": foreign}, ""


def _capture_all(folder: Path, captures: dict[int, capture.Capture]) -> None:
    """Start a capture in each peer's namespace as soon as its process has entered it.

    The peer is suspended until its capture has started: a run opens only when all its peers have
    arrived.
    """
    ours, deadline = Path("/proc/self/ns/net").stat().st_ino, time.monotonic() + STARTED_SECONDS
    while len(captures) < PEERS and time.monotonic() < deadline:
        time.sleep(0.005)
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error, OSError):
                name, _, peer = process.name().rpartition("-")
                inside = Path(f"/proc/{process.pid}/ns/net").stat().st_ino != ours
                if name == ENTRANT and inside and int(peer) not in captures:
                    process.suspend()
                    try:
                        started = capture.Capture(process.pid, folder / f"{peer}.pcap")
                    finally:
                        process.resume()
                    captures[int(peer)] = started


def _received(packets: Sequence[capture.Packet], sources: Sequence[str], transfer: Any) -> int:
    start_ns, source_set = transfer.start_monotonic_nanoseconds, set(sources)
    return sum(
        capture.wire_bytes(packet)
        for packet in packets
        if packet.t_ns >= start_ns and packet.source in source_set
    )


def compare(
    result: PeerResult, progress: streams.Progress, received_bytes: int
) -> dict[str, dict[str, float | None]]:
    """Return `reported`, `wire`, `difference` and `aim` by figure; seconds, or a share of bytes.

    Args:
        result: a leecher's result.
        progress: its payload's progress on the wire.
        received_bytes: bytes that its interface received from the other peers since its start.

    Raises:
        ValueError: the wire carried more or less than the payload.
    """
    transfer, size = result.transfer, result.size_bytes
    assert transfer is not None
    assert transfer.start_monotonic_nanoseconds is not None
    if progress.total[-1] != size:
        raise ValueError(f"found {progress.total[-1]} payload bytes on the wire, expected {size}")

    def figure(reported: float | None, wire: float, aim: float) -> dict[str, float | None]:
        difference = None if reported is None else reported - wire
        return {"reported": reported, "wire": wire, "difference": difference, "aim": aim}

    marks = {mark.percent: mark.seconds for mark in transfer.arrival}
    found = {}
    for name, percent in PERCENTS.items():
        arrived_ns = progress.instant(bytes_of_percent(size, percent))
        wire = (arrived_ns - transfer.start_monotonic_nanoseconds) / 1e9
        aim = EDGE_SECONDS if percent in (0, 100) else max(MARK_SECONDS, MARK_SHARE * wire)
        found[name] = figure(marks.get(percent), wire, aim)
    stall = progress.longest_stall_ns / 1e9
    resolution = transfer.longest_stall_resolution_seconds or 0
    found["longest stall"] = figure(
        transfer.longest_stall_seconds if marks else None, stall, resolution + STALL_SECONDS
    )
    reported = None if result.wire is None else result.wire.received_bytes / received_bytes
    found["wire bytes"] = figure(reported, 1.0, BYTES_SHARE)
    return found


def summary(case: Case, compared: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each figure over the runs: median and worst of reported minus wire, and the aim."""
    lines = []
    for name in [*PERCENTS, "longest stall", "wire bytes"]:
        figures = [each["figures"][name] for each in compared]
        found = [each["difference"] for each in figures if each["difference"] is not None]
        judged = not case.judged or name in case.judged
        if not figures:
            continue
        aim = statistics.median(each["aim"] for each in figures)
        unit, scale = ("%", 100) if name == "wire bytes" else ("ms", 1000)
        value = statistics.median(found) * scale if found else None
        worst = max(found, key=abs) * scale if found else None
        lines.append(
            {
                "name": f"{case.name}: {name}, reported minus wire",
                "value": None if value is None else round(value, 3),
                "unit": unit,
                "spread": None if worst is None else f"worst {worst:.2f}",
                "wire": round(statistics.median(each["wire"] for each in figures), 4),
                "n": len(found),
                "aim": f"within ±{aim * scale:.2f}" if judged else "",
                "met": not judged or (value is not None and abs(value) <= aim * scale),
            }
        )
    return lines


def table(cases: Sequence[Case], kept: dict[str, list[dict[str, Any]]]) -> str:
    """Return the table for docs/methodology.md: median (worst) of each figure, and the share of the
    CPUs that other programs used, without the captures (median over the runs)."""
    names = [*PERCENTS, "longest stall", "wire bytes"]
    head = ["case", "runs", *names, "other work"]
    rows = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for case in cases:
        lines = summary(case, kept[case.name])
        if lines:
            shares = [
                found for each in kept[case.name] if (found := each.get("foreign")) is not None
            ]
            other = f"{100 * statistics.median(shares):.0f} %" if shares else "not measured"
            cells = [*(_cell(line) for line in lines), other]
            rows.append(f"| {case.name} | {len(kept[case.name])} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(line: dict[str, Any]) -> str:
    if line["value"] is None:
        return "not reported"
    text = f"{line['value']:+.2f} ({line['spread'].removeprefix('worst ')}) {line['unit']}"
    return text if line["met"] else f"**{text}**"


if __name__ == "__main__":
    main()
