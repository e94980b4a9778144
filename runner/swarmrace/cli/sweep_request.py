"""What `swarmrace sweep` requests, wherever it races."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swarmrace.host.output import printable
from swarmrace.scenario.scenario import Scenario
from swarmrace.sweep.driver import SweepLimits
from swarmrace.sweep.start import Request, default_folder
from swarmrace.sweep.watching import SweepMetrics

RESULTS = Path("results")
"""Folder in which a sweep's folder is created by default."""


def make_request(
    scenario: Scenario,
    matrix: Path,
    folder: Path | None,
    limits: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Request:
    """Return the request for a scenario file's sweep; the file's name is the sweep's.

    Args:
        scenario: the scenario read from the file.
        matrix: the scenario file.
        folder: the sweep's folder; None for the default in `results`.
        limits: fields of `SweepLimits`.
        options: further fields of `Request`.
    """
    name = printable(matrix.stem)
    sweep_folder = folder or default_folder(RESULTS, name, scenario.race.attempt)
    return Request(scenario, name, sweep_folder, limits=SweepLimits(**limits), **options)


def make_metrics(listen: tuple[str, int] | None, push_url: str | None) -> SweepMetrics:
    """Return a sweep's metrics, served at `listen` and pushed to `push_url` if given.

    Raises:
        UnavailableError: it can't listen on the address.
    """
    metrics = SweepMetrics(push_url)
    if listen is not None:
        metrics.serve(*listen)
    return metrics
