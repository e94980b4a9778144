"""The node's program and command line, what is missing, and what is observed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from codex_swarm import PERSONALITIES, ROOT, parse_as_node, program
from swarmrace.errors import Reason, TransferError
from swarmrace.scenario.loading import load
from swarmrace.systems.codex import SPEC
from swarmrace.systems.codex.local import free_ports
from swarmrace.systems.codex.metrics import MetricsWatch
from swarmrace.systems.codex.metrics import parse as parse_metrics
from swarmrace.systems.codex.options import CodexOptions
from swarmrace.systems.codex.programs import (
    NodeProgram,
    Ports,
    command_line,
    find_program,
    inspect,
    quota_bytes,
)

GIB = 1 << 30
PORTS = Ports(listen=7001, discovery=7002, api=7003, metrics=7004)
ADDRESS = "127.0.5.1"


def line(found: NodeProgram, *, bootstrap=None, size_bytes=10**8, **options) -> list[str]:
    command, reasons = command_line(
        found,
        CodexOptions(**options),
        address=ADDRESS,
        ports=PORTS,
        data_dir=Path("/d"),
        size_bytes=size_bytes,
        bootstrap=bootstrap,
    )
    assert all(reasons[argument] for argument in command[1:])  # a reason beside each
    return command[1:]


@pytest.mark.parametrize(
    ("personality", "expected"),
    [
        (
            "v0.1.9",
            "--listen-addrs=/ip4/127.0.5.1/tcp/7001 --disc-ip=127.0.5.1 --disc-port=7002 "
            "--nat:127.0.5.1",
        ),
        (
            "v0.2.5",
            "--listen-addrs=/ip4/127.0.5.1/tcp/7001 --disc-port=7002 --nat:extip:127.0.5.1",
        ),
        (
            "storage-2026",
            "--listen-ip=127.0.5.1 --listen-port=7001 --nat:extip:127.0.5.1 --no-bootstrap-node",
        ),
    ],
)
def test_each_version_gets_the_options_that_it_has(tmp_path, personality, expected):
    path, kind = program(tmp_path, personality), PERSONALITIES[personality]
    found = asyncio.run(inspect(str(path)))
    assert found.family == kind.program
    assert found.version == f"{kind.version}-double"
    assert found.revision == kind.revision
    assert found.default_quota_bytes == kind.default_quota_bytes
    arguments = line(found)
    assert set(expected.split()) <= set(arguments)
    config = parse_as_node(arguments, {}, kind)  # nothing it does not know
    assert (config.listen_host, config.listen_port, config.nat) == (ADDRESS, 7001, ADDRESS)
    assert (config.api_host, config.api_port, config.metrics_port) == (ADDRESS, 7003, 7004)
    assert config.metrics
    joining = line(found, bootstrap="spr:abc")
    assert "--bootstrap-node=spr:abc" in joining
    assert "--no-bootstrap-node" not in joining
    parse_as_node(line(found, profile="tuned", bootstrap="spr:abc"), {}, kind)


def test_a_program_is_inspected_and_one_that_does_not_answer_is_refused(tmp_path):
    tag = tmp_path / "codex"
    tag.write_text("#!/bin/sh\n[ $1 = --version ] && echo 'Codex version:  v0.1.9'\nexit 0\n")
    tag.chmod(0o755)
    found = asyncio.run(inspect(str(tag)))
    assert not found.nat_takes_extip  # no help: by the version
    assert "--nat:127.0.5.1" in line(found)
    tag.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(TransferError, match="set `program`") as caught:
        asyncio.run(inspect(str(tag)))
    assert caught.value.reason is Reason.REFUSED
    tag.write_text("not a program")
    with pytest.raises(TransferError, match="can't be run"):
        asyncio.run(inspect(str(tag)))


def test_stock_keeps_the_nodes_quota_unless_the_file_needs_more():
    stock = CodexOptions()
    assert quota_bytes(8 * GIB, stock, 5 * 10**9) is None
    raised = quota_bytes(8 * GIB, stock, 8 * GIB)
    assert raised > 8 * GIB + (16 << 20)
    assert quota_bytes(8 * GIB, CodexOptions(storage_quota="1GiB"), 8 * GIB) == GIB


def test_ports_are_free_and_differ():
    ports = free_ports("127.0.0.1")
    assert len({ports.listen, ports.api, ports.metrics}) == 3
    assert ports.listen == ports.discovery  # one number, TCP and UDP, as the newest has it


def test_the_check_reports_how_to_get_the_program(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SWARMRACE_SIDECAR_API", raising=False)
    (missing,) = SPEC.check(CodexOptions())
    assert "codex or storage on PATH" in missing
    assert "github.com/logos-storage/logos-storage-nim" in missing
    assert "`nodes`" in missing
    assert "storage on PATH" in SPEC.check(CodexOptions(family="storage"))[0]
    assert "/no/such" in SPEC.check(CodexOptions(program="/no/such"))[0]
    assert SPEC.check(CodexOptions(nodes=["http://127.0.0.1:1"])) == []
    path = program(tmp_path, "storage-2026")
    assert SPEC.check(CodexOptions()) == []
    assert find_program(CodexOptions()) == str(path)
    assert find_program(CodexOptions(family="codex")) is None
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("SWARMRACE_SIDECAR_API", "http://127.0.0.1:8080")
    assert SPEC.check(CodexOptions()) == []


def test_a_block_size_that_the_program_does_not_accept_is_reported_before_a_race(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("SWARMRACE_SIDECAR_API", raising=False)
    for personality in ("v0.2.5", "storage-2026"):
        folder = tmp_path / personality
        folder.mkdir()
        node = str(program(folder, personality))
        assert SPEC.check(CodexOptions(program=node)) == []
        found = SPEC.check(CodexOptions(program=node, block_size="64KiB"))
        if personality == "storage-2026":
            assert found == []
        else:
            assert found[0].startswith(f"blockSize: only Logos Storage accepts one, found {node}, ")


def test_observations_depend_on_download_and_family(tmp_path):
    stream = SPEC.observes(CodexOptions())
    assert (stream.arrival, stream.delivery, stream.in_order) == (False, True, True)
    background = CodexOptions(download="background", family="storage", poll_seconds=0.05)
    polled = SPEC.observes(background)
    assert (polled.arrival, polled.delivery, polled.poll_seconds) == (True, False, 0.05)
    blind = SPEC.observes(CodexOptions(download="background", family="codex"))
    assert (blind.arrival, blind.delivery) == (False, False)
    for personality, arrival in (("v0.2.5", False), ("storage-2026", True)):
        path = str(program(tmp_path / personality, personality))
        options = CodexOptions(download="background", program=path)
        assert SPEC.observes(options).arrival is arrival


def test_metrics_are_counted_since_the_start_of_the_run():
    page = """# TYPE libp2p_network_bytes counter
libp2p_network_bytes_total{direction="in"} 105830692.0
libp2p_network_bytes_created{direction="in"} 1.0
libp2p_network_bytes_total{direction="out"} 183920.0
# TYPE codex_block_exchange_discovery_requests_total counter
codex_block_exchange_discovery_requests_total_total 2.0
codex_block_exchange_discovery_requests_total_created 1.0
libp2p_peers 1.0
codex_repostore_blocks 1601.0
something_else 3.0
"""
    watch = MetricsWatch(None)
    watch._base = {'libp2p_network_bytes_total{direction="in"}': 692.0}
    watch._last = parse_metrics(page)
    counters = watch.counters()
    assert counters.received_bytes == 105_830_000
    assert counters.sent_bytes == 183_920
    assert counters.connections == 1
    assert counters.extra == {
        "block_exchange_discovery_requests_total_total": 2.0,
        "repostore_blocks": 1601.0,
    }
    assert parse_metrics("libp2p_peers not a number\n") == {}


def test_the_scenario_against_bittorrent_is_valid():
    scenario = load(ROOT / "scenarios/codex-vs-bittorrent.yaml")
    kinds = {options.kind for options in scenario.entrants.values()}
    assert kinds == {"codex", "bittorrent"}
    assert {options.profile for options in scenario.entrants.values()} == {"stock"}
