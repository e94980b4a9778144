"""Parameter types of the command line. An invalid value is a usage error."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from swarmrace.atomic import PROBE_PREFIX


class NewFolder(click.Path):
    """A folder that exists or can be created."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        folder = Path(os.fsdecode(super().convert(value, param, ctx)))
        above = folder.absolute()
        while not os.path.lexists(above):
            above = above.parent
        if not above.is_dir():
            self.fail(f"{folder}: expected a folder, but {above} isn't one", param, ctx)
        try:  # root has all permissions, but still can't write to /proc
            with tempfile.TemporaryDirectory(dir=above, prefix=PROBE_PREFIX):
                pass
        except OSError as error:
            self.fail(f"{folder}: can't write to {above}: {error.strerror}", param, ctx)
        return folder


class Duration(click.ParamType[float]):
    """A time such as 8h, 90m, 1h30m or 45s, as seconds."""

    name = "duration"
    _UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return seconds."""
        if isinstance(value, float):
            return value
        if value == "0":
            return 0.0
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
        """Return the host, without the brackets of an IPv6 address, and the port. `*` is every
        address."""
        if isinstance(value, tuple):
            return value
        host, _, port = str(value).rpartition(":")
        if not (host and port.isascii() and port.isdigit() and int(port) <= 65_535):
            self.fail(f"found {value!r}, expected HOST:PORT such as 0.0.0.0:8080", param, ctx)
        return host.strip("[]"), int(port)


def format_option(
    text: str, formats: Sequence[str] = ("text", "json")
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option `--format`, parameter `format_`; its first format is the default.

    Args:
        text: the option's help.
        formats: the formats that the command offers.
    """
    return click.option(
        "--format",
        "format_",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help=text,
    )


work_dir_option = click.option(
    "--work-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder for payloads during a race.  [default: the system's temporary folder]",
)
namespaces_option = click.option(
    "--namespaces/--no-namespaces",
    default=None,
    help="Give each peer its own network namespace.  [default: if rates, delay or loss are set, or "
    "an entrant needs it]",
)


def _watch_address(
    ctx: click.Context, _: click.Parameter, listen: tuple[str, int] | None
) -> tuple[str, int] | None:
    """Return where the live page is served: where `--watch-on` says, or with `--watch` only on this
    machine's loopback address, or nowhere."""
    watched = ctx.params.pop("watch", False)
    return listen or (("127.0.0.1", 0) if watched else None)


def watch_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--watch` and `--watch-on`; the command gets the parameter `watch_on`."""
    command = click.option(
        "--watch-on",
        type=Listen(),
        callback=_watch_address,
        help="Serve the live page on HOST:PORT: everyone who can reach it can read the page.",
    )(command)
    return click.option(
        "--watch",
        is_flag=True,
        is_eager=True,
        help="Serve a live page of the race to this machine's browsers, and print its address.",
    )(command)
