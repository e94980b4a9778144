"""The daemon of one peer: a child process, or the one in its pod's sidecar."""

from __future__ import annotations

import abc
import asyncio
import ipaddress
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from swarmrace.errors import Reason, TransferError
from swarmrace.host.sockets import url_host
from swarmrace.systems.abc import Context
from swarmrace.systems.child import Child, ChildEndedError, free_ports
from swarmrace.systems.node import StartedNode
from swarmrace.systems.sidecar import Sidecar, Supervisor, beside
from swarmrace.systems.transmission.options import TransmissionOptions
from swarmrace.systems.transmission.profiles import table
from swarmrace.systems.transmission.programs import environment, find_program
from swarmrace.systems.transmission.rpc import TransmissionRpc

_START_TRIES = 4
_PEER_PORT = 51_413
"""The daemon's own default; in a pod no other program uses it."""
_STOP_SECONDS = 5.0
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


class Daemon(StartedNode, abc.ABC):
    """A daemon on an empty profile folder.

    Args:
        process: starts it.
        folder: this peer's own.
        options: the entrant's.
        address: the peer's own IP address.

    Attributes:
        rpc: its RPC, once it is up.
        version: what it reports about itself.
        settings: the settings.json that it was started with.
    """

    def __init__(
        self,
        process: Child | Supervisor,
        folder: Path,
        options: TransmissionOptions,
        address: str,
    ) -> None:
        super().__init__(process)
        self.rpc: TransmissionRpc | None = None
        self.version = "unknown"
        self.settings: dict[str, Any] = {}
        self.profile, self.content = folder / "profile", folder / "content"
        self._options, self._address = options, address

    @abc.abstractmethod
    async def start(self) -> None:
        """Start it on an empty profile; return when its RPC answers.

        Raises:
            TransferError: it can't be started, or ended at once.
        """

    async def stop(self) -> None:
        """End it; remove its profile and content."""
        await self._end()
        rpc, self.rpc = self.rpc, None
        if rpc is not None:
            await rpc.close()
        for folder in (self.profile, self.content):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    @abc.abstractmethod
    async def _end(self) -> None:
        """End the process."""

    def _write_profile(self, rpc_address: str, rpc_port: int, peer_port: int) -> None:
        """Write settings.json into an empty profile.

        Raises:
            TransferError: the daemon would find no peer at this address.
        """
        address = ipaddress.ip_address(self._address)
        ipv4 = address.version == 4
        utp = table(self._options).get("utp-enabled")
        uses_utp = utp is None or utp.value  # the daemon's default is on
        if not ipv4 and address not in _GLOBAL_UNICAST and uses_utp:
            raise TransferError(
                Reason.REFUSED,
                f"transmission: found uTP at {address}, expected utp: false: the daemon opens no "
                f"uTP socket for an IPv6 address outside of {_GLOBAL_UNICAST}, and connects to no "
                "peer meanwhile",
            )
        for folder in (self.profile, self.content):
            folder.mkdir(mode=0o777, parents=True, exist_ok=True)
        chosen = {name: setting.value for name, setting in table(self._options).items()}
        self.settings = chosen | {
            # Announces leave from the IPv4 address, or if that is 0.0.0.0, from the IPv6 address.
            "bind-address-ipv4": self._address if ipv4 else "0.0.0.0",
            "bind-address-ipv6": "::1" if ipv4 else self._address,
            "peer-port": peer_port,
            "rpc-bind-address": rpc_address,
            "rpc-port": rpc_port,
            "download-dir": str(self.content),
            "lpd-enabled": False,
            "message-level": 1,
        }
        text = json.dumps(self.settings, indent=1)
        (self.profile / "settings.json").write_text(text)


class LocalDaemon(Daemon):
    """A daemon that runs as a child process and ends with this one."""

    def __init__(self, context: Context, options: TransmissionOptions) -> None:
        log = context.work_dir / "transmission.log"
        self._child = Child(log, context.work_dir, name="transmission-daemon")
        super().__init__(self._child, context.work_dir, options, context.address)

    async def start(self) -> None:
        """Start the process on free ports; try other ports if one has become busy meanwhile."""
        program = find_program(self._options)
        if program is None:
            raise TransferError(
                Reason.REFUSED, "transmission: expected transmission-daemon on PATH, found none"
            )
        for attempt in range(_START_TRIES):
            await self.stop()
            ports = free_ports(self._address, tcp=1, both=1)
            (rpc_port,), (peer_port,) = ports.tcp, ports.both
            self._write_profile(self._address, rpc_port, peer_port)
            command = [program, "--foreground", "--config-dir", str(self.profile)]
            await self._child.start(command, environment())
            self.rpc = TransmissionRpc(f"http://{url_host(self._address)}:{rpc_port}")
            try:
                self.version = await self._child.until(self.rpc.answering())
                return
            except ChildEndedError as error:
                if not error.port_was_busy or attempt == _START_TRIES - 1:
                    raise TransferError(error.reason, f"transmission: {error.detail}") from error

    async def _end(self) -> None:
        await self._child.stop(_STOP_SECONDS)
        self._child.log.unlink(missing_ok=True)


class SidecarDaemon(Daemon):
    """The daemon in a pod's sidecar, started cold by its supervisor.

    Its profile and content are on the volume that both containers mount.

    Args:
        sidecar: where it is; it has a control folder.
    """

    def __init__(self, sidecar: Sidecar, context: Context, options: TransmissionOptions) -> None:
        assert sidecar.control is not None
        self._supervisor = Supervisor(sidecar.control, name="transmission")
        super().__init__(self._supervisor, context.work_dir, options, context.address)
        self._url = sidecar.api

    async def start(self) -> None:
        """Ask the supervisor for a cold start; wait until the daemon answers."""
        await self.stop()
        port = urlsplit(self._url).port or 9091
        self._write_profile("127.0.0.1", port, _PEER_PORT)
        await self._supervisor.start(["--foreground", "--config-dir", str(self.profile)])
        self.rpc = TransmissionRpc(self._url)
        self.version = await self._supervisor.until(self.rpc.answering())

    async def _end(self) -> None:
        if self._supervisor.running:
            await self._supervisor.stop()


def daemon_of(context: Context, options: TransmissionOptions) -> Daemon:
    """Return a peer's daemon, not started: its pod's sidecar, if there is one."""
    sidecar = beside()
    if sidecar is not None and sidecar.control is not None:
        return SidecarDaemon(sidecar, context, options)
    return LocalDaemon(context, options)


def settings_that_differ(options: TransmissionOptions) -> tuple[Mapping[str, Any], dict[str, str]]:
    """Return which of the daemon's settings are set, and why."""
    chosen = table(options)
    return {n: s.value for n, s in chosen.items()}, {n: s.why for n, s in chosen.items()}
