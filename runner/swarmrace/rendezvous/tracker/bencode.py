"""Bencoding (BEP 3), enough of it for a tracker's answers."""

from __future__ import annotations

from typing import Any


def bencode(value: Any) -> bytes:
    """Return `value` (int, bytes, str, list, dict) bencoded; dictionary keys are sorted as bytes.

    Raises:
        TypeError: anything else, including a bool.
    """
    if isinstance(value, bytes):
        return b"%d:%b" % (len(value), value)
    if isinstance(value, str):
        return bencode(value.encode())
    if isinstance(value, int) and not isinstance(value, bool):
        return b"i%de" % value
    if isinstance(value, list | tuple):
        return b"l%be" % b"".join(map(bencode, value))
    if isinstance(value, dict):
        items = sorted((k.encode() if isinstance(k, str) else k, v) for k, v in value.items())
        return b"d%be" % b"".join(bencode(key) + bencode(item) for key, item in items)
    raise TypeError(f"can't bencode {type(value).__name__}")
