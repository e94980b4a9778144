"""The node's command line and environment variables, read as a node reads them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from codex_double.personality import COMMON, PERSONALITIES, Personality

_SHORT = {"d": "data-dir", "i": "listen-addrs", "u": "disc-port", "b": "bootstrap-node"}
_SHORT |= {"p": "api-port", "q": "storage-quota", "t": "block-ttl"}
_FLAGS = {"metrics", "no-bootstrap-node"}
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MULTIADDR = re.compile(r"/ip[46]/([^/]+)/tcp/(\d+)")


class OptionError(ValueError):
    """The command line or an environment variable is wrong; the node exits 1."""


class Exit(Exception):
    """The command line only asks for some output (`--help`, `--version`)."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How the double misbehaves, from `DOUBLE_*` (a real node has no such settings)."""

    time_scale: float = 1.0
    """Factor for every duration of the node's habits."""
    silent_from_bytes: int = 60 << 20
    """From this size on a stream is silent after block 0, while blocks arrive at the node."""
    silence_seconds_a_node: float = 1.6
    """That silence for each node of the swarm (scaled): 3.2 s with two nodes, 13 s with eight."""
    first_last_from_bytes: int = 32 << 20
    """From this size on a stream's blocks come in any order, the first ones last."""
    discovery_bind: str = "wildcard"
    """The address of discovery's UDP socket: `wildcard`, so that the kernel chooses the packets'
    source address, or `announced`, which no real node does: for tests on loopback addresses."""
    upload_time_in_cid: bool = False
    """Like the builds of October 2024 to February 2025."""
    deaf_after_upload_seconds: float = 0.0
    """For this long after an upload (scaled) neither API nor peers get an answer."""
    deaf_to_peers_only: bool = False
    """Meanwhile the API answers, and the table stays full; only connections are lost."""
    short_body: bool = False
    """Streams end one byte early, and the connection is closed."""
    corrupt_body: bool = False
    """The last byte of a stream is wrong."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Habits:
        """Read `DOUBLE_TIME_SCALE` and the others."""

        def get(name: str, default: str) -> str:
            return environment.get(f"DOUBLE_{name}", default)

        return cls(
            time_scale=float(get("TIME_SCALE", "1")),
            silent_from_bytes=int(get("SILENT_FROM_BYTES", str(60 << 20))),
            silence_seconds_a_node=float(get("SILENCE_SECONDS_A_NODE", "1.6")),
            first_last_from_bytes=int(get("FIRST_LAST_FROM_BYTES", str(32 << 20))),
            discovery_bind=get("DISCOVERY_BIND", "wildcard"),
            upload_time_in_cid=get("UPLOAD_TIME_IN_CID", "") == "1",
            deaf_after_upload_seconds=float(get("DEAF_AFTER_UPLOAD_SECONDS", "0")),
            deaf_to_peers_only=get("DEAF_TO_PEERS_ONLY", "") == "1",
            short_body=get("SHORT_BODY", "") == "1",
            corrupt_body=get("CORRUPT_BODY", "") == "1",
        )


@dataclass(frozen=True, slots=True)
class Config:
    """One node."""

    personality: Personality
    data_dir: Path
    listen_host: str = "0.0.0.0"
    listen_port: int = 0
    disc_host: str = "0.0.0.0"
    disc_port: int = 8090
    nat: str = ""
    """The address that it announces; empty means the one it listens on."""
    nat_search: bool = False
    """Whether it searches for a gateway first, which takes about 1 s."""
    api_host: str = "127.0.0.1"
    api_port: int = 8080
    metrics: bool = False
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 8008
    quota_bytes: int = 0
    bootstrap: tuple[str, ...] = ()
    preset: bool = False
    """Whether it would join the public preset network."""
    habits: Habits = field(default_factory=Habits)


def parse(
    argv: Sequence[str], environment: Mapping[str, str], personality: Personality | None = None
) -> Config:
    """Read the command line; missing options come from `CODEX_…` or `STORAGE_…` variables.

    Args:
        argv: arguments, without the program's name.
        environment: `DOUBLE_PERSONALITY` chooses the kind of node if `personality` is None.
        personality: the kind of node.

    Raises:
        OptionError: an unknown option or a bad value.
        Exit: `--help` or `--version`, with the output to print.
    """
    if personality is None:
        name = environment.get("DOUBLE_PERSONALITY", "v0.2.5")
        if name not in PERSONALITIES:
            raise OptionError(f"personality {name!r}: expected one of {', '.join(PERSONALITIES)}")
        personality = PERSONALITIES[name]
    known = {**COMMON, **personality.options}
    values: dict[str, list[str]] = {}
    for argument in argv:
        match = re.fullmatch(r"(--?)([A-Za-z][\w-]*)(?:[=:](.*))?", argument, re.DOTALL)
        name = match[2] if match else argument
        if match and match[1] == "-":
            name = _SHORT.get(name, "")
        if name == "help":
            raise Exit(_help(personality, known))
        if name == "version":
            raise Exit(personality.version_text)
        if name not in known:
            raise OptionError(f"Unrecognized option '{argument}'")
        value = match[3] if match else None
        if value is None and name not in _FLAGS:
            raise OptionError(f"The option '--{name}' needs a value")
        values.setdefault(name, []).append("true" if value is None else value)
    for name in known:
        variable = personality.prefix + name.replace("-", "_").upper()
        if name not in values and environment.get(variable):
            values[name] = [environment[variable]]
    return _config(personality, values, Habits.from_environment(environment))


def _config(personality: Personality, values: dict[str, list[str]], habits: Habits) -> Config:
    def get(name: str, default: str) -> str:
        return values[name][-1] if name in values else default

    def port(name: str, default: int) -> int:
        text = get(name, str(default))
        if not text.isdigit() or int(text) > 65_535:
            raise OptionError(f"Invalid value for --{name}: {text}")
        return int(text)

    if "listen-addrs" in personality.options:
        text = get("listen-addrs", "/ip4/0.0.0.0/tcp/0")
        match = _MULTIADDR.fullmatch(text)
        if match is None:
            raise OptionError(f"Invalid MultiAddress {text}")
        host, listen_port = match[1], int(match[2])
        disc_port = port("disc-port", 8090)
    else:
        host, listen_port = get("listen-ip", "0.0.0.0"), port("listen-port", 0)
        disc_port = listen_port
    parse_duration(get("block-ttl", str(personality.default_ttl_seconds)))
    bootstrap = tuple(values.get("bootstrap-node", ()))
    for record in bootstrap:
        if not record.startswith("spr:"):
            raise OptionError(f"Cannot parse the signed peer {record}")
    address, search = _nat(personality, get("nat", _default_nat(personality)))
    alone = get("no-bootstrap-node", "false") == "true"
    if alone and not get("nat", "").startswith("extip:"):
        raise OptionError("--no-bootstrap-node requires --nat=extip:<IP>")
    return Config(
        personality=personality,
        data_dir=Path(get("data-dir", str(Path.home() / ".cache" / personality.program))),
        listen_host=_ip(host),
        listen_port=listen_port,
        disc_host=_ip(get("disc-ip", "::" if ":" in host else "0.0.0.0")),
        disc_port=disc_port,
        nat=address,
        nat_search=search,
        api_host=get("api-bindaddr", "127.0.0.1"),
        api_port=port("api-port", 8080),
        metrics=get("metrics", "false") == "true",
        metrics_host=get("metrics-address", "127.0.0.1"),
        metrics_port=port("metrics-port", 8008),
        quota_bytes=parse_size(get("storage-quota", str(personality.default_quota_bytes))),
        bootstrap=bootstrap,
        preset="no-bootstrap-node" in personality.options and not (bootstrap or alone),
        habits=habits,
    )


def parse_size(text: str) -> int:
    """Return `50mb`, `1GiB` or a number in bytes; all units are binary, as in the node."""
    match = re.fullmatch(r"(\d+)\s*([kmgt]?)(?:i?b)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise OptionError(f"Invalid number of bytes: {text}")
    return int(match[1]) * _UNITS[match[2].lower()]


def parse_duration(text: str) -> int:
    """Return `30s`, `1h` or `30d` in seconds."""
    match = re.fullmatch(r"(\d+)([smhdw]?)", text.strip())
    if match is None:
        raise OptionError(f"Invalid duration: {text}")
    return int(match[1]) * _SECONDS[match[2]]


def _default_nat(personality: Personality) -> str:
    return "127.0.0.1" if personality.nat == ("IP",) else personality.nat[0]


def _nat(personality: Personality, text: str) -> tuple[str, bool]:
    if personality.nat == ("IP",):
        return _ip(text), False
    if text.startswith("extip:"):
        return _ip(text[6:]), False
    if text in personality.nat and text != "extip":
        return "", text in ("any", "auto", "upnp", "pmp")
    raise OptionError(f"Not a valid NAT option: {text}. Valid: {', '.join(personality.nat)}:<IP>")


def _ip(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise OptionError(f"Not a valid IP address: {text}") from error


def _help(personality: Personality, known: Mapping[str, str]) -> str:
    lines = ["Usage: ", "", f"{personality.program} [OPTIONS]...", "", "The following options", ""]
    return "\n".join(lines + [f" --{name:24}{known[name]}" for name in sorted(known)]) + "\n"
