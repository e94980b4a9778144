"""The contract between swarmrace and a system that is raced.

One `System` object is one peer's view of one entrant. `peer.peer` drives every system through the
same stages and measures; a system only acts, reports and records. To add one, see
docs/adding-a-system.md.

The life of a system object, all on one asyncio event loop::

    prepare(run)                 every run, every peer: up, joined, idle
      publish(file, first)       seeders: the first one alone, then the other seeders
      settle()                   every peer: connections checked
      fetch(references, record)  leechers: from the reference to the last byte
      counters()                 any peer, at any time
      digest()                   leechers, after the run: what was fetched
      remove()                   every peer, after the run
    close()                      once, whatever happened before

If a system can't do something, it raises `TransferError` with a reason; every other exception is
recorded as a defect (`internal error`). `peer` bounds every call by the scenario's timeouts and
cancels it; a system must return promptly from a cancellation and leave nothing running.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from swarmrace.clock import Clock
from swarmrace.recording.arrivals import ByteLog
from swarmrace.recording.records import StallSignal
from swarmrace.systems.options import EntrantOptions
from swarmrace.systems.run import Run

Reference = Mapping[str, Any]
"""What a seeder gives to leechers, as JSON: `{"magnet": …}`, `{"cid": …}`, `{"url": …}`. Short: a
leecher must look up everything else during the race."""


class Board(Protocol):
    """The rendezvous' board, for values that a system's peers exchange before the start (a
    bootstrap record, say). Keys are private to the run and the entrant."""

    async def put(self, key: str, value: Any) -> None:
        """Post a JSON value; posting again replaces it."""
        ...

    async def get(self, key: str) -> Any:
        """Return a value; wait until it is posted."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """Who and where this peer is. Given once, before the first run."""

    entrant: str
    peer: int
    swarm_size: int
    race_id: str
    address: str
    """IP address that this peer listens on and announces; no other peer has it."""
    work_dir: Path
    """Private, empty, on the disk that the payload goes to. The system may write below it."""
    announce_url: str
    """The bootstrap tracker's BitTorrent announce URL."""
    size_bytes: int
    """The file size of the race, for sizing quotas and memory."""
    board: Board
    clock: Clock
    cold_start: bool = True
    isolated: bool = False
    """Whether the peer has its own network interface."""


@dataclass(frozen=True, slots=True)
class Published:
    """What `publish` returns: the content can be served."""

    reference: Reference
    steps: Mapping[str, float] = field(default_factory=dict)
    """Parts of the publish in seconds (`hash`, `check`, `announce`, `upload`)."""


@dataclass(frozen=True, slots=True)
class Counters:
    """The system's own counters. Never compared between systems, because each defines its own."""

    sent_bytes: int | None = None
    received_bytes: int | None = None
    connections: int | None = None
    payload_sent_bytes: int | None = None
    """Payload only, without protocol. The share that leechers serve each other is computed from
    it."""
    payload_received_bytes: int | None = None
    extra: Mapping[str, float] = field(default_factory=dict)
    """Further figures by the system's own names (`redundant_bytes`, `hash_failures`)."""

    def named(self, **more: float | None) -> dict[str, float]:
        """Return the known counters by name, as in a peer's record."""
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "extra"}
        return {k: v for k, v in (own | more | dict(self.extra)).items() if v is not None}


@dataclass(frozen=True, slots=True)
class Digest:
    """Length and SHA-256 of what a fetch left."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Observes:
    """Which of the definitions a system can observe, with given options."""

    arrival: bool
    """A byte has arrived when the leecher's socket has received it, in any order."""
    delivery: bool
    """The length of the verified prefix that an application can read in order."""
    unit: str
    """What one record of arrival is (or, without arrival, of what is observed): `read`,
    `poll every 100 ms`."""
    written: bool = False
    """A byte is written when the leecher's node has passed it to its disk, in any order."""
    poll_seconds: float = 0.0
    """How late a record of a plain `ByteLog` may be, if the system is polled; the resolution of
    done if no bytes are observed."""
    sampled: bool = False
    """Whether arrival is a `recording.samples.SampledLog`: its resolution is then the gaps between
    samples, which include the polling interval."""
    upload: bool = True
    """Whether a publish processes the payload (reads, hashes or moves it), so that file size over
    publish is a speed. A publish that only starts to listen doesn't."""
    in_order: bool = False
    """Whether pieces are requested in order; only then is delivery comparable with a stream's."""


@dataclass(frozen=True, slots=True)
class Meanings:
    """What the definitions mean for one system, with given options: one line each. Every verdict
    prints them side by side; docs/methodology.md has those of the built-in kinds."""

    published: str
    """When a publish ends."""
    done: str
    """When a transfer is done."""
    holds: str = ""
    """What leechers hold at the start."""
    discovered: str = ""
    """When discovery ends."""
    arrival: str = ""
    """What one record of arrival means; empty if it isn't observed."""
    written: str = ""
    """What one record of `written` means; empty if it isn't observed."""
    delivery: str = ""
    """What one record of delivery means; empty if it isn't observed."""
    comparable_by: str = ""
    """The option that would make its delivery comparable with a stream's, if there is one."""
    usage: str = ""
    """What CPU and memory cover, if that needs more explanation than `isolates_process`."""
    verified: str = ""
    """What is hashed after the run."""


class Record:
    """What one fetch records, written by the system and read by `peer` while it runs.

    `arrivals` gets a record when bytes have been received, `written` when the node has written
    bytes, `deliverable` when bytes are verified and can be read (in any order; the prefix is
    derived). A system for which arrival and delivery are the same writes one log and sets both to
    it. What a system doesn't observe stays None.

    Args:
        clock: stamps `discovered` and `done`.
        size_bytes: the payload's size.
    """

    def __init__(self, clock: Clock, size_bytes: int) -> None:
        self.clock = clock
        self.size_bytes = size_bytes
        self.arrivals: ByteLog | None = None
        self.written: ByteLog | None = None
        self.deliverable: ByteLog | None = None
        self.start_ns: int | None = None
        """The leecher's start stamp, set by `peer.transfer.race`."""
        self.discovered_ns: int | None = None
        self.done_ns: int | None = None
        self.done_gap_ns = 0
        """How long before `done_ns` it may have been done already: the gap between two readings."""
        self.connections_at_start: int | None = None
        self.behind_seconds: float | None = None
        """How late a record of this transfer may be, where that was
        measured: it takes the place of `Observes.poll_seconds`."""
        self.complete: bool | None = None
        """False if the system knows that it lost records; the result then says so."""
        self.stall_judged_by: StallSignal | None = None
        """Set by the watch (`transfer_watch`)."""
        self.notes: list[str] = []
        """Human-readable lines about anything unusual."""
        self.retries = 0
        self.unlogged_duplicates: int | None = 0
        """Payload bytes that came again and are in no log, by the system's own count; None if
        there may be some but the number is unknown."""
        self.counted_duplicates: int | None = None
        """All payload bytes that came again, by the system's own count, if its logs don't show
        which bytes came when. If a system requests whole blocks, they count as whole blocks."""

    def discovered(self, t_ns: int | None = None) -> None:
        """Record that metadata or manifest are known; only the first call counts."""
        if self.discovered_ns is None:
            self.discovered_ns = self.clock.now_ns() if t_ns is None else t_ns

    def done(self, t_ns: int | None = None) -> None:
        """Record that the transfer is done (see `definitions`); only the first call counts."""
        if self.done_ns is None:
            self.done_ns = self.clock.now_ns() if t_ns is None else t_ns

    @property
    def progress_bytes(self) -> int:
        """Payload bytes recorded so far, duplicates included: for the display and stall watch."""
        return self.main.bytes_recorded if self.main is not None else 0

    @property
    def main(self) -> ByteLog | None:
        """The first of arrivals, written and deliverable that is recorded."""
        logs = (self.arrivals, self.written, self.deliverable)
        return next((log for log in logs if log is not None), None)


class System(abc.ABC):
    """One peer's view of one entrant's program.

    Args:
        context: who and where this peer is.
        options: the entrant's options, of the kind's own model.
    """

    def __init__(self, context: Context, options: EntrantOptions) -> None:
        self.context = context
        self.options = options

    @abc.abstractmethod
    async def prepare(self, run: Run) -> None:
        """Be up, joined and idle for `run`. With `context.cold_start`, start from nothing.

        Raises:
            TransferError: the program can't be started or has not joined.
        """

    @abc.abstractmethod
    async def publish(self, file: Path, first: Reference | None) -> Published:
        """Serve the file at `file`; return when it can be served.

        Args:
            file: the payload, complete; the system may keep reading it until `remove`.
            first: the first seeder's reference, or None if this is the first seeder. A system
                whose reference names content must refuse to publish other content.

        Raises:
            TransferError: it can't be published.
        """

    async def settle(self) -> None:  # noqa: B027 (optional to override)
        """Return when the system is ready for the start (bounded by `settleSeconds`).

        Raises:
            TransferError: connections are missing, or the program doesn't answer.
        """

    @abc.abstractmethod
    async def fetch(self, references: Sequence[Reference], record: Record) -> None:
        """Fetch the content; return when it is done and `record.done` was called.

        Args:
            references: one from each seeder, in the order of their publishing.
            record: receives discovery, arrivals and deliveries.

        Raises:
            TransferError: the system refused, its program died, or its disk is full. `peer` judges
                timeouts and stalls, and cancels this call.
        """

    @abc.abstractmethod
    def counters(self) -> Counters:
        """Return the system's own counters of this run so far. Must not block."""

    async def refresh(self) -> None:  # noqa: B027 (optional to override)
        """Update the counters, if that takes a moment. Called once a run, after the last leecher
        has ended; limited to a second."""

    @abc.abstractmethod
    async def digest(self) -> Digest:
        """Return length and SHA-256 of what the fetch left, read back from where it is stored."""

    @abc.abstractmethod
    async def remove(self) -> None:
        """Remove this run's content; with `context.cold_start`, the session or node too."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Release everything, in any state. Safe to call twice; never raises for a program that
        has already ended."""

    @abc.abstractmethod
    def describe(self) -> Mapping[str, Any]:
        """Return the version and every setting that differs from that version's defaults, with its
        effective value, as JSON: `{"version": …, "settings": {…}, "reasons": {setting: why}}`.
        A test double of the real program adds `"testDouble": true`."""

    def last_words(self) -> str:
        """Return the end of the program's output in one line, or nothing if there is none.
        Called if the program can't be started or joined, before `close`."""
        return ""

    @property
    def found_running(self) -> bool:
        """Whether the program was already running before the race, so that not even its first run
        is cold. False by default."""
        return False

    def progress(self) -> int | None:
        """Return the program's own counter that rises as content arrives, such as the blocks it
        holds. None if it has none, or no recent one.

        A stall is judged by it if no arrivals are recorded. Called ten times a second during a
        fetch; must not block.
        """
        return None

    @property
    def trouble(self) -> str:
        """The last error that is being retried, in one line; empty if there is none.

        If a timeout ends the stage, its failure contains this line. Don't retry what can't succeed
        later: raise `TransferError`.
        """
        return ""

    def processes(self) -> list[int]:
        """Return the pids whose CPU and memory are this system's. This process by default."""
        import os

        return [os.getpid()]
