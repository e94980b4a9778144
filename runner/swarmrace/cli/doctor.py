"""`swarmrace doctor`: what this machine can and can't do, and how to mend it.

A row is `missing` when no race at all can run without it, and `warn` when some scenarios can't be
raced or some figures are worse.
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
LEAST_MEMORY_BYTES = 1_000_000_000
LEAST_DISK_BYTES = 1_000_000_000
USUAL_OPEN_FILES = 4096
"""Enough for 32 peers of each of several entrants."""
WAKES = 200
START_LAG_SECONDS = 0.005
"""Aim for the start lag's 99th percentile."""
_STEADY_CLOCKS = ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page")
_STYLES = {"ok": "green", "warn": "yellow", "missing": "red"}

State = Literal["ok", "warn", "missing"]


class Row(Model):
    """One thing that was looked at."""

    name: str
    state: State
    found: str
    mend: str = ""
    """What to do; empty when nothing is to be done."""


def examine(*, fix: bool = False, work_dir: Path | None = None) -> list[Row]:
    """Look at everything and say how it is.

    Args:
        fix: remove what killed races left behind.
        work_dir: where payloads would lie; the system's temporary folder when absent.
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
    for head in ("", "what", "found", "how to mend"):
        table.add_column(head, overflow="fold")
    for row in rows:
        cells = (row.state, row.name, row.found, row.mend)
        table.add_row(*map(Text, cells), style=_STYLES[row.state])
    return table


def _python() -> Iterator[Row]:
    good = sys.version_info[:2] >= OLDEST_PYTHON
    wanted = ".".join(map(str, OLDEST_PYTHON))
    yield Row(
        name="python",
        state="ok" if good else "missing",
        found=machine.python_build(),
        mend="" if good else f"use Python {wanted} or newer",
    )


def _systems() -> Iterator[Row]:
    refused = namespaces.refusals()
    for kind in systems.names():
        name = f"system {kind}"
        try:
            spec = systems.load(kind)
            options = spec.options(kind=kind)
            missing = spec.check(options)
            if refused and (why := spec.network.own_source_address(options)):
                missing = [*missing, f"needs a network namespace for each peer: {why}", *refused]
        except SwarmraceError as error:
            yield Row(name=name, state="warn", found="not usable", mend=str(error))
            continue
        if missing:
            # a node's program comes from elsewhere; the packages come with the kind
            broken = set(spec.identity.packages) - machine.versions(spec.identity.packages).keys()
            state: State = "missing" if broken else "warn"
            found = "can't be raced here"
            yield Row(name=name, state=state, found=found, mend="; ".join(missing))
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
        mend="the cgroup's CPU quota throttles races; raise it" if limited else "",
    )
    available = available_memory_bytes()
    yield Row(
        name="memory",
        state="ok" if available >= LEAST_MEMORY_BYTES else "missing",
        found=f"{format_size(available)} available",
        mend=""
        if available >= LEAST_MEMORY_BYTES
        else "a small race needs 1 GB: end other programs",
    )
    kind, free = machine.filesystem_of(folder), shutil.disk_usage(folder).free
    in_memory = kind in ("tmpfs", "ramfs")
    mend = "payloads would lie in memory; give a folder on a disk by --work-dir" * in_memory
    if free < LEAST_DISK_BYTES:
        mend = "a small race needs 1 GB: make room or give another folder by --work-dir"
    yield Row(
        name="disk",
        state="missing" if free < LEAST_DISK_BYTES else "warn" if in_memory else "ok",
        found=f"{format_size(free)} free in {folder} ({kind})",
        mend=mend,
    )


def _limits() -> Iterator[Row]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = hard == resource.RLIM_INFINITY or hard >= USUAL_OPEN_FILES
    yield Row(
        name="open files",
        state="ok" if enough else "warn",
        found="not limited" if hard == resource.RLIM_INFINITY else str(hard),
        mend="" if enough else f"for large swarms: `ulimit -Hn {USUAL_OPEN_FILES}` as root",
    )


def _network() -> Iterator[Row]:
    refused = namespaces.refusals()
    yield Row(
        name="network namespaces",
        state="warn" if refused else "ok",
        found="not permitted" if refused else _permitted(),
        mend="; ".join(refused),
    )
    names = ("tbf", "netem", "ifb", "police")
    if refused:
        mend = "namespaces are needed to try it"
        for name in ("delay and loss", *(f"tc {name}" for name in names)):
            yield Row(name=name, state="warn", found="not known", mend=mend)
        return
    can = conditions.probe()
    yield _delay(can)
    for name in names:
        # police only stands in for ifb
        spare = name == "police" and not can["ifb"]
        yield Row(
            name=f"tc {name}",
            state="ok" if not can[name] or spare else "warn",
            found="missing" if can[name] else "works",
            mend="not needed: ifb works" if can[name] and spare else can[name],
        )


def _delay(can: dict[str, str]) -> Row:
    """Say what serves delay and loss on this machine; pods have netem or nothing."""
    by = "netem" if not can["netem"] else "" if can["relay"] else "a relay in user space"
    return Row(
        name="delay and loss",
        state="ok" if by else "warn",
        found=f"by {by}" if by else "not possible",
        mend="" if by else f"{can['netem']}; {can['relay']}",
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
        mend="" if steady else f"expected one of {', '.join(_STEADY_CLOCKS)}: stamps cost more",
    )
    lag = wake_lag_seconds()
    yield Row(
        name="start lag",
        state="ok" if lag <= START_LAG_SECONDS else "warn",
        found=f"99 of 100 wakes within {format_seconds(lag)}",
        mend=""
        if lag <= START_LAG_SECONDS
        else f"expected {format_seconds(START_LAG_SECONDS)}: end what else is running",
    )


def wake_lag_seconds(wakes: int = WAKES, clock: Clock | None = None) -> float:
    """Return how late a peer wakes for the start, the 99th percentile, in seconds.

    Args:
        wakes: how often it is tried.
        clock: this host's when absent.
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
            mend="" if path else "only for races on a cluster: install it and put it on PATH",
        )


def _leftovers(folder: Path, *, fix: bool) -> Iterator[Row]:
    found = leftovers.find(folder)
    if not found:
        yield Row(name="leftovers", state="ok", found="none of killed races")
        return
    for left in found:
        if fix:
            gone = leftovers.remove(left)
            yield Row(
                name="leftovers",
                state="ok" if gone else "warn",
                found=f"{left.describe()}: {'removed' if gone else 'could not be removed'}",
                mend="" if gone else f"remove {left.folder} as its owner",
            )
        else:
            mend = "`swarmrace doctor --fix` removes it"
            yield Row(name="leftovers", state="warn", found=left.describe(), mend=mend)
