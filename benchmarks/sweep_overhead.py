"""Wall time of a sweep's cells beyond their runs, by swarm size.

    python -m benchmarks.sweep_overhead                  2, 8, 16 and 32 peers, three cells of each
    python -m benchmarks.sweep_overhead --peers 32       only 32 peers

A cell lasts from the line that announces it to the line that announces the next, so what the sweep
does between two cells counts too. The first cell, which alone has trials, is listed apart. The CPU
time is that of all processes of the sweep, runs included.
"""

from __future__ import annotations

import itertools
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil
import yaml

from benchmarks.swarm import emit
from swarmrace.sweep import state

AIM_SECONDS = 2.0
_BEGIN = re.compile(r"cell (\S+): \d+ of \d+ cells done; ")
_SIZES = ("1MB", "2MB", "4MB")


@dataclass(frozen=True, slots=True)
class Mark:
    """One moment of a sweep."""

    cell: str
    """The cell that begins then; empty at the end."""
    at: float
    cpu_seconds: float
    """CPU time of all processes so far."""


def scenario(peers: tuple[int, ...]) -> dict[str, Any]:
    """Return a matrix with three small cells for each number of peers."""
    race = {
        "repetitions": 1,
        "matrix": {"swarmSize": list(peers), "seeders": [1], "fileSize": list(_SIZES)},
    }
    entrants = {
        "bittorrent": {"kind": "bittorrent", "profile": "tuned"},
        "http": {"kind": "http", "profile": "stock"},
    }
    return {"global": {"race": race, "entrants": entrants}}


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of a process and all below it, with those it has waited for."""
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        try:
            total += sum(each.cpu_times()[:4])
        except psutil.Error:
            continue
    return total


def sweep(file: Path, folder: Path) -> list[Mark]:
    """Sweep a matrix by the command line; return when each cell began, and the end of the last."""
    program = Path(sys.executable).with_name("swarmrace")
    command = [str(program), "sweep", str(file), "--folder", str(folder)]
    marks: list[Mark] = []
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        family, last = psutil.Process(process.pid), ""
        for line in process.stderr:
            if begin := _BEGIN.match(line):
                last = begin[1]
            elif not line.startswith(f"cell {last}: done in "):
                continue
            mark = Mark(begin[1] if begin else "", time.monotonic(), cpu_seconds(family))
            if marks and not marks[-1].cell:
                marks.pop()  # only the end of the last cell is of use
            marks.append(mark)
    if process.returncode:
        raise click.ClickException(f"{' '.join(command)}: exit code {process.returncode}")
    return marks


@click.command()
@click.option(
    "--peers",
    multiple=True,
    type=click.IntRange(2),
    default=(2, 8, 16, 32),
    show_default=True,
    help="Peers of each entrant; repeatable.",
)
def main(peers: tuple[int, ...]) -> None:
    """Sweep small cells on this machine and print what they take beyond their runs."""
    with tempfile.TemporaryDirectory() as temporary:
        file, folder = Path(temporary) / "small.yaml", Path(temporary) / "sweep"
        file.write_text(yaml.safe_dump(scenario(peers)))
        marks = sweep(file, folder)
        runs = {cell.cell.name: cell for cell in state.read(folder).cells}
    beyond: dict[int, list[float]] = {}
    cpu: dict[int, list[float]] = {}
    for number, (mark, then) in enumerate(itertools.pairwise(marks)):
        cell = runs[mark.cell]
        seconds = sum(part.counted.run_seconds for part in cell.parts if part.counted)
        size = int(mark.cell.partition("x")[0])
        if number == 0:
            _print(f"first cell, {size} peers", [then.at - mark.at - seconds], "")
            continue
        beyond.setdefault(size, []).append(then.at - mark.at - seconds)
        cpu.setdefault(size, []).append(then.cpu_seconds - mark.cpu_seconds)
    for size in sorted(beyond):
        _print(f"{size} peers of 2 entrants", beyond[size], f"<= {AIM_SECONDS:g}")
        middle = statistics.median(cpu[size])
        name = f"{size} peers of 2 entrants: CPU per peer, runs included"
        emit(name, middle / size / 2 * 1e3, "ms", len(cpu[size]), "", "", True)


def _print(name: str, values: list[float], aim: str) -> None:
    middle = statistics.median(values)
    spread = f"{min(values):.3g} to {max(values):.3g}"
    met = not aim or middle <= AIM_SECONDS
    emit(f"{name}: a cell beyond its runs", middle, "s", len(values), spread, aim, met)


if __name__ == "__main__":
    main()
