"""Tracker and metrics answer on whichever address families exist, in a network of each kind."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from families import SETUPS, in_network
from paths import SCENARIOS
from swarmrace.host.sockets import url_host

HASH = "0123456789"
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
        await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=300).read())
asyncio.run(main())
"""


@pytest.mark.parametrize("kind", SETUPS)
def test_the_tracker_answers_on_every_existing_family(tmp_path: Path, kind: str) -> None:
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
def test_metrics_are_served_on_every_existing_family(tmp_path: Path, kind: str) -> None:
    (tmp_path / "metrics.py").write_text(METRICS)
    addresses = " ".join(f"'{address}'" for address in ADDRESSES[kind])
    done = in_network(kind, f"{sys.executable} metrics.py {addresses}", tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("address", "in_url"), [("10.0.0.1", "10.0.0.1"), ("fd00::7", "[fd00::7]"), ("a.b", "a.b")]
)
def test_an_ipv6_address_is_in_brackets_in_a_url(address: str, in_url: str) -> None:
    assert url_host(address) == in_url
