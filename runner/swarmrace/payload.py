"""The payload: pseudorandom bytes from a seed, any range computable without the rest.

The bytes are the AES-256-CTR keystream (NIST SP 800-38A) under a key that is the SHA-256 of the
seed, counter from 0. They can't be compressed or guessed, and every run's seed is its own, so no
system can profit from what it held before.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK = 16
_CHUNK = 1 << 20
_RING = 4
_ZEROS = bytes(_CHUNK)


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

    def chunks(self, ring: int = 1) -> Iterator[memoryview]:
        """Yield the payload from its start in chunks of 1 MiB, in `ring` buffers by turns.

        A chunk is valid until `ring` more have been asked for.
        """
        zeros, encryptor = memoryview(_ZEROS), self._encryptor(0)
        buffers = cycle([bytearray(_CHUNK + _BLOCK) for _ in range(ring)])
        for offset in range(0, self.size_bytes, _CHUNK):
            size, out = min(_CHUNK, self.size_bytes - offset), next(buffers)
            encryptor.update_into(zeros[:size], out)
            yield memoryview(out)[:size]

    def write(self, path: Path) -> str:
        """Write the payload to `path`, ready on disk; return its SHA-256 in hex.

        Two threads share the work, one encrypts and writes, one hashes; all three leave Python's
        lock to the other.

        Raises:
            OSError: the file can't be written, for example ENOSPC; what was written stays.
        """
        digest, hashing = hashlib.sha256(), deque[Future[None]]()
        with path.open("wb", buffering=0) as file, ThreadPoolExecutor(1, "payload") as hasher:
            # No fallocate: it would have the pages zeroed, or marked, once more than needed.
            for chunk in self.chunks(_RING):
                hashing.append(hasher.submit(digest.update, chunk))
                if len(hashing) == _RING:
                    hashing.popleft().result()
                while chunk:
                    chunk = chunk[file.write(chunk) :]
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
