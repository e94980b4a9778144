"""Programs with bad habits: each ends as a result with a reason, and none is left running."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import asynccontextmanager

import psutil
import pytest

from loopback import make_run
from paths import ROOT
from patience import PATIENCE_SECONDS
from racing import race, scenario_file
from serving import until
from swarmrace.errors import Reason, TransferError
from swarmrace.recording.payload import Payload, file_sha256
from swarmrace.systems import load
from swarmrace.systems.abc import Record
from swarmrace.systems.exec.options import ExecOptions
from swarmrace.systems.exec.system import ExecSystem

PROGRAM = ROOT / "tests/support/ugly_program.py"
SIZE = 100_000


def command(habit):
    return [sys.executable, str(PROGRAM), habit]


@asynccontextmanager
async def peers(make_context, habit, **options):
    """A seeder and a leecher with one habit; whatever they did, none of their processes is left."""
    made, before = [], set(psutil.Process().children(recursive=True))
    for peer in (0, 1):
        context = make_context(peer, size_bytes=SIZE, swarm_size=2)
        made.append(ExecSystem(context, ExecOptions(command=command(habit), **options)))
    run = make_run(SIZE, seeders=(0,))
    try:
        yield made, run
    finally:
        for each in made:
            await each.close()
        assert set(psutil.Process().children(recursive=True)) <= before


def fetched(make_context, tmp_path, habit, patience_seconds=PATIENCE_SECONDS, **options):
    """Return what went wrong in a fetch, the verification or the removal; and the record."""

    async def go():
        async with peers(make_context, habit, **options) as ((seeder, leecher), run):
            file = tmp_path / "payload.bin"
            sha256 = Payload("a seed", SIZE).write(file)
            record = Record(leecher.context.clock, SIZE)
            record.start_ns = record.clock.now_ns()
            await asyncio.gather(seeder.prepare(run), leecher.prepare(run))
            published = await seeder.publish(file, None)
            stage, error = "fetch", None
            try:
                async with asyncio.timeout(patience_seconds):
                    await leecher.fetch([published.reference], record)
                stage = "digest"
                if habit == "writes on":
                    written = leecher.context.work_dir / "fetched"
                    written.with_name("write on").touch()
                    await until(lambda: file_sha256(written) == sha256)
                found = await leecher.digest()
                if found.sha256 != sha256:
                    raise TransferError(Reason.WRONG_BYTES, "another SHA-256")
                stage = "remove"
                await leecher.remove()
                stage = "none"
            except (TransferError, TimeoutError) as caught:
                error = caught
            return stage, error, record, leecher.describe()

    return asyncio.run(go())


REFUSED, WRONG, DIED = Reason.REFUSED, Reason.WRONG_BYTES, Reason.NODE_DIED


@pytest.mark.parametrize(
    ("habit", "stage", "reason", "said"),
    [
        ("dies", "fetch", DIED, "ended by signal 9"),
        ("dies", "fetch", DIED, "output: segmentation fault, they say; it had not sent done"),
        ("exits 0", "fetch", DIED, "ended with exit code 0; output: none; it had not sent done"),
        ("exits in a line", "fetch", REFUSED, 'found the end after \'{"event": "arr\''),
        ("leaves a child", "fetch", DIED, "ended by signal 9"),
        ("rubbish", "fetch", REFUSED, "found the line 'Downloading 50%': not JSON"),
        ("noise", "fetch", REFUSED, "not JSON; expected one object in a line"),
        ("a line of 10 MB", "fetch", REFUSED, "expected lines of at most 65536 bytes"),
        ("10 MB without end", "fetch", REFUSED, "expected lines of at most 65536 bytes"),
        ("unknown event", "fetch", REFUSED, "unknown event; expected one of 'discovered'"),
        ("unknown key", "fetch", REFUSED, "unknown key of"),
        ("beyond the end", "fetch", REFUSED, "found 1 from 100000 on"),
        ("negative", "fetch", REFUSED, "offset: Input should be greater than or equal to 0"),
        ("empty", "fetch", REFUSED, "length: Input should be greater than or equal to 1"),
        ("huge", "fetch", REFUSED, "expected bytes within the payload's 100000"),
        ("progress", "fetch", REFUSED, "expected no `progress`: the scenario sets observes: arriv"),
        ("says it failed", "fetch", Reason.DISK_FULL, "fetch: no room for the last block"),
        ("too early", "fetch", WRONG, "sent done; expected 100000 bytes at "),
        ("another file", "fetch", WRONG, "found No such file or directory"),
        ("writes on", "digest", WRONG, "it was written to afterwards"),
        ("wrong bytes", "digest", WRONG, "another SHA-256"),
        ("ignores close", "remove", Reason.TIMEOUT, "within 2 s of `close`"),
    ],
)
def test_a_bad_habit_has_a_reason(make_context, tmp_path, habit, stage, reason, said):
    found, error, _, _ = fetched(make_context, tmp_path, habit)
    assert (found, error.reason) == (stage, reason)
    assert said in error.detail
    assert "\n" not in error.detail


def test_a_gap_breaks_what_the_scenario_says_of_the_order(make_context, tmp_path):
    _, error, _, _ = fetched(make_context, tmp_path, "a gap", in_order=True)
    assert error.reason is REFUSED
    assert "expected the bytes from 50000 on, found those from 99999 on" in error.detail
    stage, error, record, _ = fetched(make_context, tmp_path, "none", in_order=True)
    assert (stage, error) == ("none", None)
    assert record.deliverable is record.arrivals


@pytest.mark.parametrize("habit", ["hangs", "ignores sigterm", "closes its output"])
def test_one_that_never_ends_is_ended_when_it_is_cancelled(make_context, tmp_path, habit):
    """What a timeout or a stall does: the fetch is cancelled, and the process is gone with it."""
    stage, error, record, _ = fetched(make_context, tmp_path, habit, patience_seconds=3)
    assert (stage, type(error)) == ("fetch", TimeoutError)
    assert record.done_ns is None


@pytest.mark.parametrize("habit", ["says done twice", "says done again later"])
def test_a_second_answer_is_no_answer_to_the_next_request(make_context, tmp_path, habit):
    """It names its request, so it is refused whether it is read before or after the next one."""
    stage, error, record, _ = fetched(make_context, tmp_path, habit)
    assert (stage, error.reason) == ("remove", REFUSED)
    assert re.search(
        r"expected (the answer to request 3|no answer without a request), found "
        r"'.*\"id\": 2",
        error.detail,
    )
    assert record.done_ns is not None


def test_the_answer_to_a_cancelled_request_is_not_taken_for_another(make_context, tmp_path):
    async def go():
        async with peers(make_context, "publishes late") as ((seeder, _), run):
            file = tmp_path / "payload.bin"
            Payload("a seed", SIZE).write(file)
            await seeder.prepare(run)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await seeder.publish(file, None)
            await seeder.remove()
            assert (tmp_path / "removed").exists(), "`remove` was answered by the end of `publish`"

    asyncio.run(go())


def test_a_program_may_leave_ids_out(make_context, tmp_path):
    stage, error, _, _ = fetched(make_context, tmp_path, "leaves ids out")
    assert (stage, error) == ("none", None)


def test_bytes_that_it_kept_quiet_about_are_missing_in_the_record(make_context, tmp_path):
    stage, _, record, _ = fetched(make_context, tmp_path, "keeps quiet")
    assert stage == "none"
    assert not record.arrivals.curve(record.start_ns, SIZE).complete


def test_lines_after_done_are_counted(make_context, tmp_path):
    stage, _, record, described = fetched(make_context, tmp_path, "talks on")
    assert stage == "none"
    assert record.arrivals.curve(record.start_ns, SIZE).duplicate_bytes == 0
    assert described["notes"] in ([], ["1 events of a fetch came outside of one"])


@pytest.mark.parametrize(
    ("habit", "reason", "said"),
    [
        ("changes the payload", WRONG, "found it changed by the seeder"),
        ("no reference", REFUSED, 'expected "reference" in `done`, an object of at most 2000'),
        ("a long reference", REFUSED, "found one of 30"),
        ("no number", REFUSED, "found a reference with Out of range float values"),
    ],
)
def test_a_publish_that_gives_nothing_usable_is_refused(
    make_context, tmp_path, habit, reason, said
):
    async def go():
        async with peers(make_context, habit) as ((seeder, _), run):
            file = tmp_path / "payload.bin"
            Payload("a seed", SIZE).write(file)
            await seeder.prepare(run)
            await seeder.publish(file, None)

    with pytest.raises(TransferError) as caught:
        asyncio.run(go())
    assert caught.value.reason is reason
    assert said in caught.value.detail


def test_what_it_is_trying_again_is_there_when_its_time_is_over(make_context):
    async def go():
        async with peers(make_context, "never prepares") as ((seeder, _), run):
            preparing = asyncio.ensure_future(seeder.prepare(run))
            await until(lambda: seeder.trouble)
            preparing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await preparing
            return seeder.trouble

    assert asyncio.run(go()) == "the lock is held"


def test_one_that_ends_at_once_says_why(make_context):
    async def go():
        async with peers(make_context, "exits at once") as ((seeder, _), run):
            await seeder.prepare(run)

    with pytest.raises(TransferError, match="exit code 3; output: no licence found"):
        asyncio.run(go())


def test_a_program_that_cannot_be_run_is_found_before_the_race_and_in_it(make_context, tmp_path):
    path = tmp_path / "program"
    path.write_text("#!/bin/sh\n")
    options = ExecOptions(command=[str(path)])
    (missing,) = load("exec").check(options)
    assert f"expected a program that can be run, found none at {path}" in missing
    system = ExecSystem(make_context(), options)

    async def go():
        try:
            await system.prepare(make_run(SIZE))
        finally:
            await system.close()

    with pytest.raises(TransferError, match=r"can't be started \(Permission denied\)"):
        asyncio.run(go())
    path.chmod(0o755)
    assert load("exec").check(options) == []


def test_a_race_ends_with_the_reasons(tmp_path):
    """Through the whole of swarmrace: the others race on, and nothing hangs."""
    habits = {"dies": "dies", "rubbish": "rubbish", "early": "too early", "good": "none"}
    habits["hangs"] = "hangs"
    entrants = {name: {"kind": "exec", "command": command(habit)} for name, habit in habits.items()}
    timeouts = {"stallSeconds": 15, "transferSeconds": 120, "verifySeconds": 120}
    scenario = scenario_file(tmp_path, entrants, swarmSize=2, timeouts=timeouts)
    with race(tmp_path, scenario) as running:
        assert running.end() == 10, running.output()
        records = [json.loads(path.read_text()) for path in running.folder.glob("runs/*/*-1.json")]
        running.wait_until_nothing_is_left()
    found = {each["entrant"]: (each["failure"] or {}).get("reason") for each in records}
    assert found == {
        "dies": "node died",
        "rubbish": "refused",
        "early": "wrong bytes",
        "hangs": "stall",
        "good": None,
    }
    (good,) = (each for each in records if each["entrant"] == "good")
    assert good["transfer"]["verified"]
    assert good["system"]["version"] == "ugly none"
    marks = {mark["percent"]: mark for mark in good["transfer"]["arrival"]}
    assert marks[100]["resolutionSeconds"] >= good["counters"]["line_wait_seconds"] > 0
