"""Blocks, trees and manifests on disk. They survive a kill."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codex_double import cid as cids


class QuotaFullError(Exception):
    """The block does not fit the quota."""


class Store:
    """One node's repository.

    Args:
        root: its folder; created if missing, otherwise read.
        quota_bytes: maximum size of blocks and manifests together.
    """

    def __init__(self, root: Path, quota_bytes: int) -> None:
        self.quota_bytes = quota_bytes
        self._blocks = root / "blocks"
        self._trees = root / "trees"
        self._manifests = root / "manifests"
        for folder in (self._blocks, self._trees, self._manifests):
            folder.mkdir(parents=True, exist_ok=True)
        self._held = {path.name: path.stat().st_size for path in self._files(self._blocks)}
        self.manifests = {
            path.name: json.loads(path.read_bytes()) for path in self._files(self._manifests)
        }
        self._manifest_bytes = {
            path.name: path.stat().st_size for path in self._files(self._manifests)
        }
        self._used_bytes = sum(self._held.values()) + sum(self._manifest_bytes.values())

    @property
    def used_bytes(self) -> int:
        """Bytes that count against the quota."""
        return self._used_bytes

    @property
    def total_blocks(self) -> int:
        """Number of blocks held; a manifest counts as one."""
        return len(self._held) + len(self._manifest_bytes)

    def has(self, digest: bytes) -> bool:
        """Return whether the block is here."""
        return digest.hex() in self._held

    def get(self, digest: bytes) -> bytes:
        """Return a block that is here."""
        return (self._blocks / digest.hex()).read_bytes()

    def put(self, data: bytes, digest: bytes | None = None) -> bytes:
        """Store a block; return its digest.

        Raises:
            QuotaFullError: it doesn't fit.
        """
        digest = digest or hashlib.sha256(data).digest()
        name = digest.hex()
        if name not in self._held:
            self._room_for(len(data))
            self._write(self._blocks / name, data)
            self._held[name] = len(data)
            self._used_bytes += len(data)
        return digest

    def put_tree(self, digests: list[bytes]) -> str:
        """Store the list of a dataset's blocks; return the tree's CID."""
        data = b"".join(digests)
        tree = cids.encode(cids.ROOT, hashlib.sha256(data).digest())
        self._write(self._trees / tree, data)
        return tree

    def tree(self, tree: str) -> list[bytes] | None:
        """Return a dataset's block digests, or None if they aren't here."""
        try:
            data = (self._trees / tree).read_bytes()
        except FileNotFoundError:
            return None
        return [data[at : at + 32] for at in range(0, len(data), 32)]

    def put_manifest(self, manifest: dict[str, Any]) -> str:
        """Store a manifest; return its CID, which depends on everything in it."""
        data = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
        cid = cids.encode(cids.MANIFEST, hashlib.sha256(data).digest())
        if cid not in self.manifests:
            self._room_for(len(data))
            self._write(self._manifests / cid, data)
            self.manifests[cid] = manifest
            self._manifest_bytes[cid] = len(data)
            self._used_bytes += len(data)
        return cid

    def delete(self, cid: str) -> None:
        """Remove a manifest and its blocks, even those that it shares with another one."""
        manifest = self.manifests.pop(cid, None)
        self._used_bytes -= self._manifest_bytes.pop(cid, 0)
        (self._manifests / cid).unlink(missing_ok=True)
        for digest in self.tree(manifest["treeCid"]) or [] if manifest else []:
            self._used_bytes -= self._held.pop(digest.hex(), 0)
            (self._blocks / digest.hex()).unlink(missing_ok=True)

    def _room_for(self, size: int) -> None:
        if self.used_bytes + size > self.quota_bytes:
            raise QuotaFullError(f"Cannot store block, quota used! {self.used_bytes=} {size=}")

    @staticmethod
    def _files(folder: Path) -> Iterator[Path]:
        return (path for path in folder.iterdir() if path.suffix != ".part")

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        part = path.with_suffix(".part")
        part.write_bytes(data)
        part.replace(path)


class Upload:
    """Cuts a body into blocks of one size, the last one padded with zeros.

    Args:
        store: receives each block once it is full.
        block_size: in bytes.
    """

    def __init__(self, store: Store, block_size: int) -> None:
        self._store, self._block_size = store, block_size
        self._rest = bytearray()
        self._digests: list[bytes] = []
        self.size_bytes = 0

    def feed(self, data: bytes) -> None:
        """Process the next part of the body.

        Raises:
            QuotaFullError: a block doesn't fit; the blocks before it are kept.
        """
        self._rest += data
        self.size_bytes += len(data)
        while len(self._rest) >= self._block_size:
            self._digests.append(self._store.put(bytes(self._rest[: self._block_size])))
            del self._rest[: self._block_size]

    def finish(self, filename: str | None, mimetype: str | None, timed: bool) -> str:
        """Store the last block, the tree and the manifest; return the content's CID."""
        if self._rest:
            self._digests.append(self._store.put(bytes(self._rest).ljust(self._block_size, b"\0")))
        manifest: dict[str, Any] = {
            "treeCid": self._store.put_tree(self._digests),
            "datasetSize": self.size_bytes,
            "blockSize": self._block_size,
            "filename": filename,
            "mimetype": mimetype,
            "protected": False,
        }
        if timed:
            manifest["uploadedAt"] = time.time_ns()
        return self._store.put_manifest(manifest)
