"""How the processes of a local race ended, and whether the entrant ended its peer's process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

from swarmrace.host.memory_kills import KILLED_FROM_OUTSIDE, Kill, MemoryKills
from swarmrace.peer.blame import DeclaredNeeds
from swarmrace.scenario.scenario import Scenario


class Endings:
    """Watches for kills. Create it before the first process is started.

    Args:
        scenario: what is raced.
        root: the folder that holds each peer's work folder.
    """

    def __init__(self, scenario: Scenario, root: Path) -> None:
        self._scenario, self._root = scenario, root
        self._kills = MemoryKills()
        self._known: dict[int, Kill | None] = {}

    def killed_for_memory(self, process: BaseProcess) -> Kill | None:
        """Return how the kernel killed a process for memory, or None."""
        if process.exitcode != -signal.SIGKILL or process.pid is None:
            return None
        if process.pid not in self._known:
            self._known[process.pid] = self._kills.find([process.pid])
        return self._known[process.pid]

    def describe(self, process: BaseProcess) -> str:
        """Return how a process ended: `exit code 3`, `killed by signal 9 (out of memory…)`."""
        code = process.exitcode or 0
        if code >= 0:
            return f"exit code {code}"
        how = f"killed by signal {-code}"
        if code == -signal.SIGKILL:
            how += f" ({self.killed_for_memory(process) or KILLED_FROM_OUTSIDE})"
        return how

    def peer_report(self, peer: tuple[str, int], process: BaseProcess) -> dict[str, str]:
        """Return the report to the rendezvous on a peer's process that has ended: `detail`, and
        `reason` if the kernel killed it for memory."""
        entrant, index = peer
        how = f"its process ended: {self.describe(process)}"
        kill = self.killed_for_memory(process)
        if kill is None:
            return {"detail": how}
        needs = DeclaredNeeds(
            self._scenario, entrant, self._root / f"{entrant}-{index}", seeder=False
        )
        reason, why = needs.killed_for_memory(how, kill.used_bytes)
        return {"detail": why, "reason": str(reason)}

    def close(self) -> None:
        """Stop watching."""
        self._kills.close()


@contextlib.contextmanager
def all_ended(processes: Iterable[BaseProcess]) -> Iterator[asyncio.Event]:
    """Yield an event that is set when the last of the processes ends."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    left = {process.sentinel for process in processes}

    def note(sentinel: int) -> None:
        loop.remove_reader(sentinel)
        left.discard(sentinel)
        if not left:
            event.set()

    for sentinel in tuple(left):
        loop.add_reader(sentinel, note, sentinel)
    try:
        yield event
    finally:
        for sentinel in left:
            loop.remove_reader(sentinel)
