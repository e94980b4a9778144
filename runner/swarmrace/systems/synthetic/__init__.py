"""`synthetic`: a system for tests. It moves nothing and records bytes by a programmed curve."""

from __future__ import annotations

from swarmrace.systems.abc import Context, Meanings, Observes, System, SystemSpec
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
    check=lambda options: [],
    means=lambda options: Meanings(
        holds="the payload's seed",
        published="the programmed time has passed",
        discovered="the programmed time has passed",
        arrival="record of the programmed curve",
        delivery="equal to arrival: bytes come in order",
        done="the programmed curve has reached the file's size",
        verified="SHA-256 of the payload computed again",
    ),
)
