"""How far each leecher's start is from the common instant, on a quiet or a busy machine.

    python -m benchmarks.start_lag                     200 starts of each kind
    python -m benchmarks.start_lag --beside 2          beside 2 processes that each keep a core busy
    python -m benchmarks.start_lag --kind http --starts 400
    python -m benchmarks.start_lag --kind codex --starts 100 --keep F     in pieces: F keeps all

Races by the whole program. For each kind: median, p99 (nearest rank) and maximum of the start lag.
A start may be early or late; the lag is its distance from the instant. Codex is the double from
images/codex-double of the checkout, which runs like a real node, `exec` is tcp_copy.py from
examples/systems; IPFS and Transmission need their programs (`make systems`).

Prints one JSON object per line: name, value, unit, spread (minimum to maximum), n, aim, met.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from swarmrace.backends.local.backend import LocalRace, run
from swarmrace.results import folder as results
from swarmrace.scenario.loading import parse

LEECHERS = 5
AIM_MILLISECONDS = 5.0
KINDS = ("http", "bittorrent", "codex", "exec", "ipfs", "transmission")
_ROOT = Path(__file__).parents[1]
_DOUBLE = _ROOT / "images" / "codex-double"
_COPY = _ROOT / "examples" / "systems" / "tcp_copy.py"


def entrant(kind: str, folder: Path) -> dict[str, Any]:
    """Return the options of an entrant of `kind`; Codex is the double."""
    if kind == "exec":
        return {"kind": kind, "command": [sys.executable, str(_COPY)], "inOrder": True}
    if kind in ("ipfs", "transmission"):
        return {"kind": kind}
    if kind != "codex":
        return {"kind": kind, "profile": "tuned"}
    sys.path.insert(0, str(_DOUBLE))
    from codex_double.testing import program

    node = program(folder / "double", discovery_bind="announced")
    return {"kind": kind, "program": str(node)}


def _burn() -> None:
    while True:
        pass


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep this many cores busy inside the context."""
    started = [multiprocessing.Process(target=_burn, daemon=True) for _ in range(processes)]
    for process in started:
        process.start()
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.join()


def lags(kind: str, starts: int) -> list[float]:
    """Race until there are `starts`; return the leechers' start lags in ms, ascending."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        race = {
            "swarmSize": LEECHERS + 1,
            "seeders": 1,
            "fileSize": "1MB",
            "repetitions": math.ceil(starts / LEECHERS),
        }
        made = parse({"global": {"race": race, "entrants": {kind: entrant(kind, folder)}}})
        local = LocalRace(made, "start-lag", folder, namespaces=kind in ("codex", "ipfs"))
        results_folder = local.folder()
        asyncio.run(run(local, results_folder, lambda status: None))
        return sorted(
            abs(peer.transfer.start_lag_seconds) * 1e3
            for record in results.load(results_folder).runs
            for peer in record.peers.values()
            if peer.transfer is not None
        )


def _kept(file: Path, label: str, found: list[float]) -> list[float]:
    """Append these lags to `file`; return all that it has under `label`, ascending."""
    with file.open("a") as kept:
        kept.write(json.dumps({"of": label, "milliseconds": found}) + "\n")
    pieces = [json.loads(line) for line in file.read_text().splitlines()]
    return sorted(
        each for piece in pieces if piece["of"] == label for each in piece["milliseconds"]
    )


@click.command()
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), default=KINDS)
@click.option("--starts", default=200, show_default=True)
@click.option("--beside", default=0, show_default=True, help="Processes that keep a core busy.")
@click.option(
    "--keep", type=click.Path(path_type=Path, dir_okay=False), help="Add to the lags in this file."
)
def main(kinds: tuple[str, ...], starts: int, beside: int, keep: Path | None) -> None:
    """Measure and print the start lags."""
    for kind in kinds:
        with busy(beside):
            found = lags(kind, starts)
        label = f"{kind}, beside {beside} busy processes" if beside else kind
        if keep is not None:
            found = _kept(keep, label, found)
        p99 = found[max(0, math.ceil(0.99 * len(found)) - 1)]
        for name, value, aim in (
            ("median", found[len(found) // 2], ""),
            ("p99", p99, f"<= {AIM_MILLISECONDS:g}"),
            ("maximum", found[-1], ""),
        ):
            line = {
                "name": f"{label}: start lag, {name}",
                "value": round(value, 3),
                "unit": "ms",
                "spread": f"{found[0]:.3g} to {found[-1]:.3g}",
                "n": len(found),
                "aim": aim,
                "met": not aim or value <= AIM_MILLISECONDS,
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
