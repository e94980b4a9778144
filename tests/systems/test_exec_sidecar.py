"""A program in its pod's sidecar: the supervisor run for real, spoken to by named pipes."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack, contextmanager

import pytest
import yaml

from loopback import make_run
from paths import ROOT
from supervising import ended, start_supervisor
from swarmrace.errors import Reason, TransferError
from swarmrace.recording.payload import Payload
from swarmrace.systems.abc import Record
from swarmrace.systems.exec.options import ExecOptions
from swarmrace.systems.exec.system import ExecSystem
from swarmrace.systems.sidecar import API_VARIABLE, CONTROL_VARIABLE

SIZE = 300_001


def connecting():
    """Return the sidecar's command of the page."""
    page = (ROOT / "docs/exec.md").read_text()
    block = page[page.index("## On a cluster") :].partition("```yaml\n")[2].partition("```")[0]
    return yaml.safe_load(block)["global"]["sidecars"]["exec"]["command"]


@contextmanager
def supervised(folder):
    """Run the supervisor of one pod; yield its control folder."""
    with ended(start_supervisor(folder, connecting())):
        yield folder / "control"


@pytest.fixture
def pods(make_context, tmp_path, monkeypatch):
    """Return a function that makes the peers of one command, each beside its own supervisor."""
    with ExitStack() as stack:

        def make(command, peers=2):
            systems = []
            for peer in range(peers):
                control = stack.enter_context(supervised(tmp_path / f"pod{peer}"))
                monkeypatch.setenv(API_VARIABLE, "http://127.0.0.1:8080")
                monkeypatch.setenv(CONTROL_VARIABLE, str(control))
                context = make_context(peer, size_bytes=SIZE, swarm_size=peers)
                systems.append(ExecSystem(context, ExecOptions(command=command)))
            return systems

        yield make


def test_it_is_raced_in_two_runs_one_after_the_other(pods, tmp_path):
    async def go():
        systems = pods([sys.executable, str(ROOT / "examples/systems/tcp_copy.py")])
        for index, first in enumerate((0, 1)):
            run = make_run(SIZE, seeders=(first,), index=index)
            file = tmp_path / f"payload{index}"
            sha256 = Payload(f"seed {index}", SIZE).write(file)
            await asyncio.gather(*(each.prepare(run) for each in systems))
            published = await systems[first].publish(file, None)
            leecher = systems[1 - first]
            record = Record(leecher.context.clock, SIZE)
            record.start_ns = record.clock.now_ns()
            await leecher.fetch([published.reference], record)
            assert (await leecher.digest()).sha256 == sha256
            assert record.arrivals.curve(record.start_ns, SIZE).complete
            assert record.behind_seconds > 0
            assert leecher.describe()["version"] == "tcp_copy 1.0"
            assert len(leecher.processes()) == 1
            await asyncio.gather(*(each.remove() for each in systems))
        await asyncio.gather(*(each.close() for each in systems))

    asyncio.run(go())


@pytest.mark.parametrize(
    ("habit", "reason", "said"),
    [
        ("dies", Reason.NODE_DIED, "segmentation fault, they say"),
        ("rubbish", Reason.REFUSED, "not JSON"),
    ],
)
def test_what_it_does_wrong_there_has_the_same_reason(pods, tmp_path, habit, reason, said):
    async def go():
        (system,) = pods([sys.executable, str(ROOT / "tests/support/ugly_program.py"), habit], 1)
        file = tmp_path / "payload"
        Payload("a seed", SIZE).write(file)
        try:
            await system.prepare(make_run(SIZE, seeders=()))
            await system.fetch([{"path": str(file)}], Record(system.context.clock, SIZE))
        finally:
            await system.close()

    with pytest.raises(TransferError) as caught:
        asyncio.run(go())
    assert caught.value.reason is reason
    assert said in caught.value.detail


def test_a_sidecar_that_starts_later_is_waited_for(make_context, tmp_path, monkeypatch):
    monkeypatch.setenv(API_VARIABLE, "http://127.0.0.1:8080")
    monkeypatch.setenv(CONTROL_VARIABLE, str(tmp_path / "control"))
    command = [sys.executable, str(ROOT / "examples/systems/tcp_copy.py")]

    async def go():
        system = ExecSystem(make_context(0, size_bytes=SIZE), ExecOptions(command=command))
        preparing = asyncio.create_task(system.prepare(make_run(SIZE, seeders=())))
        finished, _ = await asyncio.wait([preparing], timeout=0.5)
        assert not finished
        with supervised(tmp_path):
            await preparing
            await system.close()

    asyncio.run(go())
