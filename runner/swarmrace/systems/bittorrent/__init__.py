"""BitTorrent by libtorrent: received payload sampled, every piece's verification timed.

`SPEC` loads nothing heavy; libtorrent is imported when a system is created or its options are
checked. Importing this package starts no thread, so a parent may load it and fork.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from swarmrace.errors import Fault
from swarmrace.systems.abc import Context, Meanings, Observes, System
from swarmrace.systems.bittorrent.cross_faults import cross_faults
from swarmrace.systems.bittorrent.options import BitTorrentOptions
from swarmrace.systems.bittorrent.recording_cost import RECORDING_CPU
from swarmrace.systems.parts import Identity, Needs, Settings, Standing
from swarmrace.systems.spec import SystemSpec


def _create(context: Context, options: BitTorrentOptions) -> System:
    from swarmrace.systems.bittorrent.system import BitTorrent

    return BitTorrent(context, options)


def _observes(options: BitTorrentOptions) -> Observes:
    return Observes(
        arrival=True,
        written=options.record_writes,
        delivery=True,
        unit="sample of received payload",
        sampled=True,
        in_order=options.piece_order == "sequential",
    )


def _means(options: BitTorrentOptions) -> Meanings:
    torrent, writes = options.reference == "torrent", options.record_writes
    return Meanings(
        holds=".torrent file and tracker" if torrent else "magnet link and tracker",
        published="the tracker has answered the announce of a complete seeder; making the torrent "
        "and its check are in it, and timed apart",
        discovered="the metadata is complete (BEP 9)" if not torrent else "the file is read",
        arrival="received by the socket: libtorrent's count and what waits unread, sampled",
        written="block of 16 KiB written" if writes else "",
        delivery="verified prefix: pieces that passed their hash"
        + (" and are written" if writes else ""),
        comparable_by="pieceOrder: sequential",
        done="the last piece is verified and "
        + ("its last block written" if writes else "no write is outstanding"),
        usage="the whole process, runner and recording included"
        + ("" if writes else f"; recording takes {RECORDING_CPU}"),
        verified="SHA-256 of the file on disk",
    )


def _check(options: BitTorrentOptions) -> list[str]:
    if find_spec("libtorrent") is None:
        return ["libtorrent: not installed; install it with `pip install 'libtorrent>=2.1.1,<2.2'`"]
    return []


def _faults(options: BitTorrentOptions) -> list[Fault]:
    if not options.settings or find_spec("libtorrent") is None:
        return []
    from swarmrace.systems.bittorrent.profiles import faults_in_settings

    return faults_in_settings(options.settings)


def _program(options: BitTorrentOptions) -> str:
    try:
        return f"libtorrent {metadata.version('libtorrent')}"
    except metadata.PackageNotFoundError:
        return ""


def _profile_values(options: BitTorrentOptions) -> dict[str, bool]:
    """Return the profile's own choices; a test compares them with `profiles`."""
    return dict.fromkeys(("utp", "encryption"), options.profile == "stock")


def _caveats(described: Mapping[str, Any], limited: bool) -> list[str]:
    if limited or described.get("utp") is not True:
        return []
    return [
        "uTP was on and no rate was set: its time is that of uTP in user space, which the CPU "
        "limits (9 to 40 MB/s over loopback), and that decides any ratio to it; set `utp: false` "
        "for the program without uTP, or set rates for a network"
    ]


def _needs(options: BitTorrentOptions) -> Needs:
    utp = options.profile == "stock" if options.utp is None else options.utp
    return Needs(
        memory_bytes=90_000_000,
        memory_share=0.006,
        seeder_copies=1.0,
        files=80,
        rate=40e6 if utp else 450e6,
        pair_rate=10e6 if utp else 350e6,
        publish_rate=600e6,
        starts_anew=False,
    )


def _standing(options: BitTorrentOptions) -> Standing:
    if options.reference == "torrent":
        return Standing(rank=2, metadata_given="the .torrent file")
    return Standing(rank=2, metadata_sought="a magnet link")


SPEC = SystemSpec(
    kind="bittorrent",
    options=BitTorrentOptions,
    create=_create,
    observes=_observes,
    check=_check,
    faults=_faults,
    means=_means,
    modules=("swarmrace.systems.bittorrent.system",),
    caveats=_caveats,
    cross_faults=cross_faults,
    needs=_needs,
    standing=_standing,
    settings=Settings(
        options=("piece_order", "piece_size", "utp", "encryption", "settings"),
        of_profile=_profile_values,
        ways_of_use=("protocol", "reference"),
    ),
    identity=Identity(version=_program, program=_program, packages=("libtorrent",)),
)
