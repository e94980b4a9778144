"""The versions that must not change during a sweep, because they affect its figures."""

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
    """Version of the program on this machine, or its image on a cluster, by entrant. Empty if it
    isn't known before a race; the versions in the results are compared all the same."""


def local(scenario: Scenario) -> Pins:
    """Return the versions that this machine would race a scenario with."""
    programs = {
        name: systems.load(options.kind).identity.program(options)
        for name, options in scenario.entrants.items()
    }
    return _pins("local", programs)


def kubernetes(images: dict[str, str]) -> Pins:
    """Return the versions that a cluster would race with.

    Args:
        images: the images of each entrant's pods.
    """
    return _pins("kubernetes", images)


def _pins(backend: Backend, programs: dict[str, str]) -> Pins:
    """Return the pins of the running swarmrace."""
    return Pins(
        swarmrace=f"{__version__} (commit {machine.commit()})",
        definitions=definitions.version(),
        backend=backend,
        programs=programs,
    )


def differences(began: Pins, found: Pins) -> list[str]:
    """Return one line for each difference, with both values."""
    lines = [
        f"{name}: began with {getattr(began, name)}, found {getattr(found, name)}"
        for name in ("backend", "swarmrace", "definitions")
        if getattr(began, name) != getattr(found, name)
    ]
    return lines + program_differences(began.programs, found.programs)


def program_differences(began: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return one line for each entrant whose program differs. An unknown program never differs."""
    return [
        f"entrant {name}: began with {began[name]}, found {found[name]}"
        for name in began
        if began[name] and found.get(name) and began[name] != found[name]
    ]


def recorded(raced: Results) -> dict[str, str]:
    """Return the versions in a race's results: of swarmrace, of each entrant's program as its peers
    reported it, and on a cluster the digests of the images that ran. Unknown versions are left
    out; several versions of one program are joined."""
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
        reported = (peer.system.get("version"), peer.system.get("revision"))
        text = " ".join(str(each) for each in reported if each)
        if text:
            found.setdefault(peer.entrant, set()).add(text)
    return {name: " and ".join(sorted(texts)) for name, texts in found.items()}
