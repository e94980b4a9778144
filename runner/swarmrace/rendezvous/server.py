"""The rendezvous' server: one process, on TCP and optionally on a unix socket too."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from swarmrace import definitions, systems
from swarmrace.clock import Clock, SystemClock
from swarmrace.errors import RendezvousError
from swarmrace.host import machine, sockets
from swarmrace.host.watch import MachineWatch
from swarmrace.recording.records import Delay, RaceInfo
from swarmrace.rendezvous.app import App
from swarmrace.rendezvous.conductor import Conductor
from swarmrace.rendezvous.flight import MARGIN_SECONDS
from swarmrace.rendezvous.http_server import BACKLOG, Server
from swarmrace.rendezvous.live.live import Live
from swarmrace.rendezvous.race_state import StopRule
from swarmrace.rendezvous.routes import Routes
from swarmrace.rendezvous.store import Store
from swarmrace.rendezvous.tracker.announces import Tracker
from swarmrace.rendezvous.tracker.swarms import Swarms, expire_seconds
from swarmrace.rendezvous.trial_book import TrialPolicy
from swarmrace.scenario.scenario import Scenario
from swarmrace.systems import doubles

_log = logging.getLogger(__name__)
_TICK_SECONDS = 0.2


@dataclass(frozen=True)
class ServerConfig:
    """What the rendezvous serves, and where."""

    scenario: Scenario
    race_id: str
    data_dir: Path
    """The results folder, which also holds the rendezvous' own state."""
    host: str = "0.0.0.0"
    """IP address or name; `*` listens on IPv6 and IPv4, whichever exist."""
    port: int = 0
    """0 takes a free one."""
    uds: Path | None = None
    """A unix socket to listen on too; it can be reached from any network namespace."""
    release_hash: str = ""
    """Hash of the Helm release, prefix of its URLs; empty on one machine."""
    name: str = "race"
    backend: str = "local"
    test_doubles: tuple[str, ...] = ()
    """Entrants known to be test doubles before anything starts."""
    token: str | None = None
    """Bearer token, required by requests that change the race's state; announces need none."""
    open_announce: bool = False
    """Whether `/announce` and `/scrape` are served as well as `/{race_id}/announce`."""
    announce_interval_seconds: int = 30
    announce_min_interval_seconds: int = 1
    poll_seconds: float = 10.0
    """Maximum wait for a barrier before a peer has to ask again."""
    margin_seconds: float = MARGIN_SECONDS
    """Added to every barrier's deadline, so that a peer's own timeout fires first."""
    delay: Delay | None = None
    """How the race's delay and loss are made, for its record."""
    relay_counts: Path | None = None
    """The file in which the race's relay counts."""
    stop_rule: StopRule | None = None
    """Returns whether the race may stop; only used if the scenario allows it (`race.stopping`)."""
    trials: TrialPolicy = field(default_factory=TrialPolicy)
    """Whether programs are tried before the first run."""


def _packages(scenario: Scenario) -> tuple[str, ...]:
    return systems.packages(options.kind for options in scenario.entrants.values())


class Rendezvous:
    """One race's rendezvous, not yet listening: an ASGI application and its ticks.

    Needs a running event loop.

    Args:
        config: what is raced; its addresses are not used here.
        clock: the rendezvous' clock.
        now: returns the seconds that deadlines and silence are measured by; the event loop's time
            by default.

    Raises:
        ResultsError: the data folder holds another race.
        OSError: the data folder can't be written.
    """

    def __init__(
        self,
        config: ServerConfig,
        clock: Clock | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        config.data_dir.mkdir(parents=True, exist_ok=True)
        now = now or asyncio.get_running_loop().time
        info = RaceInfo(
            race_id=config.race_id,
            release_hash=config.release_hash,
            name=doubles.mark(config.name) if config.test_doubles else config.name,
            test_doubles=list(config.test_doubles),
            scenario={"global": config.scenario.recorded()},
            backend=config.backend,
            created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=machine.commit(),
            definitions=definitions.version(),
            versions=machine.versions(_packages(config.scenario)),
            machine=machine.machine(config.data_dir),
            delay=config.delay,
        )
        self.store = Store(config.data_dir, info)
        self.conductor = Conductor(
            config.scenario,
            self.store,
            clock or SystemClock(),
            now,
            margin_seconds=config.margin_seconds,
            relay_counts=config.relay_counts,
            trials=config.trials,
            stop_rule=config.stop_rule if config.scenario.race.stopping else None,
        )
        self.live = Live(config.scenario, self.conductor)
        self._watch = MachineWatch(config.host)
        tracker = Tracker(
            Swarms(now, expire_seconds=expire_seconds(config.announce_interval_seconds)),
            interval_seconds=config.announce_interval_seconds,
            min_interval_seconds=config.announce_min_interval_seconds,
        )
        self.app = App(
            config.race_id,
            self.conductor,
            tracker,
            Routes(self.conductor, self.store, self.live, config.poll_seconds).app(),
            token=config.token,
            poll_seconds=config.poll_seconds,
            open_announce=config.open_announce,
            release_hash=config.release_hash,
        )

    async def tick(self) -> None:
        """Check the time and the machine five times a second, forever."""
        logged = ""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            try:
                self._check_machine()
                self.conductor.tick()
            except OSError as error:  # a full disk may have room again, so retry for a while
                text = self.store.trouble.text or str(error)
                if text != logged:
                    _log.error("the rendezvous can't write its folder: %s", text)
                logged = text

    def _check_machine(self) -> None:
        trouble = self.store.trouble.reason_to_stop()
        if trouble:
            self.conductor.stop(trouble)
        if down := self._watch.down():
            self.conductor.stop(down)
        if pause := self._watch.suspended():
            self.conductor.end_run(pause)


@dataclass(frozen=True)
class Listening:
    """A rendezvous that is listening."""

    host: str
    port: int
    conductor: Conductor
    ticks: asyncio.Future[None]
    """Runs forever; if it ends, so does the rendezvous."""


async def serve(config: ServerConfig, clock: Clock | None = None) -> None:
    """Serve until cancelled; then answer waiting requests, close all connections and return.

    Raises:
        RendezvousError: the address or the unix socket can't be listened on.
        ResultsError: the data folder holds another race.
    """
    async with listening(config, clock) as running:
        await running.ticks


@contextlib.asynccontextmanager
async def listening(config: ServerConfig, clock: Clock | None = None) -> AsyncIterator[Listening]:
    """Serve within the block, in this event loop.

    Raises:
        RendezvousError: the address or the unix socket can't be listened on.
        ResultsError: the data folder holds another race.
    """
    _allow_many_connections()
    bound = bind(config.host, config.port)
    try:
        rendezvous = Rendezvous(config, clock)
    except BaseException:
        bound.close()
        raise
    servers = [Server(rendezvous.app, sockets=[bound])]
    if config.uds is not None:
        servers.append(Server(rendezvous.app, uds=config.uds))
    tasks = [asyncio.ensure_future(server.run_until_stopped()) for server in servers]
    ticks = asyncio.ensure_future(rendezvous.tick())
    looks = asyncio.ensure_future(rendezvous.live.run())
    try:
        for server, task in zip(servers, tasks, strict=True):
            await server.started_or_failed(task)
        host, port = bound.getsockname()[:2]
        yield Listening(host, port, rendezvous.conductor, ticks)
    finally:
        ticks.cancel()
        looks.cancel()
        for server in servers:
            server.stop()
        rendezvous.conductor.stop_waiting()
        rendezvous.live.stop()
        await asyncio.gather(*tasks, return_exceptions=True)
        bound.close()
        if config.uds is not None:
            config.uds.unlink(missing_ok=True)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens there (`host.sockets.listening`).

    Raises:
        RendezvousError: it can't be listened on.
    """
    try:
        return sockets.listening(host, port, BACKLOG)
    except OSError as error:
        raise RendezvousError(
            f"{host}:{port}: expected an address to listen on, found: {error.strerror or error}; "
            "give another one"
        ) from error


def _allow_many_connections() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
