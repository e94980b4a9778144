"""How the processes of a local race ended, and whose doing it was that a peer's did."""

from __future__ import annotations

import signal
from multiprocessing.process import BaseProcess
from pathlib import Path

from swarmrace.host.memory_kills import KILLED_FROM_OUTSIDE, Kill, MemoryKills
from swarmrace.peer.blame import Declared
from swarmrace.scenario.scenario import Scenario


class Endings:
    """Watches for kills from when it is made, before the first process is started.

    Args:
        scenario: what is raced.
        root: the folder below which each peer has its work folder.
    """

    def __init__(self, scenario: Scenario, root: Path) -> None:
        self._scenario, self._root = scenario, root
        self._kills = MemoryKills()
        self._asked: dict[int, Kill | None] = {}

    def killed_for_memory(self, process: BaseProcess) -> Kill | None:
        """Return how the kernel killed a process for memory, or None."""
        if process.exitcode != -signal.SIGKILL or process.pid is None:
            return None
        if process.pid not in self._asked:
            self._asked[process.pid] = self._kills.of([process.pid])
        return self._asked[process.pid]

    def text(self, process: BaseProcess) -> str:
        """Return how a process ended: `exit code 3`, `killed by signal 9 (out of memory…)`."""
        code = process.exitcode or 0
        if code >= 0:
            return f"exit code {code}"
        how = f"killed by signal {-code}"
        if code == -signal.SIGKILL:
            how += f" ({self.killed_for_memory(process) or KILLED_FROM_OUTSIDE})"
        return how

    def of_peer(self, peer: tuple[str, int], process: BaseProcess) -> dict[str, str]:
        """Return what the rendezvous is told of a peer's process that has ended: `detail`, and
        `reason` where it is known whose doing that was."""
        entrant, index = peer
        how = f"its process ended: {self.text(process)}"
        kill = self.killed_for_memory(process)
        if kill is None:
            return {"detail": how}
        work = Declared(self._scenario, entrant, self._root / f"{entrant}-{index}", seeder=False)
        reason, why = work.killed_for_memory(how, kill.used_bytes)
        return {"detail": why, "reason": str(reason)}

    def close(self) -> None:
        """Release what it watches with."""
        self._kills.close()
