"""Content identifiers: CIDv1, SHA-256, base58btc, with Codex's own codecs."""

from __future__ import annotations

MANIFEST = 0xCD01
BLOCK = 0xCD02
ROOT = 0xCD03

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUE = {letter: value for value, letter in enumerate(_ALPHABET)}


def encode(codec: int, digest: bytes) -> str:
    """Return the CID of a SHA-256: `zDv…` for a manifest, `zDz…` for a tree."""
    return "z" + _base58(b"\x01" + _varint(codec) + b"\x12\x20" + digest)


def decode(text: str) -> tuple[int, bytes]:
    """Return codec and digest.

    Raises:
        ValueError: not such a CID.
    """
    if not text.startswith("z"):
        raise ValueError("Incorrect Cid")
    number = 0
    for letter in text[1:]:
        if letter not in _VALUE:
            raise ValueError("Incorrect Cid")
        number = number * 58 + _VALUE[letter]
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    for codec in (MANIFEST, BLOCK, ROOT):
        head = b"\x01" + _varint(codec) + b"\x12\x20"
        if data.startswith(head) and len(data) == len(head) + 32:
            return codec, data[len(head) :]
    raise ValueError("Incorrect Cid")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _base58(data: bytes) -> str:
    number, out = int.from_bytes(data, "big"), []
    while number:
        number, rest = divmod(number, 58)
        out.append(_ALPHABET[rest])
    return "".join(reversed(out))
