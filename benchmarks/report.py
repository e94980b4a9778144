"""Time, memory and page size of `swarmrace report` for the whole matrix.

    python -m benchmarks.report [--repetitions 10] [--sizes 100MB,1GB,5GB] [--keep DIR]

Writes 39 cells × 3 entrants × 10 runs, 17,640 transfers, in the form that races store them (records
and lists of hashes, by the code of a race, with random times), with curves of realistic record
counts for one run of each entrant in each cell; BitTorrent's pieces come in a random order. Then
runs the command without and with `--curves`.
`--keep DIR` keeps the folders for the next call.

Prints one JSON object per line: name, value, unit, spread (standard deviation), n, aim, met.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import psutil

from swarmrace.plan.plan import expand
from swarmrace.plan.schedule import schedule
from swarmrace.recording.arrivals import Curve, Origin
from swarmrace.recording.percents import percents_of, wire_percents
from swarmrace.recording.records import (
    MARK_PERCENTS,
    WIRE_PERCENTS,
    Load,
    Mark,
    PeerInfo,
    PeerResult,
    Percents,
    Publish,
    RaceInfo,
    RunResult,
    Stage,
    Transfer,
    Usage,
    Wire,
    WireCurve,
)
from swarmrace.results.manifest import FILE, ManifestKeeper
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems.run import Run

ENTRANTS = {
    "codex": {"kind": "codex"},
    "bittorrent": {"kind": "bittorrent"},
    "http": {"kind": "http"},
}
KINDS = {"codex": "delivery", "bittorrent": "arrival", "http": "arrival"}
BLOCK = {"codex": 65_536, "bittorrent": 16_384, "http": 262_144}
"""Bytes per record; for a stream or a socket, about one read."""
SECONDS = {"codex": 8.0, "bittorrent": 3.0, "http": 1.0}
"""Typical time for 100 MB; the random times are drawn around it."""
_STALLS = {"arrival": "longest_stall_seconds", "delivery": "longest_delivery_stall_seconds"}
AIMS = {"seconds": 20.0, "memory": 1e9, "page": 10e6}


def matrix(sizes: list[str], repetitions: int) -> list[tuple[str, Scenario]]:
    """Return the names and scenarios of the full matrix's cells."""
    axes = {"swarmSize": [2, 8, 16, 32], "seeders": [1, 2, 4, 8, 16], "fileSize": sizes}
    race = {
        "repetitions": repetitions,
        "acceptance": [{"entrant": "codex", "within": "furps", "of": "bittorrent"}],
        "matrix": axes,
    }
    data = {"global": {"race": race, "entrants": ENTRANTS}}
    return [(cell.name, cell.scenario) for cell in expand(parse(data))]


class Writer:
    """Writes one cell's results folder.

    Args:
        folder: the folder to write.
        scenario: the cell's scenario.
        records: records in each transfer's stored curve; 0: as many as the file has blocks.
    """

    def __init__(self, folder: Path, scenario: Scenario, records: int) -> None:
        self.folder, self.scenario, self.records = folder, scenario, records
        self.race_id = scenario.race_id()
        self.keeper = ManifestKeeper(folder, self.race_id, "0" * 40)
        race = scenario.race
        self.random = np.random.default_rng(race.swarm_size * 100 + race.seeders)

    def write(self) -> int:
        """Write the folder; return its number of transfers."""
        transfers = 0
        for run in schedule(self.scenario):
            result = RunResult(
                race_id=self.race_id,
                run_id=run.id,
                index=run.index,
                entrant=run.entrant,
                repetition=run.repetition,
                seeders=list(run.seeders),
                status="raced",
                wall_seconds=1e4,
            )
            self._write(f"runs/{run.id}/run.json", result.model_dump_json(by_alias=True).encode())
            for peer in range(self.scenario.race.swarm_size):
                transfers += self._peer(run, peer)
        machine = {"cpu": "drawn", "cpus": 8, "system": "drawn", "kernel": "drawn"}
        info = RaceInfo(
            race_id=self.race_id,
            name="matrix",
            scenario=self.scenario.model_dump(mode="json", by_alias=True),
            backend="local with network namespaces",
            created_utc="2026-11-28T00:00:00+00:00",
            commit="0" * 40,
            versions={"swarmrace": "0.1.0"},
            machine=machine,
            status="finished",
            peers=[
                PeerInfo(entrant=name, peer=peer, address="10.0.0.1", host="drawn", node="drawn",
                         versions={"program": "1"})
                for name in ENTRANTS for peer in range(self.scenario.race.swarm_size)
            ],
        )  # fmt: skip
        self._write("race.json", info.model_dump_json(by_alias=True).encode())
        (self.folder / FILE).write_bytes(self.keeper.text(complete=True))
        return transfers

    def _peer(self, run: Run, peer: int) -> bool:
        size = run.size_bytes
        base = SECONDS[run.entrant] * size / 1e8 * self.scenario.race.swarm_size**0.3
        seconds = float(base * self.random.lognormal(0, 0.08))
        facts: dict = {}
        if run.role(peer) == "seeder":
            rank = run.seeders.index(peer)
            steps = {"upload": base / 5}
            facts["publish"] = Publish(seconds=base / 5, rank=rank, steps=steps)
        else:
            facts |= self._transfer(run, peer, seconds)
        record = PeerResult(
            race_id=self.race_id,
            run_id=run.id,
            entrant=run.entrant,
            peer=peer,
            role=run.role(peer),
            repetition=run.repetition,
            seed=self.scenario.race.seed,
            payload_seed=run.payload_seed,
            size_bytes=size,
            outcome="completed",
            stages=[
                Stage(name=name, began_seconds=float(at), seconds=seconds + 1)
                for at, name in enumerate(("prepare", "settle", "race", "serve", "verify"))
            ],
            wire=Wire(
                sent_bytes=size, received_bytes=size, sent_packets=size // 1448,
                received_packets=size // 1448, interface="eth0", offload={"tso": False},
            ),
            usage=Usage(cpu_seconds=seconds / 2, peak_memory_bytes=80_000_000),
            load=Load(seconds=seconds, cpus=8, busy_cpu_seconds=seconds * 4),
            started="cold",
            counters={"payload_sent_bytes": float(size), "connections": 7.0},
            system={"version": "1", "settings": {"a": 1, "b": 2}, "reasons": {"a": "why"}},
            **facts,
        )  # fmt: skip
        name = f"runs/{run.id}/{run.entrant}-{peer}.json"
        self._write(name, record.model_dump_json(by_alias=True).encode())
        return record.role == "leecher"

    def _transfer(self, run: Run, peer: int, seconds: float) -> dict:
        """Return a leecher's transfer and wire curve; in the first block, write its curve."""
        kind = KINDS[run.entrant]
        shape = np.sort(self.random.uniform(0.01, 1, 101)) * seconds
        shape[-1] = seconds
        percents = Percents(
            seconds=shape.tolist(),
            resolution_seconds=[0.001] * 101,
            stall_began_seconds=float(shape[50]),
            stall_seconds=seconds / 20,
        )
        stored = {"arrival": "arrivals", "delivery": "deliveries"}[kind]
        name = f"{run.entrant}-{peer}.{stored}.npz"
        facts: dict = {"variation": 0.3, "stall": seconds / 20, "records": 1000}
        if run.repetition == 0:
            block = -(-run.size_bytes // self.records) if self.records else BLOCK[run.entrant]
            count = -(-run.size_bytes // block)
            cuts = np.minimum(np.arange(count + 1, dtype=np.int64) * block, run.size_bytes)
            t_ns = (np.interp(np.linspace(0, 100, count), np.arange(101), shape) * 1e9).astype(
                np.int64
            )
            order = self._order(run.entrant, count)
            curve = Curve(cuts[:-1][order], np.diff(cuts)[order], t_ns, run.size_bytes)
            percents = percents_of(curve, 0.0)
            shape = np.array(percents.seconds)
            facts = {
                "variation": curve.variation(),
                "stall": curve.longest_stall().length_ns / 1e9,
                "records": curve.records,
            }
            origin = Origin(self.race_id, run.id, run.entrant, peer)
            self._write(f"runs/{run.id}/{name}", curve.to_npz(origin))
        marks = [
            Mark(percent=p, seconds=float(shape[p]), resolution_seconds=0.001)
            for p in MARK_PERCENTS
        ]
        found = Transfer(
            start_lag_seconds=0.0002,
            start_monotonic_nanoseconds=1,
            start_error_seconds=0.0001,
            discovery_seconds=float(shape[0]) / 2,
            done_seconds=seconds,
            done_resolution_seconds=0.001,
            received_bytes=run.size_bytes,
            unit="block",
            percents={kind: percents},
            verified=True,
            records=facts["records"],
            **{kind: marks, f"{kind}_variation": facts["variation"], f"{stored}_file": name},
            **{_STALLS[kind]: facts["stall"]},
        )
        instants = np.linspace(0, seconds * 1e9, 200).astype(np.int64)
        received = np.linspace(0, run.size_bytes, 200).astype(np.int64)
        wire = WireCurve(
            marks=[
                Mark(percent=p, seconds=seconds * p / 100, resolution_seconds=0.01)
                for p in WIRE_PERCENTS
            ],
            bytes_until_done=run.size_bytes,
            percents=wire_percents(instants, received, run.size_bytes),
            received_bytes=run.size_bytes,
            samples=200,
            longest_gap_seconds=0.01,
            file=f"{run.entrant}-{peer}.wire.npz",
        )
        return {"transfer": found, "wire_curve": wire}

    def _order(self, entrant: str, count: int) -> np.ndarray:
        """Return the order in which blocks come: BitTorrent's pieces of 64 blocks at random, a few
        of them at a time; the others in order."""
        blocks = np.arange(count)
        if entrant != "bittorrent":
            return blocks
        pieces = self.random.permutation(count // 64 + 1)
        place = pieces[blocks // 64] * 64 + blocks % 64 + self.random.integers(0, 256, count)
        return np.argsort(place)

    def _write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.keeper.add_data(name, data)


def measure(arguments: list[str]) -> tuple[float, float, float]:
    """Run the command; return its duration and its CPU time in seconds, and the peak memory of it
    and its children in bytes (proportional set size, polled every 0.1 s)."""
    began, before = time.monotonic(), os.times()
    process = subprocess.Popen([sys.executable, "-m", "swarmrace", *arguments])
    peak_bytes = 0
    while process.poll() is None:
        peak_bytes = max(peak_bytes, _memory(process.pid))
        time.sleep(0.1)
    if process.returncode:
        raise click.ClickException(f"swarmrace report exited with {process.returncode}")
    seconds, after = time.monotonic() - began, os.times()
    used = after.children_user + after.children_system
    return seconds, used - before.children_user - before.children_system, peak_bytes


def _memory(pid: int) -> int:
    total = 0
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(pid)
        for each in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += each.memory_full_info().pss
    return total


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep
        return
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def _line(name: str, value: float, unit: str, aim: float | None = None) -> None:
    more = {} if aim is None else {"aim": aim, "met": value <= aim}
    print(json.dumps({"name": name, "value": value, "unit": unit, **more}), flush=True)


@click.command()
@click.option("--repetitions", default=10, show_default=True)
@click.option("--sizes", default="100MB,1GB,5GB", show_default=True)
@click.option("--records", default=0, help="Records per stored curve.  [default: one per block]")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep folders here.")
@click.option("--curves/--no-curves", default=True, help="Also measure `report --curves`.")
def main(repetitions: int, sizes: str, records: int, keep: Path | None, curves: bool) -> None:
    """Print how long the report of the whole matrix takes."""
    cells = matrix(sizes.split(","), repetitions)
    is_full_matrix = (len(cells), repetitions) == (39, 10)
    with _folder(keep) as top:
        stored = top / "results"
        transfers = sum(
            Writer(stored / name, scenario, records).write()
            for name, scenario in cells
            if not (stored / name / FILE).exists()
        )
        if transfers:
            _line("transfers written", transfers, "1")
        for name, more in (("report", []), *([("report --curves", ["--curves"])] * curves)):
            out = top / "report"
            shutil.rmtree(out, ignore_errors=True)
            seconds, cpu_seconds, memory = measure(["report", str(stored), "-o", str(out), *more])
            _line(f"{name}: seconds", seconds, "s", AIMS["seconds"] if is_full_matrix else None)
            _line(f"{name}: CPU", cpu_seconds, "s")
            _line(f"{name}: memory", memory, "byte", AIMS["memory"] if is_full_matrix else None)
        page = (out / "report.html").stat().st_size
        _line("report.html", page, "byte", AIMS["page"])
        data = sum(file.stat().st_size for file in (out / "data").iterdir())
        _line("data/", data, "byte")


if __name__ == "__main__":
    main()
