"""Tracker and metrics answer on whichever address families there are, in a network of each kind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from paths import SCENARIOS

HASH = "0123456789"
SETUPS = {
    "both": "ip link set lo up",
    "IPv4 only": "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 && ip link set lo up",
    "IPv6 only": "ip link set lo up && ip address del 127.0.0.1/8 dev lo",
}
ADDRESSES = {"both": ["127.0.0.1", "[::1]"], "IPv4 only": ["127.0.0.1"], "IPv6 only": ["[::1]"]}
METRICS = """
import asyncio, sys, urllib.request
from types import SimpleNamespace
from swarmrace.host.sockets import EVERYWHERE
from swarmrace.metrics.exporter import MetricsServer
async def main():
    sampler = SimpleNamespace(snapshot=dict, samples=lambda snapshot: [])
    server = MetricsServer(sampler, EVERYWHERE, 9200)
    server.start()
    for address in sys.argv[1:]:
        url = f"http://{address}:9200/metrics"
        await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=5).read())
asyncio.run(main())
"""


def in_network(kind: str, script: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a network namespace that has the families of `kind`."""
    unshare = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("expected network namespaces, found none permitted")
    return subprocess.run(
        [*unshare, "sh", "-euc", f"{SETUPS[kind]}\n{script}"],
        capture_output=True, text=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip


@pytest.mark.parametrize("kind", SETUPS)
def test_the_tracker_answers_on_every_family_there_is(tmp_path: Path, kind: str) -> None:
    program = f"{sys.executable} -m swarmrace"
    scenario = SCENARIOS / "quick.yaml"
    (tmp_path / "token").write_text("secret")
    asked = "\n".join(
        f"{program} answers --rendezvous http://{address}:8080/{HASH} --scenario {scenario} "
        "--token-file token"
        for address in ADDRESSES[kind]
    )
    here = ADDRESSES[kind][0].strip("[]")
    done = in_network(
        kind,
        f"""{program} tracker --scenario {scenario} --data-dir data --listen '*:8080' \
  --release-hash {HASH} --token-file token & tracker=$!
trap 'kill $tracker; wait $tracker || true' EXIT
until {sys.executable} -c 'import socket; socket.create_connection(("{here}", 8080))' 2>/dev/null
do kill -0 $tracker; sleep 0.1; done
{asked}
""",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("tracker and board answer") == len(ADDRESSES[kind])
    head = json.loads((tmp_path / "data/race.json").read_text())
    assert head["releaseHash"] == HASH != head["raceId"]


@pytest.mark.parametrize("kind", SETUPS)
def test_metrics_are_served_on_every_family_there_is(tmp_path: Path, kind: str) -> None:
    (tmp_path / "metrics.py").write_text(METRICS)
    addresses = " ".join(f"'{address}'" for address in ADDRESSES[kind])
    done = in_network(kind, f"{sys.executable} metrics.py {addresses}", tmp_path)
    assert done.returncode == 0, done.stderr
