"""What libtorrent's alerts mean for a publish and a fetch: progress and errors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import libtorrent as lt

from swarmrace.errors import Reason, TransferError
from swarmrace.host.infrastructure import FULL
from swarmrace.systems.abc import Record
from swarmrace.systems.bittorrent.session import Handler

_PERMANENT_ERRORS = frozenset({24, 25, 31, 32, 33, 85, 89, 111, 112, 114, 151, 171, 201, 202})
"""libtorrent's own errors (libtorrent::errors) after which no announce to the same tracker can
succeed: its address or protocol can't be used, is filtered or blocked (SSRF, IDNA), its certificate
is invalid, or it isn't a tracker. All others, such as a refused connection, may be temporary."""
_TEMPORARY_STATUSES = frozenset({408, 425, 429})
"""HTTP status codes of the 400s after which a retry may succeed (RFC 9110, 8470, 6585)."""


class FetchWatch:
    """Watches a fetch for errors: a failure ends it, other errors are noted."""

    def __init__(self, record: Record, announces: Announces) -> None:
        self._record = record
        self._announces = announces
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._failed.add_done_callback(lambda f: f.cancelled() or f.exception())
        self._noted: set[str] = set()

    @property
    def handlers(self) -> Mapping[type, Handler]:
        """The handler of each type of alert."""
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
        self._note(f"tracker: {error_text(alert)}")
        refusal = refusal_of(alert)
        # Once the tracker has answered, or a byte has come, there are peers to fetch from.
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
        """Return the result of `wanted`, unless the fetch fails first."""
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
    """The state of announcing: whether a tracker has answered, and the last error."""

    def __init__(self) -> None:
        self.answered = False
        self.trouble = ""
        """The last error, if no answer has come since."""

    def on_reply(self, alert: lt.tracker_reply_alert, _: int) -> None:
        """Record an answer."""
        self.answered, self.trouble = True, ""

    def on_error(self, alert: lt.tracker_error_alert) -> None:
        """Record an error."""
        self.trouble = f"the tracker: {error_text(alert)} ({alert.tracker_url()})"

    def published(self, alert: Any, t_ns: int) -> int | None:
        """Return when a tracker answered; raise its refusal or a permanent error. libtorrent
        retries after a temporary error."""
        if isinstance(alert, lt.tracker_reply_alert):
            self.on_reply(alert, t_ns)
            return t_ns
        self.on_error(alert)
        refusal = refusal_of(alert)
        if refusal is not None:
            raise refusal
        return None


def disk_error(alert: lt.file_error_alert | lt.torrent_error_alert) -> TransferError:
    """Return the failure of a disk or torrent error."""
    has_errno = alert.error.category().name() in ("system", "generic")
    number = alert.error.value() if has_errno else None
    reason = Reason.DISK_FULL if number in FULL else Reason.REFUSED
    return TransferError(reason, alert.message(), number)


CHECKED = (lt.torrent_checked_alert, lt.file_error_alert, lt.torrent_error_alert)
ANNOUNCED = (lt.tracker_reply_alert, lt.tracker_error_alert)


def checked(alert: Any, t_ns: int) -> int:
    """Return when a torrent was checked, or raise its error."""
    if not isinstance(alert, lt.torrent_checked_alert):
        raise disk_error(alert)
    return t_ns


def refusal_of(alert: lt.tracker_error_alert) -> TransferError | None:
    """Return the failure of an announce's error, or None if a later announce may succeed."""
    code, category = alert.error.value(), alert.error.category().name()
    if category == "http":
        permanent = 300 <= code < 500 and code not in _TEMPORARY_STATUSES
    else:
        words = tracker_message(alert)
        if words:
            return TransferError(Reason.REFUSED, f"the tracker refused: {words}")
        permanent = category == "libtorrent" and code in _PERMANENT_ERRORS
    if not permanent:
        return None
    return TransferError(
        Reason.REFUSED,
        f"the announce can't succeed: {error_text(alert)} ({alert.tracker_url()}); check the "
        "entrant's `settings`",
    )


def error_text(alert: lt.tracker_error_alert) -> str:
    """Return an announce's error: the tracker's own message, or libtorrent's."""
    words = tracker_message(alert) or alert.error.message()
    is_status = alert.error.category().name() == "http"
    return f"HTTP status {alert.error.value()} {words}" if is_status else words


def tracker_message(alert: lt.tracker_error_alert) -> str:
    """Return a tracker's own message, if it sent one; if it isn't UTF-8, the error's number."""
    try:
        return alert.error_message()
    except UnicodeDecodeError:
        return f"error {alert.error.value()}"


def stamp(alert: lt.alert, t_ns: int) -> int:
    """Return when an alert was posted."""
    return t_ns


def check_size(info: lt.torrent_info, size_bytes: int) -> None:
    """Refuse a torrent that isn't a single file of the payload's size."""
    files = info.layout()
    # In v2 a pad file (BEP 47) may follow; it is never sent.
    sizes = [
        files.file_size(index)
        for index in range(files.num_files())
        if not files.file_flags(index) & lt.file_storage.flag_pad_file
    ]
    if sizes != [size_bytes]:
        raise TransferError(
            Reason.REFUSED, f"expected a torrent of one file of {size_bytes} bytes, found {sizes}"
        )
