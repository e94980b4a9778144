"""How fast a payload is written and hashed, also relative to hashing alone.

    python -m benchmarks.payload [--size 1GB] [--runs 5] [--directory DIR]...

Each round hashes as many bytes without storing them, and writes a new payload to every directory
twice: with two threads, as a race does, and with one. Ratios are taken within a round. SHA-256 of
one stream can't be split between cores, so hashing alone is the upper bound.

Prints one JSON object per line: name, value, unit, spread (standard deviation), n, aim, met.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from swarmrace.recording.payload import Payload
from swarmrace.units import parse_size

AIM = 1.5


def rate(work: Callable[[], object], size_bytes: int) -> float:
    """Run `work` over `size_bytes`; return its rate in GB/s."""
    began = time.perf_counter()
    work()
    return size_bytes / (time.perf_counter() - began) / 1e9


def write_by_one_thread(payload: Payload, path: Path) -> None:
    """Hash and write chunk by chunk in one thread."""
    digest = hashlib.sha256()
    with path.open("wb", buffering=0) as file:
        for chunk in payload.chunks():
            digest.update(chunk)
            file.write(chunk)


def emit(name: str, values: list[float], unit: str, aim: float | None = None) -> None:
    """Print the median of `values` as a JSON line."""
    value = statistics.median(values)
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    line = {"name": name, "value": round(value, 3), "unit": unit, "spread": round(spread, 3)}
    line |= {"n": len(values), "aim": "" if aim is None else f">= {aim:g}"}
    print(json.dumps(line | {"met": aim is None or value >= aim}), flush=True)


@click.command()
@click.option("--size", default="1GB", show_default=True)
@click.option("--runs", default=5, show_default=True, type=click.IntRange(1))
@click.option(
    "--directory",
    "directories",
    multiple=True,
    default=(tempfile.gettempdir(), "/dev/shm"),
    show_default=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
def main(size: str, runs: int, directories: tuple[Path, ...]) -> None:
    """Write and hash payloads, and print the rates."""
    size_bytes = parse_size(size)
    hashed: list[float] = []
    written: dict[Path, list[float]] = {directory: [] for directory in directories}
    ratios: dict[Path, list[float]] = {directory: [] for directory in directories}
    bounds: dict[Path, list[float]] = {directory: [] for directory in directories}
    zeros = bytes(1 << 20)
    for number in range(runs):
        digest = hashlib.sha256()
        hash_rate = rate(
            lambda digest=digest: [digest.update(zeros) for _ in range(size_bytes >> 20)],
            size_bytes >> 20 << 20,
        )
        hashed.append(hash_rate)
        for directory in directories:
            with tempfile.TemporaryDirectory(dir=directory) as folder:
                path = Path(folder) / "payload"
                payload = Payload(f"benchmark {number}", size_bytes)
                rates = {}
                writers = [("two", Payload.write), ("one", write_by_one_thread)]
                # Alternate: the second writer finds the disk busy with the first one's pages.
                for name, writer in writers if number % 2 else reversed(writers):
                    os.sync()  # other programs' unwritten pages would slow this one down
                    rates[name] = rate(lambda w=writer, p=payload, f=path: w(p, f), size_bytes)
                    path.unlink()
                two, one = rates["two"], rates["one"]
            written[directory].append(two)
            ratios[directory].append(two / one)
            bounds[directory].append(two / hash_rate)
    emit("SHA-256 alone (the bound)", hashed, "GB/s")
    for directory in directories:
        aim = AIM if directory == directories[0] else None
        emit(f"payload written and hashed, {directory}", written[directory], "GB/s", aim)
        emit(f"payload against SHA-256 alone, {directory}", bounds[directory], "ratio")
        emit(f"payload against one thread, {directory}", ratios[directory], "ratio")


if __name__ == "__main__":
    main()
