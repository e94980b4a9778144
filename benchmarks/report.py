"""How long `swarmrace report` takes for the whole matrix, how much memory, how large its page is.

    python -m benchmarks.report [--repetitions 10] [--sizes 100MB,1GB,5GB] [--keep DIR]

Writes 39 cells × 3 entrants × 10 runs, 17,640 transfers, as races leave them (records, lists of
hashes, by the code of a race and from drawn times), with curves of real record counts for one run
of each entrant in each cell, and makes the report by the command, without and with `--curves`.
`--keep DIR` keeps the folders for the next time.

Prints one JSON object a line: name, value, unit, spread (standard deviation), n, aim, met.
"""

from __future__ import annotations

import contextlib
import json
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
from swarmrace.results.manifest import FILE, Keeper
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
"""Bytes of one record, of a stream and a socket about what one read gives."""
SECONDS = {"codex": 8.0, "bittorrent": 3.0, "http": 1.0}
"""Of 100 MB; what follows is drawn around it."""
_STALLS = {"arrival": "longest_stall_seconds", "delivery": "longest_delivery_stall_seconds"}
AIMS = {"seconds": 20.0, "memory": 1e9, "page": 10e6}


def matrix(sizes: list[str], repetitions: int) -> list[tuple[str, Scenario]]:
    """Return the cells of the full matrix with their names."""
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
        folder: made.
        of: the cell.
        records: of the one stored curve of each transfer; 0: as many as the file has blocks.
    """

    def __init__(self, folder: Path, of: Scenario, records: int) -> None:
        self.folder, self.of, self.records = folder, of, records
        self.race_id = of.race_id()
        self.keeper = Keeper(folder, self.race_id, "0" * 40)
        self.random = np.random.default_rng(of.race.swarm_size * 100 + of.race.seeders)

    def write(self) -> int:
        """Write it; return how many transfers are in it."""
        transfers = 0
        for run in schedule(self.of):
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
            self._leave(f"runs/{run.id}/run.json", result.model_dump_json(by_alias=True).encode())
            for peer in range(self.of.race.swarm_size):
                transfers += self._peer(run, peer)
        machine = {"cpu": "drawn", "cpus": 8, "system": "drawn", "kernel": "drawn"}
        info = RaceInfo(
            race_id=self.race_id,
            name="matrix",
            scenario=self.of.model_dump(mode="json", by_alias=True),
            backend="local with network namespaces",
            created_utc="2026-11-28T00:00:00+00:00",
            commit="0" * 40,
            versions={"swarmrace": "0.1.0"},
            machine=machine,
            status="finished",
            peers=[
                PeerInfo(entrant=name, peer=peer, address="10.0.0.1", host="drawn", node="drawn",
                         versions={"program": "1"})
                for name in ENTRANTS for peer in range(self.of.race.swarm_size)
            ],
        )  # fmt: skip
        self._leave("race.json", info.model_dump_json(by_alias=True).encode())
        (self.folder / FILE).write_bytes(self.keeper.text(complete=True))
        return transfers

    def _peer(self, run: Run, peer: int) -> bool:
        size = run.size_bytes
        base = SECONDS[run.entrant] * size / 1e8 * self.of.race.swarm_size**0.3
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
            seed=self.of.race.seed,
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
        self._leave(name, record.model_dump_json(by_alias=True).encode())
        return record.role == "leecher"

    def _transfer(self, run: Run, peer: int, seconds: float) -> dict:
        """Return a leecher's transfer and wire curve; write its curve in the first block."""
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
            count = self.records or -(-run.size_bytes // BLOCK[run.entrant])
            cuts = np.linspace(0, run.size_bytes, count + 1).astype(np.int64)
            t_ns = (np.interp(np.linspace(0, 100, count), np.arange(101), shape) * 1e9).astype(
                np.int64
            )
            curve = Curve(cuts[:-1], np.diff(cuts), t_ns, run.size_bytes)
            percents = percents_of(curve, 0.0)
            shape = np.array(percents.seconds)
            facts = {
                "variation": curve.variation(),
                "stall": curve.longest_stall().length_ns / 1e9,
                "records": curve.records,
            }
            origin = Origin(self.race_id, run.id, run.entrant, peer)
            self._leave(f"runs/{run.id}/{name}", curve.to_npz(origin))
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

    def _leave(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.keeper.note_data(name, data)


def measured(arguments: list[str]) -> tuple[float, float]:
    """Run the command; return its seconds, and the most memory that it and its children had at any
    time (proportional set size, looked at every 0.1 s)."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "swarmrace", *arguments])
    most = 0
    while process.poll() is None:
        most = max(most, _memory(process.pid))
        time.sleep(0.1)
    if process.returncode:
        raise click.ClickException(f"swarmrace report ended with {process.returncode}")
    return time.monotonic() - began, most


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
@click.option("--records", default=0, help="Of each stored curve.  [default: the file's blocks]")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path))
@click.option("--curves/--no-curves", default=True, help="Also measure `report --curves`.")
def main(repetitions: int, sizes: str, records: int, keep: Path | None, curves: bool) -> None:
    """Print how long the report of the whole matrix takes."""
    cells = matrix(sizes.split(","), repetitions)
    whole = (len(cells), repetitions) == (39, 10)
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
            seconds, memory = measured(["report", str(stored), "-o", str(out), *more])
            aimed = whole and not more
            _line(f"{name}: seconds", seconds, "s", AIMS["seconds"] if aimed else None)
            _line(f"{name}: memory", memory, "byte", AIMS["memory"] if aimed else None)
        page = (out / "report.html").stat().st_size
        _line("report.html", page, "byte", AIMS["page"])
        data = sum(file.stat().st_size for file in (out / "data").iterdir())
        _line("data/", data, "byte")


if __name__ == "__main__":
    main()
