"""`http`: the baseline. Each leecher reads the file from a seeder over one plain HTTP connection.

It shows what machine and network give to the simplest program that moves a file. So the file is
served by sendfile(2) and received into one reused buffer: the machine is measured, not Python. The
k-th leecher reads from the k-th seeder, modulo the number of seeders.
"""

from __future__ import annotations

import os

from swarmrace.systems.abc import Context, Meanings, Observes, System
from swarmrace.systems.http.options import HttpOptions
from swarmrace.systems.parts import Identity, Needs, Settings, Standing
from swarmrace.systems.spec import SystemSpec
from swarmrace.units import format_size


def _create(context: Context, options: HttpOptions) -> System:
    from swarmrace.systems.http.system import HttpSystem

    return HttpSystem(context, options)


def _observes(options: HttpOptions) -> Observes:
    return Observes(
        arrival=True,
        delivery=True,
        unit=f"read of at most {format_size(options.read_size)}",
        upload=False,
        in_order=True,
    )


_MEANS = Meanings(
    holds="URL",
    published="the server listens",
    discovered="the response header is read",
    arrival="received by the socket: the kernel's stamp of the last packet of a read",
    delivery="equal to arrival: bytes come in order",
    done="the last byte is written to the leecher's file; HTTP itself verifies nothing",
    usage="the whole process, runner included",
    verified="SHA-256 of the file on disk",
)


def _check(options: HttpOptions) -> list[str]:
    if not hasattr(os, "sendfile"):
        return ["sendfile(2): not offered by this operating system; run on Linux"]
    return []


def _needs(options: HttpOptions) -> Needs:
    return Needs(
        memory_bytes=45_000_000,
        memory_share=0.002,
        racing_memory_bytes=options.read_size,
        seeder_copies=1.0,
        files=40,
        rate=1200e6,
        pair_rate=900e6,
        publish_rate=1e12,
        starts_anew=False,
    )


SPEC = SystemSpec(
    kind="http",
    options=HttpOptions,
    create=_create,
    observes=_observes,
    check=_check,
    means=lambda options: _MEANS,
    modules=("swarmrace.systems.http.system",),
    leechers_serve=False,
    needs=_needs,
    standing=lambda options: Standing(rank=3, baseline=True),
    settings=Settings(("read_size",)),
    identity=Identity(version=lambda options: "built in"),
)
