"""The messages between the rendezvous and its clients, apart from the records of results."""

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
"""For each barrier, the stage of a peer that hasn't arrived at it yet."""

LAST_BEFORE_START: Final = "ready"
"""Up to this barrier every peer must arrive without a failure, or the run is not raced."""

INSTANCE_HEADER: Final = "swarmrace-instance"
"""Identifies a peer's process, so that another one in its place is noticed."""


@dataclass(frozen=True, slots=True)
class Release:
    """A barrier's answer to the peers that wait at it."""

    barrier: str
    go: bool
    """Whether to go on with the run. False: clear up and arrive at `cleared`."""
    failure: Failure | None = None
    """Why not, or how the run has failed."""
    start_ns: int | None = None
    """With `go` at `ready`: the common start instant on the rendezvous' clock."""
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
    """Why the named run has ended: stop its transfer, clear up and arrive at `cleared`. None: go
    on."""
    over: bool = False
    """No further run of this entrant will come."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"aborted": _dump(self.aborted), "over": self.over}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Heartbeat:
        """Read the JSON form."""
        return cls(**{**data, "aborted": _load(data["aborted"])})


class Claim(Model):
    """How a run went, as a peer reports it to a rendezvous that has lost its own record."""

    status: Literal["raced", "not raced", "aborted"]
    failure: Failure | None = None
    """Why. None for an aborted run that was still going when the rendezvous was lost."""

    @property
    def weight(self) -> int:
        """Rank among claims about one run: a peer that saw the run end knows more."""
        return 0 if self.failure is None and self.status == "aborted" else _STATUSES[self.status]


_STATUSES = {"aborted": 1, "not raced": 2, "raced": 3}


def parse_index(text: str, max_digits: int = 9) -> int:
    """Return a number from a path or a query, or -1 if it isn't one or has too many digits."""
    plain = text.isascii() and text.isdigit() and len(text) <= max_digits
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
    """Return what identifies this process's CLOCK_MONOTONIC: the kernel's boot and the time
    namespace. None if the kernel doesn't expose them.
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
