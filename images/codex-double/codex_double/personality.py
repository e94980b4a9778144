"""The three kinds of node that the double can imitate."""

from __future__ import annotations

from dataclasses import dataclass

_GIB = 1 << 30

COMMON = {
    "api-bindaddr": "The REST API bind address [=127.0.0.1].",
    "api-port": "The REST Api port [=8080].",
    "block-mi": "Time interval between block maintenance cycles.",
    "block-mn": "Number of blocks to check every maintenance cycle [=1000].",
    "block-ttl": "Default block timeout in seconds - 0 disables the ttl.",
    "bootstrap-node": "Specifies one or more bootstrap nodes to use when connecting.",
    "data-dir": "The directory where the node will store configuration and data.",
    "log-format": "Specifies what kind of logs should be written to stdout [=auto].",
    "log-level": "Sets the log level [=info].",
    "max-peers": "The maximum number of peers to connect to [=160].",
    "metrics": "Enable the metrics server [=false].",
    "metrics-address": "Listening address of the metrics server [=127.0.0.1].",
    "metrics-port": "Listening HTTP port of the metrics server [=8008].",
    "repo-kind": "Backend for main repo store (fs, sqlite, leveldb) [=fs].",
    "storage-quota": "The size of the total storage quota dedicated to the node.",
}
"""Options that all kinds have, with their help."""


@dataclass(frozen=True, slots=True)
class Personality:
    """What differs between the kinds of node."""

    name: str
    program: str
    prefix: str
    """Prefix of environment variables."""
    base_path: str
    version: str
    revision: str
    default_quota_bytes: int
    default_ttl_seconds: int
    nat: tuple[str, ...]
    """Values that `--nat` accepts; `IP` and `extip` stand for addresses."""
    options: dict[str, str]
    """Options in addition to `COMMON`, with their help."""
    lists_data: bool
    """Whether `GET /data` exists."""
    reports_progress: bool
    """Whether background downloads have an id and progress, and uploads a block size."""
    says_length: bool
    """Whether streams have a Content-Length; before March 2025 they came in chunks."""

    @property
    def version_text(self) -> str:
        """The output of `--version`."""
        label = self.program.capitalize()
        return f"{label} version:  {self.version}-double\n{label} revision: {self.revision}\n"


_LISTEN_ADDRS = {
    "listen-addrs": "Multi Addresses to listen on [=/ip4/0.0.0.0/tcp/0].",
    "disc-port": "Discovery (UDP) port [=8090].",
}

PERSONALITIES = {
    each.name: each
    for each in (
        Personality(
            name="v0.1.9",
            program="codex",
            prefix="CODEX_",
            base_path="/api/codex/v1",
            version="v0.1.9",
            revision="09a8419",
            default_quota_bytes=8 * _GIB,
            default_ttl_seconds=86_400,
            nat=("IP",),
            options={
                **_LISTEN_ADDRS,
                "disc-ip": "Discovery listen address [=0.0.0.0].",
                "cache-size": "Size in MiB of the in-RAM block cache [=0].",
                "nat": "IP Addresses to announce behind a NAT [=127.0.0.1].",
            },
            lists_data=True,
            reports_progress=False,
            says_length=False,
        ),
        Personality(
            name="v0.2.5",
            program="codex",
            prefix="CODEX_",
            base_path="/api/codex/v1",
            version="v0.2.5",
            revision="bd360322",
            default_quota_bytes=20 * _GIB,
            default_ttl_seconds=30 * 86_400,
            nat=("any", "none", "upnp", "pmp", "extip"),
            options={
                **_LISTEN_ADDRS,
                "num-threads": "Number of worker threads [=0].",
                "nat": "Specify method to use for determining public address. "
                "Must be one of: any, none, upnp, pmp, extip:<IP> [=any].",
            },
            lists_data=True,
            reports_progress=False,
            says_length=True,
        ),
        Personality(
            name="storage-2026",
            program="storage",
            prefix="STORAGE_",
            base_path="/api/storage/v1",
            version="v0.3.2",
            revision="10bb4975",
            default_quota_bytes=20 * _GIB,
            default_ttl_seconds=30 * 86_400,
            nat=("auto", "extip"),
            options={
                "listen-ip": "IP address to listen on for remote peer connections [=0.0.0.0].",
                "listen-port": "TCP port to listen on for remote peer connections [=0].",
                "network": "The network to connect to.",
                "no-bootstrap-node": "Pass this switch to not bootstrap the node at all.",
                "num-threads": "Number of worker threads [=0].",
                "nat": "Specify method to use for determining public address. "
                "Must be one of: auto, extip:<IP> [=auto].",
            },
            lists_data=False,
            reports_progress=True,
            says_length=True,
        ),
    )
}
