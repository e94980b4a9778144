"""`swarmrace sweep`: the command's options."""

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
    format_option,
    namespaces_option,
    watch_options,
    work_dir_option,
)
from swarmrace.cli.pod_options import SCENARIO_FILE


@click.command()
@click.argument("matrix", type=SCENARIO_FILE, required=False)
@click.option(
    "--folder",
    type=NewFolder(),
    help="The sweep's folder; an existing sweep is resumed.  [default: results/NAME-sweep]",
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
    help="Maximum number of further attempts after the infrastructure ended one.",
)
@click.option(
    "--budget", type=Duration(), help="Begin no cell that would end after this time: 8h, 90m."
)
@click.option(
    "--disk", type=Bytes(), help="Begin no cell if the sweep could then take more disk space."
)
@click.option(
    "--repetitions",
    type=click.IntRange(1, 1000),
    help="Add blocks to every cell, up to this total.",
)
@click.option("--cell", "cells", multiple=True, help="Race only this cell (name or id).")
@work_dir_option
@namespaces_option
@watch_options
@click.option(
    "--metrics", type=Listen(), help="Serve the sweep's metrics on HOST:PORT for Prometheus."
)
@click.option(
    "--push-url",
    envvar="SWARMRACE_SWEEP_PUSH_URL",
    help="Also push them to an address that accepts Prometheus' text.",
)
@click.option(
    "--on",
    type=click.Choice(["local", "kubernetes"]),
    default="local",
    show_default=True,
    help="Where to race: this machine, or each cell as a Helm release (needs helm and kubectl).",
)
@click.option(
    "-n", "--namespace", help="With --on kubernetes: the namespace.  [default: the context's]"
)
@click.option("--context", "context_", help="kubeconfig context.  [default: the current one]")
@click.option(
    "--chart", help="The umbrella chart.  [default: $SWARMRACE_CHART, or charts/swarmrace]"
)
@click.option(
    "--values",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Further values, as for `helm install -f`: the lab's image, nodes, resources.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["verdict", "incomplete"]),
    help="Exit with a code other than 0 also for verdicts, or only while cells are missing.  "
    "[default: verdict; with --status never]",
)
@click.option(
    "--tidy",
    is_flag=True,
    help="With --on kubernetes: only remove what an interrupted cell left on the cluster.",
)
@click.option(
    "--status",
    "status_of",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Only print the progress of the sweep in this folder, which may be running.",
)
@format_option("Format of --status.")
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
    watch_on: tuple[str, int] | None,
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
    """Race every cell of MATRIX, one after another. Run it again to race what is missing.

    The sweep's table goes to standard output, progress to standard error.
    """
    from swarmrace.cli import sweep_request, sweep_status

    if status_of is not None:
        sys.exit(sweep_status.print_status(status_of, fail_on, as_json=format_ == "json"))
    if matrix is None:
        raise click.UsageError("expected a MATRIX or --status FOLDER, found neither")
    options: dict[str, Any] = {"order": order, "seed": seed}
    options |= {"repetitions": repetitions, "cells": cells}
    options["metrics"] = sweep_request.make_metrics(metrics, push_url)
    limits = {"retries": retries, "budget_seconds": budget, "disk_bytes": disk}
    if tidy and on != "kubernetes":
        raise click.UsageError("--tidy needs --on kubernetes; on one machine there is no leftover")
    if on == "kubernetes" and watch_on is not None:
        raise click.UsageError(
            "--watch needs --on local; on a cluster each cell's tracker serves its own page "
            "(docs/live-page.md): kubectl port-forward svc/RELEASE-tracker 8080, then "
            "http://localhost:8080/live"
        )
    if on == "kubernetes":
        from swarmrace.cli import sweep_cluster

        cluster = {"namespace": namespace, "context": context_, "chart": chart, "values": values}
        if tidy:
            sweep_cluster.tidy_cluster(matrix, cluster)
            return
        code = sweep_cluster.race_on_cluster(matrix, folder, cluster, limits, **options)
    else:
        from swarmrace.cli import sweep_run

        places = (work_dir, namespaces, watch_on)
        code = sweep_run.race_file(matrix, folder, *places, limits, **options)
    sys.exit(sweep_status.apply_fail_on(code, fail_on or "verdict"))
