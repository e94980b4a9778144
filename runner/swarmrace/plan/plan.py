"""`swarmrace plan`: what a scenario would take, cell by cell."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from swarmrace.errors import ConditionError
from swarmrace.model import Model
from swarmrace.network import bounds, conditions
from swarmrace.plan import needs
from swarmrace.scenario.scenario import QUEUE_MILLISECONDS, Network, Scenario
from swarmrace.units import canonical_size, format_link_rate, format_seconds, format_size

CLUSTER_PODS = 2
"""The tracker's and the verdict's, besides the peers."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of the matrix's axes, as a scenario that can be raced separately."""

    name: str
    """`8x2-100MB`: swarm size, seeders, file size; with several networks, the network's number."""
    scenario: Scenario
    """The cell's scenario, without a matrix."""


class CellPlan(Model):
    """What one cell takes."""

    name: str
    swarm_size: int
    seeders: int
    file_size_bytes: int
    network: str
    """Human-readable network conditions; empty if there are none."""
    repetitions: int
    runs: int
    moved_bytes: int
    """Payload bytes that leechers receive in all runs."""
    disk_bytes: int
    """Maximum disk space at one time, on one machine."""
    memory_bytes: int
    """Memory of all processes, on one machine."""
    pods: int
    """Pods on a cluster: peers of all entrants, tracker and verdict."""
    expected_seconds: float
    """An estimate; `Plan.assumptions` has its conditions."""
    race_id: str
    """The race id of its results. A cluster also records a hash of the release."""
    cell_id: str
    """Its id in a sweep (`Scenario.cell_id`), the same in every attempt."""


class Plan(Model):
    """What a scenario takes, by cell and in total."""

    race_id: str | None
    """Race id of the only cell; null if there are several, each with its own."""
    entrants: dict[str, str]
    """Kind and profile by entrant name."""
    cells: list[CellPlan]
    runs: int
    moved_bytes: int
    disk_bytes: int
    """Maximum disk space at one time, including the results of earlier cells."""
    memory_bytes: int
    """Memory of the largest cell, because cells are raced one after another."""
    pods: int
    """Pods of the largest cell."""
    expected_seconds: float
    warnings: list[str]
    """Probable problems, one line each."""
    assumptions: list[str]


def expand(scenario: Scenario) -> list[Cell]:
    """Return the scenario's cells in the order of the axes; only itself if it has no matrix."""
    cells: list[Cell] = []
    many_networks = scenario.race.matrix is not None and len(scenario.race.matrix.network) > 1
    for fields in scenario.race.cells():
        race = scenario.race.model_copy(update={**fields, "matrix": None})
        shared = scenario.global_.model_copy(update={"race": race})
        name = f"{race.swarm_size}x{race.seeders}-{canonical_size(race.file_size)}"
        if many_networks:
            assert scenario.race.matrix is not None
            name += f"-net{scenario.race.matrix.network.index(race.network)}"
        twins = sum(cell.name == name or cell.name.startswith(f"{name}-again") for cell in cells)
        name += f"-again{twins}" if twins else ""
        cells.append(Cell(name, scenario.model_copy(update={"global_": shared})))
    return cells


def plan(scenario: Scenario, cores: float | None = None, lacking: Sequence[str] = ()) -> Plan:
    """Return what a scenario takes.

    Args:
        scenario: with or without a matrix.
        cores: number of cores for the estimated time; this process's CPUs if None.
        lacking: why this machine can't race it, one line per reason.
    """
    cores = len(os.sched_getaffinity(0)) if cores is None else cores
    expanded = expand(scenario)
    cells = [_cell_plan(cell, cores) for cell in expanded]
    networks = [cell.scenario.race.network for cell in expanded]
    return Plan(
        race_id=cells[0].race_id if len(cells) == 1 else None,
        entrants={name: f"{o.kind}, {o.profile}" for name, o in scenario.entrants.items()},
        cells=cells,
        runs=sum(cell.runs for cell in cells),
        moved_bytes=sum(cell.moved_bytes for cell in cells),
        disk_bytes=needs.disk_bytes([cell.scenario for cell in expanded]),
        memory_bytes=max(cell.memory_bytes for cell in cells),
        pods=max(cell.pods for cell in cells),
        expected_seconds=sum(cell.expected_seconds for cell in cells),
        warnings=[
            *(f"this machine can't race it: {line}" for line in lacking),
            *_warnings(expanded, cores),
        ],
        assumptions=[
            *_assumptions(cores, networks),
            *([] if scenario.race.acceptance else few_to_name(scenario, len(cells))),
        ],
    )


def _cell_plan(cell: Cell, cores: float) -> CellPlan:
    race, entrants = cell.scenario.race, cell.scenario.entrants
    return CellPlan(
        name=cell.name,
        swarm_size=race.swarm_size,
        seeders=race.seeders,
        file_size_bytes=race.file_size,
        network=describe(race.network),
        repetitions=race.repetitions,
        runs=len(race.blocks) * len(entrants),
        moved_bytes=needs.moved_bytes(race, len(entrants)),
        disk_bytes=needs.disk_bytes([cell.scenario]),
        memory_bytes=needs.memory_bytes(cell.scenario),
        pods=race.swarm_size * len(entrants) + CLUSTER_PODS,
        expected_seconds=round(needs.expected_seconds(cell.scenario, cores), 1),
        race_id=cell.scenario.race_id(),
        cell_id=cell.scenario.cell_id(),
    )


def describe(network: Network) -> str:
    """Return human-readable network conditions, or an empty string if there are none."""
    parts = []
    for whose, link in (("", network), ("seeders ", network.seeders)):
        for word, field in (("up", "upload"), ("down", "download")):
            rate = getattr(link, field, None)
            if rate is not None:
                parts.append(f"{whose}{word} {format_link_rate(rate)}")
    if network.limited and network.queue_milliseconds != QUEUE_MILLISECONDS:
        parts.append(f"queue {network.queue_milliseconds:g} ms")
    if network.delay_milliseconds:
        parts.append(f"delay {network.delay_milliseconds:g} ms")
    if network.loss_percent:
        parts.append(f"loss {network.loss_percent:g} %")
    return ", ".join(parts)


def render(planned: Plan) -> Group:
    """Return a plan as a table for a terminal."""
    table = Table(
        title=_title(planned),
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
    )
    # If the columns don't fit, the other columns wrap: a cell's name must stay whole.
    table.add_column("cell", no_wrap=True)
    for head in ("peers", "seeders", "file", "runs", "moved", "disk", "memory", "pods", "about"):
        table.add_column(head, justify="right", overflow="fold")
    limited = any(cell.network for cell in planned.cells)
    if limited:
        table.add_column("network", overflow="fold")
    for cell in planned.cells:
        row = [
            cell.name,
            str(cell.swarm_size),
            str(cell.seeders),
            canonical_size(cell.file_size_bytes),
            *_amounts(cell),
        ]
        table.add_row(*row, *([cell.network or "not limited"] if limited else []))
    if len(planned.cells) > 1:
        table.add_section()
        table.add_row(f"{len(planned.cells)} cells", "", "", "", *_amounts(planned), style="bold")
    return Group(
        table,
        *(Text(f"! {line}", style="yellow") for line in planned.warnings),
        *(Text(f"* {line}") for line in planned.assumptions),
    )


def _amounts(planned: Plan | CellPlan) -> list[str]:
    return [
        str(planned.runs),
        format_size(planned.moved_bytes),
        format_size(planned.disk_bytes),
        format_size(planned.memory_bytes),
        str(planned.pods),
        format_duration(planned.expected_seconds),
    ]


def format_duration(seconds: float) -> str:
    """Return an estimated duration, in two or three digits: `25 s`, `4 min`, `2.5 h`."""
    if seconds < 120:
        return format_seconds(max(1, round(seconds)))
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _title(planned: Plan) -> str:
    return "; ".join(f"{name} ({what})" for name, what in planned.entrants.items())


def acceptance_warnings(scenario: Scenario) -> list[str]:
    """Return a line if there are too few repetitions to decide an acceptance."""
    from swarmrace.statistics.intervals import MIN_BLOCKS

    found = scenario.race.repetitions
    if not scenario.race.acceptance or found >= MIN_BLOCKS:
        return []
    return [
        f"global.race.repetitions: found {found}, expected at least {MIN_BLOCKS}: with fewer, an "
        "acceptance can only be undecided, or missed because of failures"
    ]


def few_to_name(scenario: Scenario, cells: int) -> list[str]:
    """Return a line if there are too few repetitions to name a single cell of a matrix.

    Args:
        scenario: of any cell.
        cells: number of cells.
    """
    from swarmrace.statistics.significance import blocks_needed

    found, needed = scenario.race.repetitions, blocks_needed(cells)
    if cells < 2 or found >= needed:
        return []
    return [
        f"global.race.repetitions: found {found}: among {cells} cells no single one can be called "
        f"met or missed by its times, which takes at least {needed} complete blocks (Holm)"
    ]


def impossible(cells: list[Cell]) -> list[str]:
    """Return a line if no protocol can end before its timeout at these rates, with bursts."""
    found = []
    for cell in cells:
        race = cell.scenario.race
        bound = bounds.of_run(
            race.network, {}, range(race.seeders), race.swarm_size, race.file_size
        )
        if bound is not None and bound.limits_seconds > race.timeouts.transfer_seconds:
            found.append((bound.limits_seconds, cell.name))
    if not found:
        return []
    seconds, name = max(found)
    return [
        f"global.race.network: at these rates the last leecher can't end before "
        f"{format_seconds(seconds)} in {len(found)} of {len(cells)} cells"
        f"{f' ({name})' if name else ''} with any protocol, but "
        "global.race.timeouts.transferSeconds ends it after "
        f"{cells[0].scenario.race.timeouts.transfer_seconds:g} s: set higher rates or a longer "
        "timeout, or race a smaller file"
    ]


def _warnings(cells: list[Cell], cores: float) -> list[str]:
    scenario = cells[0].scenario
    lines = [*acceptance_warnings(scenario), *impossible(cells)]
    if scenario.race.acceptance:
        lines += few_to_name(scenario, len(cells))
    for name, options in cells[0].scenario.entrants.items():
        slow = [
            cell.name
            for cell in cells
            if needs.run_seconds(cell.scenario.race, options, cores)
            > cell.scenario.race.timeouts.transfer_seconds
        ]
        if slow:
            lines.append(
                f"{name}: {len(slow)} of {len(cells)} cells ({slow[0]}{', …' * (len(slow) > 1)}) "
                "may take longer than global.race.timeouts.transferSeconds "
                f"({cells[0].scenario.race.timeouts.transfer_seconds:g}) here and fail with a "
                "timeout; raise it or race smaller files"
            )
    return lines


def _assumptions(cores: float, networks: Sequence[Network]) -> list[str]:
    lines = [
        f"about: an estimate for one machine with {cores:g} cores, from rates measured over "
        f"loopback on {needs.MEASURED_CORES} cores; it assumes that they grow with the cores, and "
        "no failures or timeouts",
        "disk and memory: the maximum at one time, on one machine; for all cells, that of the "
        "largest, with the results of earlier cells on disk",
        "pods: the peers of all entrants, the tracker and the verdict; a peer's node is a "
        "container in the peer's pod",
    ]
    delayed = next((network for network in networks if network.delayed), None)
    if delayed is not None:
        lines.insert(1, f"delay and loss, on this machine: {_delay_method(delayed)}")
    if any(network.limited for network in networks):
        lines.insert(1, "with rates, no run is expected to be faster than the theoretical minimum")
    return lines


def _delay_method(network: Network) -> str:
    try:
        relayed = conditions.needs_relay(network)
    except ConditionError as error:
        return f"not possible: {' '.join(str(error).split())}"
    if relayed:
        return "a relay in user space, because the kernel has no netem"
    return "netem"
