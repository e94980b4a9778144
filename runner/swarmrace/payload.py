"""The payload: pseudorandom bytes from a seed, any range computable without the rest.

The bytes are the AES-256-CTR keystream (NIST SP 800-38A) under a key that is the SHA-256 of the
seed, counter from 0. They can't be compressed or guessed, and every run's seed is its own, so no
system can profit from what it held before.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK = 16
_CHUNK = 1 << 20


class Payload:
    """The bytes of one run.

    Args:
        seed: any text; the same seed gives the same bytes on every machine.
        size_bytes: length of the payload.
    """

    def __init__(self, seed: str, size_bytes: int) -> None:
        self.seed = seed
        self.size_bytes = size_bytes
        self._key = hashlib.sha256(seed.encode()).digest()

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer at the end of the payload.

        Raises:
            ValueError: a negative offset or length.
        """
        if offset < 0 or length < 0:
            raise ValueError(f"offset {offset} and length {length} can't be negative")
        length = max(0, min(length, self.size_bytes - offset))
        skip = offset % _BLOCK
        return self._encryptor(offset // _BLOCK).update(bytes(skip + length))[skip:]

    def chunks(self) -> Iterator[memoryview]:
        """Yield the payload from its start in chunks of 1 MiB; a chunk is valid until the next."""
        zeros, out = bytes(_CHUNK), bytearray(_CHUNK + _BLOCK)
        encryptor, view, left = self._encryptor(0), memoryview(out), self.size_bytes
        while left:
            size = min(_CHUNK, left)
            encryptor.update_into(memoryview(zeros)[:size], out)
            yield view[:size]
            left -= size

    def write(self, path: Path) -> str:
        """Write the payload to `path`, ready on disk; return its SHA-256 in hex."""
        digest = hashlib.sha256()
        with path.open("wb", buffering=0) as file:
            if self.size_bytes:
                os.posix_fallocate(file.fileno(), 0, self.size_bytes)
            for chunk in self.chunks():
                file.write(chunk)
                digest.update(chunk)
        return digest.hexdigest()

    def sha256(self) -> str:
        """Return the SHA-256 of the whole payload in hex, without storing it."""
        digest = hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()

    def _encryptor(self, block: int):
        counter = block.to_bytes(16, "big")
        return Cipher(algorithms.AES256(self._key), modes.CTR(counter)).encryptor()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
