"""How far each leecher's start is from the common instant, quiet and beside a load.

    python -m benchmarks.start_lag                     http, bittorrent, Codex double; 200 starts
    python -m benchmarks.start_lag --beside 2          beside 2 processes that each keep a core busy
    python -m benchmarks.start_lag --kind http --starts 400

Whole races by the whole program. Of each kind: median, p99 (nearest rank) and the latest start. A
start is early or late; what counts is how far it is from the instant. The Codex double is started
as a node would be; in a checkout it is found in images/codex-double.

Prints one JSON object a line: name, value, unit, spread (least to most), n, aim, met.
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
KINDS = ("http", "bittorrent", "codex")
_DOUBLE = Path(__file__).parents[1] / "images" / "codex-double"


def entrant(kind: str, folder: Path) -> dict[str, Any]:
    """Return the options of an entrant of `kind`; Codex is played by the double."""
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
    """Keep so many cores busy meanwhile."""
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
    """Race until there are `starts` and return each leecher's distance from the instant, in ms."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        race = {
            "swarmSize": LEECHERS + 1,
            "seeders": 1,
            "fileSize": "1MB",
            "repetitions": math.ceil(starts / LEECHERS),
        }
        made = parse({"global": {"race": race, "entrants": {kind: entrant(kind, folder)}}})
        local = LocalRace(made, "start-lag", folder, namespaces=kind == "codex")
        where = local.folder()
        asyncio.run(run(local, where, lambda status: None))
        return sorted(
            abs(peer.transfer.start_lag_seconds) * 1e3
            for record in results.load(where).runs
            for peer in record.peers.values()
            if peer.transfer is not None
        )


@click.command()
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), default=KINDS)
@click.option("--starts", default=200, show_default=True)
@click.option("--beside", default=0, show_default=True, help="Processes that keep a core busy.")
def main(kinds: tuple[str, ...], starts: int, beside: int) -> None:
    """Measure and print."""
    for kind in kinds:
        with busy(beside):
            found = lags(kind, starts)
        where = f"{kind}, beside {beside} busy processes" if beside else kind
        p99 = found[max(0, math.ceil(0.99 * len(found)) - 1)]
        for name, value, aim in (
            ("median", found[len(found) // 2], ""),
            ("p99", p99, f"<= {AIM_MILLISECONDS:g}"),
            ("most", found[-1], ""),
        ):
            line = {
                "name": f"{where}: start lag, {name}",
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
