"""The error tree and the exit codes.

Every error says what was expected, what was found and what to do next, in one line. The CLI
prints that line and leaves with the class's `exit_code`; a traceback appears only with `--debug`.

    SwarmraceError (1)
    ├── UsageError (2)               an option doesn't fit the results that it is about
    ├── ScenarioError (3)            the scenario file is wrong; all faults at once
    ├── UnavailableError (4)         this machine or cluster can't run the scenario
    │   ├── ConditionError (4)       network conditions that can't be applied or did not hold
    │   └── NeverStartedError (4)    a program failed its trial
    ├── RaceError (7)                the race ended without a usable result
    ├── ResultsError (8)             a results folder or file can't be read
    ├── RendezvousError (9)          the rendezvous is out of reach or refused the request
    │   └── WrongRaceError (9)       the rendezvous belongs to another race
    ├── InfrastructureError (11)     the machine or cluster stopped the race
    ├── OutputError (12)             standard output can't be written
    └── TransferError                one stage of one run failed: becomes a result, never an exit

`Exit` also names the codes that are no errors: acceptance missed (5), undecided (6), transfers that
failed where no acceptance is set (10), an interruption (130), and output that nobody reads to its
end (141).
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
    INTERRUPTED = 130
    READER_GONE = 141


class Reason(StrEnum):
    """Why a transfer or a run has no time. Recorded in results and metrics, never dropped."""

    TIMEOUT = "timeout"
    """A stage outlived its own timeout (publish, discovery or transfer; the stage is recorded)."""
    STALL = "stall"
    """No new payload byte for `timeouts.stallSeconds`."""
    WRONG_BYTES = "wrong bytes"
    """Length or SHA-256 of what lies there is not the payload's."""
    NODE_DIED = "node died"
    """The system's program ended, or started again, unasked."""
    REFUSED = "refused"
    """The system answered with an error."""
    DISK_FULL = "disk full"
    """The entrant filled the disk beyond what it declares to need, or its own quota."""
    OUT_OF_MEMORY = "out of memory"
    """The entrant used more memory than it declares to need, and the kernel killed its program."""
    INFRASTRUCTURE = "infrastructure"
    """The machine or cluster lacked what the race may rely on: a disk that others filled or that
    broke, descriptors, memory, processes, the loopback interface. Says nothing of the entrant."""
    TRACKER_LOST = "tracker lost"
    """The rendezvous went away while the run was in flight."""
    PEER_LOST = "peer lost"
    """The peer's process or pod is gone, or was not heard from in time."""
    NOT_RUN = "not run"
    """The run never began; the detail says why (for example `peer 3 lost`)."""
    INTERRUPTED = "interrupted"
    """A person or a supervisor ended the race."""
    INTERNAL = "internal error"
    """A defect of swarmrace itself; the detail holds the exception."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a scenario, or of anything else that people write or a network delivers."""

    key: str
    """The key it belongs to, with dots: `global.race.seeders`; empty for the whole file."""
    text: str
    """What was found and what was expected."""
    missing: bool = False
    """Whether the fault is that the key is missing."""

    def __str__(self) -> str:
        return f"{self.key}: {self.text}" if self.key else self.text

    def below(self, prefix: str) -> Fault:
        """Return the same fault of a part that is found at `prefix`."""
        return replace(self, key=f"{prefix}.{self.key}" if self.key else prefix)


class SwarmraceError(Exception):
    """Base of everything swarmrace raises on purpose."""

    exit_code: Exit = Exit.UNEXPECTED


class ScenarioError(SwarmraceError):
    """The scenario is wrong.

    Args:
        faults: every fault found.
        source: the file.
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
    """What a command was given doesn't fit what it is about."""

    exit_code = Exit.USAGE


class UnavailableError(SwarmraceError):
    """Something this scenario needs is not to be had here; the text says how to get it."""

    exit_code = Exit.UNAVAILABLE


class ConditionError(UnavailableError):
    """Network conditions can't be applied, or the preflight measured something else."""


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
    """Standard output can't be written; what was measured is kept all the same."""

    exit_code = Exit.OUTPUT


class InfrastructureError(SwarmraceError):
    """The machine or cluster stopped the race: it can't go on here, whatever the entrants do."""

    exit_code = Exit.INFRASTRUCTURE


class SweepError(SwarmraceError):
    """A sweep's folder is another sweep's, began with other versions, or is being driven."""

    exit_code = Exit.SWEEP_REFUSED


class WrongRaceError(RendezvousError):
    """The rendezvous answers, but for another race id."""


class TransferError(SwarmraceError):
    """One stage of one run failed for one peer. Systems raise it; `peer` records it.

    Args:
        reason: the recorded reason.
        detail: one line for people: what was expected, what was found.
        number: the system's error number (errno), where one is known.
    """

    def __init__(self, reason: Reason, detail: str = "", number: int | None = None) -> None:
        self.reason = reason
        self.detail = detail
        self.number = number
        super().__init__(f"{reason}: {detail}" if detail else str(reason))


class KilledForMemoryError(TransferError):
    """The kernel killed the system's program because memory had run out; `peer.blame` decides
    whose doing that was.

    Args:
        detail: one line for people.
        used_bytes: what it held, or None where nobody knows.
    """

    def __init__(self, detail: str, used_bytes: int | None) -> None:
        self.used_bytes = used_bytes
        super().__init__(Reason.NODE_DIED, detail)
