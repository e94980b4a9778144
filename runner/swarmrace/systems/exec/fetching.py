"""Records the events of a fetch. Called in the reader's thread."""

from __future__ import annotations

from swarmrace.errors import Reason, TransferError
from swarmrace.recording.arrivals import ByteLog
from swarmrace.recording.samples import SampledLog
from swarmrace.systems.abc import Record
from swarmrace.systems.exec.options import ExecOptions
from swarmrace.systems.exec.protocol import Arrived, Discovered, Event, Note, Progress

_MAX_NOTES = 20
_EXPECTED_READ = 16_384


class FetchLog:
    """The events of one fetch.

    Args:
        record: gets them.
        options: say which events report bytes.
    """

    def __init__(self, record: Record, options: ExecOptions) -> None:
        self._record, self._options = record, options
        self._size, self._held = record.size_bytes, 0
        self._sampled: SampledLog | None = None
        self._log: ByteLog | None = None
        if options.observes == "progress":
            record.arrivals = self._sampled = SampledLog(self._size)
        elif options.observes == "arrived":
            record.arrivals = self._log = ByteLog(self._size // _EXPECTED_READ + 64)
            if options.in_order:
                record.deliverable = self._log

    def take(self, event: Event, t_ns: int) -> None:
        """Record an event.

        Raises:
            TransferError: it contradicts the payload's size or the options.
        """
        match event:
            case Discovered():
                self._record.discovered(t_ns)
            case Arrived(offset=offset, length=length):
                self._arrived(offset, length, t_ns)
            case Progress(bytes=total):
                self._progress(total, t_ns)
            case Note(text=text):
                if len(self._record.notes) < _MAX_NOTES:
                    self._record.notes.append(" ".join(text.split())[:300])

    def _arrived(self, offset: int, length: int, t_ns: int) -> None:
        if self._log is None:
            raise self._unexpected("arrived")
        if offset + length > self._size:
            raise TransferError(
                Reason.REFUSED,
                f"expected bytes within the payload's {self._size}, found {length} from {offset} "
                "on reported as arrived",
            )
        if self._options.in_order and offset > self._held:
            raise TransferError(
                Reason.REFUSED,
                f"expected the bytes from {self._held} on, found those from {offset} on, although "
                "the scenario sets inOrder: true",
            )
        self._record.discovered(t_ns)
        self._log.record(offset, length, t_ns)
        self._held = max(self._held, offset + length)

    def _progress(self, total: int, t_ns: int) -> None:
        if self._sampled is None:
            raise self._unexpected("progress")
        if total > self._size:
            raise TransferError(
                Reason.REFUSED,
                f"expected progress of at most the payload's {self._size} bytes, found {total}",
            )
        if total:
            self._record.discovered(t_ns)
        self._sampled.sample(total, t_ns, t_ns)

    def done(self, t_ns: int) -> None:
        """Record that the whole file is there: bytes that weren't reported have come by now."""
        self._record.discovered(t_ns)
        if self._sampled is not None:
            self._sampled.complete_at(t_ns)

    def _unexpected(self, event: str) -> TransferError:
        return TransferError(
            Reason.REFUSED,
            f"expected no `{event}`: the scenario sets observes: {self._options.observes}",
        )
