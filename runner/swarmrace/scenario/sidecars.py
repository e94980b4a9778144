"""Nodes beside the runners of a cluster's pods: values that the charts place."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, create_model

from swarmrace import systems
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


def _known() -> dict[str, Any]:
    """Return the nodes that the charts know, each a field with its own defaults."""
    found: dict[str, Any] = {}
    for kind in systems.built_in():
        for name, given in systems.load(kind).pods.sidecars.items():
            model = create_model(
                f"{name.capitalize()}Sidecar",
                __base__=Sidecar,
                __module__=__name__,
                __doc__=given.about,
                image=(Annotated[str, Field(min_length=1)], given.image),
                command=(list[str], list(given.command)),
                env=(dict[str, str], dict(given.env)),
                metrics_port=(
                    Annotated[int, Field(ge=0, le=65_535), NoText],
                    given.metrics_port,
                ),
            )
            # By this name pickle finds it: peers get the scenario by a pipe.
            globals()[model.__name__] = model
            found[name] = (model, model.model_validate({}))
    return found


_Known = create_model("_Known", __base__=Model, __module__=__name__, **_known())


class Sidecars(_Known):
    """Nodes beside the runners: an entrant has the one named by its `family`, otherwise by its
    kind, if there is one. Add your own by name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Sidecar]
