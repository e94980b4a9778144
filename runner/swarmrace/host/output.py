"""Standard output and error that are closed, full, or can't write every character.

None of that is a defect, and none of it may cost what was measured. `prepare` is called once, when
the command begins:

- a character that the output's encoding lacks is replaced by a plain one (`×` by `x`, `–` by `-`);
- a closed descriptor is opened on /dev/null, or the next file opened would get its number, and
  what is printed would land in it;
- standard output that can't be written raises `OutputError`, once; what follows is dropped;
- standard error that can't be written is dropped: there is nobody to tell.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
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
    """Return what stands for characters that an encoding lacks (an error handler of `codecs`)."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    gone = error.object[error.start : error.end]
    return "".join(map(_instead, gone)), error.end


def _instead(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte of a path that is not text (PEP 383)
        return f"\\x{ord(character) - 0xDC00:02x}"
    return PLAIN.get(character, "?")


def printable(text: str) -> str:
    """Return a text for one line that every UTF-8 file can hold: a path's bytes that are no text,
    and control characters, as hex."""
    return "".join(map(_printable, text))


def _printable(character: str) -> str:
    if "\ud800" <= character <= "\udfff":
        return _instead(character)
    return f"\\x{ord(character):02x}" if unicodedata.category(character) == "Cc" else character


def shortened(text: str, most_bytes: int) -> str:
    """Return a text that takes at most `most_bytes` in UTF-8: its beginning and its end."""
    data = text.encode("utf-8", "replace")
    if len(data) <= most_bytes:
        return text
    half = (most_bytes - 1) // 2
    return f"{data[:half].decode(errors='ignore')}~{data[-half:].decode(errors='ignore')}"


class _Raw(io.FileIO):
    """A descriptor; once it can't be written, what follows is dropped."""

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
    """Make this process's standard output and error as the module says. Safe to call again.

    Streams that somebody else has put in place (a test, a caller in Python) are left alone.
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
