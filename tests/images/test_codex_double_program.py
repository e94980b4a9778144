"""The double as a program: command line, environment, signals, entrypoint (codex-node.md)."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from codex_double import entrypoint
from codex_double.config import Exit, OptionError, parse, parse_duration, parse_size
from codex_double.personality import PERSONALITIES
from codex_double.testing import program

from paths import ROOT
from patience import PATIENCE_SECONDS, measured_until

FAMILIES = pytest.mark.parametrize("personality", list(PERSONALITIES))


def free_port() -> int:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return holder.getsockname()[1]


def arguments(data_dir: Path, **changes: object) -> list[str]:
    values = {
        "data-dir": data_dir,
        "listen-addrs": f"/ip4/127.0.0.1/tcp/{free_port()}",
        "disc-port": free_port(),
        "api-port": free_port(),
        "nat": "extip:127.0.0.1",
        **changes,
    }
    return [f"--{name}={value}" for name, value in values.items()]


def get(url: str, seconds: float = PATIENCE_SECONDS) -> bytes:
    with urllib.request.urlopen(url, timeout=seconds) as answer:
        return answer.read()


@contextmanager
def node(path: Path, *args: str, **environment: str):
    process = subprocess.Popen(
        [path, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(url: str, process: subprocess.Popen) -> bytes:
    while process.poll() is None:
        try:
            return get(url)
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    raise AssertionError(f"exited {process.returncode}: {process.stdout.read()}")


@FAMILIES
def test_version_help_and_bad_options(personality):
    kind = PERSONALITIES[personality]
    with pytest.raises(Exit, match=rf"(?i)^{kind.program} version:  v[0-9.]+-double\n"):
        parse(["--version"], {}, kind)
    with pytest.raises(Exit) as text:
        parse(["--help"], {}, kind)
    assert ("--disc-port" in str(text.value)) == (personality != "storage-2026")
    assert ("extip" in str(text.value)) == (personality != "v0.1.9")
    with pytest.raises(OptionError, match="no-such"):
        parse(["--no-such=1"], {}, kind)
    good = "--nat:127.0.0.2" if personality == "v0.1.9" else "--nat:extip:127.0.0.2"
    bad = "--nat:extip:127.0.0.2" if personality == "v0.1.9" else "--nat:127.0.0.2"
    assert parse([good], {}, kind).nat == "127.0.0.2"
    with pytest.raises(OptionError, match=r"127\.0\.0\.2"):
        parse([bad], {}, kind)


def test_sizes_and_durations_are_parsed_as_by_the_node():
    assert parse_size("50mb") == 50 << 20
    assert parse_size("1GiB") == 1 << 30
    assert parse_size("1000") == 1000
    assert [parse_duration(text) for text in ("30s", "1h", "30d", "5")] == [30, 3600, 2592000, 5]
    for text in ("1x", "", "-5"):
        with pytest.raises(OptionError):
            parse_size(text)


def test_every_option_has_an_environment_variable_and_the_command_line_wins():
    codex, storage = PERSONALITIES["v0.2.5"], PERSONALITIES["storage-2026"]
    variables = {"CODEX_API_PORT": "1234", "CODEX_STORAGE_QUOTA": "1mb", "STORAGE_API_PORT": "99"}
    assert parse([], variables, codex).api_port == 1234
    assert parse([], variables, codex).quota_bytes == 1 << 20
    assert parse(["--api-port=5"], variables, codex).api_port == 5
    assert parse([], variables, storage).api_port == 99
    with pytest.raises(OptionError, match="no-bootstrap-node"):
        parse(["--no-bootstrap-node"], {}, storage)
    parse(["--no-bootstrap-node", "--nat=extip:127.0.0.1"], {}, storage)


def test_a_busy_api_port_exits_1_and_a_busy_discovery_port_goes_unnoticed(tmp_path):
    path = program(tmp_path)
    with socket.socket() as busy, socket.socket(type=socket.SOCK_DGRAM) as busy_udp:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        busy_udp.bind(("0.0.0.0", 0))
        port = free_port()
        disc = busy_udp.getsockname()[1]
        args = arguments(tmp_path / "b", **{"api-port": port, "disc-port": disc})
        one = subprocess.Popen(
            [path, *arguments(tmp_path / "a", **{"api-port": busy.getsockname()[1]})],
            stderr=subprocess.PIPE,
        )
        two = subprocess.run([path, "--bad-option=1"], capture_output=True)
        assert two.returncode == 1
        with node(path, *args) as process:
            info = wait_for(f"http://127.0.0.1:{port}/api/codex/v1/debug/info", process)
            assert json.loads(info)["spr"]
        assert b"in use" in one.communicate(timeout=PATIENCE_SECONDS)[1]
        assert one.returncode == 1


def test_sigterm_ends_it_and_its_data_survive_a_kill(tmp_path):
    path, port = program(tmp_path), free_port()
    base = f"http://127.0.0.1:{port}/api/codex/v1"
    args = arguments(tmp_path / "data", **{"api-port": port})
    with node(path, *args) as process:
        wait_for(f"{base}/spr", process)
        cid = get(urllib.request.Request(f"{base}/data", b"x" * 100_000, {"Content-Type": ""}))
        process.send_signal(signal.SIGKILL)
        process.wait()
    with node(path, *args) as process:
        wait_for(f"{base}/spr", process)
        assert get(f"{base}/data/{cid.decode()}") == b"x" * 100_000
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_SECONDS) == 0


def test_behaviour_4_with_one_of_two_seeders_frozen_a_download_stalls_then_completes(tmp_path):
    """The stall is 60 s, scaled down; then the other seeder sends the frozen one's block."""
    path = program(tmp_path, silent_from_bytes=65_536, time_scale=0.03)
    ports = [free_port() for _ in range(3)]
    bases = [f"http://127.0.0.1:{port}/api/codex/v1" for port in ports]
    with node(path, *arguments(tmp_path / "0", **{"api-port": ports[0]})) as frozen:
        spr = json.loads(wait_for(f"{bases[0]}/spr", frozen))["spr"]
        rest = [
            arguments(tmp_path / str(n), **{"api-port": ports[n], "bootstrap-node": spr})
            for n in (1, 2)
        ]
        with node(path, *rest[0]) as other, node(path, *rest[1]) as leecher:
            for number, process in ((1, other), (2, leecher)):
                while not json.loads(wait_for(f"{bases[number]}/debug/info", process))["table"][
                    "nodes"
                ]:
                    time.sleep(0.02)
            while len(json.loads(get(f"{bases[2]}/debug/info"))["table"]["nodes"]) < 2:
                time.sleep(0.02)

            def frozen_seconds() -> float:
                content = os.urandom(200 * 65_536)
                request = [urllib.request.Request(f"{base}/data", content) for base in bases[:2]]
                for each in request:
                    each.add_header("Content-Type", "application/octet-stream")
                cid = get(request[0]).decode()
                assert get(request[1]).decode() == cid
                url = f"{bases[2]}/data/{cid}/network/stream"
                with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
                    got = answer.read(65_536)  # only block 0; the silence has begun
                    frozen.send_signal(signal.SIGSTOP)
                    began = time.monotonic()
                    while len(got) < len(content):
                        got += answer.read(65_536)
                    took = time.monotonic() - began
                frozen.send_signal(signal.SIGCONT)
                assert got == content
                return took

            # On a busy machine the silence may be over before it is frozen, but not every time.
            assert measured_until(frozen_seconds, lambda took: took > 1.0) > 1.0


@FAMILIES
def test_entrypoint_prepares_the_environment(personality, monkeypatch):
    kind = PERSONALITIES[personality]
    environment = {"NAT_IP_AUTO": "true"}
    entrypoint.prepare(environment, kind)
    value = environment[f"{kind.prefix}NAT"]
    assert value.startswith("extip:") == (personality != "v0.1.9")
    socket.inet_aton(value.removeprefix("extip:"))
    monkeypatch.setattr(socket, "gethostname", lambda: "no-such-host.invalid")
    with pytest.raises(SystemExit, match="Private IP"):
        entrypoint.prepare({"NAT_IP_AUTO": "true"}, kind)
    url = f"http://127.0.0.1:{free_port()}"
    unreachable = {"BOOTSTRAP_NODE_URL": url, "BOOTSTRAP_NODE_URL_WAIT": "0"}
    with pytest.raises(SystemExit, match="Unable to get SPR"):
        entrypoint.prepare(unreachable, kind)


def test_entrypoint_fetches_the_bootstrap_nodes_record(tmp_path):
    path, port, second = program(tmp_path), free_port(), free_port()
    with node(path, *arguments(tmp_path / "0", **{"api-port": port})) as first:
        base = f"http://127.0.0.1:{port}"
        wait_for(f"{base}/api/codex/v1/spr", first)
        variables = {
            "PYTHONPATH": str(ROOT / "images/codex-double"),
            "BOOTSTRAP_NODE_URL": base,
            "CODEX_API_PORT": str(second),
        }
        command = ["-m", "codex_double.entrypoint", str(path)]
        args = arguments(tmp_path / "1")
        del args[3]  # the API port comes from the environment
        with node(Path(sys.executable), *command, *args, **variables) as joined:
            url = f"http://127.0.0.1:{second}/api/codex/v1/debug/info"
            while not json.loads(wait_for(url, joined))["table"]["nodes"]:
                time.sleep(0.02)
