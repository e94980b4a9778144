"""What the command line takes besides texts and numbers; what is wrong is a usage error."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import click


class NewFolder(click.Path):
    """A folder that is there or can be made."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        folder = Path(os.fsdecode(super().convert(value, param, ctx)))
        above = folder.absolute()
        while not os.path.lexists(above):
            above = above.parent
        if not above.is_dir():
            self.fail(f"{folder}: expected a folder, but {above} is none", param, ctx)
        try:  # root may do anything by its permissions, but not in /proc
            with tempfile.TemporaryDirectory(dir=above, prefix=".swarmrace-"):
                pass
        except OSError as error:
            self.fail(f"{folder}: {above} can't be written to: {error.strerror}", param, ctx)
        return folder


class Duration(click.ParamType[float]):
    """A time such as 8h, 90m, 1h30m or 45s, as seconds."""

    name = "duration"
    _UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return seconds."""
        if isinstance(value, float):
            return value
        found = re.findall(r"(\d+(?:\.\d+)?)([dhms])", value)
        if not found or "".join(map("".join, found)) != value:
            self.fail(f"found {value!r}, expected a time such as 8h, 90m or 1h30m", param, ctx)
        return float(sum(float(number) * self._UNITS[unit] for number, unit in found))


class Bytes(click.ParamType[int]):
    """A size such as 200GB, as bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return bytes."""
        from swarmrace.units import parse_size  # imports pydantic

        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class RaceId(click.ParamType[str]):
    """A race's id: 10 hex digits (`Scenario.race_id`)."""

    name = "race id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the id."""
        if not re.fullmatch("[0-9a-f]{10}", value):
            self.fail(f"found {value!r}, expected 10 hex digits such as 0123abcdef", param, ctx)
        return value


class Listen(click.ParamType[tuple[str, int]]):
    """HOST:PORT, as a pair."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return host, without an IPv6 address's brackets, and port; `*` is every address."""
        if isinstance(value, tuple):
            return value
        host, _, port = str(value).rpartition(":")
        if not (host and port.isascii() and port.isdigit() and int(port) <= 65_535):
            self.fail(f"found {value!r}, expected HOST:PORT such as 0.0.0.0:8080", param, ctx)
        return host.strip("[]"), int(port)


work_dir_option = click.option(
    "--work-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder on whose disk payloads are during a race.  [default: the system's temporary]",
)
namespaces_option = click.option(
    "--namespaces/--no-namespaces",
    default=None,
    help="Give each peer a network namespace of its own.  [default: when rates, delay or loss "
    "are set]",
)
