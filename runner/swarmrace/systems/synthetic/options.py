"""The options of a `synthetic` entrant, some of which have peers as keys."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from swarmrace.model import NoText, in_yaml
from swarmrace.systems.options import EntrantOptions
from swarmrace.units import Size

_PEER_KEY = "0|[1-9][0-9]{0,2}"


def _peer(key: Any) -> int:
    text = str(key) if isinstance(key, int) and not isinstance(key, bool) else key
    if isinstance(text, str) and re.fullmatch(_PEER_KEY, text):
        return int(text)
    raise ValueError(f"found the key {in_yaml(key)}, expected the index of a peer, from 0")


PeerIndex = Annotated[int, BeforeValidator(_peer)]
"""A peer's index as a key; keys are strings in JSON and Helm."""
_BY_PEER = {"propertyNames": {"pattern": f"^({_PEER_KEY})$"}}


class SyntheticOptions(EntrantOptions):
    """A system for tests: it moves no data and follows a curve exactly."""

    kind: Literal["synthetic"] = "synthetic"
    curve: list[
        tuple[
            Annotated[float, Field(ge=0, le=604_800), NoText],
            Annotated[float, Field(ge=0, le=1), NoText],
        ]
    ] = [(0.0, 0.0), (1.0, 1.0)]
    """(seconds since the start, fraction of the file held), rising; linear in between."""
    record_size: Annotated[Size, Field(gt=0)] = 16_384
    publish_seconds: Annotated[float, Field(ge=0, le=604_800), NoText] = 0.1
    discovery_seconds: Annotated[float, Field(ge=0, le=604_800), NoText] = 0.01
    peer_factor: Annotated[
        dict[PeerIndex, Annotated[float, Field(gt=0, le=1_000_000), NoText]],
        Field(json_schema_extra=_BY_PEER),
    ] = {}
    """A leecher's times are multiplied by its factor."""
    run_factor: list[Annotated[float, Field(gt=0, le=1_000_000), NoText]] = []
    """Times of repetition k are multiplied by entry k (modulo the length)."""
    faults: Annotated[
        dict[PeerIndex, Literal["stall", "wrongBytes", "refused", "publishHangs", "crash"]],
        Field(json_schema_extra=_BY_PEER),
    ] = {}
    """What goes wrong with a peer, by its index."""

    @field_validator("curve")
    @classmethod
    def _rises(cls, curve: list[tuple[float, float]]) -> list[tuple[float, float]]:
        falls = any(b[0] < a[0] or b[1] < a[1] for a, b in pairwise(curve))
        if not curve or falls:
            raise ValueError(
                f"found the curve {in_yaml(curve)}, expected [seconds, fraction of 0 to 1], both "
                "rising"
            )
        return curve
