"""The contract of `swarmrace.systems.abc`, over every built-in kind by real swarms."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os

import psutil
import pytest

from swarmrace.errors import Reason, TransferError
from swarmrace.recording.payload import Payload
from swarmrace.systems import load, names
from swarmrace.systems.abc import Counters, Observes
from swarmrace.systems.spec import SystemSpec
from swarms import KINDS, OTHERS, eventually, live


def over(*names):
    """Parametrize by kinds of these names and by those of third parties. Not every test takes
    all: nodes are programs of their own and slow to start."""
    chosen = tuple(dict.fromkeys((*names, *OTHERS)))
    return pytest.mark.parametrize("kind", [KINDS[name] for name in chosen], ids=chosen)


ALL = over(*KINDS)
ONE_EACH = over("http", "synthetic", "bittorrent", "codex stream")


def test_every_installed_kind_is_under_contract():
    assert {kind.name for kind in KINDS.values()} == set(names())
    assert {"bittorrent", "codex", "http", "synthetic"} <= set(names()) - set(OTHERS)


@ALL
def test_the_specification_says_what_the_verdict_prints(kind, tmp_path):
    spec, options = load(kind.name), kind.make_options(tmp_path)
    assert isinstance(spec, SystemSpec)
    assert spec.kind == kind.name == options.kind
    assert isinstance(options, spec.options)
    assert spec.check(options) == []
    observes = spec.observes(options)
    assert isinstance(observes, Observes)
    assert observes.unit
    assert observes.arrival or observes.delivery
    means = spec.means(options)
    assert means.published
    assert means.done
    assert not any("\n" in meaning for meaning in dataclasses.astuple(means))
    assert means.arrival or not observes.arrival
    assert means.delivery or not observes.delivery
    assert set(spec.settings.options) <= set(spec.options.model_fields)
    spec.preload()


@ALL
def test_a_swarm_moves_a_file_of_odd_size(kind, tmp_path):
    live(kind, tmp_path, whole_life, size_bytes=1_000_003)


@ONE_EACH
def test_a_swarm_moves_a_single_byte(kind, tmp_path):
    live(kind, tmp_path, whole_life, size_bytes=1)


async def whole_life(swarm):
    """One seeder and two leechers, every call of the contract in its order."""
    run = swarm.run()
    file, sha256 = swarm.file(run)
    await swarm.prepare(run)
    clock = swarm.systems[0].context.clock
    handed_ns = clock.now_ns()
    (published,) = await swarm.publish(run, file)
    publish_seconds = (clock.now_ns() - handed_ns) / 1e9
    check_published(published, publish_seconds)

    leechers, records = swarm.systems[1:], [swarm.record() for _ in range(2)]
    start_ns = clock.now_ns()
    await asyncio.gather(
        *(
            leecher.fetch([published.reference], record)
            for leecher, record in zip(leechers, records, strict=True)
        )
    )
    for record in records:
        check_record(record, start_ns, clock.now_ns(), swarm.spec.observes(swarm.options))
    for leecher in leechers:
        digest = await leecher.digest()
        assert (digest.size_bytes, digest.sha256) == (swarm.size_bytes, sha256)
        assert await eventually(lambda of=leecher: received(of) >= swarm.size_bytes)
    for system in swarm.systems:
        check_counters(system.counters())
        check_description(json.loads(json.dumps(dict(system.describe()))))
        check_processes(system, swarm.spec)
    await asyncio.gather(*(system.remove() for system in swarm.systems))
    assert file.exists()  # it is the peer's, not the system's
    assert not [path for folder in swarm.work_dirs[1:] for path in big_files(folder)]


def check_published(published, seconds):
    assert len(json.dumps(dict(published.reference))) < 2000  # short: the rest is looked up
    assert all(0 <= step <= seconds for step in published.steps.values())


def check_record(record, start_ns, end_ns, observes):
    assert (record.arrivals is not None) == observes.arrival
    assert (record.deliverable is not None) == observes.delivery
    assert (record.written is not None) == observes.written
    logs = [log for log in (record.arrivals, record.written, record.deliverable) if log is not None]
    assert record.complete is not False
    assert start_ns <= record.discovered_ns <= record.done_ns <= end_ns
    for log in logs:
        curve = log.curve(start_ns, record.size_bytes)
        assert curve.complete
        assert start_ns + curve.time_to_percent(0) >= record.discovered_ns
        assert start_ns + curve.time_to_percent(100) <= record.done_ns
        assert log.last_ns <= record.done_ns
        assert (curve.since_ns is not None) == (observes.sampled and log is record.arrivals)
        if log is record.deliverable:
            assert curve.prefix().complete
    assert record.connections_at_start is None or record.connections_at_start >= 0
    assert record.retries >= 0
    assert all(isinstance(note, str) for note in record.notes)


def received(system):
    """Return the payload bytes it says it received; all, of one that doesn't say."""
    count = system.counters().received_bytes
    return float("inf") if count is None else count


def check_counters(counters):
    assert isinstance(counters, Counters)
    figures = [counters.sent_bytes, counters.received_bytes, counters.connections]
    assert all(figure is None or figure >= 0 for figure in figures)
    assert json.loads(json.dumps(dict(counters.extra))) == dict(counters.extra)


def check_description(described):
    assert described["version"]
    assert isinstance(described["settings"], dict)
    effective = json.dumps({key: value for key, value in described.items() if key != "reasons"})
    for setting, why in described["reasons"].items():
        assert json.dumps(setting)[1:-1] in effective  # a reason is of something that is set
        assert why


def check_processes(system, spec):
    pids = system.processes()
    assert pids
    assert all(psutil.pid_exists(pid) for pid in pids)
    assert (os.getpid() in pids) != spec.isolates_process


def big_files(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size >= 1000]


@ONE_EACH
def test_a_second_run_with_other_seeders_brings_its_own_content(kind, tmp_path):
    """Two seeders in the second run: the other peers' roles and the content change."""

    async def body(swarm):
        for index, seeders in enumerate([(0,), (2, 0)]):
            run = swarm.run(index, seeders)
            file, sha256 = swarm.file(run)
            await swarm.prepare(run)
            published = await swarm.publish(run, file)
            if kind.names_content:
                assert all(p.reference == published[0].reference for p in published)
            record = swarm.record()
            await swarm.systems[1].fetch([p.reference for p in published], record)
            assert record.done_ns is not None
            assert (await swarm.systems[1].digest()).sha256 == sha256
            await asyncio.gather(*(system.remove() for system in swarm.systems))

    live(kind, tmp_path, body)


@ONE_EACH
def test_a_second_seeder_with_other_content_is_refused(kind, tmp_path):
    async def body(swarm):
        run = swarm.run(seeders=(0, 1))
        file, _ = swarm.file(run)
        other = tmp_path / "other" / "payload.bin"  # differs in its bytes alone
        other.parent.mkdir()
        Payload("other", run.size_bytes).write(other)
        await swarm.prepare(run)
        first = (await swarm.systems[0].publish(file, None)).reference
        (second,) = await asyncio.gather(
            swarm.systems[1].publish(other, first), return_exceptions=True
        )
        if isinstance(second, TransferError):
            assert kind.names_content is not False
            assert second.reason is Reason.REFUSED
            assert second.detail
        else:
            assert not kind.names_content
            assert second.reference != first

    live(kind, tmp_path, body, peers=2)


@pytest.mark.parametrize("moment", ["at once", "at the first byte"])
@over("http", "synthetic", "bittorrent", "codex stream", "codex background")
def test_a_fetch_comes_back_from_its_cancellation(kind, tmp_path, moment):
    async def body(swarm):
        run = swarm.run()
        file, _ = swarm.file(run)
        await swarm.prepare(run)
        (published,) = await swarm.publish(run, file)
        leecher, record = swarm.systems[1], swarm.record()
        fetch = asyncio.ensure_future(leecher.fetch([published.reference], record))
        if moment == "at once":
            await asyncio.sleep(0)
            assert not fetch.done()
        else:
            while not record.progress_bytes and not fetch.done():
                await asyncio.sleep(0.001)
            assert record.progress_bytes
        was_done = fetch.done()
        fetch.cancel()
        done, _ = await asyncio.wait([fetch], timeout=10)
        assert done
        assert was_done or fetch.cancelled() or record.done_ns is not None
        check_counters(leecher.counters())
        await asyncio.gather(*(system.remove() for system in swarm.systems))
        assert not big_files(swarm.work_dirs[1])

    live(kind, tmp_path, body, size_bytes=8_000_000, peers=2)


STAGES = ("created", "prepared", "published", "fetched")


@ONE_EACH
@pytest.mark.parametrize("stage", STAGES)
def test_it_closes_at_any_stage_and_twice(kind, tmp_path, stage):
    async def advance(swarm):
        """Yield the name of each stage when it is reached."""
        yield "created"
        run = swarm.run()
        file, _ = swarm.file(run)
        await swarm.prepare(run)
        yield "prepared"
        reference = (await swarm.systems[0].publish(file, None)).reference
        yield "published"
        await asyncio.gather(*(system.settle() for system in swarm.systems))
        await swarm.systems[1].fetch([reference], swarm.record())
        yield "fetched"

    async def body(swarm):
        reached = []
        async for name in advance(swarm):
            reached.append(name)
            if name == stage:
                break
        assert reached == list(STAGES[: STAGES.index(stage) + 1])
        for _ in range(2):
            await asyncio.gather(*(system.close() for system in swarm.systems))
        for system in swarm.systems:
            check_counters(system.counters())
            json.dumps(dict(system.describe()))

    live(kind, tmp_path, body, size_bytes=100_000, peers=2)
