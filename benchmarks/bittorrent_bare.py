"""A libtorrent session with an entrant's settings and without recording.

It is the baseline for the cost of `systems.bittorrent`. It enables the few alerts of the status
category (and of the tracker category): waiting for an alert costs less and is more exact than
polling for the end of a transfer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import libtorrent as lt

from swarmrace.systems.bittorrent import memory, profiles, torrent
from swarmrace.systems.bittorrent.options import BitTorrentOptions

_WAIT_SECONDS = 600.0


class Bare:
    """One peer.

    Args:
        address: IP address that it listens on and connects from.
        folder: folder of its file.
        profile: `stock` or `tuned`.
    """

    def __init__(self, address: str, folder: Path, profile: str) -> None:
        table = profiles.table(BitTorrentOptions(profile=profile, record_writes=False))
        settings = {name: setting.value for name, setting in table.items()}
        settings |= {
            "listen_interfaces": f"{address}:0",
            "outgoing_interfaces": address,
            "alert_mask": int(lt.alert_category.status | lt.alert_category.tracker),
        }
        memory.limit_arenas()
        params = lt.session_params()
        params.disk_io_constructor = profiles.DISK_IO
        params.settings = settings
        self._folder = folder
        self._session = lt.session(params)
        if profiles.CHOKE_LOCAL[profile].value:
            local = self._session.get_peer_class(lt.session.local_peer_class_id)
            self._session.set_peer_class(
                lt.session.local_peer_class_id, {**local, "ignore_unchoke_slots": False}
            )

    def seed(self, file: Path, announce_url: str) -> dict[str, Any]:
        """Check and announce `file`; return its reference once the tracker has answered."""
        made = torrent.make(
            file,
            self._folder,
            protocol=BitTorrentOptions().protocol,
            piece_bytes=None,
            announce_url=announce_url,
        )
        params = lt.add_torrent_params()
        params.ti = made.info
        params.flags = lt.torrent_flags.update_subscribe
        params.save_path = str(self._folder)
        handle = self._session.add_torrent(params)
        self._wait_for(lt.tracker_reply_alert)
        assert handle.status().is_seeding
        return torrent.reference(made, BitTorrentOptions().reference, announce_url)

    def fetch(self, reference: Mapping[str, Any]) -> None:
        """Fetch the torrent; return when libtorrent reports it as finished and verified."""
        params = torrent.parameters(reference)
        params.flags = lt.torrent_flags.update_subscribe
        params.save_path = str(self._folder)
        self._session.add_torrent(params)
        self._wait_for(lt.torrent_finished_alert)

    def _wait_for(self, kind: type) -> None:
        deadline = time.monotonic() + _WAIT_SECONDS
        while (remaining_seconds := deadline - time.monotonic()) > 0:
            self._session.wait_for_alert(round(remaining_seconds * 1000))
            if any(isinstance(alert, kind) for alert in self._session.pop_alerts()):
                return
        raise TimeoutError(f"no {kind.__name__} within {_WAIT_SECONDS:g} s")
