"""`SystemSpec`, which an entry point of the group `swarmrace.systems` names: what differs between
kinds.

No other module of swarmrace names a kind; what they need to know about one is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from swarmrace.errors import Fault
from swarmrace.systems.abc import Context, Meanings, Observes, System
from swarmrace.systems.options import EntrantOptions
from swarmrace.systems.parts import (
    CrossFault,
    Identity,
    Needs,
    NetworkRules,
    PodRules,
    RaceShape,
    Settings,
    Standing,
)

API_VERSION = 1
"""Version of `swarmrace.api`: raised when a name or its meaning changes or is removed."""


@dataclass(frozen=True, slots=True)
class SystemSpec:
    """One kind of system. Functions that take options may be called before any race, often, and
    on machines that can't race the kind; only `create` may import heavy libraries.

    Args:
        kind: the name in scenarios.
        options: the options model, a subclass of `EntrantOptions`.
        create: returns one peer's system.
        observes: returns which definitions it observes with given options.
        means: returns what the definitions mean with given options; must not depend on the
            machine.
        isolates_process: whether the system's program is a separate process.
        leechers_serve: whether leechers serve each other; otherwise the seeders' upload bounds a
            run.
        modules: what `create` imports. The local backend imports them before it forks peers, so
            importing them must start no thread.
        gauges: prefixes of the names in `Counters.extra` that are states instead of counts: of
            several peers the highest is reported, not the sum.
        caveats: returns what a verdict must warn about, from a peer's `System.describe` in a run
            and whether the race set rates.
        check: returns what is missing on this machine, one line each, with how to get it.
        faults: returns what is wrong with the options that the model can't check (a setting that
            the library doesn't know), each under its key (`settings.x`). Nothing if the library
            isn't installed.
        cross_faults: returns what is wrong between options, or between options and the race.
        needs: returns what a peer needs of a machine.
        standing: returns how a verdict compares it with other entrants.
        settings: which options change the program's settings.
        network: what its peers need of one machine's network.
        pods: what applies only in a cluster's pods.
        identity: which program it is.
        of_command: returns options that race the program of a bare command; only of a kind that
            takes any program.
        api_version: the `API_VERSION` that the package was written for; with another one the kind
            is refused. The installed one by default.
    """

    kind: str
    options: type[EntrantOptions]
    create: Callable[[Context, Any], System]
    observes: Callable[[Any], Observes]
    means: Callable[[Any], Meanings]
    isolates_process: bool = False
    leechers_serve: bool = True
    modules: tuple[str, ...] = ()
    gauges: tuple[str, ...] = ()
    caveats: Callable[[Mapping[str, Any], bool], list[str]] = lambda described, limited: []
    check: Callable[[Any], list[str]] = lambda options: []
    faults: Callable[[Any], list[Fault]] = lambda options: []
    cross_faults: Callable[[Any, RaceShape], list[CrossFault]] = lambda options, race: []
    needs: Callable[[Any], Needs] = lambda options: Needs()
    standing: Callable[[Any], Standing] = lambda options: Standing()
    settings: Settings = field(default_factory=Settings)
    network: NetworkRules = field(default_factory=NetworkRules)
    pods: PodRules = field(default_factory=PodRules)
    identity: Identity = field(default_factory=Identity)
    of_command: Callable[[Sequence[str]], EntrantOptions] | None = None
    api_version: int = API_VERSION

    def preload(self) -> None:
        """Import `modules`.

        Raises:
            ImportError: one of them is missing.
        """
        for name in self.modules:
            import_module(name)
