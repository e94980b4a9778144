"""The settings of libtorrent in each profile, with their reasons, as plain tables.

`stock` is libtorrent's defaults plus `NEEDED`; `tuned` is `stock` plus `TUNED`. The options
`recordWrites`, `utp` and `encryption` are applied next, an entrant's own `settings` last. Nothing
else is set anywhere. Every result records what differs from libtorrent's defaults, with the reason
(`BitTorrent.describe`). Figures in the reasons are from benchmarks/bittorrent_*.py and earlier
measurements.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swarmrace.errors import Fault
from swarmrace.faults import nearest
from swarmrace.systems.bittorrent.options import BitTorrentOptions
from swarmrace.systems.setting import Setting

Value = bool | int | str


_ISOLATED = "isolated network: peers come only from the bootstrap tracker"

NEEDED: Mapping[str, Setting] = {
    "enable_dht": Setting(False, _ISOLATED),
    "enable_lsd": Setting(False, _ISOLATED),
    "enable_upnp": Setting(False, "isolated network: there is no router to ask"),
    "enable_natpmp": Setting(False, "isolated network: there is no router to ask"),
    "ssrf_mitigation": Setting(
        False,
        "isolated network: the tracker's address is private or loopback, its path has a prefix",
    ),
    "min_reconnect_time": Setting(
        1,
        "isolated network: there are no other peers to try meanwhile; at the default of 60 s, one "
        "of 28 leechers stalled for 60 s in half of the runs, recorded or not",
    ),
    "stop_tracker_timeout": Setting(
        0,
        "clearing up doesn't wait for the tracker, which may be down: no `stopped` is sent; every "
        "run has its own info-hash, so no peer looks for this one again",
    ),
}

RECORDED_WRITES: Mapping[str, Setting] = {
    "suggest_mode": Setting(
        1, "recordWrites: keeps the piece picker until all writes have ended, so no block is lost"
    ),
}

TUNED: Mapping[str, Setting] = {
    "enable_outgoing_utp": Setting(False, "uTP in user space: 9 MB/s on loopback, 400 by TCP"),
    "enable_incoming_utp": Setting(False, "uTP in user space: 9 MB/s on loopback, 400 by TCP"),
    "out_enc_policy": Setting(2, "plaintext: RC4 costs a factor of 3 to 5"),
    "in_enc_policy": Setting(2, "plaintext: RC4 costs a factor of 3 to 5"),
    "tick_interval": Setting(20, "connections and requests are handled every 20 ms, not 500"),
    "aio_threads": Setting(4, "best of a sweep on 2 cores; the default of 10 competes for them"),
    "hashing_threads": Setting(2, "best of a sweep on 2 cores"),
    "send_buffer_watermark": Setting(
        2 << 20, "with the default of 500 kB a fast link runs dry between two disk reads"
    ),
    "allow_multiple_connections_per_ip": Setting(True, "peers behind one address stay reachable"),
    "unchoke_slots_limit": Setting(
        -1, "every leecher is served at once; none waits 15 s for the next round"
    ),
}

UTP = ("enable_outgoing_utp", "enable_incoming_utp")
ENCRYPTION = {
    True: {"out_enc_policy": 1, "in_enc_policy": 1},
    False: {"out_enc_policy": 2, "in_enc_policy": 2},
}

OWNED: Mapping[str, str] = {
    "listen_interfaces": "the peer's own address, any free port",
    "outgoing_interfaces": "connections come from the peer's own address",
    "alert_mask": "recording: the events that are timed",
    "alert_queue_size": "recording: more than twice the blocks that can come between two reads",
}
"""Settings that only swarmrace sets: their values depend on the peer and the file."""

# Names that `default_settings()` omits because their default is an empty string.
_EMPTY_DEFAULTS = (
    "announce_ip",
    "handshake_client_version",
    "i2p_hostname",
    "mmap_cache",
    "natpmp_gateway",
    "outgoing_interfaces",
    "proxy_hostname",
    "proxy_password",
    "proxy_username",
)

DISK_IO = "pread_disk_io_constructor"
"""libtorrent 2.1's default, set explicitly so that it stays: recording costs 5 % with it, 21 % with
mmap, 40 % with posix."""


CHOKE_LOCAL: Mapping[str, Setting] = {
    "stock": Setting(
        True,
        "isolated network: its private addresses represent public ones; libtorrent exempts private "
        "addresses from unchoke slots, so its choking would never take effect",
    ),
    "tuned": Setting(False, "every leecher is served at once, like `unchoke_slots_limit`"),
}
"""Whether peers at private addresses, a class of libtorrent's, wait for an unchoke slot."""

CHOKE_LOCAL_NAME = "local_peer_class.ignore_unchoke_slots"
"""Its name in results; it isn't an entry of the settings_pack."""


def table(options: BitTorrentOptions) -> dict[str, Setting]:
    """Return every setting that the options ask for, with its reason."""
    result = dict(NEEDED)
    if options.profile == "tuned":
        result.update(TUNED)
    if options.record_writes:
        result.update(RECORDED_WRITES)
    if options.utp is not None:
        result.update({name: Setting(options.utp, "the scenario's `utp`") for name in UTP})
    if options.encryption is not None:
        chosen = ENCRYPTION[options.encryption]
        result.update({n: Setting(v, "the scenario's `encryption`") for n, v in chosen.items()})
    result.update({n: Setting(v, "the scenario's `settings`") for n, v in options.settings.items()})
    return result


def faults_in_settings(settings: Mapping[str, Any]) -> list[Fault]:
    """Return what is wrong with an entrant's own settings; keys begin at its options."""
    import libtorrent as lt

    defaults = {**dict.fromkeys(_EMPTY_DEFAULTS, ""), **lt.default_settings()}
    faults: list[Fault] = []
    for name, value in settings.items():
        key = f"settings.{name}"
        if name in OWNED:
            faults.append(Fault(key, f"swarmrace sets it ({OWNED[name]}); remove it"))
        elif name not in defaults:
            text = (
                f"not a setting of libtorrent {lt.__version__}{nearest(name, defaults)}; all are "
                "listed at https://libtorrent.org/reference-Settings.html"
            )
            faults.append(Fault(key, text))
        elif type(value) is not type(defaults[name]):
            expected = type(defaults[name]).__name__
            text = f"found {value!r}, expected {expected} like {defaults[name]!r}"
            faults.append(Fault(key, text))
    return faults
