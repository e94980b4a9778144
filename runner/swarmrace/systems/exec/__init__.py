"""Any program: a command that speaks JSON lines on its standard streams (docs/exec.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from swarmrace.errors import Fault
from swarmrace.systems.abc import Context, Meanings, Observes, System
from swarmrace.systems.exec.options import ExecOptions
from swarmrace.systems.exec.programs import find, fingerprint
from swarmrace.systems.parts import Identity, Needs, Settings
from swarmrace.systems.sidecar import beside
from swarmrace.systems.spec import SystemSpec

__all__: Sequence[str] = ("SPEC",)


def _create(context: Context, options: ExecOptions) -> System:
    from swarmrace.systems.exec.system import ExecSystem

    return ExecSystem(context, options)


def _observes(options: ExecOptions) -> Observes:
    return Observes(
        arrival=options.observes != "nothing",
        delivery=options.observes == "arrived" and options.in_order,
        unit={
            "arrived": "`arrived` line of the program",
            "progress": "`progress` line of the program",
            "nothing": "`done` line of the program",
        }[options.observes],
        poll_seconds=0.001,  # replaced by what each transfer measures
        sampled=options.observes == "progress",
        upload=options.uploads,
        in_order=options.in_order,
    )


_MEANS = Meanings(
    holds="the program's reference",
    published="the program reports that it can serve the file",
    discovered="the program reports it, at the latest with the first byte",
    arrival="the program reports received bytes: its line is read",
    done="the program reports it, and the file has its length",
    usage="the program's process; the runner's separately",
    verified="SHA-256 of the file on disk, unchanged since done",
)


def _means(options: ExecOptions) -> Meanings:
    observes = _observes(options)
    return replace(
        _MEANS,
        arrival=_MEANS.arrival if observes.arrival else "",
        delivery="equal to arrival: the program declares that bytes come in order"
        if observes.delivery
        else "",
    )


def _faults(options: ExecOptions) -> list[Fault]:
    if options.in_order and options.observes != "arrived":
        text = f"found true with observes: {options.observes}, expected observes: arrived"
        return [Fault("inOrder", text)]
    return []


def _check(options: ExecOptions) -> list[str]:
    if beside() is not None or find(options.command) is not None:
        return []
    return [
        f"command: expected a program that can be run, found none at {options.command[0]}; give "
        "its path, or its name if it is on PATH, and make it executable"
    ]


def _program(options: ExecOptions) -> str:
    return "" if beside() is not None else fingerprint(options.command)


SPEC = SystemSpec(
    kind="exec",
    options=ExecOptions,
    create=_create,
    observes=_observes,
    means=_means,
    isolates_process=True,
    modules=("swarmrace.systems.exec.system",),
    gauges=("line_wait",),
    check=_check,
    faults=_faults,
    needs=lambda options: Needs(memory_bytes=options.memory, leecher_copies=2.0),
    settings=Settings(("settings",)),
    identity=Identity(program=_program),
    of_command=lambda command: ExecOptions(command=list(command)),
)
