"""The checks of the contract, one function each; `CHECKS` lists them.

A check gets a subject and an empty folder and drives real peers. It raises a `ContractError` if the
system breaks the contract, or the error that the system raised.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from swarmrace.contract.belongings import leaves_nothing
from swarmrace.contract.clauses import (
    big_files,
    check_counters,
    check_description,
    check_processes,
    check_published,
    check_record,
    check_spec,
    has_received,
)
from swarmrace.contract.expect import ContractError, expect
from swarmrace.contract.loopback import in_own_network
from swarmrace.contract.swarm import Subject, Swarm, swarm
from swarmrace.errors import Reason, TransferError
from swarmrace.recording.payload import Payload

Stage = Literal["created", "prepared", "published", "fetched"]
STAGES: tuple[Stage, ...] = ("created", "prepared", "published", "fetched")
Moment = Literal["at once", "at the first byte"]


@dataclass(frozen=True)
class Check:
    """One check of the contract."""

    name: str
    """A sentence that is true for a system that passes."""
    run: Callable[[Subject, Path], None]
    """Runs it in an empty folder; raises if the contract is broken."""
    quick: bool = False
    """Whether it takes only seconds even with slow programs: a suite over many options may run only
    the quick checks for all of them."""


def run_swarm(
    subject: Subject,
    folder: Path,
    body: Callable[[Swarm], Awaitable[None]],
    *,
    size_bytes: int = 1_000_003,
    peers: int = 3,
) -> None:
    """Run `body` over a swarm in a new event loop; check that nothing is left behind."""

    async def go() -> None:
        async with (
            asyncio.timeout(subject.seconds),
            swarm(subject, folder, size_bytes, peers) as made,
        ):
            await body(made)

    def run_here() -> None:
        with leaves_nothing(folder, subject.keeps):
            asyncio.run(go())

    if subject.own_network:
        in_own_network(run_here)
    else:
        run_here()


async def eventually(holds: Callable[[], bool], seconds: float = 60) -> bool:
    """Return whether `holds` becomes true within `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not holds():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


def check_transfer(subject: Subject, folder: Path, size_bytes: int) -> None:
    """One seeder and two leechers, with every call of the contract in order."""

    async def body(swarm: Swarm) -> None:
        run = swarm.run()
        file, sha256 = swarm.file(run)
        await swarm.prepare(run)
        handed_ns = swarm.clock.now_ns()
        (published,) = await swarm.publish(run, file)
        check_published(published, (swarm.clock.now_ns() - handed_ns) / 1e9)
        leechers, records = swarm.systems[1:], [swarm.record() for _ in range(2)]
        start_ns = swarm.clock.now_ns()
        for record in records:
            record.start_ns = start_ns
        pairs = list(zip(leechers, records, strict=True))
        await asyncio.gather(*(one.fetch([published.reference], record) for one, record in pairs))
        for leecher, record in pairs:
            check_record(record, start_ns, swarm.clock.now_ns(), swarm.spec.observes(swarm.options))
            digest = await leecher.digest()
            expect(digest.size_bytes == size_bytes, f"a digest of {size_bytes} bytes", digest)
            expect(digest.sha256 == sha256, f"the payload's SHA-256 {sha256}", digest)
            counted = await eventually(partial(has_received, leecher, size_bytes))
            expect(counted, "received_bytes of at least the payload, soon", leecher.counters())
        for system in swarm.systems:
            check_counters(system.counters())
            check_description(system.describe())
            check_processes(system, swarm.spec)
        await swarm.remove()
        expect(file.exists(), "the seeder's file in place: it belongs to the peer")
        left = [path for each in swarm.work_dirs[1:] for path in big_files(each)]
        expect(not left, "no payload at leechers after remove", left)

    run_swarm(subject, folder, body, size_bytes=size_bytes)


def check_next_run(subject: Subject, folder: Path) -> None:
    """A second run with two seeders: roles and content change."""

    async def body(swarm: Swarm) -> None:
        for index, seeders in enumerate([(0,), (2, 0)]):
            run = swarm.run(index, seeders)
            file, sha256 = swarm.file(run)
            await swarm.prepare(run)
            references = [each.reference for each in await swarm.publish(run, file)]
            if subject.names_content:
                same = all(reference == references[0] for reference in references)
                expect(same, "one reference of one content", references)
            record = swarm.record()
            await swarm.systems[1].fetch(references, record)
            expect(record.done_ns is not None, "done to be called")
            digest = await swarm.systems[1].digest()
            expect(digest.sha256 == sha256, f"the content of run {index}, {sha256}", digest)
            await swarm.remove()

    run_swarm(subject, folder, body)


def check_refusal(subject: Subject, folder: Path) -> None:
    """A reference that names content can't be published for other content."""

    async def body(swarm: Swarm) -> None:
        run = swarm.run(seeders=(0, 1))
        file, _ = swarm.file(run)
        other = folder / "other" / "payload.bin"  # differs only in its bytes
        other.parent.mkdir()
        Payload("other", run.size_bytes).write(other)
        await swarm.prepare(run)
        first = (await swarm.systems[0].publish(file, None)).reference
        try:
            second = await swarm.systems[1].publish(other, first)
        except TransferError as error:
            expect(subject.names_content is not False, "nothing to refuse", error)
            expect(error.reason is Reason.REFUSED, "the reason `refused`", error.reason)
            expect(error.detail, "a detail of one line", error)
        else:
            expect(not subject.names_content, "other content to be refused", second)
            expect(second.reference != first, "another reference", second)

    run_swarm(subject, folder, body, peers=2)


def check_cancellation(subject: Subject, folder: Path, moment: Moment) -> None:
    """A timeout cancels a fetch; it must end promptly and leave nothing running."""

    async def body(swarm: Swarm) -> None:
        run = swarm.run()
        file, _ = swarm.file(run)
        await swarm.prepare(run)
        (published,) = await swarm.publish(run, file)
        leecher, record = swarm.systems[1], swarm.record()
        fetch = asyncio.ensure_future(leecher.fetch([published.reference], record))
        if moment == "at once":
            await asyncio.sleep(0)
            expect(not fetch.done(), "a fetch that takes a moment")
        else:
            while not record.progress_bytes and not fetch.done():
                await asyncio.sleep(0.001)
            shows_bytes = record.main is not None
            expect(record.progress_bytes or not shows_bytes, "a byte before the end of the fetch")
        was_done = fetch.done()
        fetch.cancel()
        done, _ = await asyncio.wait([fetch], timeout=60)
        expect(done, "a fetch that ends soon after its cancellation")
        ended_well = was_done or fetch.cancelled() or record.done_ns is not None
        expect(ended_well, "a fetch that is cancelled or done", fetch)
        check_counters(leecher.counters())
        await swarm.remove()
        left = big_files(swarm.work_dirs[1])
        expect(not left, "no payload after remove", left)

    run_swarm(subject, folder, body, size_bytes=8_000_000, peers=2)


def check_close(subject: Subject, folder: Path, stage: Stage) -> None:
    """At any stage `close` releases everything, and may be called twice."""

    async def advance(swarm: Swarm) -> AsyncIterator[Stage]:
        yield "created"
        run = swarm.run()
        file, _ = swarm.file(run)
        await swarm.prepare(run)
        yield "prepared"
        reference = (await swarm.systems[0].publish(file, None)).reference
        yield "published"
        await swarm.settle()
        await swarm.systems[1].fetch([reference], swarm.record())
        yield "fetched"

    async def body(swarm: Swarm) -> None:
        async for reached in advance(swarm):
            if reached == stage:
                break
        await swarm.close()
        for system in swarm.systems:
            check_counters(system.counters())
            json.dumps(dict(system.describe()))

    run_swarm(subject, folder, body, size_bytes=100_000, peers=2)


def _all() -> Iterator[Check]:
    yield Check("its specification says what a verdict prints", check_spec, quick=True)
    yield Check(
        "a swarm moves a file of odd size",
        partial(check_transfer, size_bytes=1_000_003),
        quick=True,
    )
    yield Check("a swarm moves a single byte", partial(check_transfer, size_bytes=1))
    yield Check("a second run with other seeders brings its own content", check_next_run)
    yield Check("a second seeder with other content is refused", check_refusal)
    moments: tuple[Moment, ...] = ("at once", "at the first byte")
    for moment in moments:
        yield Check(
            f"a cancelled fetch returns {moment}",
            partial(check_cancellation, moment=moment),
        )
    for stage in STAGES:
        yield Check(f"it closes when it is {stage}, and twice", partial(check_close, stage=stage))


CHECKS: tuple[Check, ...] = tuple(_all())
"""Every check, each independent of the others."""


def run_contract(subject: Subject, folder: Path) -> dict[str, str]:
    """Run every check; return what is wrong, by the check's name; empty if all pass.

    Args:
        subject: kind and options.
        folder: an empty folder; each check gets a folder below it.
    """
    wrong = {}
    for number, check in enumerate(CHECKS):
        own = folder / f"{number:02d}"
        own.mkdir(parents=True)
        if (found := broken(check, subject, own)) is not None:
            wrong[check.name] = found
    return wrong


def broken(check: Check, subject: Subject, folder: Path) -> str | None:
    """Run a check in an empty folder; return in one line what is wrong, or None."""
    try:
        check.run(subject, folder)
    except (ContractError, TransferError) as error:
        return " ".join(str(error).split())
    except Exception as error:
        text = " ".join(str(error).split())
        return f"{type(error).__name__}: {text}" if text else type(error).__name__
    return None
