"""`synthetic`: a system for tests. It moves no data and records bytes by a programmed curve."""

from __future__ import annotations

import math

from swarmrace.systems.abc import Context, Meanings, Observes, System
from swarmrace.systems.parts import Identity, Needs
from swarmrace.systems.spec import SystemSpec
from swarmrace.systems.synthetic.options import SyntheticOptions
from swarmrace.units import format_size


def _create(context: Context, options: SyntheticOptions) -> System:
    from swarmrace.systems.synthetic.system import SyntheticSystem

    return SyntheticSystem(context, options)


def _observes(options: SyntheticOptions) -> Observes:
    return Observes(
        arrival=True,
        delivery=True,
        unit=f"record of {format_size(options.record_size)}",
        in_order=True,
    )


SPEC = SystemSpec(
    kind="synthetic",
    options=SyntheticOptions,
    create=_create,
    observes=_observes,
    modules=("swarmrace.systems.synthetic.system",),
    means=lambda options: Meanings(
        holds="the payload's seed",
        published="the programmed time has passed",
        discovered="the programmed time has passed",
        arrival="record of the programmed curve",
        delivery="equal to arrival: bytes come in order",
        done="the programmed curve has reached the file's size",
        verified="SHA-256 of the payload computed again",
    ),
    needs=lambda options: Needs(
        memory_bytes=45_000_000,
        memory_share=0.006,
        seeder_copies=1.0,
        leecher_copies=0.0,
        files=40,
        rate=math.inf,
        pair_rate=math.inf,
        publish_rate=1e12,
        starts_anew=False,
        race_seconds=options.curve[-1][0] if options.curve else 0.0,
    ),
    identity=Identity(version=lambda options: "built in", for_tests=True),
)
