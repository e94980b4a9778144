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

_HOPELESS = frozenset({24, 25, 31, 32, 33, 85, 89, 111, 112, 114, 151, 171, 201, 202})
"""libtorrent's own errors (libtorrent::errors) by which no announce to the same tracker succeeds
later: its address or protocol can't be used, is filtered or blocked (SSRF, IDNA), its certificate
is invalid, or it is no tracker. All others, like a refused connection, may pass."""
_PASSING_STATUS = frozenset({408, 425, 429})
"""HTTP: of the 400s, those that ask to try again (RFC 9110, 8470, 6585)."""


class Watch:
    """What may go wrong in a fetch: a failure ends it, the rest is noted."""

    def __init__(self, record: Record, announces: Announces) -> None:
        self._record = record
        self._announces = announces
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._failed.add_done_callback(lambda f: f.cancelled() or f.exception())
        self._noted: set[str] = set()

    @property
    def handlers(self) -> Mapping[type, Handler]:
        """What to call with which alert."""
        return {
            lt.tracker_error_alert: self._on_tracker_error,
            lt.tracker_reply_alert: self._announces.on_reply,
            lt.metadata_failed_alert: self._on_metadata_failed,
            lt.file_error_alert: self._on_error,
            lt.torrent_error_alert: self._on_error,
        }

    def _on_tracker_error(self, alert: lt.tracker_error_alert, _: int) -> None:
        self._record.retries += 1
        self._announces.on_error(alert)
        self._note(f"tracker: {said_by(alert)}")
        refusal = refused(alert)
        # Once the tracker has answered, or a byte has come, there are peers to go on with.
        idle = not self._announces.answered and not self._record.progress_bytes
        if refusal is not None and idle and not self._failed.done():
            self._failed.set_exception(refusal)

    def _on_metadata_failed(self, alert: lt.metadata_failed_alert, _: int) -> None:
        self._record.retries += 1
        self._note(f"metadata: {alert.error.message()}")

    def _on_error(self, alert: Any, _: int) -> None:
        if not self._failed.done():
            self._failed.set_exception(disk_error(alert))

    async def first(self, wanted: asyncio.Future[int]) -> int:
        """Return what `wanted` brings, unless the fetch fails before."""
        either: set[asyncio.Future[Any]] = {wanted, self._failed}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not wanted.done():
            self._failed.result()
        return wanted.result()

    def _note(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._record.notes.append(text)


class Announces:
    """How announcing goes: whether a tracker has answered, and what it said otherwise."""

    def __init__(self) -> None:
        self.answered = False
        self.trouble = ""
        """The last error, if no answer has come since."""

    def on_reply(self, alert: lt.tracker_reply_alert, _: int) -> None:
        """Take note of an answer."""
        self.answered, self.trouble = True, ""

    def on_error(self, alert: lt.tracker_error_alert) -> None:
        """Take note of an error."""
        self.trouble = f"the tracker: {said_by(alert)} ({alert.tracker_url()})"

    def published(self, alert: Any, t_ns: int) -> int | None:
        """Return when a tracker answered; raise its refusal, and what can't succeed later. What may
        pass is tried again by libtorrent."""
        if isinstance(alert, lt.tracker_reply_alert):
            self.on_reply(alert, t_ns)
            return t_ns
        self.on_error(alert)
        refusal = refused(alert)
        if refusal is not None:
            raise refusal
        return None


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


def refused(alert: lt.tracker_error_alert) -> TransferError | None:
    """Return the failure that an announce's error is, or None where a later one may succeed."""
    code, category = alert.error.value(), alert.error.category().name()
    if category == "http":
        hopeless = 300 <= code < 500 and code not in _PASSING_STATUS
    else:
        words = words_of(alert)
        if words:
            return TransferError(Reason.REFUSED, f"the tracker refused: {words}")
        hopeless = category == "libtorrent" and code in _HOPELESS
    if not hopeless:
        return None
    return TransferError(
        Reason.REFUSED,
        f"the announce can't succeed: {said_by(alert)} ({alert.tracker_url()}); look at the "
        "entrant's `settings`",
    )


def said_by(alert: lt.tracker_error_alert) -> str:
    """Return what went wrong with an announce: the tracker's own words, or libtorrent's."""
    words = words_of(alert) or alert.error.message()
    is_status = alert.error.category().name() == "http"
    return f"HTTP status {alert.error.value()} {words}" if is_status else words


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
