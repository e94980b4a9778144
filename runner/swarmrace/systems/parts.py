"""Optional parts of a `SystemSpec`. Their defaults are right for a system that says nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from swarmrace.errors import Fault


@dataclass(frozen=True, slots=True)
class Needs:
    """What one peer takes, and how fast a swarm is on one machine without any limit.

    Memory and disk decide whether a race is started, and whether a full disk is the entrant's own
    doing; speeds only how long `swarmrace plan` expects a race to take. The defaults are careful:
    measure your own, on 2 cores over loopback.
    """

    memory_bytes: int = 200_000_000
    """Resident memory of a peer that no other process shares, at 100 MiB of payload."""
    memory_share: float = 0.01
    """More memory for each byte of payload while its entrant races."""
    racing_memory_bytes: int = 0
    """More memory of a peer while its entrant races, whatever the payload."""
    seeder_copies: float = 2.0
    """Disk space of a seeder as a multiple of the payload, its own file included."""
    leecher_copies: float = 1.0
    """Disk space of a leecher as a multiple of the payload."""
    files: int = 256
    """Open files of a peer, without its connections."""
    rate: float = 100e6
    """Payload that all leechers together receive, in bytes a second, on 2 cores."""
    pair_rate: float = 50e6
    """Payload that one leecher receives from one seeder, in bytes a second."""
    publish_rate: float = 100e6
    """Payload that a seeder publishes, in bytes a second."""
    starts_anew: bool = True
    """Whether a program is started for each run, which takes time."""
    race_seconds: float | None = None
    """How long a transfer takes where the options say so, whatever machine and network are."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an entrant is set against others in a verdict."""

    rank: int = 1
    """Of two entrants, the one of lower rank comes first ("Codex takes 1.2 × BitTorrent's time"):
    0 for the system that is examined, 1 by default, 2 for the established ones, 3 for a baseline.
    Between equals the scenario's order decides."""
    baseline: bool = False
    """Whether it is a reference that shows what machine and network allow. A comparison with it is
    a headline whatever the profiles, and is called a reference."""
    metadata_given: str = ""
    """Metadata that leechers hold before the start (`the .torrent file`). Such an entrant is never
    compared with one of another kind whose leechers must look theirs up in the race."""
    metadata_sought: str = ""
    """What leechers hold instead if they must look up all metadata in the race (`a CID`)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Which options change the program's own settings, so that a headline compares equals.

    Args:
        options: names of these options. An entrant that gives one is marked as changed beside its
            profile, and is not the equal of an unchanged one.
        of_profile: returns what the profile itself chooses for some of them: giving this value
            changes nothing.
        ways_of_use: keys of `System.describe` that are no setting but how the program is used. A
            verdict prints one only if its option was given.
    """

    options: tuple[str, ...] = ()
    of_profile: Callable[[Any], Mapping[str, Any]] = lambda options: {}
    ways_of_use: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkRules:
    """What the peers of one machine need of its network.

    Args:
        own_source_address: returns why peers can't share the machine's network, or nothing: the
            kernel chooses the address that packets leave from, which must be the peer's own. The
            local backend then gives every peer of the race a network namespace.
        host_network: returns why peers need the machine's own network (programs that run outside
            the race), or nothing. Such a race can't have namespaces.
    """

    own_source_address: Callable[[Any], str] = lambda options: ""
    host_network: Callable[[Any], str] = lambda options: ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which program would be raced on this machine.

    Args:
        version: returns it in a few words for `swarmrace doctor` (`libtorrent 2.1.1`); may ask the
            program. Empty if there is nothing to say.
        program: returns what names that very program, found without starting a node: its version
            and a hash, say. A sweep goes on only with the one it began with. Nothing if it is
            swarmrace itself, or runs elsewhere.
        packages: Python packages whose version could show in a figure. They are recorded with the
            race; one that is missing makes `doctor` report a broken installation.
        test_double: returns whether the program says that it only plays the real one for tests.
            False if that is not known before the race; `describe` may still say so.
        for_tests: whether the kind is of swarmrace's own tests and of no use to others.
    """

    version: Callable[[Any], str] = lambda options: ""
    program: Callable[[Any], str] = lambda options: ""
    packages: tuple[str, ...] = ()
    test_double: Callable[[Any], bool] = lambda options: False
    for_tests: bool = False


@dataclass(frozen=True, slots=True)
class SidecarDefaults:
    """Default values of a node beside a runner (`global.sidecars`)."""

    about: str
    """One line: which program it is."""
    image: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    metrics_port: int = 0


@dataclass(frozen=True, slots=True)
class PodRules:
    """What holds of an entrant only in a cluster's pods.

    Args:
        sidecar: returns the key in `global.sidecars` of the node beside its runners; there is one
            if the values have this key. By default its kind.
        faults: returns what can't be raced in pods, each under the option's key.
        sidecars: default values, of built-in kinds only: the charts are written with them. Those of
            other kinds are in the values of a release.
    """

    sidecar: Callable[[Any], str] = lambda options: options.kind
    faults: Callable[[Any], list[Fault]] = lambda options: []
    sidecars: Mapping[str, SidecarDefaults] = field(default_factory=dict)


RaceKey = Literal["fileSize", "swarmSize", "coldStart"]


@dataclass(frozen=True, slots=True)
class RaceShape:
    """What options may depend on of the race, over all cells of its matrix."""

    file_sizes: tuple[int, ...]
    """In bytes, at least one."""
    swarm_sizes: tuple[int, ...]
    """Peers of one entrant, at least one."""
    cold_start: bool


@dataclass(frozen=True, slots=True)
class CrossFault:
    """A fault between an option and other keys."""

    fault: Fault
    """Its key is the option's, in camelCase (`pieceSize`)."""
    options: tuple[str, ...] = ()
    """Further options it depends on, in camelCase."""
    race: tuple[RaceKey, ...] = ()
    """Keys of `global.race` it depends on. A fault is not reported while one of the keys that it
    depends on is wrong by itself."""
