"""What libtorrent's alerts mean to a publish and a fetch: what was waited for, what went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import libtorrent as lt

from swarmrace.errors import Reason, TransferError
from swarmrace.host.infrastructure import FULL
from swarmrace.systems.abc import Record
from swarmrace.systems.bittorrent.session import Handler


class Watch:
    """What may go wrong in a fetch: a failure ends it, the rest is noted."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._failed.add_done_callback(lambda f: f.cancelled() or f.exception())
        self._noted: set[str] = set()

    @property
    def handlers(self) -> Mapping[type, Handler]:
        """What to call with which alert."""
        return {
            lt.tracker_error_alert: self._on_tracker_error,
            lt.metadata_failed_alert: self._on_metadata_failed,
            lt.file_error_alert: self._on_error,
            lt.torrent_error_alert: self._on_error,
        }

    def _on_tracker_error(self, alert: lt.tracker_error_alert, _: int) -> None:
        self._record.retries += 1
        self._note(f"tracker: {words_of(alert) or alert.error.message()}")

    def _on_metadata_failed(self, alert: lt.metadata_failed_alert, _: int) -> None:
        self._record.retries += 1
        self._note(f"metadata: {alert.error.message()}")

    def _on_error(self, alert: Any, _: int) -> None:
        if not self._failed.done():
            self._failed.set_exception(disk_error(alert))

    async def first(self, wanted: asyncio.Future[int]) -> int:
        """Return what `wanted` brings, unless the fetch fails before."""
        await asyncio.wait({wanted, self._failed}, return_when=asyncio.FIRST_COMPLETED)
        if not wanted.done():
            self._failed.result()
        return wanted.result()

    def _note(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._record.notes.append(text)


def disk_error(alert: lt.file_error_alert | lt.torrent_error_alert) -> TransferError:
    """Return the failure that a disk or torrent error is."""
    of_the_system = alert.error.category().name() in ("system", "generic")
    number = alert.error.value() if of_the_system else None
    reason = Reason.DISK_FULL if number in FULL else Reason.REFUSED
    return TransferError(reason, alert.message(), number)


CHECKED = (lt.torrent_checked_alert, lt.file_error_alert, lt.torrent_error_alert)
ANNOUNCED = (lt.tracker_reply_alert, lt.tracker_error_alert)


def checked(alert: Any, t_ns: int) -> int:
    """Return when a torrent was checked; raise what went wrong instead."""
    if not isinstance(alert, lt.torrent_checked_alert):
        raise disk_error(alert)
    return t_ns


def announced(alert: Any, t_ns: int) -> int | None:
    """Return when a tracker answered; raise its refusal. What can be tried again is passed over."""
    if isinstance(alert, lt.tracker_reply_alert):
        return t_ns
    if words := words_of(alert):
        raise TransferError(Reason.REFUSED, f"the tracker refused: {words}")
    return None


def words_of(alert: lt.tracker_error_alert) -> str:
    """Return a tracker's own words, if it gave any; those that are no UTF-8 by their number."""
    try:
        return alert.error_message()
    except UnicodeDecodeError:
        return f"error {alert.error.value()}"


def stamp(alert: lt.alert, t_ns: int) -> int:
    """Return when an alert was posted."""
    return t_ns


def check_size(info: lt.torrent_info, size_bytes: int) -> None:
    """Refuse a torrent that is not one file of the payload's size."""
    files = info.layout()
    # In v2 a pad file (BEP 47) may follow, which is never sent.
    sizes = [
        files.file_size(index)
        for index in range(files.num_files())
        if not files.file_flags(index) & lt.file_storage.flag_pad_file
    ]
    if sizes != [size_bytes]:
        raise TransferError(
            Reason.REFUSED, f"expected a torrent of one file of {size_bytes} bytes, found {sizes}"
        )
