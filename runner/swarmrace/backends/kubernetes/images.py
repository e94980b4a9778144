"""The images of a release's pods, as in the chart's templates."""

from __future__ import annotations

import re

from swarmrace import __version__, systems
from swarmrace.backends.kubernetes import pods
from swarmrace.scenario.scenario import Scenario

_REGISTRY = re.compile(r"^(localhost|[^/]*[.:][^/]*)/")


def entrant_images(scenario: Scenario) -> dict[str, str]:
    """Return the images of each entrant's pods, by container: `node X, runner Y`.

    The same as `Release.images` reads from the rendered chart, but without helm.
    """
    return {name: _images(scenario, name) for name in scenario.entrants}


def runner_image(scenario: Scenario) -> str:
    """Return the runner's image."""
    image = scenario.global_.image
    name = f"{image.repository}:{image.tag or __version__}"
    return _with_registry(scenario, f"{name}@{image.digest}" if image.digest else name)


def _images(scenario: Scenario, entrant: str) -> str:
    found = {"runner": runner_image(scenario)}
    if scenario.race.network.shaped and scenario.global_.peers.conditions == "tc":
        found["shape"] = found["runner"]
    if (sidecar := pods.sidecar_of(scenario, entrant)) is not None:
        options = scenario.entrants[entrant]
        own = systems.load(options.kind).pods.image(options)
        node = own or scenario.global_.sidecars.model_dump()[sidecar]["image"]
        found["node"] = _with_registry(scenario, node)
    return ", ".join(f"{name} {image}" for name, image in sorted(found.items()))


def _with_registry(scenario: Scenario, image: str) -> str:
    registry = scenario.global_.image_registry
    if not registry:
        return image
    return f"{registry.removesuffix('/')}/{_REGISTRY.sub('', image)}"
