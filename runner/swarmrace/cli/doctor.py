"""`swarmrace doctor`: what this machine can and can't do, and how to fix it.

A check is `missing` if no race can run without it, and `warn` if some scenarios can't be raced or
some figures are less accurate.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from rich.table import Table
from rich.text import Text

from swarmrace import systems
from swarmrace.clock import Clock, SystemClock
from swarmrace.errors import SwarmraceError
from swarmrace.host import leftovers, machine
from swarmrace.model import Model
from swarmrace.network import conditions, namespaces
from swarmrace.plan.checks import available_memory_bytes
from swarmrace.units import format_seconds, format_size

OLDEST_PYTHON = (3, 11)
MIN_MEMORY_BYTES = 1_000_000_000
MIN_DISK_BYTES = 1_000_000_000
USUAL_OPEN_FILES = 4096
"""Enough for several entrants with 32 peers each."""
WAKES = 200
MAX_START_LAG_SECONDS = 0.005
"""Acceptable 99th percentile of the start lag."""
_STEADY_CLOCKS = ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page")
_STYLES = {"ok": "green", "warn": "yellow", "missing": "red"}

State = Literal["ok", "warn", "missing"]


class Row(Model):
    """The result of one check."""

    name: str
    state: State
    found: str
    fix: str = ""
    """What to do; empty if nothing needs to be done."""


def examine(*, fix: bool = False, work_dir: Path | None = None) -> list[Row]:
    """Run all checks and return their results.

    Args:
        fix: remove what killed races left behind.
        work_dir: the folder for payloads; None for the system's temporary folder.
    """
    folder = work_dir or Path(tempfile.gettempdir())
    parts: list[Callable[[], Iterator[Row]]] = [
        _python,
        _systems,
        lambda: _room(folder),
        _limits,
        _network,
        _clock,
        _cluster_tools,
        lambda: _leftovers(folder, fix=fix),
    ]
    return [row for part in parts for row in part()]


def render(rows: list[Row]) -> Table:
    """Return the rows as a table for a terminal."""
    table = Table(header_style="bold", show_lines=False)
    for head in ("", "check", "found", "how to fix it"):
        table.add_column(head, overflow="fold")
    for row in rows:
        cells = (row.state, row.name, row.found, row.fix)
        table.add_row(*map(Text, cells), style=_STYLES[row.state])
    return table


def _python() -> Iterator[Row]:
    good = sys.version_info[:2] >= OLDEST_PYTHON
    wanted = ".".join(map(str, OLDEST_PYTHON))
    yield Row(
        name="python",
        state="ok" if good else "missing",
        found=machine.python_build(),
        fix="" if good else f"use Python {wanted} or newer",
    )


def _systems() -> Iterator[Row]:
    refused = namespaces.refusals()
    for kind in systems.names():
        name = f"system {kind}"
        try:
            spec = systems.load(kind)
            fields = spec.options.model_fields.items()
            needed = [option for option, field in fields if field.is_required()]
            if needed:
                found = f"installed; a scenario gives its {', '.join(needed)}"
                yield Row(name=name, state="ok", found=found)
                continue
            options = spec.options(kind=kind)
            missing = spec.check(options)
            if refused and (why := spec.network.own_source_address(options)):
                missing = [*missing, f"needs a network namespace for each peer: {why}", *refused]
        except SwarmraceError as error:
            yield Row(name=name, state="warn", found="not usable", fix=str(error))
            continue
        if missing:
            # A kind's packages are installed with it, but a node's program isn't.
            broken = set(spec.identity.packages) - machine.versions(spec.identity.packages).keys()
            state: State = "missing" if broken else "warn"
            found = "can't be raced here"
            yield Row(name=name, state=state, found=found, fix="; ".join(missing))
        else:
            yield Row(name=name, state="ok", found=spec.identity.version(options) or "installed")


def _room(folder: Path) -> Iterator[Row]:
    cores = len(os.sched_getaffinity(0))
    quota = machine.cpu_limit_cores()
    limited = quota is not None and quota < cores
    yield Row(
        name="processors",
        state="warn" if limited or cores < 2 else "ok",
        found=f"{cores} ({machine.cpu_model()}){f', limited to {quota:g}' if limited else ''}",
        fix="the cgroup's CPU quota throttles races; raise it" if limited else "",
    )
    available = available_memory_bytes()
    yield Row(
        name="memory",
        state="ok" if available >= MIN_MEMORY_BYTES else "missing",
        found=f"{format_size(available)} available",
        fix="" if available >= MIN_MEMORY_BYTES else "a small race needs 1 GB: end other programs",
    )
    kind, free = machine.filesystem_of(folder), shutil.disk_usage(folder).free
    in_memory = kind in ("tmpfs", "ramfs")
    remedy = "payloads would be in memory; give a folder on a disk with --work-dir" * in_memory
    if free < MIN_DISK_BYTES:
        remedy = "a small race needs 1 GB: make room or give another folder with --work-dir"
    yield Row(
        name="disk",
        state="missing" if free < MIN_DISK_BYTES else "warn" if in_memory else "ok",
        found=f"{format_size(free)} free in {folder} ({kind})",
        fix=remedy,
    )


def _limits() -> Iterator[Row]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = hard == resource.RLIM_INFINITY or hard >= USUAL_OPEN_FILES
    yield Row(
        name="open files",
        state="ok" if enough else "warn",
        found="not limited" if hard == resource.RLIM_INFINITY else str(hard),
        fix="" if enough else f"for large swarms: `ulimit -Hn {USUAL_OPEN_FILES}` as root",
    )


def _network() -> Iterator[Row]:
    refused = namespaces.refusals()
    yield Row(
        name="network namespaces",
        state="warn" if refused else "ok",
        found="not permitted" if refused else _permitted(),
        fix="; ".join(refused),
    )
    names = ("tbf", "netem", "ifb", "police")
    if refused:
        remedy = "checking it needs network namespaces"
        for name in ("delay and loss", *(f"tc {name}" for name in names)):
            yield Row(name=name, state="warn", found="not known", fix=remedy)
        return
    can = conditions.probe()
    yield _delay(can)
    for name in names:
        # police is only needed if ifb is missing
        spare = name == "police" and not can["ifb"]
        yield Row(
            name=f"tc {name}",
            state="ok" if not can[name] or spare else "warn",
            found="missing" if can[name] else "works",
            fix="not needed: ifb works" if can[name] and spare else can[name],
        )


def _delay(can: dict[str, str]) -> Row:
    """Return the check of delay and loss on this machine. (Pods can only use netem.)"""
    means = "netem" if not can["netem"] else "" if can["relay"] else "a relay in user space"
    return Row(
        name="delay and loss",
        state="ok" if means else "warn",
        found=f"by {means}" if means else "not possible",
        fix="" if means else f"{can['netem']}; {can['relay']}",
    )


def _permitted() -> str:
    return "permitted" if namespaces.permitted_here() else "permitted, in a user namespace"


def _clock() -> Iterator[Row]:
    source = machine.clock_source()
    steady = source in _STEADY_CLOCKS
    yield Row(
        name="clock source",
        state="ok" if steady else "warn",
        found=source or "not known",
        fix=""
        if steady
        else f"use one of {', '.join(_STEADY_CLOCKS)}: other clocks make time stamps slower",
    )
    lag = wake_lag_seconds()
    yield Row(
        name="start lag",
        state="ok" if lag <= MAX_START_LAG_SECONDS else "warn",
        found=f"99 of 100 wakes within {format_seconds(lag)}",
        fix=""
        if lag <= MAX_START_LAG_SECONDS
        else f"expected {format_seconds(MAX_START_LAG_SECONDS)}: end other programs",
    )


def wake_lag_seconds(wakes: int = WAKES, clock: Clock | None = None) -> float:
    """Return the 99th percentile of how late a peer wakes for the start, in seconds.

    Args:
        wakes: number of samples.
        clock: the clock to sleep on; None for this host's.
    """
    clock = clock or SystemClock()

    async def lags() -> list[int]:
        found = []
        for _ in range(wakes):
            instant_ns = clock.now_ns() + 2_500_000
            await clock.sleep_until(instant_ns)
            found.append(clock.now_ns() - instant_ns)
        return sorted(found)

    found = asyncio.run(lags())
    return max(0, found[min(len(found) - 1, round(0.99 * len(found)))]) / 1e9


def _cluster_tools() -> Iterator[Row]:
    for name in ("helm", "kubectl"):
        path = shutil.which(name)
        yield Row(
            name=name,
            state="ok" if path else "warn",
            found=path or "not found",
            fix="" if path else "only for races on a cluster: install it and put it on PATH",
        )


def _leftovers(folder: Path, *, fix: bool) -> Iterator[Row]:
    found = leftovers.find(folder)
    if not found:
        yield Row(name="leftovers", state="ok", found="none of killed races")
        return
    for left in found:
        if fix:
            removed = leftovers.remove(left)
            yield Row(
                name="leftovers",
                state="ok" if removed else "warn",
                found=f"{left.describe()}: {'removed' if removed else 'could not be removed'}",
                fix="" if removed else f"remove {left.folder} as its owner",
            )
        else:
            remedy = "`swarmrace doctor --fix` removes it"
            yield Row(name="leftovers", state="warn", found=left.describe(), fix=remedy)
