"""The error tree and the exit codes.

Every error says in one line what was found, what was expected and what to do next. The command
line prints that line and exits with the class's `exit_code`; a traceback appears only with
`--debug`.

    SwarmraceError (1)
    ├── UsageError (2)               an option doesn't fit the results it is used on
    ├── ScenarioError (3)            the scenario file is wrong; all faults at once
    ├── UnavailableError (4)         this machine or cluster can't run the scenario
    │   ├── ConditionError (4)       network conditions can't be applied or did not hold
    │   └── NeverStartedError (4)    a program failed its trial
    ├── RaceError (7)                the race ended without a usable result
    ├── ResultsError (8)             a results folder or file can't be read
    ├── RendezvousError (9)          the rendezvous can't be reached or refused the request
    │   └── WrongRaceError (9)       the rendezvous belongs to another race
    ├── InfrastructureError (11)     the machine or cluster stopped the race
    ├── OutputError (12)             standard output can't be written
    ├── SweepError (14)              the sweep's folder belongs to another sweep or is in use
    └── TransferError                one stage of one run failed: a result, never an exit code

`Exit` also has the codes that are not errors: acceptance missed (5) or undecided (6), failed
transfers without an acceptance (10), a system that breaks the contract (15), an interruption (130),
and standard output that its reader closed early (141).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum


class Exit(IntEnum):
    """Exit codes of the `swarmrace` command. Stable: scripts and Jobs rely on them."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    SCENARIO = 3
    UNAVAILABLE = 4
    ACCEPTANCE_MISSED = 5
    ACCEPTANCE_UNDECIDED = 6
    RACE = 7
    RESULTS = 8
    RENDEZVOUS = 9
    TRANSFERS_FAILED = 10
    INFRASTRUCTURE = 11
    OUTPUT = 12
    SWEEP_INCOMPLETE = 13
    SWEEP_REFUSED = 14
    CONTRACT_BROKEN = 15
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class Reason(StrEnum):
    """Why a transfer or a run has no time. Always recorded in results and metrics."""

    TIMEOUT = "timeout"
    """A stage exceeded its timeout (publish, discovery or transfer; the stage is recorded)."""
    STALL = "stall"
    """No new payload byte for `timeouts.stallSeconds`."""
    WRONG_BYTES = "wrong bytes"
    """The length or SHA-256 of what the leecher holds differs from the payload's."""
    NODE_DIED = "node died"
    """The system's program ended or restarted by itself."""
    REFUSED = "refused"
    """The system answered with an error."""
    DISK_FULL = "disk full"
    """The entrant filled its own quota, or the disk with more than its declared need."""
    OUT_OF_MEMORY = "out of memory"
    """The entrant used more memory than its declared need, and the kernel killed its program."""
    INFRASTRUCTURE = "infrastructure"
    """The machine or cluster lacked something that every race needs: a disk with space that works,
    descriptors, memory, processes, the loopback interface. It isn't the entrant's failure."""
    TRACKER_LOST = "tracker lost"
    """The rendezvous was lost while the run was in flight."""
    PEER_LOST = "peer lost"
    """The peer's process or pod is gone, or missed its heartbeats."""
    NOT_RUN = "not run"
    """The run never began; the detail says why (for example `peer 3 lost`)."""
    INTERRUPTED = "interrupted"
    """A person or a supervisor ended the race."""
    INTERNAL = "internal error"
    """A defect of swarmrace itself; the detail holds the exception."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a scenario, or of other data that people write or that comes over a network."""

    key: str
    """The faulty key, with dots: `global.race.seeders`; empty for the whole file."""
    text: str
    """What was found and what was expected."""
    missing: bool = False
    """Whether the key is missing."""

    def __str__(self) -> str:
        return f"{self.key}: {self.text}" if self.key else self.text

    def below(self, prefix: str) -> Fault:
        """Return the fault with `prefix` put before its key."""
        return replace(self, key=f"{prefix}.{self.key}" if self.key else prefix)


class SwarmraceError(Exception):
    """Base class of swarmrace's errors."""

    exit_code: Exit = Exit.UNEXPECTED


class ScenarioError(SwarmraceError):
    """The scenario is wrong.

    Args:
        faults: all faults of the file.
        source: the file's name.
        lacking: what this machine lacks for the rest of the scenario, printed below the faults.
    """

    exit_code = Exit.SCENARIO

    def __init__(
        self,
        faults: Sequence[Fault],
        source: str = "scenario",
        *,
        lacking: str = "",
    ) -> None:
        self.faults = tuple(faults)
        self.source = source
        count = len(self.faults)
        head = f"{source}: {count} fault{'' if count == 1 else 's'}"
        lines = [head, *(f"  {fault}" for fault in self.faults), lacking]
        super().__init__("\n".join(lines).rstrip("\n"))


class UsageError(SwarmraceError):
    """An option doesn't fit the results it is used on."""

    exit_code = Exit.USAGE


class UnavailableError(SwarmraceError):
    """Something that the scenario needs is missing here; the message says how to get it."""

    exit_code = Exit.UNAVAILABLE


class ConditionError(UnavailableError):
    """Network conditions can't be applied, or the preflight measured others."""


class NeverStartedError(UnavailableError):
    """An entrant's program could not be started and joined in its trial; nothing was raced."""


class RaceError(SwarmraceError):
    """The race ended without a usable result."""

    exit_code = Exit.RACE


class ResultsError(SwarmraceError):
    """A results folder or one of its files can't be read or written."""

    exit_code = Exit.RESULTS


class RendezvousError(SwarmraceError):
    """The rendezvous can't be reached, or refused a request."""

    exit_code = Exit.RENDEZVOUS


class OutputError(SwarmraceError):
    """Standard output can't be written; the results are kept."""

    exit_code = Exit.OUTPUT


class InfrastructureError(SwarmraceError):
    """The machine or cluster stopped the race; no entrant could have continued."""

    exit_code = Exit.INFRASTRUCTURE


class SweepError(SwarmraceError):
    """A sweep's folder belongs to another sweep, was begun with other versions, or is in use."""

    exit_code = Exit.SWEEP_REFUSED


class WrongRaceError(RendezvousError):
    """The rendezvous conducts another race."""


class TransferError(SwarmraceError):
    """One stage of one run failed for one peer. Systems raise it; `peer` records it.

    Args:
        reason: the reason to record.
        detail: one human-readable line: what was found, what was expected.
        number: the operating system's error number (errno), or None if unknown.
    """

    def __init__(self, reason: Reason, detail: str = "", number: int | None = None) -> None:
        self.reason = reason
        self.detail = detail
        self.number = number
        super().__init__(f"{reason}: {detail}" if detail else str(reason))


class KilledForMemoryError(TransferError):
    """The kernel killed the system's program because memory ran out; `peer.blame` decides whose
    fault that is.

    Args:
        detail: one human-readable line.
        used_bytes: memory that the program used, or None if unknown.
    """

    def __init__(self, detail: str, used_bytes: int | None) -> None:
        self.used_bytes = used_bytes
        super().__init__(Reason.NODE_DIED, detail)
