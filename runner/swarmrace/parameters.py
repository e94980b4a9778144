"""What the command line takes besides texts and numbers; what is wrong is a usage error."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click


class NewFolder(click.Path):
    """A folder that is there or can be made."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        folder = super().convert(value, param, ctx)
        above = folder.absolute()
        while not os.path.lexists(above):
            above = above.parent
        if not above.is_dir():
            self.fail(f"{folder}: expected a folder, but {above} is none", param, ctx)
        if not os.access(above, os.W_OK | os.X_OK):
            self.fail(f"{folder}: {above} can't be written to", param, ctx)
        return folder


class Listen(click.ParamType):
    """HOST:PORT, as a pair."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return host, without an IPv6 address's brackets, and port."""
        if isinstance(value, tuple):
            return value
        host, _, port = str(value).rpartition(":")
        if not (host and port.isascii() and port.isdigit() and int(port) <= 65_535):
            self.fail(f"found {value!r}, expected HOST:PORT such as 0.0.0.0:8080", param, ctx)
        return host.strip("[]"), int(port)


def require_peer(scenario: Any, entrant: str, peer: int) -> None:
    """Refuse a peer that a scenario hasn't.

    Raises:
        click.BadParameter: it names no entrant, or its index is too large.
    """
    if entrant not in scenario.entrants:
        wanted = f"expected one of {', '.join(scenario.entrants)}"
        raise click.BadParameter(f"found {entrant!r}, {wanted}", param_hint="--entrant")
    if peer >= scenario.race.swarm_size:
        wanted = f"expected 0 to {scenario.race.swarm_size - 1}"
        raise click.BadParameter(f"found {peer}, {wanted}", param_hint="--peer")
