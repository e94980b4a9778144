"""`swarmrace sweep --on kubernetes`: races each missing cell as a Helm release, one by one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from swarmrace.backends.kubernetes import cell_files, yaml_text
from swarmrace.backends.kubernetes.lease import Lease
from swarmrace.backends.kubernetes.release import HelmRelease
from swarmrace.backends.kubernetes.tools import Tools
from swarmrace.cli import verdict_command
from swarmrace.cli.display import make_console
from swarmrace.cli.sweep_request import make_request
from swarmrace.errors import (
    Exit,
    InfrastructureError,
    ResultsError,
    SwarmraceError,
    UnavailableError,
)
from swarmrace.host import infrastructure
from swarmrace.host.output import printable
from swarmrace.plan import checks, needs
from swarmrace.plan.plan import Cell, expand
from swarmrace.scenario import yaml_file
from swarmrace.scenario.scenario import Scenario
from swarmrace.sweep import book, pins, state, text
from swarmrace.sweep.parts import has_started_all
from swarmrace.sweep.pins import Pins
from swarmrace.sweep.start import Request, started
from swarmrace.sweep.state import SweepState

CHART_VARIABLE = "SWARMRACE_CHART"
_NO_TRIAL = {"name": "SWARMRACE_TRIAL", "value": "false"}
_LAST_FETCH_SECONDS = 30.0
_LOCK_PATIENCE_SECONDS = 120.0
"""How long to wait for the folder's lock: a killed step's pod may still be ending."""


def default_chart() -> str:
    """Return the chart to install: SWARMRACE_CHART, or the one in the checkout."""
    return os.environ.get(CHART_VARIABLE) or "charts/swarmrace"


def race_on_cluster(
    matrix: Path,
    folder: Path | None,
    cluster: Mapping[str, Any],
    limits: Mapping[str, Any],
    **options: Any,
) -> int:
    """Sweep a scenario file on a cluster.

    Args:
        matrix: the scenario file.
        folder: the sweep's folder; None for the default in `results`.
        cluster: `namespace`, `context`, `chart`, `values` (`race_there`).
        limits: fields of `SweepLimits`.
        options: further fields of `Request`.

    Returns and raises as `race_there`.
    """
    request = make_request(checks.load(matrix), matrix, folder, limits, options)
    given = {**cluster, "chart": cluster["chart"] or default_chart()}
    return race_there(request, matrix, **given)


def tidy_cluster(matrix: Path, cluster: Mapping[str, Any]) -> None:
    """Remove what a sweep's interrupted cell left on a cluster.

    Args:
        matrix: the scenario file.
        cluster: as for `race_on_cluster`.

    Raises:
        UnavailableError, InfrastructureError: as `Release.remove`.
    """
    name = release_name(printable(matrix.stem), checks.load(matrix))
    tidy(name, cluster["namespace"], cluster["context"])


def race_there(
    request: Request,
    file: Path,
    chart: str,
    values: tuple[Path, ...],
    namespace: str | None,
    context: str | None,
) -> int:
    """Race a sweep's missing cells on a cluster, and print its table.

    Args:
        request: the user's request.
        file: the scenario file, which may have the cluster's keys.
        chart: the umbrella chart.
        values: further values files.
        namespace: Kubernetes namespace; None for the context's own.
        context: kubeconfig context; None for the current one.

    Returns:
        the exit code, as `sweep_run.race_here`.

    Raises:
        UnavailableError: helm or kubectl is missing, or the chart refuses the values.
        InfrastructureError: the cluster can't be reached for a long time.
        SweepError, ResultsError: see `start.started`.
    """
    console = make_console(stderr=True)
    report = partial(console.print, soft_wrap=True)
    tools = Tools(namespace, context, report)
    release = HelmRelease(release_name(request.name, request.scenario), chart, values, tools)
    racer = ClusterRacer(request, file, release, console)
    work_dir = Path(tempfile.gettempdir())
    expect = needs.expected_seconds_on_cluster
    patience = _LOCK_PATIENCE_SECONDS
    with started(
        request, "kubernetes", work_dir, racer.first_pins, expect, console, patience
    ) as ready:
        lease = Lease(tools, release.name, _holder(request.folder), report)
        with lease.held() as raise_if_lost, _interruptible():
            racer.raise_if_lost = raise_if_lost
            try:
                code = ready.drive(racer)
            except KeyboardInterrupt:
                code = Exit.INTERRUPTED
            if not (request.cells and state.read(request.folder).missing):
                # Otherwise the next cell, which another start races, waits for the last pods.
                racer.finish()
    make_console().print(text.render(state.read(request.folder)))
    if code == Exit.INTERRUPTED:
        report("interrupted: the release is removed; start the sweep again to resume it")
    return code


def tidy(name: str, namespace: str | None, context: str | None) -> None:
    """Remove the release of a sweep's cell, if one is left.

    Args:
        name: name of the release (`release_name`).
        namespace: Kubernetes namespace; None for the context's own.
        context: kubeconfig context; None for the current one.

    Raises:
        UnavailableError, InfrastructureError: as `Release.remove`.
        SweepError: another driver runs the sweep.
    """
    report = partial(make_console(stderr=True).print, soft_wrap=True)
    tools = Tools(namespace, context, report)
    with Lease(tools, name, f"{socket.gethostname()}:tidy", report).held():
        HelmRelease(name, "", (), tools).remove()


def release_name(name: str, scenario: Scenario) -> str:
    """Return the name of a sweep's release: the same for all cells, so leftovers are found."""
    text = hashlib.sha256(str(book.raced_scenario(scenario)).encode()).hexdigest()[:8]
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:14].strip("-")
    return f"sweep-{stem}-{text}" if stem else f"sweep-{text}"


def _holder(folder: Path) -> str:
    """Return the identity of a driver: started again on this machine, it keeps its lease."""
    machine = ""
    with contextlib.suppress(OSError):
        machine = f" ({Path('/etc/machine-id').read_text()[:8]})"
    return f"{socket.gethostname()}:{folder.resolve()}{machine}"


@dataclass
class ClusterRacer:
    """Races cells as Helm releases."""

    request: Request
    file: Path
    release: HelmRelease
    console: Console
    raise_if_lost: Callable[[], None] = lambda: None
    """Raises if another driver has taken over the lease."""
    _first: Pins | None = None
    """What `first_pins` returned, until it is used."""

    def first_pins(self) -> Pins:
        """Return what `pins` returns, which then needn't render the chart again at once."""
        self._first = self.pins()
        return self._first

    def pins(self) -> Pins:
        """Return the images that the chart would run, and this program's versions."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        cell = next(iter(expand(self.request.scenario)))
        with self._values(cell) as file:
            images = self.release.images(file)
        return pins.kubernetes({n: images.get(n, "") for n in self.request.scenario.entrants})

    def disk_bytes(self, scenario: Scenario) -> int:
        """Return the disk space of a race's results; its payloads are on the cluster."""
        return needs.results_bytes(scenario)

    def race(self, cell: Cell, folder: Path, known: SweepState) -> int:
        """Install a release, wait for its verdict, fetch the results and uninstall it.

        Nothing is touched any more once another driver has taken over the lease.

        Raises:
            SweepError: it has.
        """
        if trouble := infrastructure.disk_trouble(self.request.folder):
            self._print(f"! not raced: {trouble}")
            return Exit.INFRASTRUCTURE
        installed, interrupted, why = False, False, ""
        try:
            self.raise_if_lost()
            self.release.remove()
            with self._values(cell, without_trials=has_started_all(known, cell.scenario)) as file:
                self.raise_if_lost()
                installed = True
                self.release.install(file)
            ended = self.release.await_verdict(self.raise_if_lost)
            self._print(f"verdict of {cell.name}: {ended}")
            self.raise_if_lost()
            self.release.fetch(folder)
        except KeyboardInterrupt:
            interrupted = True
        except (InfrastructureError, UnavailableError, ResultsError) as error:
            why = str(error)
            self._print(f"! {why}")
        self.raise_if_lost()
        if installed and (interrupted or why):
            with contextlib.suppress(SwarmraceError, KeyboardInterrupt):
                if not folder.exists():
                    self.release.fetch(folder, _LAST_FETCH_SECONDS)
        # Its pods end while the verdict is computed and the next cell's step starts. The next race
        # begins only once they are gone (`remove`).
        with ThreadPoolExecutor(1) as beside:
            removal = beside.submit(self._uninstall)
            stored = self._store(folder, why) if folder.exists() or not interrupted else False
            removal.result()
        if interrupted:
            return Exit.INTERRUPTED
        return Exit.OK if stored else Exit.INFRASTRUCTURE

    def finish(self) -> None:
        """Return once nothing of the last race is left on the cluster."""
        try:
            self.raise_if_lost()
            self.release.remove()
        except SwarmraceError as error:
            self._print(f"! the release may not be removed: {error}")

    def _uninstall(self) -> None:
        try:
            self.release.uninstall()
        except SwarmraceError as error:
            self._print(f"! the release may not be removed: {error}")

    def _store(self, folder: Path, why: str) -> bool:
        """Store the verdict on fetched results, or why there are none; return whether there are
        any."""
        try:
            if not (folder / "race.json").exists():
                folder.mkdir(parents=True, exist_ok=True)
                state.record_reason(folder, why)
                return False
            with contextlib.suppress(ValueError, ResultsError):
                verdict_command.store(folder)
        except OSError as error:
            self._print(f"! {folder}: can't be written: {error.strerror}")
        return (folder / "race.json").exists()

    def _print(self, line: str) -> None:
        self.console.print(line, soft_wrap=True)

    @contextlib.contextmanager
    def _values(self, cell: Cell, *, without_trials: bool = False) -> Iterator[Path]:
        data = yaml_file.read(self.file).data
        values = cell_files.cell_data(data, self.request.scenario, cell)
        if without_trials:
            tracker = values["tracker"] = values.get("tracker") or {}
            tracker["extraEnv"] = [*(tracker.get("extraEnv") or []), _NO_TRIAL]
        text = yaml_text.document(values)
        with tempfile.TemporaryDirectory(prefix="swarmrace-values-") as folder:
            path = Path(folder) / "cell.yaml"
            path.write_text(text, encoding="utf-8")
            yield path


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Make SIGTERM and SIGHUP interrupt like Ctrl-C."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
