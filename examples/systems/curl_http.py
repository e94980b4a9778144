#!/usr/bin/env python3
"""An `exec` system that wraps programs: `python3 -m http.server` serves, curl fetches.

curl says nothing of single bytes, so the length of its file is looked at and reported as `progress`
(docs/exec.md).
"""

from __future__ import annotations

import ctypes
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOOK_SECONDS = 0.005
START_SECONDS = 10.0
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def say(event: str, **more: object) -> None:
    """Write one line, at once: a line that waits in a buffer is stamped late."""
    sys.stdout.write(json.dumps({"event": event, **more}) + "\n")
    sys.stdout.flush()


def start(*command: str, **more: Any) -> subprocess.Popen[bytes]:
    """Start a program that ends when this one does, whatever ends that. Its output goes to standard
    error: standard output is for events only."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
        **more,
    )


def length_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


class CurlHttp:
    """One peer. Each method answers the request of its name."""

    def __init__(self) -> None:
        self.address, self.peer, self.folder = "", 0, Path()
        self.server: subprocess.Popen[bytes] | None = None
        self.fetched: Path | None = None

    def prepare(self, request: Mapping[str, Any]) -> None:
        self.address, self.peer = request["address"], request["peer"]
        self.folder = Path(request["folder"])
        curl = shutil.which("curl")
        if curl is None:
            raise OSError("curl is not on PATH; install it")
        version = subprocess.run([curl, "--version"], capture_output=True, text=True, check=True)
        say("done", id=request["id"], version=" ".join(version.stdout.split()[:2]))

    def publish(self, request: Mapping[str, Any]) -> None:
        (self.folder / "payload").symlink_to(request["path"])
        with socket.create_server((self.address, 0)) as probe:
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "http.server", str(port), "--bind", self.address]
        self.server = start(*command, "--directory", str(self.folder))
        self.wait_for_server(port)
        say("done", id=request["id"], reference={"url": f"http://{self.address}:{port}/payload"})

    def wait_for_server(self, port: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self.server is not None and self.server.poll() is None:
            try:
                socket.create_connection((self.address, port)).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        raise OSError("the web server ended at its start; its output is in the log")

    def fetch(self, request: Mapping[str, Any]) -> None:
        references, size = request["references"], request["sizeBytes"]
        url = references[self.peer % len(references)]["url"]
        self.fetched = Path(request["path"])
        options = ["--silent", "--show-error", "--fail", "--no-buffer", "--noproxy", "*"]
        options += ["--interface", self.address, "--output", str(self.fetched)]
        curl = start("curl", *options, url)
        reported = 0
        while curl.poll() is None:
            time.sleep(LOOK_SECONDS)
            held = min(length_of(self.fetched), size)
            if held > reported:
                reported = held
                say("progress", bytes=held)
        if curl.returncode != 0:
            raise OSError(f"curl exited {curl.returncode}; its output is in the log")
        say("progress", bytes=min(length_of(self.fetched), size))
        say("done", id=request["id"])

    def remove(self, request: Mapping[str, Any]) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait()
            self.server = None
        (self.folder / "payload").unlink(missing_ok=True)
        if self.fetched is not None:
            self.fetched.unlink(missing_ok=True)
            self.fetched = None
        say("done", id=request["id"])


def main() -> None:
    peer = CurlHttp()
    for line in sys.stdin:
        request = json.loads(line)
        if request["verb"] == "close":
            return
        try:
            getattr(peer, request["verb"])(request)
        except (OSError, subprocess.SubprocessError) as error:
            detail = f"{type(error).__name__}: {error}"
            say("failed", id=request["id"], reason="refused", detail=detail)


if __name__ == "__main__":
    main()
