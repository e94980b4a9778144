"""How fast a payload is written and hashed, and what that is of hashing alone.

    python -m benchmarks.payload [--size 1GB] [--runs 5] [--directory DIR]...

Each round writes a fresh payload to every directory, hashes it without storing it, and writes it
again by one thread alone; the ratios are taken within a round. SHA-256 of one stream can't be
shared between cores, so hashing alone is the bound.

Prints one JSON object a line: name, value, unit, spread (standard deviation), n, aim, met.
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
    """Return GB/s of `work` over `size_bytes`."""
    began = time.perf_counter()
    work()
    return size_bytes / (time.perf_counter() - began) / 1e9


def write_by_one_thread(payload: Payload, path: Path) -> None:
    """Write and hash in turns: the plain way."""
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
    """Write, hash, and compare."""
    size_bytes = parse_size(size)
    hashed: list[float] = []
    written: dict[Path, list[float]] = {directory: [] for directory in directories}
    ratios: dict[Path, list[float]] = {directory: [] for directory in directories}
    bounds: dict[Path, list[float]] = {directory: [] for directory in directories}
    zeros = bytes(1 << 20)
    for number in range(runs):
        digest = hashlib.sha256()
        alone = rate(
            lambda digest=digest: [digest.update(zeros) for _ in range(size_bytes >> 20)],
            size_bytes >> 20 << 20,
        )
        hashed.append(alone)
        for directory in directories:
            with tempfile.TemporaryDirectory(dir=directory) as folder:
                path = Path(folder) / "payload"
                payload = Payload(f"benchmark {number}", size_bytes)
                took = {}
                ways = [("two", Payload.write), ("one", write_by_one_thread)]
                # In turns: whoever writes after the other finds the disk busy with its pages.
                for name, way in ways if number % 2 else reversed(ways):
                    os.sync()  # nor must what others left to be written be this one's burden
                    took[name] = rate(lambda w=way, p=payload, f=path: w(p, f), size_bytes)
                    path.unlink()
                two, one = took["two"], took["one"]
            written[directory].append(two)
            ratios[directory].append(two / one)
            bounds[directory].append(two / alone)
    emit("SHA-256 alone (the bound)", hashed, "GB/s")
    for directory in directories:
        aim = AIM if directory == directories[0] else None
        emit(f"payload written and hashed, {directory}", written[directory], "GB/s", aim)
        emit(f"payload against SHA-256 alone, {directory}", bounds[directory], "ratio")
        emit(f"payload against one thread, {directory}", ratios[directory], "ratio")


if __name__ == "__main__":
    main()
