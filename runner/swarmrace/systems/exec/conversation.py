"""Requests to a program and its answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from swarmrace.clock import Clock
from swarmrace.errors import Reason, TransferError
from swarmrace.systems.exec.lines import LineReader
from swarmrace.systems.exec.programs import Program
from swarmrace.systems.exec.protocol import (
    CountersEvent,
    Done,
    Event,
    Failed,
    Request,
    TroubleEvent,
    line_of,
    parse,
    shown,
)

Take = Callable[[Event, int], None]
_DRAIN_SECONDS = 1.0
"""Maximum time to read the remaining lines of a program that has ended."""


class Conversation:
    """Sends requests to a running program, one at a time.

    Args:
        program: the running program.
        clock: stamps its lines.
    """

    def __init__(self, program: Program, clock: Clock) -> None:
        self._program = program
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[tuple[Done, int]] | None = None
        self._request_id = 0
        """The `id` of the latest request."""
        self._given_up: set[int] = set()
        """Cancelled requests, whose answers may still come."""
        self._take: Take | None = None
        self._fault: TransferError | None = None
        self.counters = CountersEvent()
        """The program's last report of its counters."""
        self.trouble = ""
        """The program's last report of what it retries."""
        self.unrequested = 0
        """Fetch events that came when no fetch was running."""
        self.reader = LineReader(program.reading, clock, self._handle, self._break)

    async def ask(self, request: Request, take: Take | None = None) -> tuple[Done, int]:
        """Return the answer to a request, and the instant at which its line had been read.

        Args:
            request: the request; its `id` is set here.
            take: gets each event of a fetch with its instant, in the reader's thread.

        Raises:
            TransferError: the program has failed, sent something invalid, or ended.
        """
        if self._fault is not None:
            raise self._fault
        self.trouble = ""
        self._take = take
        numbered = request.model_copy(update={"id": self.next_id()})
        self._answer = answer = self._loop.create_future()
        death = asyncio.create_task(self._program.died())
        try:
            await self._program.write(line_of(numbered))
            await asyncio.wait((answer, death), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_DRAIN_SECONDS):
                        await self.reader.ended.wait()
                await asyncio.sleep(0)  # what the reader's thread sent earlier comes first
            if answer.done():
                result: tuple[Done, int] = answer.result()
                return result
            raise TransferError(Reason.NODE_DIED, f"{death.result()}; it had not sent done")
        finally:
            if not answer.done():
                self._given_up.add(self._request_id)
            self._answer = self._take = None
            death.cancel()
            await asyncio.gather(death, return_exceptions=True)
            if answer.done() and not answer.cancelled():
                answer.exception()  # seen

    def next_id(self) -> int:
        """Return the number of the next request."""
        self._request_id += 1
        return self._request_id

    async def close(self) -> None:
        """Stop reading."""
        await self.reader.close()

    def _handle(self, line: bytes, t_ns: int) -> None:
        event = parse(line)
        match event:
            case CountersEvent():
                self.counters = event
            case TroubleEvent(text=text):
                self.trouble = " ".join(text.split())[:300]
            case Done():
                self._settle((event, t_ns), event.id, line)
            case Failed(reason=reason, detail=detail):
                text = " ".join(detail.split())[:600]
                failure = TransferError(Reason(reason), text or "no detail given")
                self._settle(failure, event.id, line)
            case _ if self._take is not None:
                self._take(event, t_ns)
            case _:
                self.unrequested += 1

    def _break(self, error: TransferError) -> None:
        self._fault = error
        answer = self._answer
        if answer is not None:
            self._call(lambda: None if answer.done() else answer.set_exception(error))

    def _settle(
        self, result: tuple[Done, int] | TransferError, answered: int | None, line: bytes
    ) -> None:
        if answered in self._given_up:
            self._given_up.discard(answered)
            return
        if self._answer is not None and answered not in (None, self._request_id):
            raise TransferError(
                Reason.REFUSED,
                f"expected the answer to request {self._request_id}, found {shown(line)}",
            )
        answer, self._answer, self._take = self._answer, None, None
        if answer is None:
            raise TransferError(
                Reason.REFUSED, f"expected no answer without a request, found {shown(line)}"
            )

        def settle() -> None:
            if answer.done():
                return
            if isinstance(result, TransferError):
                answer.set_exception(result)
            else:
                answer.set_result(result)

        self._call(settle)

    def _call(self, function: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(function)
