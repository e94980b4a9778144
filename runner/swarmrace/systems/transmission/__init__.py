"""BitTorrent by Transmission, a second client that shares no code with libtorrent. Its daemon runs
as a separate program, with an empty profile for each run, and is polled by RPC
(docs/transmission.md). Its torrents are made like those of a `bittorrent` entrant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swarmrace.errors import Fault
from swarmrace.recording.payload import file_sha256
from swarmrace.systems.abc import Context, Meanings, Observes, System
from swarmrace.systems.parts import (
    CrossFault,
    Identity,
    Needs,
    NetworkRules,
    RaceShape,
    Settings,
    Standing,
)
from swarmrace.systems.sidecar import beside
from swarmrace.systems.spec import SystemSpec
from swarmrace.systems.transmission.options import TransmissionOptions
from swarmrace.systems.transmission.profiles import faults_in_settings
from swarmrace.systems.transmission.programs import ask, defaults, find_program

__all__: Sequence[str] = ("SPEC",)
_PIECE_BYTES = (16_384, 16 * 1024**2)


def _create(context: Context, options: TransmissionOptions) -> System:
    from swarmrace.systems.transmission.system import TransmissionSystem

    return TransmissionSystem(context, options)


def _observes(options: TransmissionOptions) -> Observes:
    return Observes(
        arrival=True,
        delivery=False,
        unit=f"poll every {options.poll_seconds * 1000:g} ms",
        poll_seconds=options.poll_seconds,
        sampled=True,
    )


_MEANS = Meanings(
    holds="magnet link and tracker",
    published="the tracker has answered the announce of a complete seeder; making the torrent and "
    "its check are in it, and timed apart",
    discovered="the daemon reports that the metadata is complete (BEP 9)",
    arrival="whole blocks of 16 KiB that the daemon reports, sampled",
    done="the daemon reports that all pieces are verified, and the file has its own name",
    usage="the daemon's process; the runner's separately",
    verified="SHA-256 of the file on disk",
)


def _check(options: TransmissionOptions) -> list[str]:
    if beside() is not None or find_program(options) is not None:
        return []
    wanted = f"at program: {options.program}" if options.program else "on PATH"
    return [
        f"transmission: expected transmission-daemon {wanted}, found none; run `make systems`, "
        "or install it (Debian: apt-get install transmission-daemon)"
    ]


def _faults(options: TransmissionOptions) -> list[Fault]:
    program = None if beside() is not None else find_program(options)
    known = defaults(program) if options.settings and program is not None else {}
    return faults_in_settings(options.settings, known)


def _cross_faults(options: TransmissionOptions, race: RaceShape) -> list[CrossFault]:
    piece, smallest = options.piece_size, min(race.file_sizes)
    if piece is None:
        return []
    if piece & (piece - 1) or not _PIECE_BYTES[0] <= piece <= _PIECE_BYTES[1]:
        text = f"found {piece}, expected a power of two from 16KiB to 16MiB"
        return [CrossFault(Fault("pieceSize", text))]
    if piece > smallest:
        text = f"found {piece}, expected at most the file size ({smallest})"
        return [CrossFault(Fault("pieceSize", text), race=("fileSize",))]
    return []


def _version(options: TransmissionOptions) -> str:
    """Return what the program reports about itself: `Transmission 3.00 (bb6b5a062e)`."""
    path = None if beside() is not None else find_program(options)
    if path is None:
        return ""
    found = re.search(r"\d\S*( \([0-9a-f]+\))?", ask(path, "--version"))
    return f"Transmission {found.group()}" if found else ""


def _program(options: TransmissionOptions) -> str:
    path, version = find_program(options), _version(options)
    return f"{version}, sha256 {file_sha256(Path(path))[:16]}" if path and version else ""


def _profile_values(options: TransmissionOptions) -> Mapping[str, Any]:
    return {"utp": options.profile == "stock"}


def _caveats(described: Mapping[str, Any], limited: bool) -> list[str]:
    return [
        "some 15 to 35 s of each transfer are Transmission's own timers, before the first byte "
        "and before the last: compare t10 with t90, or race larger files (docs/transmission.md)"
    ]


SPEC = SystemSpec(
    kind="transmission",
    options=TransmissionOptions,
    create=_create,
    observes=_observes,
    means=lambda options: _MEANS,
    isolates_process=True,
    modules=("swarmrace.systems.transmission.system",),
    check=_check,
    faults=_faults,
    cross_faults=_cross_faults,
    needs=lambda options: Needs(
        memory_bytes=60_000_000,
        memory_share=0.01,
        seeder_copies=1.0,
        rate=12e6,
        pair_rate=6e6,
        publish_rate=50e6,
        wait_seconds=25.0,
    ),
    standing=lambda options: Standing(rank=2, metadata_sought="a magnet link"),
    settings=Settings(options=("utp", "piece_size", "settings"), of_profile=_profile_values),
    network=NetworkRules(
        own_source_address=lambda options: (
            "" if beside() is not None else "Transmission connects to no peer at a loopback address"
        )
    ),
    identity=Identity(version=_version, program=_program),
    caveats=_caveats,
)
