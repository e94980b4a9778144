"""The sidecars that the charts have values for: images, commands and variables."""

from __future__ import annotations

from swarmrace.systems.parts import SidecarDefaults


def _codex_env(prefix: str) -> dict[str, str]:
    own = {
        "API_BINDADDR": "0.0.0.0",
        "API_PORT": "8080",
        "DATA_DIR": "/work/node",
        "DISC_PORT": "8090",
        "LISTEN_ADDRS": "/ip4/$(POD_IP)/tcp/8070",
        "LISTEN_IP": "$(POD_IP)",
        "LISTEN_PORT": "8070",
        "METRICS": "true",
        "METRICS_ADDRESS": "0.0.0.0",
        "METRICS_PORT": "8008",
        "NAT": "extip:$(POD_IP)",
    }
    return {f"{prefix}{name}": value for name, value in own.items()}


_ENTRYPOINT = "/docker-entrypoint.sh"
SIDECARS = {
    "codex": SidecarDefaults(
        about="Codex, up to version 0.2.",
        image="codexstorage/nim-codex:0.2.5",
        command=(_ENTRYPOINT, "codex"),
        env=_codex_env("CODEX_"),
        metrics_port=8008,
    ),
    "storage": SidecarDefaults(
        about="Logos Storage, the name of Codex since 2026.",
        image="logosstorage/logos-storage-nim:latest",
        command=(_ENTRYPOINT, "storage"),
        env=_codex_env("STORAGE_"),
        metrics_port=8008,
    ),
}
