"""What must not change while a sweep goes on: the versions of all that is in its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from swarmrace import __version__, definitions, systems
from swarmrace.host import machine
from swarmrace.model import Model
from swarmrace.results import pod_facts
from swarmrace.results.folder import Results
from swarmrace.scenario.scenario import Scenario

Backend = Literal["local", "kubernetes"]


class Pins(Model):
    """The versions that a sweep began with."""

    swarmrace: str
    """Version and commit."""
    definitions: str
    """`definitions.version`."""
    backend: Backend
    programs: dict[str, str]
    """By entrant: the program's version on this machine, or the image on a cluster. Empty where it
    isn't known before a race; what the results say of it is compared all the same."""


def own() -> dict[str, str]:
    """Return the versions of the running swarmrace."""
    return {
        "swarmrace": f"{__version__} (commit {machine.commit()})",
        "definitions": definitions.version(),
    }


def local(scenario: Scenario) -> Pins:
    """Return what this machine would race a scenario with."""
    programs = {
        name: systems.load(options.kind).identity.program(options)
        for name, options in scenario.entrants.items()
    }
    return Pins(**own(), backend="local", programs=programs)


def differences(began: Pins, found: Pins) -> list[str]:
    """Return what differs, one line each that names both."""
    lines = [
        f"{name}: began with {getattr(began, name)}, found {getattr(found, name)}"
        for name in ("backend", "swarmrace", "definitions")
        if getattr(began, name) != getattr(found, name)
    ]
    return lines + program_differences(began.programs, found.programs)


def program_differences(began: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return which entrants' programs differ; what is unknown on one side differs from nothing."""
    return [
        f"entrant {name}: began with {began[name]}, found {found[name]}"
        for name in began
        if began[name] and found.get(name) and began[name] != found[name]
    ]


def recorded(raced: Results) -> dict[str, str]:
    """Return the versions that a race's results name: swarmrace's own, by entrant the program's as
    its peers report it, and on a cluster the digests of the images that ran. What nobody says is
    left out; several versions of one are named all."""
    found: dict[str, set[str]] = {}
    info = raced.info
    if version := info.versions.get("swarmrace"):
        found["swarmrace"] = {f"{version} (commit {info.commit or 'unknown'})"}
    pods = pod_facts.read(raced.folder)
    for pod in pods.pods if pods else ():
        for name, container in pod.containers.items():
            if container.digest != pod_facts.UNKNOWN:
                found.setdefault(f"image of {pod.entrant}'s {name}", set()).add(container.digest)
    for peer in (peer for run in raced.runs for peer in run.peers.values()):
        stated = (peer.system.get("version"), peer.system.get("revision"))
        text = " ".join(str(each) for each in stated if each)
        if text:
            found.setdefault(peer.entrant, set()).add(text)
    return {name: " and ".join(sorted(texts)) for name, texts in found.items()}
