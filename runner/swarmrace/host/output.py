"""Standard output and error that are closed, full, or can't write every character.

None of these is a defect of swarmrace, and none of them may lose results. `prepare` is called once,
when the command begins. From then on:

- a character that the output's encoding lacks is replaced by a plain one (`×` by `x`, `–` by `-`);
- a closed descriptor is opened on /dev/null; otherwise the next opened file would get its number,
  and output would be written to it;
- standard output that can't be written raises `OutputError` once; later output is dropped;
- standard error that can't be written is dropped, because nothing can report it.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import sys
import unicodedata
from typing import Any, Final

from swarmrace.errors import OutputError

PLAIN: Final = {
    "×": "x",
    "·": "*",
    "–": "-",
    "…": "...",
    "µ": "u",
    "±": "+/-",
    "≥": ">=",
    "≤": "<=",
    "²": "^2",
    "Σ": "sum",
    "−": "-",
    "→": "->",
    "█": "#",
    "━": "-",
    "─": "-",
    "│": "|",
    **dict(zip("¹²³⁴⁵", ("[1]", "[2]", "[3]", "[4]", "[5]"), strict=True)),
}
_HANDLER = "swarmrace-plain"


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Return replacements for characters that an encoding lacks (an error handler of `codecs`)."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(map(_replacement, missing)), error.end


def _replacement(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # an undecodable byte of a path (PEP 383)
        return f"\\x{ord(character) - 0xDC00:02x}"
    return PLAIN.get(character, "?")


def printable(text: str) -> str:
    """Return a string that fits on one line of any UTF-8 file: undecodable bytes of a path and
    control characters become hex."""
    return "".join(map(_printable, text))


_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters except tab and line feed, those that reverse text, and lone surrogates."""


def readable(text: str) -> str:
    """Return a text of several lines that any viewer shows as it is: control characters, which
    could move a terminal's cursor or reverse text, become hex."""
    return _INVISIBLE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _printable(character: str) -> str:
    if "\ud800" <= character <= "\udfff":
        return _replacement(character)
    return f"\\x{ord(character):02x}" if unicodedata.category(character) == "Cc" else character


def shortened(text: str, max_bytes: int) -> str:
    """Return a string cut to at most `max_bytes` of UTF-8: its beginning and its end."""
    data = text.encode("utf-8", "replace")
    if len(data) <= max_bytes:
        return text
    half = (max_bytes - 1) // 2
    return f"{data[:half].decode(errors='ignore')}~{data[-half:].decode(errors='ignore')}"


class _Raw(io.FileIO):
    """A descriptor; once it can't be written, later output is dropped."""

    def __init__(self, number: int, *, silent: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self._silent = silent

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            if error.errno == errno.EAGAIN or (
                isinstance(error, BrokenPipeError) and not self._silent
            ):
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            if self._silent:
                return len(data)
            raise OutputError(f"standard output can't be written: {error.strerror}") from error


def prepare() -> None:
    """Set up this process's standard output and error as the module says. Safe to call again.

    Streams that other code has replaced (a test, a caller in Python) are left alone.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    codecs.register_error(_HANDLER, _plain)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is not getattr(sys, f"__{name}__"):
            continue
        encoding = getattr(stream, "encoding", None) or "utf-8"
        if stream is not None:
            stream.flush()
        lines = name == "stderr" or os.isatty(number)
        raw = _Raw(number, silent=name == "stderr")
        made = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding, errors=_HANDLER, line_buffering=lines
        )
        setattr(sys, name, made)
        setattr(sys, f"__{name}__", made)
