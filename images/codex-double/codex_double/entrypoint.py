"""The image's entrypoint: handles environment variables like the node's own entrypoint.

With `BOOTSTRAP_NODE_URL=http://host:port` it asks that node for its record for up to 300 s
(`BOOTSTRAP_NODE_URL_WAIT`); with `NAT_IP_AUTO=true` it announces the address of this host.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import MutableMapping, Sequence

from codex_double.personality import PERSONALITIES, Personality


def prepare(environment: MutableMapping[str, str], personality: Personality) -> None:
    """Set the variables that the node reads.

    Raises:
        SystemExit: there was no record in time, or the host's name has no address.
    """
    url = environment.get("BOOTSTRAP_NODE_URL")
    if url:
        wait = float(environment.get("BOOTSTRAP_NODE_URL_WAIT", "300"))
        record = _fetch(f"{url}{personality.base_path}/spr", wait)
        if not record:
            raise SystemExit(f"Unable to get SPR from {url} in {wait:.0f} seconds - Stop")
        environment[personality.prefix + "BOOTSTRAP_NODE"] = record
    if environment.get("NAT_IP_AUTO") == "true" and not environment.get(personality.prefix + "NAT"):
        try:
            ip = socket.gethostbyname(socket.gethostname())
        except OSError as error:
            raise SystemExit("Can't get Private IP - Stop") from error
        extip = "extip:" if "extip" in personality.nat else ""
        environment[personality.prefix + "NAT"] = extip + ip


def _fetch(url: str, wait_seconds: float) -> str:
    request = urllib.request.Request(url, headers={"Accept": "text/plain"})
    end = time.monotonic() + wait_seconds
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.read().decode().strip()
        except (OSError, urllib.error.URLError):
            if time.monotonic() >= end:
                return ""
            print(f"Can't get SPR from {url} - Retry in 1 seconds", flush=True)
            time.sleep(min(1.0, wait_seconds))


def main(argv: Sequence[str]) -> None:
    """Prepare the environment, then execute the given command."""
    name = os.environ.get("DOUBLE_PERSONALITY")
    if name is None:
        name = "storage-2026" if os.path.basename(argv[0]) == "storage" else "v0.2.5"  # noqa: PTH119
    prepare(os.environ, PERSONALITIES[name])
    sys.stdout.flush()
    os.execvp(argv[0], list(argv))


if __name__ == "__main__":
    main(sys.argv[1:] or ["codex"])
