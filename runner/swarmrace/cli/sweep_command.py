"""`swarmrace sweep`: what the command line takes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from swarmrace.cli.parameters import (
    Bytes,
    Duration,
    Listen,
    NewFolder,
    namespaces_option,
    work_dir_option,
)
from swarmrace.cli.pod_options import SCENARIO_FILE


@click.command()
@click.argument("matrix", type=SCENARIO_FILE, required=False)
@click.option(
    "--folder",
    type=NewFolder(),
    help="The sweep's folder; one that is there is gone on with.  [default: results/NAME-sweep]",
)
@click.option(
    "--order",
    type=click.Choice(["shuffled", "cheapest-first"]),
    help="Order of the cells in a new sweep.  [default: shuffled]",
)
@click.option(
    "--seed", type=click.IntRange(0), help="Seed of that order.  [default: the scenario's]"
)
@click.option(
    "--retries",
    type=click.IntRange(0),
    default=2,
    show_default=True,
    help="Further attempts when the infrastructure ended one.",
)
@click.option("--budget", type=Duration(), help="Begin no cell that would end later: 8h, 90m.")
@click.option("--disk", type=Bytes(), help="Begin no cell with which the sweep would take more.")
@click.option(
    "--repetitions",
    type=click.IntRange(1, 1000),
    help="Add blocks to every cell up to so many in total.",
)
@click.option("--cell", "cells", multiple=True, help="Race only this cell (name or id).")
@work_dir_option
@namespaces_option
@click.option(
    "--metrics", type=Listen(), help="Serve the sweep's metrics on HOST:PORT for Prometheus."
)
@click.option("--push-url", help="Push them, too: an address that takes Prometheus' text.")
@click.option(
    "--on",
    type=click.Choice(["local", "kubernetes"]),
    default="local",
    show_default=True,
    help="Where to race: this machine, or each cell as a Helm release (needs helm and kubectl).",
)
@click.option("-n", "--namespace", help="With --on kubernetes.  [default: the context's]")
@click.option("--context", "context_", help="kubeconfig context.  [default: the current one]")
@click.option(
    "--chart", help="The umbrella chart.  [default: $SWARMRACE_CHART, or charts/swarmrace]"
)
@click.option(
    "--values",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Further values, as `helm install -f`: the lab's image, nodes, resources.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["verdict", "incomplete"]),
    help="When to exit with another code than 0: also for verdicts, or only while cells are "
    "missing.  [default: verdict; with --status never]",
)
@click.option(
    "--tidy",
    is_flag=True,
    help="With --on kubernetes: only remove what an interrupted cell left in the cluster.",
)
@click.option(
    "--status",
    "status_of",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Only print how far the sweep in this folder is; it may be running.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Of --status.",
)
def sweep(
    matrix: Path | None,
    folder: Path | None,
    order: str | None,
    seed: int | None,
    retries: int,
    budget: float | None,
    disk: int | None,
    repetitions: int | None,
    cells: tuple[str, ...],
    work_dir: Path | None,
    namespaces: bool | None,
    metrics: tuple[str, int] | None,
    push_url: str | None,
    on: str,
    namespace: str | None,
    context_: str | None,
    chart: str | None,
    values: tuple[Path, ...],
    fail_on: str | None,
    tidy: bool,
    status_of: Path | None,
    format_: str,
) -> None:
    """Race every cell of MATRIX, one after another; started again, only what is missing.

    Standard output gets the sweep's table, standard error the progress.
    """
    from swarmrace.cli import sweep_run

    if status_of is not None:
        sys.exit(sweep_run.print_status(status_of, fail_on, as_json=format_ == "json"))
    if matrix is None:
        raise click.UsageError("give a MATRIX to race, or --status FOLDER")
    options: dict[str, Any] = {"order": order, "seed": seed}
    options |= {"repetitions": repetitions, "cells": cells}
    options["metrics"] = sweep_run.exported(metrics, push_url)
    limits = {"retries": retries, "budget_seconds": budget, "disk_bytes": disk}
    if tidy and on != "kubernetes":
        raise click.UsageError("--tidy needs --on kubernetes; on one machine nothing is left over")
    if on == "kubernetes":
        cluster = {"namespace": namespace, "context": context_, "chart": chart, "values": values}
        if tidy:
            sweep_run.tidy_cluster(matrix, cluster)
            return
        code = sweep_run.race_on_cluster(matrix, folder, cluster, limits, **options)
    else:
        code = sweep_run.race_file(matrix, folder, work_dir, namespaces, limits, **options)
    sys.exit(sweep_run.judged(code, fail_on or "verdict"))
