#!/usr/bin/env python3
"""An `exec` system in one file: the content over a bare TCP connection (docs/exec.md).

Each leecher reads from one seeder. It needs nothing but Python.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

READ_BYTES = 65_536


def say(event: str, **more: object) -> None:
    """Write one line, at once: a line that waits in a buffer is stamped late."""
    sys.stdout.write(json.dumps({"event": event, **more}) + "\n")
    sys.stdout.flush()


class TcpCopy:
    """One peer. Each method answers the request of its name."""

    def __init__(self) -> None:
        self.address, self.peer = "", 0
        self.server: socket.socket | None = None
        self.fetched: Path | None = None

    def prepare(self, request: Mapping[str, Any]) -> None:
        self.address, self.peer = request["address"], request["peer"]
        say("done", id=request["id"], version="tcp_copy 1.0", settings={"readBytes": READ_BYTES})

    def publish(self, request: Mapping[str, Any]) -> None:
        self.server = socket.create_server((self.address, 0))
        threading.Thread(
            target=self.serve, args=(self.server, Path(request["path"])), daemon=True
        ).start()
        host, port = self.server.getsockname()[:2]
        say("done", id=request["id"], reference={"host": host, "port": port})

    def serve(self, server: socket.socket, path: Path) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return  # closed by `remove`
            threading.Thread(target=self.send, args=(connection, path), daemon=True).start()

    def send(self, connection: socket.socket, path: Path) -> None:
        try:
            with connection, path.open("rb") as file:
                connection.sendfile(file)
        except OSError:
            pass  # the leecher has gone; that is its own failure

    def fetch(self, request: Mapping[str, Any]) -> None:
        references, size = request["references"], request["sizeBytes"]
        seeder = references[self.peer % len(references)]
        self.fetched, held = Path(request["path"]), 0
        with (
            socket.create_connection(
                (seeder["host"], seeder["port"]), source_address=(self.address, 0)
            ) as connection,
            self.fetched.open("wb", buffering=0) as file,
        ):
            say("discovered")
            while held < size:
                data = connection.recv(READ_BYTES)
                if not data:
                    raise ConnectionError(f"expected {size} bytes, found the end after {held}")
                say("arrived", offset=held, length=len(data))
                file.write(data)
                held += len(data)
        say("counters", receivedBytes=held, payloadReceivedBytes=held)
        say("done", id=request["id"])

    def remove(self, request: Mapping[str, Any]) -> None:
        if self.server is not None:
            self.server.shutdown(socket.SHUT_RDWR)
            self.server.close()
            self.server = None
        if self.fetched is not None:
            self.fetched.unlink(missing_ok=True)
            self.fetched = None
        say("done", id=request["id"])


def main() -> None:
    peer = TcpCopy()
    for line in sys.stdin:
        request = json.loads(line)
        if request["verb"] == "close":
            return
        try:
            getattr(peer, request["verb"])(request)
        except OSError as error:
            detail = f"{type(error).__name__}: {error}"
            say("failed", id=request["id"], reason="refused", detail=detail)


if __name__ == "__main__":
    main()
