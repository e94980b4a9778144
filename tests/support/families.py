"""Network namespaces with IPv4 only, IPv6 only, or both."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SETUPS = {
    "both": "ip link set lo up",
    "IPv4 only": "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 && ip link set lo up",
    "IPv6 only": "ip link set lo up && ip address del 127.0.0.1/8 dev lo",
}


def in_network(kind: str, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a network namespace that has the families of `kind`."""
    unshare = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("expected network namespaces, found none permitted")
    return subprocess.run(
        [*unshare, "sh", "-euc", f"{SETUPS[kind]}\n{script}"],
        capture_output=True, text=True, cwd=folder,
    )  # fmt: skip
