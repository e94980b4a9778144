"""The payload: pseudorandom bytes from a seed; any range can be computed without the rest.

The bytes are the AES-256-CTR keystream (NIST SP 800-38A) whose key is the SHA-256 of the seed,
counter from 0. They can't be compressed or guessed, and each run has its own seed, so no system can
profit from what it held before.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from queue import SimpleQueue

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

_BLOCK = 16
_CHUNK = 1 << 20
_RING = 4
_SMALL_BYTES = 1 << 18


class Payload:
    """The bytes of one run.

    Args:
        seed: any string; the same seed gives the same bytes on every machine.
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
        """Yield the payload in chunks of 1 MiB; each is only valid until the next."""
        buffer = bytearray(_CHUNK + _BLOCK)
        return self._fill(repeat(buffer))

    def write(self, path: Path) -> str:
        """Write the payload to `path`; return its SHA-256 in hex.

        Another thread encrypts and writes while this one hashes; all three release Python's lock.
        Hashing is the slowest of them and can't be split, so its thread does nothing else.

        Raises:
            OSError: the file can't be written (ENOSPC, say); what was written stays.
        """
        digest = hashlib.sha256()
        hashed: SimpleQueue[bytearray] = SimpleQueue()
        filled: SimpleQueue[memoryview | None] = SimpleQueue()
        for _ in range(_RING):
            hashed.put(bytearray(_CHUNK + _BLOCK))

        def encrypt_and_write() -> None:
            try:
                # No fallocate: the pages would be zeroed, or marked, once more than needed.
                with path.open("wb", buffering=0) as file:
                    for chunk in self._fill(iter(hashed.get, None)):
                        filled.put(chunk)
                        while chunk:
                            chunk = chunk[file.write(chunk) :]
            finally:
                filled.put(None)

        with ThreadPoolExecutor(1, "payload") as writer:
            written = writer.submit(encrypt_and_write)
            while (chunk := filled.get()) is not None:
                digest.update(chunk)
                buffer = chunk.obj
                assert isinstance(buffer, bytearray)
                hashed.put(buffer)
            written.result()
        return digest.hexdigest()

    def sha256(self) -> str:
        """Return the SHA-256 of the whole payload in hex, without storing it."""
        digest = hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()

    def _fill(self, buffers: Iterator[bytearray]) -> Iterator[memoryview]:
        """Fill each of `buffers` in turn; yield the part of it that is payload."""
        zeros, encryptor = memoryview(bytes(_CHUNK)), self._encryptor(0)
        for offset in range(0, self.size_bytes, _CHUNK):
            size, buffer = min(_CHUNK, self.size_bytes - offset), next(buffers)
            encryptor.update_into(zeros[:size], buffer)
            yield memoryview(buffer)[:size]

    def _encryptor(self, block: int) -> CipherContext:
        counter = block.to_bytes(16, "big")
        return Cipher(algorithms.AES256(self._key), modes.CTR(counter)).encryptor()


def file_sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file in hex."""
    with open(path, "rb") as file:  # noqa: PTH123 (often a string)
        if os.fstat(file.fileno()).st_size <= _SMALL_BYTES:  # `file_digest` clears a large buffer
            return hashlib.sha256(file.read()).hexdigest()
        return hashlib.file_digest(file, "sha256").hexdigest()
