"""Nodes beside the runners of a cluster's pods: values that the charts place."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from swarmrace.model import Model, NoText
from swarmrace.scenario.cluster import SECURITY, Free, Port, PullPolicy, Resources, resources_of


class Sidecar(Model):
    """A node that runs beside each runner of an entrant, and which the runner starts cold."""

    image: Annotated[str, Field(min_length=1)]
    """Name with tag or digest; an entrant's own `image` comes first."""
    pull_policy: PullPolicy = "IfNotPresent"
    """Image pull policy."""
    command: list[str] = []
    """The image's entrypoint and the node's program; further arguments come from the runner."""
    env: dict[str, str] = {}
    """Environment variables; `$(POD_IP)` is the pod's address. /work/node is an empty folder for
    the node's data."""
    api_port: Port = 8080
    """Port at which the node answers its runner."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535), NoText] = 0
    """Port at which it serves its own metrics; 0 for none."""
    resources: Resources = resources_of("15m", "96Mi", "1500m", "768Mi")
    """The node's share of a peer's resources."""
    runner_resources: Resources = resources_of("5m", "32Mi", "500m", "256Mi")
    """The runner's share."""
    security_context: Free = SECURITY
    """The node's security context; `null` sets none."""
    extra_env: list[Free] = []
    """Further environment variables, as in a pod's spec."""
    extra_volume_mounts: list[Free] = []
    """Further mounts; their volumes are in `global.peers.extraVolumes`."""


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


class CodexSidecar(Sidecar):
    """Codex up to 0.2."""

    image: Annotated[str, Field(min_length=1)] = "codexstorage/nim-codex:0.2.5"
    command: list[str] = ["/docker-entrypoint.sh", "codex"]
    env: dict[str, str] = _codex_env("CODEX_")
    metrics_port: Annotated[int, Field(ge=0, le=65_535), NoText] = 8008


class StorageSidecar(Sidecar):
    """Logos Storage, as Codex is called since 2026."""

    image: Annotated[str, Field(min_length=1)] = "logosstorage/logos-storage-nim:latest"
    command: list[str] = ["/docker-entrypoint.sh", "storage"]
    env: dict[str, str] = _codex_env("STORAGE_")
    metrics_port: Annotated[int, Field(ge=0, le=65_535), NoText] = 8008


class Sidecars(Model):
    """Nodes beside the runners: an entrant has the one named by its `family`, otherwise by its
    kind, if there is one. Add your own by name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Sidecar]

    codex: CodexSidecar = CodexSidecar()
    storage: StorageSidecar = StorageSidecar()
