"""Optional parts of a `SystemSpec`. Their defaults suit a system that doesn't set them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from swarmrace.errors import Fault


@dataclass(frozen=True, slots=True)
class Needs:
    """What one peer needs, and how fast a swarm is on one machine without limits.

    Memory and disk decide whether a race is started, and whether the entrant is to blame for a full
    disk. Speeds only affect how long `swarmrace plan` expects a race to take. The defaults are
    cautious: measure your own, on 2 cores over loopback.
    """

    memory_bytes: int = 200_000_000
    """Resident memory of a peer that no other process shares, with 100 MiB of payload."""
    memory_share: float = 0.01
    """Additional memory for each byte of payload while its entrant races."""
    racing_memory_bytes: int = 0
    """Additional memory of a peer while its entrant races, whatever the payload."""
    seeder_copies: float = 2.0
    """Disk space of a seeder as a multiple of the payload, including its own file."""
    leecher_copies: float = 1.0
    """Disk space of a leecher as a multiple of the payload."""
    files: int = 256
    """Open files of a peer, without its connections."""
    rate: float = 100e6
    """Payload that all leechers together receive, in bytes per second, on 2 cores."""
    pair_rate: float = 50e6
    """Payload that one leecher receives from one seeder, in bytes per second."""
    publish_rate: float = 100e6
    """Payload that a seeder publishes, in bytes per second."""
    starts_anew: bool = True
    """Whether a program is started for each run, which takes time."""
    wait_seconds: float = 0.0
    """How long a transfer waits for timers of the program, whatever the machine and network."""
    race_seconds: float | None = None
    """How long a transfer takes, if the options determine it, whatever the machine and network."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a verdict compares an entrant with others."""

    rank: int = 1
    """Of two entrants, the one with the lower rank comes first ("Codex takes 1.2 × BitTorrent's
    time"): 0 for the system under examination, 1 by default, 2 for established ones, 3 for a
    baseline. Between equal ranks the scenario's order decides."""
    baseline: bool = False
    """Whether it is a reference that shows what machine and network allow. A comparison with it is
    a headline whatever the profiles, and is called a reference."""
    metadata_given: str = ""
    """Metadata that leechers have before the start (`the .torrent file`). Such an entrant is never
    compared with one of another kind whose leechers must look theirs up in the race."""
    metadata_sought: str = ""
    """What leechers have instead if they must look up all metadata in the race (`a CID`)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Which options change the program's own settings, so that a headline compares equals.

    Args:
        options: names of these options. An entrant that sets one is marked as changed next to its
            profile, and isn't the equal of an unchanged one.
        of_profile: returns the profile's own values for some of them; setting such a value changes
            nothing.
        ways_of_use: keys of `System.describe` that aren't settings but describe how the program is
            used. A verdict prints one only if its option was set.
    """

    options: tuple[str, ...] = ()
    of_profile: Callable[[Any], Mapping[str, Any]] = lambda options: {}
    ways_of_use: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkRules:
    """What the peers of one machine need of its network.

    Args:
        own_source_address: returns why peers can't share the machine's network, or nothing. The
            reason: the kernel chooses the packets' source address, but it must be the peer's own.
            The local backend then gives every peer of the race a network namespace.
        host_network: returns why peers need the machine's own network (programs that run outside
            the race), or nothing. Such a race can't have namespaces.
    """

    own_source_address: Callable[[Any], str] = lambda options: ""
    host_network: Callable[[Any], str] = lambda options: ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which program would be raced on this machine.

    Args:
        version: returns it in a few words for `swarmrace doctor` (`libtorrent 2.1.1`); may run the
            program. Empty if there is nothing to say.
        program: returns what identifies that exact program, found without starting a node: its
            version and a hash, say. A sweep continues only with the one it began with. Nothing if
            it is swarmrace itself, or runs elsewhere.
        packages: Python packages whose version could affect a figure. They are recorded with the
            race; if one is missing, `doctor` reports a broken installation.
        test_double: returns whether the program is a test double of the real one. False if that
            isn't known before the race; `describe` may still say so.
        for_tests: whether the kind only serves swarmrace's own tests.
    """

    version: Callable[[Any], str] = lambda options: ""
    program: Callable[[Any], str] = lambda options: ""
    packages: tuple[str, ...] = ()
    test_double: Callable[[Any], bool] = lambda options: False
    for_tests: bool = False


@dataclass(frozen=True, slots=True)
class SidecarDefaults:
    """Default values of a runner's sidecar (`global.sidecars`)."""

    about: str
    """One line that says which program it is."""
    image: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    metrics_port: int = 0


@dataclass(frozen=True, slots=True)
class PodRules:
    """What holds for an entrant only in a cluster's pods.

    Args:
        image: returns the node's image that the entrant itself names, which comes before its
            sidecar's, or None. By default its option `image`, if it has one.
        faults: returns what can't be raced in pods, each under the option's key.
        sidecar_option: the option that names the sidecar; without one, and where it is `auto`, the
            sidecar is the kind's own.
        sidecars: default values, only for built-in kinds: the charts are generated with them. Those
            of other kinds are in a release's values.
    """

    image: Callable[[Any], str | None] = lambda options: getattr(options, "image", None)
    faults: Callable[[Any], list[Fault]] = lambda options: []
    sidecar_option: str | None = None
    sidecars: Mapping[str, SidecarDefaults] = field(default_factory=dict)


RaceKey = Literal["fileSize", "swarmSize", "coldStart"]


@dataclass(frozen=True, slots=True)
class RaceShape:
    """The part of the race that options may depend on, over all cells of its matrix."""

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
    """Further options that it depends on, in camelCase."""
    race: tuple[RaceKey, ...] = ()
    """Keys of `global.race` that it depends on. The fault isn't reported while one of the keys that
    it depends on is wrong by itself."""
