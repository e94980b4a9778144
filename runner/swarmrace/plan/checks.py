"""What must hold before anything starts: all that is missing is said at once."""

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
_THREADS_A_PEER = 24
_SIZES = [
    f"global.race.{key}" for key in ("swarmSize", "seeders", "fileSize", "repetitions", "matrix")
]
"""What room and limits depend on, besides the entrants, which count as far as they are right."""
_FOR_PAYLOADS = (
    "give another folder by --work-dir, or make global.race.fileSize or swarmSize smaller"
)
_FOR_RESULTS = (
    "give another folder by --results, or make global.race.repetitions or the matrix smaller"
)


@dataclass(frozen=True)
class Site:
    """Where races are to be run.

    Args:
        work_dir: on whose disk payloads will lie; the system's temporary folder when absent.
        results: below which results folders are made; on the same disk when absent.
        namespaces: whether each peer gets a network namespace of its own; when None, where
            conditions are set or an entrant's system needs a source address of its own.
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
    return _answers(
        scenario, unsound, lambda spec, options: spec.network.own_source_address(options)
    )


def _answers(
    scenario: Scenario,
    unsound: Collection[str],
    ask: Callable[[SystemSpec, EntrantOptions], str],
) -> dict[str, str]:
    found = {}
    for name, options in scenario.entrants.items():
        if _touched(unsound, f"global.entrants.{name}"):
            continue
        with contextlib.suppress(UnavailableError):  # `program_faults` tells of it
            if answer := ask(systems.load(options.kind), options):
                found[name] = answer
    return found


def load(path: Path) -> Scenario:
    """Read a scenario file; check it with its systems' own libraries as well.

    Raises:
        ScenarioError: the file can't be read or is wrong; it lists all faults at once.
    """
    return _read(path).checked()


def _read(path: Path) -> Reading:
    reading = scenarios.read(path)
    if reading.scenario is None:
        return reading
    faults = option_faults(reading.scenario, reading.unsound)
    return replace(reading, faults=(*reading.faults, *faults))


def load_here(path: Path, site: Site, attempt: int | None = None) -> Scenario:
    """Read a scenario file that is to be raced on this machine.

    Args:
        path: a scenario file.
        site: where.
        attempt: instead of the scenario's own.

    Raises:
        ScenarioError: the file is wrong; what the machine lacks for the rest is told with it.
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
    """Refuse cells, raced one after another, that this machine can't race.

    Raises:
        UnavailableError: with one line for each thing missing and how to get it; a
            `ConditionError` when it is the network conditions alone.
    """
    lacking = _lacking(cells, site)
    if lacking is not None:
        raise lacking


def lacks(scenario: Scenario, site: Site) -> list[str]:
    """Return why `require_cells` would refuse a scenario on this machine, one line each.

    Rates that no transfer can meet in time are left out: they are no fault of the machine
    (`plan.plan.impossible`).
    """
    machine_lines, network_lines = _lacks(plan.expand(scenario), site)
    return list(dict.fromkeys([*machine_lines, *network_lines]))


def _lacking(
    cells: list[Cell], site: Site, unsound: Collection[str] = ()
) -> UnavailableError | None:
    """Return what forbids racing `cells` here, as the error to raise."""
    machine_lines, network_lines = _lacks(cells, site, unsound)
    if cells and not _touched(
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
    """Return what this machine lacks, and what of the network.

    Args:
        cells: of one scenario.
        site: where they are to be raced.
        unsound: keys that nothing is concluded from.
    """
    if not cells:
        return [], []
    scenario = cells[0].scenario
    machine_lines, network_lines = program_faults(scenario, unsound), list[str]()
    leechers = min(cell.scenario.race.leechers for cell in cells)
    if scenario.entrants and leechers > 0 and not _touched(unsound, *_SIZES):
        machine_lines += room_faults(cells, site)
        machine_lines += _worst_limits(cells, site)
        machine_lines += disk_faults(site)
    if not _touched(unsound, "global.race.network", "global.race.matrix"):
        for cell in cells:
            network_lines += network_faults(
                cell.scenario, with_namespaces=site.isolates(cell.scenario), unsound=unsound
            )
    return machine_lines, network_lines


def _worst_limits(cells: list[Cell], site: Site) -> list[str]:
    """Return each limit that is too low once, as the largest swarm has it."""
    found: dict[str, Fault] = {}
    for cell in sorted(cells, key=lambda cell: -cell.scenario.race.swarm_size):
        isolated = site.isolates(cell.scenario)
        for fault in limit_faults(cell.scenario, with_namespaces=isolated):
            found.setdefault(fault.key, fault)
    return list(map(str, found.values()))


def _touched(unsound: Collection[str], *keys: str) -> bool:
    """Whether one of `keys`, or what it stands in or holds, is wrong."""
    return any(
        f"{key}.".startswith(f"{bad}.") or f"{bad}.".startswith(f"{key}.")
        for key in keys
        for bad in unsound
    )


def option_faults(scenario: Scenario, unsound: Collection[str] = ()) -> list[Fault]:
    """Return what is wrong with entrants' options in the eyes of their systems' own libraries."""
    faults: list[Fault] = []
    for name, options in scenario.entrants.items():
        key = f"global.entrants.{name}"
        with contextlib.suppress(UnavailableError):
            found = [fault.below(key) for fault in systems.load(options.kind).faults(options)]
            faults += [fault for fault in found if not _touched(unsound, fault.key)]
    return faults


def program_faults(scenario: Scenario, unsound: Collection[str] = ()) -> list[str]:
    """Return which systems' programs or libraries are missing, with how to get them."""
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
    """Return whether disk or memory are too small for any cell, with the figures of the worst."""
    work = site.work_dir or Path(tempfile.gettempdir())
    results = _nearest(site.results or work)
    of = [cell.scenario for cell in cells]
    payloads, kept = [needs.payload_bytes(one) for one in of], needs.kept_bytes(of)
    slack = [needs.DISK_SLACK_BYTES] * len(of)
    # The folder, what lies in it while each cell is raced, what that is, and what helps.
    disks: list[tuple[Path, list[int], str, str]] = []
    if _device(work) == _device(results):
        disks.append((work, _sums(payloads, kept, slack), "{peers} need", _FOR_PAYLOADS))
    else:
        disks.append((work, _sums(payloads, slack), "{peers} need", _FOR_PAYLOADS))
        disks.append((results, _sums(kept, slack), "the results of {peers} need", _FOR_RESULTS))
    lines, memory = [], [needs.memory_bytes(one) for one in of]
    in_memory = []
    for folder, needed, needs_what, helps in disks:
        if machine.filesystem_of(folder) in _MEMORY_FILE_SYSTEMS:
            memory = _sums(memory, needed)
            in_memory.append(str(folder))
        worst, free = max(range(len(of)), key=needed.__getitem__), shutil.disk_usage(folder).free
        if free < needed[worst]:
            lines.append(
                f"disk: {needs_what.format(peers=_peers(cells, worst))} "
                f"{format_size(needed[worst])} in {folder}, found {format_size(free)} free; make "
                f"room, {helps}"
            )
    worst, available = max(range(len(of)), key=memory.__getitem__), available_memory_bytes()
    if available < memory[worst]:
        lie = " and ".join(in_memory)
        where = f", whose payloads lie in memory ({lie} is on tmpfs)" if lie else ""
        lines.append(
            f"memory: {len(of[0].entrants)} x {_peers(cells, worst)}{where} need "
            f"{format_size(memory[worst])}, found {format_size(available)} available; race fewer "
            "entrants at a time, or make global.race.swarmSize smaller"
        )
    return lines


def disk_faults(site: Site) -> list[str]:
    """Return why the folders can't be written whatever room they have: read-only, no inodes."""
    work = site.work_dir or Path(tempfile.gettempdir())
    folders = (work, _nearest(site.results or work))
    found = (disk_trouble(folder, room=False) for folder in folders)
    return [f"disk: {text}" for text in found if text]


def _sums(*columns: list[int]) -> list[int]:
    return [sum(row) for row in zip(*columns, strict=True)]


def _peers(cells: list[Cell], worst: int) -> str:
    race = cells[worst].scenario.race
    after = f", after {worst} cells" if worst else ""
    of = f" (cell {cells[worst].name} of {len(cells)}{after})" if len(cells) > 1 else ""
    return f"{race.swarm_size} peers of {canonical_size(race.file_size)}{of}"


def _device(folder: Path) -> int:
    return folder.stat().st_dev


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest above it that is there."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if os.path.exists(path))  # noqa: PTH110


def available_memory_bytes() -> int:
    """Return what new processes can have: the kernel's estimate, within the cgroup's limit."""
    available = psutil.virtual_memory().available
    limit = machine.memory_limit_bytes()
    if limit is None:
        return available
    return max(0, min(available, limit - machine.memory_used_bytes()))


def limit_faults(scenario: Scenario, *, with_namespaces: bool) -> list[Fault]:
    """Return which limits of this user's processes are too low, with how to raise them."""
    race, entrants, faults = scenario.race, len(scenario.entrants), list[Fault]()
    files = needs.open_files(scenario, namespaces=with_namespaces)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < files:
        text = (
            f"a process of this race needs {files}, found a limit of {hard}; raise it: "
            f"`ulimit -Hn {files}` as root, or nofile in /etc/security/limits.conf"
        )
        faults.append(Fault("open files", text))
    threads = race.swarm_size * entrants * _THREADS_A_PEER
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft != resource.RLIM_INFINITY and soft < threads:
        text = (
            f"this race needs about {threads} threads, found a limit of {soft}; raise it: "
            f"`ulimit -u {threads}`"
        )
        faults.append(Fault("processes", text))
    if with_namespaces and race.swarm_size * entrants > namespaces.MOST_PEERS:
        text = (
            f"found {race.swarm_size} peers of {entrants} entrants, expected at most "
            f"{namespaces.MOST_PEERS} in all with network namespaces"
        )
        faults.append(Fault("global.race.swarmSize", text))
    return faults


def network_faults(
    scenario: Scenario, *, with_namespaces: bool, unsound: Collection[str] = ()
) -> list[str]:
    """Return why peers can't have the network here that the scenario or its entrants need."""
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
    outside = _answers(scenario, unsound, lambda spec, options: spec.network.host_network(options))
    because = " (which " + ", ".join(shared) + " needs)" if shared else ""
    lines = [
        f"global.entrants.{name}: can't be raced with network namespaces{because}: {why}; race it "
        "without --namespaces, conditions and entrants that need them"
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
