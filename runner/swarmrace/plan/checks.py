"""Preconditions of a race on this machine, all checked before anything starts."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from swarmrace import systems
from swarmrace.errors import ConditionError, Fault, ScenarioError, UnavailableError
from swarmrace.faults import keys_at
from swarmrace.host import machine
from swarmrace.host.infrastructure import disk_trouble
from swarmrace.host.watch import loopback_fault
from swarmrace.network import conditions, namespaces, preflight
from swarmrace.plan import needs, plan
from swarmrace.plan.plan import Cell
from swarmrace.scenario import loading as scenarios
from swarmrace.scenario.loading import Reading
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems.options import EntrantOptions
from swarmrace.systems.spec import SystemSpec
from swarmrace.units import canonical_size, format_size

_MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")
_THREADS_PER_PEER = 24
_SIZES = [
    f"global.race.{key}" for key in ("swarmSize", "seeders", "fileSize", "repetitions", "matrix")
]
"""The keys that disk space, memory and limits depend on, besides the valid entrants."""
_FOR_PAYLOADS = (
    "give another folder by --work-dir, or make global.race.fileSize or swarmSize smaller"
)
_FOR_RESULTS = (
    "give another folder by --results, or make global.race.repetitions or the matrix smaller"
)


@dataclass(frozen=True)
class Site:
    """Where races run.

    Args:
        work_dir: folder for payloads; the system's temporary folder if None.
        results: parent of the results folders; on the same disk as `work_dir` if None.
        namespaces: whether each peer gets its own network namespace. If None, they do if conditions
            are set or an entrant's peers need their own source addresses.
    """

    work_dir: Path | None = None
    results: Path | None = None
    namespaces: bool | None = None

    def isolates(self, scenario: Scenario) -> bool:
        """Whether a scenario's peers get namespaces."""
        if self.namespaces is not None:
            return self.namespaces
        return scenario.race.network.shaped or bool(own_source_addresses(scenario))


def own_source_addresses(scenario: Scenario, unsound: Collection[str] = ()) -> dict[str, str]:
    """Return the entrants whose peers can't share this machine's network, each with the reason."""
    return _reasons(
        scenario, unsound, lambda spec, options: spec.network.own_source_address(options)
    )


def _reasons(
    scenario: Scenario,
    unsound: Collection[str],
    reason_of: Callable[[SystemSpec, EntrantOptions], str],
) -> dict[str, str]:
    found = {}
    for name, options in scenario.entrants.items():
        if _depends_on(unsound, f"global.entrants.{name}"):
            continue
        with contextlib.suppress(UnavailableError):  # `program_faults` reports it
            if reason := reason_of(systems.load(options.kind), options):
                found[name] = reason
    return found


def load(path: Path) -> Scenario:
    """Read a scenario file and check it, also with its systems' own libraries.

    Raises:
        ScenarioError: the file can't be read or is faulty; the error lists all faults.
    """
    return _read(path).checked()


def _read(path: Path) -> Reading:
    reading = scenarios.read(path)
    if reading.scenario is None:
        return reading
    faults = option_faults(reading.scenario, reading.unsound)
    return replace(reading, faults=(*reading.faults, *faults))


def load_here(path: Path, site: Site, attempt: int | None = None) -> Scenario:
    """Read a scenario file to race on this machine.

    Args:
        path: a scenario file.
        site: where it will be raced.
        attempt: replaces the scenario's own, if given.

    Raises:
        ScenarioError: the file is faulty; the error also lists what the machine lacks for the rest.
    """
    reading = _read(path)
    if reading.faults or reading.scenario is None:
        expanded = plan.expand(reading.scenario) if reading.scenario is not None else []
        lacking = _lacking(expanded, site, reading.unsound)
        raise ScenarioError(reading.faults, reading.source, lacking=str(lacking or ""))
    if attempt is None:
        return reading.scenario
    race = reading.scenario.race.model_copy(update={"attempt": attempt})
    shared = reading.scenario.global_.model_copy(update={"race": race})
    return reading.scenario.model_copy(update={"global_": shared})


def require_cells(cells: list[Cell], site: Site) -> None:
    """Refuse cells, to be raced one after another, that this machine can't race.

    Raises:
        UnavailableError: with one line for each missing thing and how to get it. A
            `ConditionError` if only the network conditions are impossible.
    """
    lacking = _lacking(cells, site)
    if lacking is not None:
        raise lacking


def lacks(scenario: Scenario, site: Site) -> list[str]:
    """Return why `require_cells` would refuse a scenario on this machine, one line per reason.

    Rates that are too low for the timeouts are not included, because no machine could do better
    (`plan.plan.impossible`).
    """
    machine_lines, network_lines = _lacks(plan.expand(scenario), site)
    return list(dict.fromkeys([*machine_lines, *network_lines]))


def _lacking(
    cells: list[Cell], site: Site, unsound: Collection[str] = ()
) -> UnavailableError | None:
    """Return why `cells` can't be raced here, as the error to raise."""
    machine_lines, network_lines = _lacks(cells, site, unsound)
    if cells and not _depends_on(
        unsound, *_SIZES, "global.race.network", "global.race.timeouts", "global.entrants"
    ):
        network_lines += plan.impossible(cells)
    lines = list(dict.fromkeys([*machine_lines, *network_lines]))
    if not lines:
        return None
    kind = UnavailableError if machine_lines else ConditionError
    count = f"{len(lines)} thing{'' if len(lines) == 1 else 's'} missing"
    head = f"this machine can't race the scenario: {count}"
    return kind("\n".join([head, *(f"  {line}" for line in lines)]))


def _lacks(
    cells: list[Cell], site: Site, unsound: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """Return what this machine lacks, and separately what its network lacks.

    Args:
        cells: the cells of one scenario.
        site: where they will be raced.
        unsound: faulty keys; checks that depend on one are skipped.
    """
    if not cells:
        return [], []
    scenario = cells[0].scenario
    machine_lines, network_lines = program_faults(scenario, unsound), list[str]()
    leechers = min(cell.scenario.race.leechers for cell in cells)
    if scenario.entrants and leechers > 0 and not _depends_on(unsound, *_SIZES):
        machine_lines += room_faults(cells, site)
        machine_lines += _worst_limits(cells, site)
        machine_lines += disk_faults(site)
    if not _depends_on(unsound, "global.race.network", "global.race.matrix"):
        for cell in cells:
            network_lines += network_faults(
                cell.scenario, with_namespaces=site.isolates(cell.scenario), unsound=unsound
            )
    return machine_lines, network_lines


def _worst_limits(cells: list[Cell], site: Site) -> list[str]:
    """Return each limit that is too low once, for the largest swarm."""
    found: dict[str, Fault] = {}
    for cell in sorted(cells, key=lambda cell: -cell.scenario.race.swarm_size):
        isolated = site.isolates(cell.scenario)
        for fault in limit_faults(cell.scenario, with_namespaces=isolated):
            found.setdefault(fault.key, fault)
    return list(map(str, found.values()))


def _depends_on(unsound: Collection[str], *keys: str) -> bool:
    """Whether one of `keys`, a key above it or a key below it is faulty."""
    return any(
        f"{key}.".startswith(f"{bad}.") or f"{bad}.".startswith(f"{key}.")
        for key in keys
        for bad in unsound
    )


def option_faults(scenario: Scenario, unsound: Collection[str] = ()) -> list[Fault]:
    """Return the faults that the systems' own libraries find in entrants' options."""
    faults: list[Fault] = []
    for name, options in scenario.entrants.items():
        key = f"global.entrants.{name}"
        with contextlib.suppress(UnavailableError):
            found = [fault.below(key) for fault in systems.load(options.kind).faults(options)]
            faults += [fault for fault in found if not _depends_on(unsound, fault.key)]
    return faults


def program_faults(scenario: Scenario, unsound: Collection[str] = ()) -> list[str]:
    """Return the missing programs and libraries of systems, with how to get them."""
    lines = []
    for name, options in scenario.entrants.items():
        key = f"global.entrants.{name}"
        known = [f"{key}.{each}" for each in keys_at(type(options), [])]
        if set(known) & set(unsound):
            continue
        try:
            missing = systems.load(options.kind).check(options)
        except UnavailableError as error:
            missing = [str(error)]
        lines += [f"{key}: {line}" for line in missing]
    return lines


def room_faults(cells: list[Cell], site: Site) -> list[str]:
    """Return the lack of disk space or memory, with the figures of the worst cell."""
    work = site.work_dir or Path(tempfile.gettempdir())
    results = _existing_parent(site.results or work)
    cell_scenarios = [cell.scenario for cell in cells]
    payloads = [needs.payload_bytes(scenario) for scenario in cell_scenarios]
    kept = needs.kept_bytes(cell_scenarios)
    slack = [needs.DISK_SLACK_BYTES] * len(cell_scenarios)
    # Folder, bytes needed in it during each cell, description of the need, advice.
    disks: list[tuple[Path, list[int], str, str]] = []
    if _device(work) == _device(results):
        disks.append((work, _sums(payloads, kept, slack), "{peers} need", _FOR_PAYLOADS))
    else:
        disks.append((work, _sums(payloads, slack), "{peers} need", _FOR_PAYLOADS))
        disks.append((results, _sums(kept, slack), "the results of {peers} need", _FOR_RESULTS))
    lines, memory = [], [needs.memory_bytes(scenario) for scenario in cell_scenarios]
    in_memory = []
    for folder, needed, need, advice in disks:
        if machine.filesystem_of(folder) in _MEMORY_FILE_SYSTEMS:
            memory = _sums(memory, needed)
            in_memory.append(str(folder))
        worst, free = _argmax(needed), shutil.disk_usage(folder).free
        if free < needed[worst]:
            lines.append(
                f"disk: {need.format(peers=_peers(cells, worst))} "
                f"{format_size(needed[worst])} in {folder}, found {format_size(free)} free; free "
                f"some space, {advice}"
            )
    worst, available = _argmax(memory), available_memory_bytes()
    if available < memory[worst]:
        folders = " and ".join(in_memory)
        where = f", whose payloads are in memory ({folders} is on tmpfs)" if folders else ""
        lines.append(
            f"memory: {len(cell_scenarios[0].entrants)} x {_peers(cells, worst)}{where} need "
            f"{format_size(memory[worst])}, found {format_size(available)} available; race fewer "
            "entrants at a time, or make global.race.swarmSize smaller"
        )
    return lines


def disk_faults(site: Site) -> list[str]:
    """Return why the folders can't be written apart from a lack of space: read-only, no inodes."""
    work = site.work_dir or Path(tempfile.gettempdir())
    folders = (work, _existing_parent(site.results or work))
    found = (disk_trouble(folder, room=False) for folder in folders)
    return [f"disk: {text}" for text in found if text]


def _sums(*columns: list[int]) -> list[int]:
    return [sum(row) for row in zip(*columns, strict=True)]


def _argmax(values: list[int]) -> int:
    return max(range(len(values)), key=values.__getitem__)


def _peers(cells: list[Cell], worst: int) -> str:
    race = cells[worst].scenario.race
    after = f", after {worst} cells" if worst else ""
    cell = f" (cell {cells[worst].name} of {len(cells)}{after})" if len(cells) > 1 else ""
    return f"{race.swarm_size} peers of {canonical_size(race.file_size)}{cell}"


def _device(folder: Path) -> int:
    return folder.stat().st_dev


def _existing_parent(folder: Path) -> Path:
    """Return the folder if it exists, otherwise its nearest existing parent."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if os.path.exists(path))  # noqa: PTH110


def available_memory_bytes() -> int:
    """Return the memory that new processes can use: the kernel's estimate or what the cgroup's
    limit leaves, whichever is smaller."""
    available = psutil.virtual_memory().available
    limit = machine.memory_limit_bytes()
    if limit is None:
        return available
    return max(0, min(available, limit - machine.memory_used_bytes()))


def limit_faults(scenario: Scenario, *, with_namespaces: bool) -> list[Fault]:
    """Return the limits of this user's processes that are too low, with how to raise them."""
    race, entrants, faults = scenario.race, len(scenario.entrants), list[Fault]()
    files = needs.open_files(scenario, namespaces=with_namespaces)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < files:
        text = (
            f"a process of this race needs {files}, found a limit of {hard}; raise it: "
            f"`ulimit -Hn {files}` as root, or nofile in /etc/security/limits.conf"
        )
        faults.append(Fault("open files", text))
    threads = race.swarm_size * entrants * _THREADS_PER_PEER
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft != resource.RLIM_INFINITY and soft < threads:
        text = (
            f"this race needs about {threads} threads, found a limit of {soft}; raise it: "
            f"`ulimit -u {threads}`"
        )
        faults.append(Fault("processes", text))
    if with_namespaces and race.swarm_size * entrants > namespaces.MAX_PEERS:
        text = (
            f"found {race.swarm_size} peers of {entrants} entrants, expected at most "
            f"{namespaces.MAX_PEERS} peers in all with network namespaces"
        )
        faults.append(Fault("global.race.swarmSize", text))
    return faults


def network_faults(
    scenario: Scenario, *, with_namespaces: bool, unsound: Collection[str] = ()
) -> list[str]:
    """Return why this machine can't provide the network that the scenario or its entrants need."""
    network = scenario.race.network
    shared = own_source_addresses(scenario, unsound)
    if not with_namespaces:
        lines = [
            f"global.entrants.{name}: needs a network namespace for each peer: {why}; leave out "
            "--no-namespaces"
            for name, why in shared.items()
        ]
        if network.shaped:
            lines.append(
                "global.race.network: rates, delay and loss need a network namespace for each "
                "peer; leave out --no-namespaces"
            )
        elif down := loopback_fault():
            lines.append(f"network: {down}")
        return lines
    outside = _reasons(scenario, unsound, lambda spec, options: spec.network.host_network(options))
    because = " (which " + ", ".join(shared) + " needs)" if shared else ""
    lines = [
        f"global.entrants.{name}: can't be raced with network namespaces{because}: {why}; race it "
        "without --namespaces, without conditions, and without entrants that need namespaces"
        for name, why in outside.items()
    ]
    if network.shaped:
        lines += preflight.faults(network) + conditions.faults(network)
    elif refused := namespaces.refusals():
        lines += [
            f"global.entrants.{name}: needs a network namespace for each peer: {why}; "
            + "; ".join(refused)
            for name, why in shared.items()
        ] or refused
    return lines
