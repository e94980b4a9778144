"""`swarmrace sweep --on kubernetes`: each missing cell as a Helm release, one after another."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from swarmrace.backends.kubernetes import cell_files
from swarmrace.backends.kubernetes.lease import Lease
from swarmrace.backends.kubernetes.release import Release
from swarmrace.backends.kubernetes.tools import Tools
from swarmrace.cli import verdict_command
from swarmrace.cli.display import make_console
from swarmrace.errors import (
    Exit,
    InfrastructureError,
    ResultsError,
    SwarmraceError,
    UnavailableError,
)
from swarmrace.plan import needs
from swarmrace.plan.plan import Cell, expand
from swarmrace.results import manifest
from swarmrace.scenario.scenario import Scenario
from swarmrace.sweep import book, pins, state, text
from swarmrace.sweep.pins import Pins
from swarmrace.sweep.start import Request, started
from swarmrace.sweep.state import SweepState

CHART_VARIABLE = "SWARMRACE_CHART"
_CORES = 4.0
"""Of the machine that the plan's times are for: a guess, which cells that are done correct."""
_LAST_FETCH_SECONDS = 30.0


def default_chart() -> str:
    """Return the chart to install: SWARMRACE_CHART, or the checkout's."""
    return os.environ.get(CHART_VARIABLE) or "charts/swarmrace"


def race_there(
    request: Request,
    file: Path,
    chart: str,
    values: tuple[Path, ...],
    namespace: str | None,
    context: str | None,
) -> int:
    """Race what a sweep lacks, on a cluster, and print its table.

    Args:
        request: what is asked for.
        file: the scenario file, with the cluster's keys in it.
        chart: the umbrella chart.
        values: further values files.
        namespace: Kubernetes namespace; the context's own when absent.
        context: kubeconfig context; the current one when absent.

    Returns:
        as `sweep_run.race_here`.

    Raises:
        UnavailableError: no helm, no kubectl, or the chart refuses the values.
        InfrastructureError: the cluster can't be reached for long.
        SweepError, ResultsError: see `start.started`.
    """
    console = make_console(stderr=True)
    say = partial(console.print, soft_wrap=True)
    tools = Tools(namespace, context, say)
    release = Release(release_name(request.name, request.scenario), chart, values, tools)
    racer = ClusterRacer(request, file, release, console)

    def expect(scenario: Scenario) -> float:
        return needs.expected_seconds(scenario, _CORES)

    where = Path(tempfile.gettempdir())
    with started(request, "kubernetes", where, racer.pins, expect, console) as ready:
        holder = f"{socket.gethostname()}:{request.folder.resolve()}"
        with Lease(tools, release.name, holder, say).held() as still, _interruptible():
            racer.still = still
            try:
                code = ready.drive(racer)
            except KeyboardInterrupt:
                code = Exit.INTERRUPTED
    make_console().print(text.render(state.look(request.folder)))
    if code == Exit.INTERRUPTED:
        say("interrupted: the release is removed; start the sweep again to go on")
    return code


def tidy(name: str, namespace: str | None, context: str | None) -> None:
    """Remove the release of a sweep's cell, if one is left.

    Args:
        name: of the release (`release_name`).
        namespace: Kubernetes namespace; the context's own when absent.
        context: kubeconfig context; the current one when absent.

    Raises:
        UnavailableError, InfrastructureError: as `Release.remove`.
        SweepError: another driver goes on with the sweep.
    """
    say = partial(make_console(stderr=True).print, soft_wrap=True)
    tools = Tools(namespace, context, say)
    with Lease(tools, name, f"{socket.gethostname()}:tidy", say).held():
        Release(name, "", (), tools).remove()


def release_name(name: str, scenario: Scenario) -> str:
    """Return the name of a sweep's release: of one at a time, so what is left over is found."""
    text = hashlib.sha256(str(book.raced(scenario)).encode()).hexdigest()[:8]
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:14].strip("-")
    return f"sweep-{stem}-{text}" if stem else f"sweep-{text}"


@dataclass
class ClusterRacer:
    """Races cells as Helm releases."""

    request: Request
    file: Path
    release: Release
    console: Console
    still: Callable[[], None] = lambda: None
    """Raises when another driver has taken over."""

    def pins(self) -> Pins:
        """Return the images that the chart would run, and this program's versions."""
        cell = next(iter(expand(self.request.scenario)))
        with self._values(cell) as file:
            images = self.release.images(file)
        programs = {name: images.get(name, "") for name in self.request.scenario.entrants}
        return Pins(**pins.own(), backend="kubernetes", programs=programs)

    def disk_bytes(self, scenario: Scenario) -> int:
        """Return what a race's results take here; its payloads are on the cluster."""
        return needs.results_bytes(scenario)

    def race(self, cell: Cell, folder: Path, known: SweepState) -> int:
        """Install, wait for the verdict, fetch, uninstall."""
        interrupted, why = False, ""
        try:
            self.release.remove()
            with self._values(cell) as file:
                self.release.install(file)
            ended = self.release.await_verdict(self.still)
            self.console.print(f"verdict of {cell.name}: {ended}")
            self.release.fetch(folder)
        except KeyboardInterrupt:
            interrupted = True
        except (InfrastructureError, UnavailableError, ResultsError) as error:
            why = str(error)
            self.console.print(f"! {why}", soft_wrap=True)
        if interrupted or why:
            with contextlib.suppress(SwarmraceError, KeyboardInterrupt):
                if not folder.exists():
                    self.release.fetch(folder, _LAST_FETCH_SECONDS)
        try:
            self.release.remove()
        except SwarmraceError as error:
            self.console.print(f"! the release may be left over: {error}", soft_wrap=True)
        if interrupted and not folder.exists():
            return Exit.INTERRUPTED
        if not (folder / "race.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            state.note_why(folder, why)
            return Exit.INFRASTRUCTURE
        with contextlib.suppress(OSError, ValueError, ResultsError):
            verdict_command.leave(folder)
            manifest.extend(folder)
        return Exit.INTERRUPTED if interrupted else Exit.OK

    @contextlib.contextmanager
    def _values(self, cell: Cell) -> Iterator[Path]:
        text = cell_files.cell_values(self.file, self.request.scenario, cell)
        with tempfile.TemporaryDirectory(prefix="swarmrace-values-") as folder:
            path = Path(folder) / "cell.yaml"
            path.write_text(text, encoding="utf-8")
            yield path


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Have SIGTERM and SIGHUP interrupt as Ctrl-C does."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
