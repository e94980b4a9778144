"""One peer's program behind the contract of `swarmrace.systems.abc`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swarmrace.errors import Reason, TransferError
from swarmrace.recording.payload import file_sha256
from swarmrace.systems import abc
from swarmrace.systems.abc import Context, Digest, Published, Record, Reference, System
from swarmrace.systems.exec.conversation import Conversation, Take
from swarmrace.systems.exec.fetching import FetchLog
from swarmrace.systems.exec.options import ExecOptions
from swarmrace.systems.exec.programs import CLOSE_SECONDS, program_of
from swarmrace.systems.exec.protocol import (
    Close,
    Done,
    Fetch,
    Prepare,
    PublishRequest,
    Remove,
    Request,
    line_of,
)
from swarmrace.systems.run import Run

_REMOVE_SECONDS = 10.0
_MAX_REFERENCE = 2000


class ExecSystem(System):
    """One peer of any program.

    Args:
        context: who and where this peer is.
        options: the entrant's options.
    """

    options: ExecOptions

    def __init__(self, context: Context, options: ExecOptions) -> None:
        super().__init__(context, options)
        self._program = program_of(context, options)
        self._talk: Conversation | None = None
        self._own = context.work_dir / "own"
        self._path = context.work_dir / "fetched"
        self._record: Record | None = None
        self._done_mtime_ns: int | None = None
        self._prepared = Done()
        self._notes: list[str] = []

    async def prepare(self, run: Run) -> None:
        """Start the program, unless it runs and may keep running; have it prepare."""
        self._record = self._done_mtime_ns = None
        self._notes = []
        if self.context.cold_start or self._talk is None or not self._program.running:
            await self._end()
            self._own.mkdir(parents=True, exist_ok=True)
            await self._program.start()
            self._talk = Conversation(self._program, self.context.clock)
        context = self.context
        self._prepared, _ = await self._ask(
            Prepare(
                run=run.id,
                role="seeder" if run.role(context.peer) == "seeder" else "leecher",
                peer=context.peer,
                swarm_size=context.swarm_size,
                address=context.address,
                folder=str(self._own),
                announce_url=context.announce_url,
                size_bytes=run.size_bytes,
                cold_start=context.cold_start,
                settings=dict(self.options.settings),
            )
        )

    async def publish(self, file: Path, first: Reference | None) -> Published:
        """Have the program serve the file; return its reference."""
        before = _state(file)
        given = dict(first) if first is not None else None
        done, _ = await self._ask(PublishRequest(path=str(file), first=given))
        if _state(file) != before:
            raise TransferError(
                Reason.WRONG_BYTES, f"expected {file} left as it is, found it changed by the seeder"
            )
        return Published(_checked(done.reference))

    async def fetch(self, references: Sequence[Reference], record: Record) -> None:
        """Have the program fetch. If the fetch is cancelled, end the program: nothing else would
        stop it."""
        talk = self._talking()
        self._record = record
        log = FetchLog(record, self.options)
        talk.reader.restart_measurement()
        request = Fetch(
            references=[dict(reference) for reference in references],
            path=str(self._path),
            size_bytes=record.size_bytes,
        )
        try:
            _, t_ns = await self._ask(request, log.take)
        except asyncio.CancelledError:
            await asyncio.shield(self._end())
            raise
        record.behind_seconds = talk.reader.behind_ns / 1e9
        self._done_mtime_ns = self._whole(record.size_bytes)
        log.done(t_ns)
        record.done(t_ns)

    def counters(self) -> abc.Counters:
        """Return the counters that the program last reported, and those of its lines."""
        if self._talk is None:
            return abc.Counters()
        reader = self._talk.reader
        extra = {"lines": reader.lines, "line_wait_seconds": reader.behind_ns / 1e9}
        return abc.Counters(
            **self._talk.counters.model_dump(exclude={"event"}, by_alias=False), extra=extra
        )

    async def digest(self) -> Digest:
        """Read the file back.

        Raises:
            TransferError: the file is missing, or was written to after `done`.
        """
        try:
            changed = self._path.stat().st_mtime_ns != self._done_mtime_ns
            sha256 = await asyncio.to_thread(file_sha256, self._path)
            size_bytes = self._path.stat().st_size
        except OSError as error:
            raise self._no_file(error) from error
        if changed:
            raise TransferError(
                Reason.WRONG_BYTES,
                f"expected {self._path} whole when the program sent done, found that it was "
                "written to afterwards",
            )
        return Digest(size_bytes, sha256)

    async def remove(self) -> None:
        """Have the program remove the content; after a cold run, end the program.

        Raises:
            TransferError: it had died, or didn't remove the content in time.
        """
        try:
            if self._talk is not None:
                async with asyncio.timeout(_REMOVE_SECONDS):
                    await self._ask(Remove())
                if self.context.cold_start:
                    await self._ask_to_close()
        except TimeoutError:
            raise TransferError(
                Reason.TIMEOUT,
                f"expected `remove` to be done within {_REMOVE_SECONDS:g} s, found no answer",
            ) from None
        finally:
            self._path.unlink(missing_ok=True)
            if self.context.cold_start:
                await self._end()

    async def close(self) -> None:
        """End the program, in any state."""
        with contextlib.suppress(Exception):
            if self._talk is not None and self._program.running:
                await self._ask_to_close()
        with contextlib.suppress(Exception):
            await self._end()
        self._path.unlink(missing_ok=True)
        (self.context.work_dir / "program.log").unlink(missing_ok=True)

    def describe(self) -> Mapping[str, Any]:
        """Return the version and settings that the program reported, and how it was started."""
        options, notes = self.options, list(self._notes)
        if self._talk is not None and self._talk.unrequested:
            notes.append(f"{self._talk.unrequested} events of a fetch came outside of one")
        settings = {
            **self._prepared.settings,
            **options.settings,
            "command": list(options.command),
            "observes": options.observes,
            "inOrder": options.in_order,
        }
        return {
            "version": self._prepared.version or "unknown",
            "settings": settings,
            "reasons": {k: v for k, v in self._prepared.reasons.items() if k in settings and v},
            "notes": notes,
        }

    def last_words(self) -> str:
        """Return the end of the program's standard error."""
        return self._program.last_lines()

    @property
    def trouble(self) -> str:
        """The program's last report of what it retries."""
        return self._talk.trouble if self._talk is not None else ""

    def processes(self) -> list[int]:
        """Return the program's pid; none if it runs in a container whose processes can't be
        seen."""
        return self._program.pids()

    def _talking(self) -> Conversation:
        if self._talk is None:
            raise TransferError(Reason.REFUSED, "expected a program that runs, found none")
        return self._talk

    async def _ask(self, request: Request, take: Take | None = None) -> tuple[Done, int]:
        try:
            return await self._talking().ask(request, take)
        except TransferError as error:
            detail = f"{request.verb}: {error.detail}"
            if error.reason is Reason.NODE_DIED:
                raise self._program.death(detail) from error
            raise TransferError(error.reason, detail) from error

    async def _ask_to_close(self) -> None:
        """Ask the program to end by itself, except in a pod, where the supervisor would start it
        again.

        Raises:
            TransferError: it didn't end in time; `_end` then sends a signal.
        """
        if not self._program.may_end:
            return
        await self._program.write(line_of(Close(id=self._talking().next_id())))
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._program.died()
        except TimeoutError:
            raise TransferError(
                Reason.TIMEOUT,
                f"expected the program to end within {CLOSE_SECONDS:g} s of `close`, found it "
                "running; it was ended by a signal",
            ) from None

    async def _end(self) -> None:
        """End the program and remove its folder."""
        await self._program.stop()
        talk, self._talk = self._talk, None
        if talk is not None:
            await talk.close()
        await asyncio.to_thread(shutil.rmtree, self._own, ignore_errors=True)

    def _whole(self, size_bytes: int) -> int:
        """Return the time of the last write to the fetched file.

        Raises:
            TransferError: it isn't there, or has another length.
        """
        try:
            found = self._path.stat()
        except OSError as error:
            raise self._no_file(error) from error
        if found.st_size != size_bytes:
            raise TransferError(
                Reason.WRONG_BYTES,
                f"fetch: the program sent done; expected {size_bytes} bytes at {self._path}, "
                f"found {found.st_size}",
            )
        return found.st_mtime_ns

    def _no_file(self, error: OSError) -> TransferError:
        return TransferError(
            Reason.WRONG_BYTES,
            f"fetch: the program sent done; expected the content at {self._path}, found "
            f"{error.strerror}",
        )


def _state(file: Path) -> tuple[int, int, int]:
    """Return values that change if the file is changed or replaced."""
    found = file.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _checked(reference: dict[str, Any] | None) -> Reference:
    """Return a reference that can be posted for leechers.

    Raises:
        TransferError: it is missing, too long, or not valid JSON.
    """
    try:
        text = json.dumps(reference or {}, allow_nan=False)
    except ValueError as error:
        raise TransferError(Reason.REFUSED, f"publish: found a reference with {error}") from error
    if not reference or len(text) > _MAX_REFERENCE:
        found = f"one of {len(text)}" if reference else "none"
        raise TransferError(
            Reason.REFUSED,
            f'publish: expected "reference" in `done`, an object of at most {_MAX_REFERENCE} '
            f"characters, found {found}",
        )
    return reference
