"""What must hold before anything starts: all that is missing is said at once."""

from __future__ import annotations

import resource
import shutil
import tempfile
from pathlib import Path

import psutil

from swarmrace import machine, needs, systems
from swarmrace.errors import ConditionError, UnavailableError
from swarmrace.network import conditions, namespaces
from swarmrace.scenario import Scenario
from swarmrace.units import canonical_size, format_size

_MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")
_THREADS_A_PEER = 24


def require(scenario: Scenario, *, work_dir: Path | None = None, namespaces: bool = False) -> None:
    """Refuse a scenario that this machine can't race.

    Args:
        scenario: without a matrix (a cell of `plan.expand`).
        work_dir: on whose disk payloads will lie; the system's temporary folder when absent.
        namespaces: whether each peer gets a network namespace of its own.

    Raises:
        UnavailableError: with one line for each thing missing and how to get it; a
            `ConditionError` when it is the network conditions alone.
    """
    machine_lines = [
        *program_faults(scenario),
        *room_faults(scenario, work_dir or Path(tempfile.gettempdir())),
        *limit_faults(scenario, with_namespaces=namespaces),
    ]
    network_lines = network_faults(scenario, with_namespaces=namespaces)
    lines = [*machine_lines, *network_lines]
    if lines:
        kind = UnavailableError if machine_lines else ConditionError
        count = f"{len(lines)} thing{'' if len(lines) == 1 else 's'} missing"
        head = f"this machine can't race the scenario: {count}"
        raise kind("\n".join([head, *(f"  {line}" for line in lines)]))


def program_faults(scenario: Scenario) -> list[str]:
    """Return which systems' programs or libraries are missing, with how to get them."""
    lines = []
    for name, options in scenario.entrants.items():
        try:
            missing = systems.load(options.kind).check(options)
        except UnavailableError as error:
            missing = [str(error)]
        lines += [f"global.entrants.{name}: {line}" for line in missing]
    return lines


def room_faults(scenario: Scenario, folder: Path) -> list[str]:
    """Return whether disk or memory are too small, with the figures."""
    race, lines = scenario.race, []
    disk, memory = needs.disk_bytes(scenario), needs.memory_bytes(scenario)
    what = f"{race.swarm_size} peers of {canonical_size(race.file_size)}"
    if machine.filesystem_of(folder) in _MEMORY_FILE_SYSTEMS:
        memory += disk
        what += f", whose payloads lie in memory ({folder} is on tmpfs)"
    free = shutil.disk_usage(folder).free
    if free < disk:
        lines.append(
            f"disk: {race.swarm_size} peers of {canonical_size(race.file_size)} need "
            f"{format_size(disk)} in {folder}, found {format_size(free)} free; make room, give "
            "another folder by --work-dir, or make global.race.fileSize or swarmSize smaller"
        )
    available = available_memory_bytes()
    if available < memory:
        lines.append(
            f"memory: {len(scenario.entrants)} x {what} need {format_size(memory)}, found "
            f"{format_size(available)} available; race fewer entrants at a time, or make "
            "global.race.swarmSize smaller"
        )
    return lines


def available_memory_bytes() -> int:
    """Return what new processes can have: the kernel's estimate, within the cgroup's limit."""
    available = psutil.virtual_memory().available
    limit = machine.memory_limit_bytes()
    if limit is None:
        return available
    return max(0, min(available, limit - machine.memory_used_bytes()))


def limit_faults(scenario: Scenario, *, with_namespaces: bool) -> list[str]:
    """Return which limits of this user's processes are too low, with how to raise them."""
    race, entrants, lines = scenario.race, len(scenario.entrants), []
    files = needs.open_files(scenario, namespaces=with_namespaces)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < files:
        lines.append(
            f"open files: a process of this race needs {files}, found a limit of {hard}; raise it: "
            f"`ulimit -Hn {files}` as root, or nofile in /etc/security/limits.conf"
        )
    threads = race.swarm_size * entrants * _THREADS_A_PEER
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft != resource.RLIM_INFINITY and soft < threads:
        lines.append(
            f"processes: this race needs about {threads} threads, found a limit of {soft}; raise "
            f"it: `ulimit -u {threads}`"
        )
    if with_namespaces and race.swarm_size * entrants > namespaces.MOST_PEERS:
        lines.append(
            f"global.race.swarmSize: found {race.swarm_size} peers of {entrants} entrants, "
            f"expected at most {namespaces.MOST_PEERS} in all with network namespaces"
        )
    return lines


def network_faults(scenario: Scenario, *, with_namespaces: bool) -> list[str]:
    """Return why the network conditions can't be applied here."""
    network = scenario.race.network
    if with_namespaces:
        return conditions.faults(network) if network.shaped else namespaces.refusals()
    if network.shaped:
        return [
            "global.race.network: rates, delay and loss need a network namespace for each peer; "
            "leave out --no-namespaces"
        ]
    return []
