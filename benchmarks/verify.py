"""How long `swarmrace verify` takes for a race with thousands of transfers.

    python -m benchmarks.verify [--transfers 2000] [--records 100] [--runs 3]

Writes the results folder of a race (records, curves, wire curves, list of hashes) by the code of a
race, with random times, and runs the command on it. The reference, in the same run, only reads and
hashes the same files.

Prints one JSON object per line: name, value, unit, spread (standard deviation), n, aim, met.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from swarmrace.clock import VirtualClock
from swarmrace.network.wire_recorder import Samples, wire_curve
from swarmrace.peer.transfer import summarize
from swarmrace.plan.schedule import schedule
from swarmrace.recording.arrivals import ByteLog, Origin
from swarmrace.recording.records import FORMAT, PeerResult, RaceInfo, RunResult
from swarmrace.results.manifest import FILE, ManifestKeeper
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems.abc import Observes, Record
from swarmrace.systems.run import Run

PEERS = 11
AIM_SECONDS_PER_THOUSAND = 2.0
SIZE_BYTES = 10_000_000
RUN_NS = 2_000_000_000


def scenario(transfers: int) -> Scenario:
    """Return a scenario with about this many transfers, ten per run."""
    race = {
        "swarmSize": PEERS,
        "seeders": 1,
        "fileSize": SIZE_BYTES,
        "repetitions": max(1, transfers // (PEERS - 1)),
    }
    return parse({"global": {"race": race, "entrants": {"a": {"kind": "synthetic"}}}})


def write(folder: Path, scenario: Scenario, records: int) -> int:
    """Write the results folder of a race of `scenario`; return its number of transfers.

    Args:
        folder: the folder to write.
        scenario: the race's scenario.
        records: records in each transfer's curves.
    """
    race_id, random, transfers = scenario.race_id(), np.random.default_rng(1), 0
    keeper = ManifestKeeper(folder, race_id, "0" * 40)
    for run in schedule(scenario):
        common = {"race_id": race_id, "run_id": run.id, "entrant": run.entrant}
        common |= {"repetition": run.repetition}
        result = RunResult(
            **common,
            index=run.index,
            seeders=list(run.seeders),
            status="raced",
            wall_seconds=RUN_NS / 1e9,
        )
        _write(keeper, folder, f"runs/{run.id}/run.json", result.model_dump_json().encode())
        for peer in range(PEERS):
            record = PeerResult(
                **common,
                peer=peer,
                role=run.role(peer),
                seed=scenario.race.seed,
                payload_seed=run.payload_seed,
                size_bytes=run.size_bytes,
                outcome="completed",
            )
            if record.role == "leecher":
                record = _with_transfer(keeper, folder, run, record, records, random)
                transfers += 1
            name = f"runs/{run.id}/{run.entrant}-{peer}.json"
            _write(keeper, folder, name, record.model_dump_json(by_alias=True).encode())
    info = RaceInfo(
        format=FORMAT,
        race_id=race_id,
        name="verify",
        scenario=scenario.model_dump(mode="json", by_alias=True),
        backend="local",
        created_utc="",
        commit="0" * 40,
        versions={},
        machine={},
        status="finished",
    )
    _write(keeper, folder, "race.json", info.model_dump_json(by_alias=True).encode())
    (folder / FILE).write_bytes(keeper.text(complete=True))
    return transfers


def _with_transfer(
    keeper: ManifestKeeper,
    folder: Path,
    run: Run,
    peer: PeerResult,
    records: int,
    random: np.random.Generator,
) -> PeerResult:
    """Write a leecher's curves; return its record with its transfer."""
    record = Record(VirtualClock(), run.size_bytes)
    record.start_ns = 0
    log = record.arrivals = record.deliverable = ByteLog(records)
    cuts = np.linspace(0, run.size_bytes, records + 1).astype(np.int64)
    times = np.sort(random.integers(1_000_000, RUN_NS // 2, records))
    for at in random.permutation(records):
        log.record(int(cuts[at]), int(cuts[at + 1] - cuts[at]), int(times[at]))
    record.done_ns = log.last_ns
    observes = Observes(arrival=True, delivery=True, unit="block")
    figures, curves = summarize(record, observes, 0, 0, log.last_ns)
    stem = f"{run.entrant}-{peer.peer}"
    sampled_ns = np.arange(-9_000_000, RUN_NS, 9_000_000)
    share = np.clip(sampled_ns / log.last_ns, 0, 1)
    samples = Samples(sampled_ns, (share * run.size_bytes).astype(np.int64))
    wire = wire_curve(samples, 0, record.done_ns, f"{stem}.wire.npz")
    assert wire is not None
    curves["wire"] = wire[1]
    origin = Origin(peer.race_id, run.id, run.entrant, peer.peer)
    for kind, curve in curves.items():
        _write(keeper, folder, f"runs/{run.id}/{stem}.{kind}.npz", curve.to_npz(origin))
    update = {"verified": True, "arrivals_file": f"{stem}.arrivals.npz"}
    figures = figures.model_copy(update=update)
    return peer.model_copy(update={"transfer": figures, "wire_curve": wire[0]})


def _write(keeper: ManifestKeeper, folder: Path, name: str, data: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    keeper.add_data(name, data)


def time_hashing(folder: Path) -> float:
    """Return the seconds needed to read and hash every file."""
    began = time.monotonic()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            hashlib.sha256(path.read_bytes())
    return time.monotonic() - began


def time_verify(folder: Path) -> float:
    """Return the seconds that `swarmrace verify` takes, including its start-up.

    Raises:
        RuntimeError: it found an error.
    """
    command = [sys.executable, "-m", "swarmrace", "verify", str(folder)]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if done.returncode:
        raise RuntimeError(f"expected a sound folder, found:\n{done.stdout[:2000]}{done.stderr}")
    return seconds


@click.command()
@click.option("--transfers", default=2000, show_default=True)
@click.option("--records", default=100, show_default=True, help="Records per transfer.")
@click.option("--runs", default=3, show_default=True)
def main(transfers: int, records: int, runs: int) -> None:
    """Time `swarmrace verify`."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "race"
        written = write(folder, scenario(transfers), records)
        times = [(time_verify(folder), time_hashing(folder)) for _ in range(runs)]
    per_thousand = [1000 * seconds / written for seconds, _ in times]
    _print("verify, a thousand transfers", per_thousand, "s", True)
    _print("verify over hashing alone", [verify / hashing for verify, hashing in times], "×", False)


def _print(name: str, values: list[float], unit: str, has_aim: bool) -> None:
    value = statistics.median(values)
    aim = {"aim": f"≤ {AIM_SECONDS_PER_THOUSAND:g} s", "met": value <= AIM_SECONDS_PER_THOUSAND}
    line = {"name": name, "value": round(value, 3), "unit": unit, "n": len(values)}
    line["spread"] = round(statistics.stdev(values), 3) if len(values) > 1 else 0.0
    click.echo(json.dumps(line | (aim if has_aim else {})))


if __name__ == "__main__":
    main()
