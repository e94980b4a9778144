"""Runs all benchmarks and prints one table; writes one JSON file on request.

    python -m benchmarks [NAME]... [--quick] [--output FILE]

Each module of this package with a `main` runs in its own process, one after another; its JSON
lines are collected. `--quick` gives each a small load, only to see that it works: those figures
mean nothing. A module that prints no figure or fails is shown as such and fails the command; so
does a missed aim, unless `--quick` is given.
"""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

import benchmarks
from swarmrace import systems
from swarmrace.host import machine

QUICK: dict[str, tuple[str, ...]] = {
    "a_a": ("--races", "1", "--size", "1MB"),
    "live_page": ("--peers", "8", "--watchers", "2", "--seconds", "1", "--rounds", "1"),
    "payload": ("--size", "50MB", "--runs", "1"),
    "instrument": ("--size", "2MB", "--seconds", "0.2", "--runs", "1"),
    "bittorrent_lag": ("--runs", "1", "--size", "32MiB"),
    "bittorrent_throughput": ("--pairs", "1", "--size", "32MiB"),
    "coverage": ("--replicates", "1000"),
    "recording_cost": ("--case", "tuned, 0 ms", "--pairs", "1", "--size", "2MB"),
    "relay": ("--delay", "20", "--mbit", "20"),
    "rendezvous": ("--peers", "100", "--runs", "1"),
    "start_lag": ("--kind", "http", "--starts", "5"),
    "stopping": ("--replicates", "5000"),
    "stream_reader": ("--size", "20MB", "--rounds", "1"),
    "scrape": ("--size", "32MiB", "--scrapes", "2"),
    "report": ("--repetitions", "1", "--sizes", "1MB", "--records", "100"),
    "verify": ("--transfers", "20", "--runs", "1"),
    "witness": ("--runs", "1", "--size", "2MB", "--case", "100 MB, no limit"),
    "sweep_overhead": ("--peers", "2"),
    "swarm": ("--swarm", "4:1", "--size", "5MB", "--repetitions", "1"),
}
"""Arguments of a quick run; a module not listed here runs with its defaults."""
_NO_BENCHMARK = ("__main__", "all", "transmission_start")
_DEFAULTS = {"spread": "", "n": 1, "aim": "", "met": True}


def modules() -> list[str]:
    """Return the names of all benchmark modules."""
    found = [info.name for info in pkgutil.iter_modules(benchmarks.__path__)]
    return sorted(
        name
        for name in found
        if name not in _NO_BENCHMARK and "def main(" in _source(name).read_text()
    )


def run(name: str, arguments: tuple[str, ...] = ()) -> dict[str, Any]:
    """Run one module; return its figures, its duration, and its error, if any."""
    began = time.monotonic()
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    process = subprocess.Popen(
        command, cwd=_source(name).parents[1], stdout=subprocess.PIPE, text=True
    )
    figures = []
    assert process.stdout is not None
    for line in process.stdout:
        try:
            figures.append(figure_of(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            click.echo(line, err=True, nl=False)
    code = process.wait()
    error = f"exited with {code}" if code else "" if figures else "printed no figure"
    return {
        "module": name,
        "arguments": list(arguments),
        "seconds": round(time.monotonic() - began, 1),
        "error": error,
        "figures": figures,
    }


def figure_of(line: dict[str, Any]) -> dict[str, Any]:
    """Return a figure with all its fields; a figure without an aim counts as met.

    Raises:
        KeyError: name, value or unit is missing.
    """
    given = {key: value for key, value in line.items() if value is not None}
    return {key: given[key] for key in ("name", "value", "unit")} | {
        key: given.get(key, default) for key, default in _DEFAULTS.items()
    }


def table(results: list[dict[str, Any]]) -> Table:
    """Return the figures as a table for the terminal."""
    shown = Table("benchmark", "figure", "value", "spread", "n", "aim", "met")
    for result in results:
        if result["error"]:
            shown.add_row(result["module"], f"[red]{result['error']}[/red]")
        for figure in result["figures"]:
            met = "" if not figure["aim"] else "yes" if figure["met"] else "[red]no[/red]"
            value = f"{figure['value']:g} {figure['unit']}".strip()
            spread = figure["spread"]
            spread = spread if isinstance(spread, str) else f"{spread:g}"
            row = (figure["name"], value, spread, str(figure["n"]), str(figure["aim"]), met)
            shown.add_row(result["module"], *row)
    return shown


@click.command()
@click.argument("names", nargs=-1)
@click.option("--quick", is_flag=True, help="Use a small load: only shows that they work.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the figures as JSON.",
)
def main(names: tuple[str, ...], quick: bool, output: Path | None) -> None:
    """Run the named benchmarks (default: all) and print one table."""
    known = modules()
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise click.UsageError(f"found {', '.join(unknown)}, expected any of {', '.join(known)}")
    results = []
    for name in names or known:
        arguments = QUICK.get(name, ()) if quick else ()
        click.echo(" ".join((name, *arguments, "…")), err=True)
        results.append(run(name, arguments))
    here = {**machine.machine(), "versions": machine.versions(systems.packages(systems.names()))}
    Console(width=None if sys.stdout.isatty() else 160).print(table(results))
    if output is not None:
        report = {"machine": here, "quick": quick, "benchmarks": results}
        output.write_text(json.dumps(report, indent=2) + "\n")
    missed = [f["name"] for r in results for f in r["figures"] if not f["met"]]
    if any(result["error"] for result in results) or (missed and not quick):
        sys.exit(1)


def _source(name: str) -> Path:
    return Path(benchmarks.__path__[0]).resolve() / f"{name}.py"


if __name__ == "__main__":
    main()
