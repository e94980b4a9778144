"""Values of the nodes that run beside the runners in a cluster's pods."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, create_model

from swarmrace import systems
from swarmrace.model import Model, NoText
from swarmrace.scenario.cluster import SECURITY, Free, Port, PullPolicy, Resources, resources_of


class SidecarValues(Model):
    """A node that runs beside each runner of an entrant; the runner starts it cold."""

    image: Annotated[str, Field(min_length=1)]
    """Name with tag or digest; an entrant's own `image` has precedence."""
    pull_policy: PullPolicy = "IfNotPresent"
    """Image pull policy."""
    command: list[str] = []
    """The image's entrypoint and the node's program; the runner adds further arguments."""
    env: dict[str, str] = {}
    """Environment variables. `$(POD_IP)` is the pod's address; /work/node is an empty folder for
    the node's data."""
    api_port: Port = 8080
    """Port of the node's API, which the runner uses."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535), NoText] = 0
    """Port of the node's own metrics; 0 for none."""
    resources: Resources = resources_of("15m", "96Mi", "1500m", "768Mi")
    """The node's share of a peer's resources."""
    runner_resources: Resources = resources_of("5m", "32Mi", "500m", "256Mi")
    """The runner's share of a peer's resources."""
    security_context: Free = SECURITY
    """The node's security context; `null` sets none."""
    extra_env: list[Free] = []
    """Additional environment variables."""
    extra_volume_mounts: list[Free] = []
    """Additional volume mounts; their volumes belong in `global.peers.extraVolumes`."""


def _built_in() -> dict[str, Any]:
    """Return the nodes of the built-in kinds as fields with their defaults."""
    found: dict[str, Any] = {}
    for kind in systems.built_in():
        for name, sidecar in systems.load(kind).pods.sidecars.items():
            model = create_model(
                f"{name.capitalize()}Sidecar",
                __base__=SidecarValues,
                __module__=__name__,
                __doc__=sidecar.about,
                image=(Annotated[str, Field(min_length=1)], sidecar.image),
                command=(list[str], list(sidecar.command)),
                env=(dict[str, str], dict(sidecar.env)),
                metrics_port=(
                    Annotated[int, Field(ge=0, le=65_535), NoText],
                    sidecar.metrics_port,
                ),
            )
            # pickle finds the class by this name when peers get the scenario through a pipe.
            globals()[model.__name__] = model
            found[name] = (model, model.model_validate({}))
    return found


_BuiltIn = create_model("_BuiltIn", __base__=Model, __module__=__name__, **_built_in())


class Sidecars(_BuiltIn):
    """Nodes beside the runners, by name. An entrant gets the node named by its `family`, otherwise
    the one named by its kind, if there is one. Add your own by name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, SidecarValues]
