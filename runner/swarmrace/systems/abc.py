"""The contract between swarmrace and a system that is raced.

One `System` object is one peer's view of one entrant. `peer.peer` drives it through the same
stages for every system and measures; a system only does, reports and records. To add one, see
docs/adding-a-system.md.

The life of a system object, all on one asyncio event loop::

    prepare(run)                 every run, every peer: up, joined, idle
      publish(file, first)       seeders: the first alone, then the others
      settle()                   everybody: connections checked
      fetch(references, record)  leechers: from the reference to the last byte
      counters()                 anybody, at any time
      digest()                   leechers, after the run: what lies there
      remove()                   everybody, after the run
    close()                      once, whatever happened before

Whatever a system can't do, it says by raising `TransferError` with a reason; every other exception
is recorded as a defect (`internal error`). `peer` bounds every call by the scenario's timeouts and
cancels it; a system must come back promptly from a cancellation and leave nothing running.
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
"""What a seeder hands to leechers, JSON: `{"magnet": …}`, `{"cid": …}`, `{"url": …}`. Short: a
leecher must look up everything else inside the race."""


class Board(Protocol):
    """The rendezvous' board, for a system's own arrangements before the start (a bootstrap
    record, say). Keys are private to the run and entrant."""

    async def put(self, key: str, value: Any) -> None:
        """Post a JSON value; posting again replaces it."""
        ...

    async def get(self, key: str) -> Any:
        """Return a posted value, waiting until it is there."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """Who and where this peer is. Given once, before the first run."""

    entrant: str
    peer: int
    swarm_size: int
    race_id: str
    address: str
    """IP address this peer listens on and announces; its own, no other peer's."""
    work_dir: Path
    """Private, empty, on the disk the payload goes to. The system may write below it."""
    announce_url: str
    """The bootstrap tracker's BitTorrent announce URL."""
    size_bytes: int
    """The file size of the race, for sizing quotas and memory."""
    board: Board
    clock: Clock
    cold_start: bool = True
    isolated: bool = False
    """Whether the peer has a network interface of its own."""


@dataclass(frozen=True, slots=True)
class Published:
    """What `publish` returns: the content can be served."""

    reference: Reference
    steps: Mapping[str, float] = field(default_factory=dict)
    """Parts of the publish in seconds (`hash`, `check`, `announce`, `upload`)."""


@dataclass(frozen=True, slots=True)
class Counters:
    """The system's own counters. Never compared between systems: each counts what it likes."""

    sent_bytes: int | None = None
    received_bytes: int | None = None
    connections: int | None = None
    payload_sent_bytes: int | None = None
    """Payload only, without protocol: what leechers serve each other is a share of this."""
    payload_received_bytes: int | None = None
    extra: Mapping[str, float] = field(default_factory=dict)
    """Further figures by the system's own names (`redundant_bytes`, `hash_failures`)."""

    def named(self, **more: float | None) -> dict[str, float]:
        """Return what is known, by name, as a peer's record has it."""
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "extra"}
        return {k: v for k, v in (own | more | dict(self.extra)).items() if v is not None}


@dataclass(frozen=True, slots=True)
class Digest:
    """What lies there after a fetch."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Observes:
    """Which of the definitions a system can observe, under its options."""

    arrival: bool
    """A byte has arrived when the leecher's socket has received it, in any order."""
    delivery: bool
    """The length of the verified prefix that an application can read in order."""
    unit: str
    """What one record of arrival is (without arrival, of what is observed): `read`,
    `poll every 100 ms`."""
    written: bool = False
    """A byte is written when the leecher's node has handed it to its disk, in any order."""
    poll_seconds: float = 0.0
    """How long a record of a plain `ByteLog` may lie behind what it records, where the system is
    polled; done's resolution where it shows no bytes."""
    sampled: bool = False
    """Whether arrival is a `recording.samples.SampledLog`: its resolution is then the gaps between
    samples, a poll's interval included."""
    upload: bool = True
    """Whether a publish takes the payload in (reads, hashes or moves it), so that file size over
    publish is a speed. One that only starts to listen does not."""
    in_order: bool = False
    """Whether pieces are asked for in order; only then is delivery comparable with a stream's."""


@dataclass(frozen=True, slots=True)
class Meanings:
    """What the definitions come down to for one system, under its options: one line each. They are
    printed with every verdict, side by side; docs/methodology.md holds the built-in kinds'."""

    published: str
    """Until when a publish lasts."""
    done: str
    """When a transfer is done."""
    holds: str = ""
    """What leechers hold at the start."""
    discovered: str = ""
    """When discovery ends."""
    arrival: str = ""
    """What one record of arrival says; empty where it isn't observed."""
    written: str = ""
    """What one record of `written` says; empty where it isn't observed."""
    delivery: str = ""
    """What one record of delivery says; empty where it isn't observed."""
    comparable_by: str = ""
    """The option that would make its delivery comparable with a stream's, where one does."""
    usage: str = ""
    """What CPU and memory are of, where that is more than `isolates_process` says."""
    verified: str = ""
    """What is hashed after the run."""


class Record:
    """What one fetch records, written by the system and read by `peer` while it runs.

    `arrivals` gets a record when bytes have been received, `written` when the node has written
    bytes, `deliverable` when bytes are verified and can be read (in any order; the prefix is
    derived). A system for which arrival and delivery are one writes one log and sets both to it.
    What a system doesn't observe stays None.

    Args:
        clock: stamps `discovered` and `finished`.
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
        self.connections_at_start: int | None = None
        self.complete: bool | None = None
        """False when the system knows that it lost records (said in the result)."""
        self.stall_judged_by: StallSignal | None = None
        """Set by the watch (`transfer_watch`)."""
        self.notes: list[str] = []
        """Lines for people: anything odd that was seen."""
        self.retries = 0
        self.unlogged_duplicates: int | None = 0
        """Payload bytes that came again and stand in no log, by the system's own count; None where
        there may be some and they are not known."""

    def discovered(self, t_ns: int | None = None) -> None:
        """Note that metadata or manifest are known; the first call counts."""
        if self.discovered_ns is None:
            self.discovered_ns = self.clock.now_ns() if t_ns is None else t_ns

    def done(self, t_ns: int | None = None) -> None:
        """Note that the transfer is done (see `definitions`); the first call counts."""
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
        """Be up, joined and idle for `run`. With `context.cold_start`, from nothing.

        Raises:
            TransferError: the program can't be started or has not joined.
        """

    @abc.abstractmethod
    async def publish(self, file: Path, first: Reference | None) -> Published:
        """Serve the file that lies ready at `file`; return when it can be served.

        Args:
            file: the payload, complete; the system may keep reading it until `remove`.
            first: the first seeder's reference, or None when this is the first seeder. A system
                whose reference names content must refuse to publish another one.

        Raises:
            TransferError: it can't be published.
        """

    async def settle(self) -> None:  # noqa: B027
        """Return when the system is ready for the start (bounded by `settleSeconds`).

        Raises:
            TransferError: connections are missing or the program is deaf.
        """

    @abc.abstractmethod
    async def fetch(self, references: Sequence[Reference], record: Record) -> None:
        """Fetch the content; return when it is done, having called `record.done`.

        Args:
            references: one from each seeder, in the order of their publishing.
            record: gets discovery, arrivals and deliveries.

        Raises:
            TransferError: the system refused, lost its program, or ran out of disk. Timeouts and
                stalls are `peer`'s to judge: it cancels this call.
        """

    @abc.abstractmethod
    def counters(self) -> Counters:
        """Return the system's own counters of this run so far. Must not block."""

    async def refresh(self) -> None:  # noqa: B027
        """Bring the counters up to date, where that takes a moment. Called once a run, after the
        last leecher has ended; bounded by a second."""

    @abc.abstractmethod
    async def digest(self) -> Digest:
        """Return length and SHA-256 of what the fetch left, read back where it was kept."""

    @abc.abstractmethod
    async def remove(self) -> None:
        """Remove this run's content; with `context.cold_start`, the session or node too."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Release everything, whatever state it is in. Safe to call twice; never raises for a
        program that is already gone."""

    @abc.abstractmethod
    def describe(self) -> Mapping[str, Any]:
        """Return the version and every setting that differs from that version's defaults, at its
        effective value, as JSON: `{"version": …, "settings": {…}, "reasons": {setting: why}}`.
        A program that only plays the real one for tests says `"testDouble": true`."""

    def last_words(self) -> str:
        """Return the end of the program's output in one line, or nothing where there is none.
        Asked when the program can't be started or joined, before `close`."""
        return ""

    @property
    def found_running(self) -> bool:
        """Whether the program was up before swarmrace came, so that not even its first run is cold.
        False by default."""
        return False

    def progress(self) -> int | None:
        """Return a count that rises with the content that arrives, by the program's own counter:
        blocks that it holds, say. None where it has none, or none of the last seconds.

        A stall is judged by it where no arrivals are recorded. Asked ten times a second in a
        fetch; must not block.
        """
        return None

    @property
    def trouble(self) -> str:
        """What went wrong last and is being tried again, in one line; empty when nothing did.

        Should a timeout end the stage, this stands in its failure. What can't succeed by trying
        again must not be tried again: raise `TransferError`.
        """
        return ""

    def processes(self) -> list[int]:
        """Return the pids whose CPU and memory are this system's. This process by default."""
        import os

        return [os.getpid()]
