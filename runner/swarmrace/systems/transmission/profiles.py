"""The daemon's settings.json in each profile, every entry with its reason.

`stock` is the daemon's own defaults plus `NEEDED`; `tuned` is that plus `TUNED`. The option `utp`
comes next, an entrant's own `settings` last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swarmrace.errors import Fault
from swarmrace.faults import nearest
from swarmrace.systems.setting import Setting
from swarmrace.systems.transmission.options import TransmissionOptions

_ISOLATED = "isolated network: peers come from the bootstrap tracker only"

NEEDED: Mapping[str, Setting] = {
    "dht-enabled": Setting(False, _ISOLATED),
    "pex-enabled": Setting(False, _ISOLATED),
    "port-forwarding-enabled": Setting(False, "isolated network: there is no router to ask"),
    "rpc-whitelist-enabled": Setting(
        False, "recording: the RPC only listens on the peer's own address and is used from there"
    ),
}

TUNED: Mapping[str, Setting] = {
    "utp-enabled": Setting(False, "TCP instead of uTP, as in BitTorrent's `tuned`"),
    "encryption": Setting(0, "plaintext is preferred, as in BitTorrent's `tuned`"),
    "cache-size-mb": Setting(
        64, "blocks wait for whole pieces in memory instead of being written out at 4 MB"
    ),
    "upload-slots-per-torrent": Setting(
        1000, "every leecher has a slot; with the default of 14, leechers of a large swarm wait"
    ),
    "peer-limit-per-torrent": Setting(
        1000, "the default of 50 leaves peers of a large swarm unconnected"
    ),
    "peer-limit-global": Setting(1000, "as `peer-limit-per-torrent`; its default is 200"),
}

OWNED: Mapping[str, str] = {
    "lpd-enabled": "off by default: peers come from the bootstrap tracker only",
    "bind-address-ipv4": "the peer's own address, or the default if that is IPv6",
    "bind-address-ipv6": "the peer's own address, or none if that is IPv4",
    "peer-port": "a free port",
    "peer-port-random-on-start": "the port is chosen before the start",
    "rpc-enabled": "recording: the daemon is polled by RPC",
    "rpc-bind-address": "the peer's own address",
    "rpc-port": "a free port",
    "rpc-url": "the default is used",
    "rpc-authentication-required": "the RPC is used without a password",
    "download-dir": "the peer's own folder",
    "incomplete-dir": "the peer's own folder",
    "incomplete-dir-enabled": "fetched files are read back from the download folder",
    "start-added-torrents": "torrents start when they are added",
    "watch-dir": "torrents are added by RPC",
    "watch-dir-enabled": "torrents are added by RPC",
    "message-level": "the log goes with the peer",
}
"""Entries that only swarmrace sets."""


def table(options: TransmissionOptions) -> dict[str, Setting]:
    """Return every entry that the options set, with its reason."""
    result = dict(NEEDED)
    if options.profile == "tuned":
        result.update(TUNED)
    if options.utp is not None:
        result["utp-enabled"] = Setting(options.utp, "the scenario's `utp`")
    own = options.settings.items()
    result.update({name: Setting(value, "the scenario's `settings`") for name, value in own})
    return result


def faults_in_settings(settings: Mapping[str, Any], known: Mapping[str, Any]) -> list[Fault]:
    """Return what is wrong with an entrant's own settings; keys begin at its options.

    Args:
        settings: the entrant's.
        known: the daemon's defaults, which name every entry; empty if there is no daemon here.
            It silently ignores unknown entries.
    """
    faults: list[Fault] = []
    for name, value in settings.items():
        key = f"settings.{name}"
        if name in OWNED:
            faults.append(Fault(key, f"swarmrace sets it ({OWNED[name]}); take it out"))
        elif known and name not in known:
            hint = nearest(name, known)
            faults.append(Fault(key, f"not a setting of this transmission-daemon{hint}"))
        elif known and type(value) is not type(known[name]):
            expected = type(known[name]).__name__
            text = f"found {value!r}, expected {expected} like {known[name]!r}"
            faults.append(Fault(key, text))
    return faults
