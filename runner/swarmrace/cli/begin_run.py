"""The checks before an app-of-apps' first race, and the start of its sweeps' folders."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from swarmrace.backends.kubernetes import images, judge
from swarmrace.backends.kubernetes.pod_api import PodApi
from swarmrace.cli.display import make_console
from swarmrace.errors import Fault, ScenarioError, SweepError, UnavailableError
from swarmrace.model import Model
from swarmrace.plan import needs
from swarmrace.plan.plan import expand
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Scenario
from swarmrace.sweep import pins
from swarmrace.sweep.pins import Pins
from swarmrace.sweep.start import Request, started

HEALTH_KEY = "resource.customizations.health.argoproj.io_Application"
"""Key in Argo CD's ConfigMap (argo-cd.readthedocs.io, Resource Health)."""
HEALTH_MARK = "swarmrace/sweep"
"""Part of the health check that waits for a sweep's cells."""


class ListedCell(Model):
    """A cell as rendered by the chart."""

    id: str
    name: str
    attempt: int = 1
    values: dict[str, Any]
    """The release's merged values."""


class ListedSweep(Model):
    """A sweep as rendered by the chart."""

    name: str
    scenario: dict[str, Any]
    """The scenario file with its matrix, and the values that all races share."""
    cells: list[ListedCell]


class SweepListing(Model):
    """All sweeps, as passed by the chart."""

    sweeps: list[ListedSweep]


def read(file: Path) -> SweepListing:
    """Read the chart's ConfigMap."""
    return SweepListing.model_validate(json.loads(file.read_bytes()))


def run(
    listing: SweepListing,
    folder: Path,
    *,
    fill_secret: str | None = None,
    key: str = "token",
    health_check: str | None = None,
    api: PodApi | None = None,
) -> None:
    """Check every race, then begin or continue the sweeps' folders.

    Args:
        listing: all sweeps.
        folder: the claim's mount point.
        fill_secret: a Secret that gets a token if it has none.
        key: the token's key in the Secret.
        health_check: namespace and name of Argo CD's ConfigMap.
        api: the cluster's API; the pod's own by default.

    Raises:
        ScenarioError: races have faults; it lists all of them.
        SweepError: a folder belongs to another scenario or began with other versions, or the list
            of cells doesn't agree with the scenario.
        UnavailableError: sync waves would not wait, or the API refuses.
    """
    scenarios = {sweep.name: _checked(sweep) for sweep in listing.sweeps}
    if health_check:
        api = api or PodApi()
        require_health_check(api.config_map(*health_check.split("/", 1)), health_check)
    console = make_console(stderr=True)
    work_dir = Path(tempfile.gettempdir())
    expect = needs.expected_seconds_on_cluster
    for name, scenario in scenarios.items():
        request = Request(scenario, name, folder / name)
        find_pins = partial(_pins, scenario)
        with started(request, "argocd", work_dir, find_pins, expect, console):
            pass
    if fill_secret:
        api = api or PodApi()
        filled = api.fill_secret(fill_secret, key)
        console.print(f"secret {fill_secret}: {'token added' if filled else 'has a token already'}")


def require_health_check(data: dict[str, str], where: str) -> None:
    """Refuse to race if sync waves don't wait for Applications.

    Without the check, every cell's Application counts as healthy at once, and all cells would race
    at the same time.

    Args:
        data: the data of Argo CD's ConfigMap.
        where: its namespace and name.

    Raises:
        UnavailableError: the ConfigMap doesn't have the check.
    """
    if HEALTH_MARK not in data.get(HEALTH_KEY, ""):
        raise UnavailableError(
            f"ConfigMap {where}: found no health check for sweeps under {HEALTH_KEY}, expected the "
            "one in charts/app-of-apps/argocd; without it sync waves don't wait and all cells "
            "would race at once: add it (docs/sweeps.md), then sync again"
        )


def _checked(sweep: ListedSweep) -> Scenario:
    """Return a sweep's scenario after checking all of its races."""
    faults = list(_faults(sweep))
    if faults:
        raise ScenarioError(faults, f"sweep {sweep.name}")
    scenario = parse(sweep.scenario, f"sweep {sweep.name}")
    known = {cell.scenario.cell_id() for cell in expand(scenario)}
    for cell in sweep.cells:
        found = parse(cell.values, cell.name).cell_id()
        if found != cell.id or found not in known:
            raise SweepError(
                f"sweep {sweep.name}: cell {cell.name}: found {found}, expected {cell.id}, a cell "
                "of the sweep's scenario; write the list again (`swarmrace plan --format argocd`) "
                "instead of editing a cell's values"
            )
    return scenario


def _faults(sweep: ListedSweep) -> Iterator[Fault]:
    """Yield the faults of a sweep's cells, each with the cell's name."""
    for cell in sweep.cells:
        yield from (fault.below(cell.name) for fault in judge.faults_of(cell.values))


def _pins(scenario: Scenario) -> Pins:
    first = next(iter(expand(scenario))).scenario
    return pins.kubernetes(images.entrant_images(first))
