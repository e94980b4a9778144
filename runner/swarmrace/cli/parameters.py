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
        folder = super().convert(value, param, ctx)
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


class RaceId(click.ParamType):
    """A race's id: 10 hex digits (`Scenario.race_id`)."""

    name = "race id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the id."""
        if not re.fullmatch("[0-9a-f]{10}", value):
            self.fail(f"found {value!r}, expected 10 hex digits such as 0123abcdef", param, ctx)
        return value


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
