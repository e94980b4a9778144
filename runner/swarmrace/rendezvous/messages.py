"""What the rendezvous and its clients say to each other, beside the records of results."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from swarmrace.definitions import BARRIERS
from swarmrace.model import Model
from swarmrace.recording.records import CURVES, WIRE, Failure

STAGE_OF: Final[dict[str, str]] = dict(
    zip(
        BARRIERS,
        ("wait", "prepare", "publish", "publish", "settle", "race", "verify"),
        strict=True,
    )
)
"""The stage that a peer not yet arrived at a barrier is in."""

LAST_BEFORE_START: Final = "ready"
"""Up to this barrier everybody must arrive sound, or the run is not raced."""

INSTANCE_HEADER: Final = "swarmrace-instance"
"""Tells a peer's process from another one that takes its place."""


@dataclass(frozen=True, slots=True)
class Release:
    """A barrier's answer to those who wait at it."""

    barrier: str
    go: bool
    """Whether to go on with the run. False: clear up and arrive at `cleared`."""
    failure: Failure | None = None
    """Why not, or what the run has ended with."""
    start_ns: int | None = None
    """At `ready` with go: the common start instant on the rendezvous' clock."""
    over: bool = False
    """No run of this entrant will come after this one."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "barrier": self.barrier,
            "go": self.go,
            "failure": _dump(self.failure),
            "start_ns": self.start_ns,
            "over": self.over,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Release:
        """Read the JSON form."""
        return cls(**{**data, "failure": _load(data["failure"])})


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The answer to a heartbeat."""

    aborted: Failure | None = None
    """Why the named run goes on no more: stop what you do for it, clear up, arrive at `cleared`.
    None: go on."""
    over: bool = False
    """No run of this entrant will come any more."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"aborted": _dump(self.aborted), "over": self.over}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Heartbeat:
        """Read the JSON form."""
        return cls(**{**data, "aborted": _load(data["aborted"])})


class Claim(Model):
    """How a run went, as a peer says it to a rendezvous that knows nothing of it any more."""

    status: Literal["raced", "not raced", "aborted"]
    failure: Failure | None = None
    """Why; of an aborted one absent when the run was on and nobody has ended it."""

    @property
    def weight(self) -> int:
        """Of two peers' claims the weightier holds: who saw a run end knows more."""
        return 0 if self.failure is None and self.status == "aborted" else _STATUSES[self.status]


_STATUSES = {"aborted": 1, "not raced": 2, "raced": 3}


def index(text: str, most_digits: int = 9) -> int:
    """Return a number from a path or a query, or -1 for what is none or has too many digits."""
    plain = text.isascii() and text.isdigit() and len(text) <= most_digits
    return int(text) if plain else -1


def encode(data: Any) -> bytes:
    """Return `data` as compact JSON."""
    return json.dumps(data, separators=(",", ":")).encode()


RESULT_SUFFIXES: Final = ("json", *(f"{name}.npz" for name in (*CURVES.values(), WIRE)))


def result_name(entrant: str, peer: int, suffix: str = "json") -> str:
    """Return the name of a peer's file in a run's folder.

    `suffix` is one of `RESULT_SUFFIXES`; `json` is the PeerResult.
    """
    return f"{entrant}-{peer}.{suffix}"


@cache
def clock_identity() -> str | None:
    """Return what names this process's CLOCK_MONOTONIC: the kernel's boot and the time namespace.

    None where the kernel doesn't say.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/time').readlink()}"
    except OSError:
        return None


def _dump(failure: Failure | None) -> dict[str, Any] | None:
    return None if failure is None else failure.model_dump(mode="json")


def _load(data: dict[str, Any] | None) -> Failure | None:
    return None if data is None else Failure.model_validate(data)
