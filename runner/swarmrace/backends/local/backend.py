"""Runs a race on one machine: starts the rendezvous and every peer, and ends all of them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import tempfile
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx

from swarmrace.backends.local import processes, trial_outcomes
from swarmrace.backends.local.endings import Endings, all_ended
from swarmrace.backends.local.janitor import Janitor
from swarmrace.backends.local.layout import Layout, Seat
from swarmrace.backends.local.local_race import LocalRace
from swarmrace.errors import Exit, InfrastructureError, RaceError
from swarmrace.host import infrastructure, machine
from swarmrace.network import wire_samples
from swarmrace.peer.state import PeerConfig
from swarmrace.recording.records import Delay
from swarmrace.rendezvous.server import ServerConfig
from swarmrace.rendezvous.trial_book import TrialPolicy
from swarmrace.verdict import stopping

POLL_SECONDS = 0.25
_RESTARTS = 5
_LEAVE_SECONDS = 15.0
_LEAVE_STOPPED_RACE_SECONDS = 3.0
_HANG_SECONDS = 30.0
"""A running rendezvous that hasn't answered for this long is ended and started again."""


async def run(race: LocalRace, folder: Path, watch: Callable[[dict[str, Any]], None]) -> None:
    """Race, and write the results to `folder`.

    On cancellation it ends every run in flight, keeps what was measured, and returns once no
    process is left. The race's status is then `interrupted`.

    Args:
        race: what to race.
        folder: created here; it must not exist.
        watch: called about four times a second with the rendezvous' status.

    Raises:
        RaceError: the rendezvous could not be started or kept alive.
        NeverStartedError: a program could not be started and joined; nothing was raced.
        ConditionError: network conditions can't be applied here.
        InfrastructureError: the machine stopped the race: a disk, memory, its loopback interface.
    """
    try:
        await _run(race, folder, watch)
    except (OSError, MemoryError, EOFError, RuntimeError) as error:
        number = infrastructure.number_of(error)
        if number is None and not isinstance(error, EOFError):
            raise
        # If the fork server can't fork, it only closes the connection.
        raise InfrastructureError(
            _disk_trouble(race, folder) or infrastructure.describe(number or errno.EAGAIN)
        ) from error


def _disk_trouble(race: LocalRace, folder: Path) -> str:
    """Return what is wrong with the disks of a race, or an empty string."""
    work = race.work_dir or Path(tempfile.gettempdir())
    places = [work, next(path for path in (folder, *folder.parents) if path.exists())]
    return next((text for place in places if (text := infrastructure.disk_trouble(place))), "")


async def _run(race: LocalRace, folder: Path, watch: Callable[[dict[str, Any]], None]) -> None:
    folder.mkdir(parents=True)
    janitor = Janitor(race.lock_fds)
    try:
        root = Path(tempfile.mkdtemp(prefix=f"swarmrace-{os.getpid()}-", dir=race.work_dir))
        janitor.watch_folder(root)
        with Layout.create(race.scenario, namespaces=race.namespaces) as layout:
            await _Backend(race, folder, root, layout, janitor).run(watch)
    finally:
        await asyncio.shield(asyncio.to_thread(janitor.clean))


class _Backend:
    """The processes of one race."""

    def __init__(
        self, race: LocalRace, folder: Path, root: Path, layout: Layout, janitor: Janitor
    ) -> None:
        self.race = race
        self.folder = folder
        self.root = root
        self.layout = layout
        self.janitor = janitor
        self.fork = processes.context()
        self.race_id = race.scenario.race_id()
        # A socket's path is limited to 107 bytes, and the path of a work folder may be long. The
        # path through a descriptor is always short.
        self._root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.socket = Path(f"/proc/{os.getpid()}/fd/{self._root_fd}/rendezvous.sock")
        self.rendezvous: BaseProcess | None = None
        self.sampler: BaseProcess | None = None
        self._samples_fd = wire_samples.make_shared(len(layout.seats)) if race.namespaces else None
        self.peers: dict[tuple[str, int], BaseProcess] = {}
        self.reported: set[tuple[str, int]] = set()
        self.restarts = 0
        self.stopped = ""
        self.endings = Endings(race.scenario, root)
        self.relay: BaseProcess | None = None
        self.relay_counts = root / "relay.counts" if layout.delaying else None
        self.delay: Delay | None = None
        transport = httpx.AsyncHTTPTransport(uds=str(self.socket))
        self.http = httpx.AsyncClient(
            transport=transport, base_url=f"http://rendezvous/{self.race_id}/", timeout=5
        )

    async def run(self, watch: Callable[[dict[str, Any]], None]) -> None:
        (self.folder / "logs").mkdir()
        try:
            self.port = _free_port(self.layout)
            try:
                await _uninterrupted(self._start_delay)
                await _uninterrupted(self._start_rendezvous)
                await self._await_rendezvous()
                self._show(self.socket)
                await _uninterrupted(self._start_sampler)
                await _uninterrupted(self._start_peers)
                await self._watch(watch)
            except asyncio.CancelledError:
                await self._interrupt(watch)
                raise
        finally:
            await self.http.aclose()
            await asyncio.to_thread(self._end)
            self._show(None)
            os.close(self._root_fd)
            if self._samples_fd is not None:
                os.close(self._samples_fd)
            self.endings.close()
            _remove_empty(self.folder / "logs")

    def _show(self, socket: Path | None) -> None:
        """Let the live page follow this race's rendezvous; with None, follow nothing."""
        if self.race.front is not None:
            self.race.front.follow(socket, self.race_id)

    def _start_delay(self) -> None:
        """Start the relay if frames are delayed or lost by one, and measure the network."""
        delaying, counts = self.layout.delaying, self.relay_counts
        if delaying is None or counts is None:
            return
        if delaying.relayed:

            def start(namespace: str, target: Callable[..., int], config: Any) -> None:
                self.relay = self._start("relay", Seat("", namespace), target, config)

            delaying.start(counts, start)
        self.delay = delaying.measure()

    def _start_rendezvous(self) -> None:
        config = ServerConfig(
            scenario=self.race.scenario,
            race_id=self.race_id,
            data_dir=self.folder,
            host=self.layout.hub.address,
            port=self.port,
            uds=self.socket,
            name=self.race.name,
            trials=TrialPolicy(enabled=True, known=self.race.trials, all_must_start=True),
            backend="local with network namespaces" if self.race.namespaces else "local",
            test_doubles=self.race.test_doubles,
            delay=self.delay,
            stop_rule=stopping.decided,
            relay_counts=self.relay_counts if self.relay else None,
        )
        self.socket.unlink(missing_ok=True)
        self.rendezvous = self._start("rendezvous", self.layout.hub, processes.run_tracker, config)

    @property
    def _samples(self) -> Path | None:
        fd = self._samples_fd
        return None if fd is None else Path(f"/proc/{os.getpid()}/fd/{fd}")

    def _start_sampler(self) -> None:
        """Start one process that samples the bytes received by every peer."""
        if self._samples is not None:
            ports = [seat.port for seat in self.layout.seats.values()]
            seat, run = self.layout.link_ends, wire_samples.run_sampler
            self.sampler = self._start("wire", seat, run, str(self._samples), ports)

    def _start_peers(self) -> None:
        here = machine.machine(self.root)
        for column, ((entrant, peer), seat) in enumerate(self.layout.seats.items()):
            config = PeerConfig(
                scenario=self.race.scenario,
                race_id=self.race_id,
                entrant=entrant,
                peer=peer,
                rendezvous=f"http://{self.layout.hub.address}:{self.port}",
                address=seat.address,
                work_dir=self.root / f"{entrant}-{peer}",
                node=socket.gethostname(),
                isolated=seat.namespace is not None,
                keeps=False,
                machine=here,
                wire_samples=None if self._samples is None else (self._samples, column),
            )
            config.work_dir.mkdir()
            self.peers[entrant, peer] = self._start(
                f"{entrant}-{peer}", seat, processes.run_peer, config
            )

    def _start(self, name: str, seat: Seat, target: Callable[..., int], *args: Any) -> BaseProcess:
        log = self.folder / "logs" / f"{name}.log"
        process = processes.start(self.fork, name, log, seat.namespace, target, *args)
        assert process.pid is not None
        self.janitor.watch_process(process.pid, witness=name == "rendezvous")
        return process

    async def _await_rendezvous(self) -> None:
        """Wait until the rendezvous answers."""
        deadline = asyncio.get_running_loop().time() + 20
        while await self._status() is None:
            assert self.rendezvous is not None
            self._raise_if_machine_failed()
            if self.rendezvous.exitcode is not None or asyncio.get_running_loop().time() > deadline:
                raise RaceError(
                    "rendezvous: expected it to answer within 20 s, found "
                    f"{'it ended' if self.rendezvous.exitcode is not None else 'no answer'}; "
                    f"see {self.folder / 'logs' / 'rendezvous.log'}"
                )
            await asyncio.sleep(0.02)

    async def _status(self) -> dict[str, Any] | None:
        try:
            answer = await self.http.get("status")
            answer.raise_for_status()
            status: dict[str, Any] = answer.json()
            return status
        except (httpx.HTTPError, ValueError):
            return None

    async def _watch(self, watch: Callable[[dict[str, Any]], None]) -> None:
        with all_ended(self.peers.values()) as ended:
            status = await self._watch_until_over(watch, ended)
        if self.stopped:
            raise InfrastructureError(f"the race was stopped: {self.stopped}")
        self.race.trials.update(trial_outcomes.started_programs(status["trials"], self.folder))

    async def _watch_until_over(
        self, watch: Callable[[dict[str, Any]], None], peers_ended: asyncio.Event
    ) -> dict[str, Any]:
        """Return the last status."""
        loop = asyncio.get_running_loop()
        answered = loop.time()
        while True:
            status = await self._status()
            if status is None:
                if loop.time() - answered > _HANG_SECONDS:
                    await asyncio.to_thread(self._end_rendezvous)
                if await self._restart_rendezvous():
                    answered = loop.time()
            else:
                answered = loop.time()
                watch(status)
                self.stopped = status["stopped"]
                if status["over"]:
                    return status
                await self._report_lost()
            if self.relay is not None and self.relay.exitcode is not None:
                await self._interrupt(watch)
                raise InfrastructureError(
                    f"relay: ended during the race ({self.endings.describe(self.relay)}), so peers "
                    f"couldn't reach each other; see {self.folder / 'logs' / 'relay.log'}"
                )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await peers_ended.wait()
            peers_ended.clear()

    def _end_rendezvous(self) -> None:
        assert self.rendezvous is not None
        self.rendezvous.kill()
        self.rendezvous.join()

    async def _restart_rendezvous(self) -> bool:
        """Restart the rendezvous if it has died, as a cluster would; return whether it had.

        It is restarted even if all peers have ended, because only it can close their runs.
        """
        assert self.rendezvous is not None
        if self.rendezvous.exitcode is None:
            return False
        self._raise_if_machine_failed()
        self.restarts += 1
        if self.restarts > _RESTARTS:
            by_machine = self.endings.killed_for_memory(self.rendezvous) is not None
            raise (InfrastructureError if by_machine else RaceError)(
                f"rendezvous: died {self.restarts} times (last: "
                f"{self.endings.describe(self.rendezvous)}); see "
                f"{self.folder / 'logs' / 'rendezvous.log'}"
            )
        await _uninterrupted(self._start_rendezvous)
        return True

    def _raise_if_machine_failed(self) -> None:
        """Raise if the machine ended the rendezvous.

        Raises:
            InfrastructureError: the machine ended it; the message has the reason.
        """
        assert self.rendezvous is not None
        if self.rendezvous.exitcode != Exit.INFRASTRUCTURE:
            return
        log = self.folder / "logs" / "rendezvous.log"
        trouble = _disk_trouble(self.race, self.folder)
        raise InfrastructureError(f"the machine ended the rendezvous: {trouble or f'see {log}'}")

    async def _report_lost(self) -> None:
        for key, process in self.peers.items():
            if process.exitcode is None or key in self.reported:
                continue
            path = f"peers/{key[0]}/{key[1]}/lost"
            with contextlib.suppress(httpx.HTTPError):
                report = self.endings.peer_report(key, process)
                answer = await self.http.post(path, json=report)
                answer.raise_for_status()
                self.reported.add(key)

    async def _interrupt(self, watch: Callable[[dict[str, Any]], None]) -> None:
        """End the race early. Results of finished transfers are still uploaded."""
        with contextlib.suppress(httpx.HTTPError, TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                while self._rendezvous_runs and await self._status() is None:
                    await asyncio.sleep(0.02)
                await self.http.post("interrupt", json={})
                while (status := await self._status()) is not None and not status["over"]:
                    watch(status)
                    await asyncio.sleep(POLL_SECONDS)

    @property
    def _rendezvous_runs(self) -> bool:
        """Whether the rendezvous' process runs, even if it doesn't answer yet."""
        return self.rendezvous is not None and self.rendezvous.exitcode is None

    def _end(self) -> None:
        """Wait until the peers end by themselves, then end all processes that are left."""
        leave = _LEAVE_STOPPED_RACE_SECONDS if self.stopped else _LEAVE_SECONDS
        deadline = time.monotonic() + leave
        for process in self.peers.values():
            process.join(max(0.0, deadline - time.monotonic()))
            if process.exitcode is None:
                process.kill()
        if self.sampler is not None:
            self.sampler.kill()
            self.sampler.join()
        if self.rendezvous is not None and self.rendezvous.exitcode is None:
            self.rendezvous.terminate()
            self.rendezvous.join(5)
            self.rendezvous.kill()
        if self.relay is not None:
            self.relay.kill()
            self.relay.join()


async def _uninterrupted(work: Callable[[], None]) -> None:
    """Do `work` in a thread. A cancellation waits for it, so that its processes are known."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(task)
    finally:
        await asyncio.wait({task})
        if not task.cancelled():
            # The cancellation is raised instead; asyncio warns of exceptions never retrieved.
            task.exception()


def _free_port(layout: Layout) -> int:
    """Return a free port on the hub's address, which is kept when the rendezvous restarts."""
    if layout.hub.namespace is not None:
        return 8080
    with socket.socket() as probe:
        probe.bind((layout.hub.address, 0))
        return int(probe.getsockname()[1])


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for file in folder.iterdir():
            if file.stat().st_size == 0:
                file.unlink()
        folder.rmdir()
