"""The intake of results: it checks hash and content, and answers once the file is on disk."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from weakref import WeakValueDictionary

from swarmrace import atomic
from swarmrace.faults import faults_of
from swarmrace.recording.payload import file_sha256
from swarmrace.recording.records import PeerResult
from swarmrace.rendezvous.conductor import Conductor
from swarmrace.rendezvous.messages import RESULT_SUFFIXES
from swarmrace.rendezvous.roster import RefusedError, refuse_lost
from swarmrace.rendezvous.store import STATE_FILE, Store
from swarmrace.rendezvous.substitutes import BY_RENDEZVOUS
from swarmrace.rendezvous.trouble import RESERVE_FILE
from swarmrace.scenario.entrants import NAME_PATTERN
from swarmrace.systems import doubles

MAX_JSON_BYTES = 8_000_000
MAX_NPZ_BYTES = 1_000_000_000
_NAME = re.compile(
    rf"(?P<entrant>{NAME_PATTERN})-(?P<peer>0|[1-9][0-9]{{0,3}})"
    rf"\.(?P<suffix>{'|'.join(map(re.escape, RESULT_SUFFIXES))})"
)
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/=]+):")
_ZIP = b"PK\x03\x04"


class Intake:
    """Receives results.

    Args:
        store: the folder they go to.
        conductor: knows the runs and which one is open.
        accepted: called with each peer's result once it is on disk.
    """

    def __init__(
        self,
        store: Store,
        conductor: Conductor,
        accepted: Callable[[PeerResult], object] = lambda result: None,
    ) -> None:
        self._store, self._conductor, self._accepted = store, conductor, accepted
        self._locks: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()

    async def put(
        self, run_id: str, name: str, digest: str | None, body: AsyncIterator[bytes]
    ) -> int:
        """Receive one file; return 201 if it is new, 200 if it was there already.

        Args:
            run_id: the run.
            name: `{entrant}-{peer}.` and one of `RESULT_SUFFIXES`.
            digest: `Content-Digest` (RFC 9530) with `sha-256`.
            body: the content, in chunks of any size.

        Raises:
            RefusedError: 400 the digest is missing or wrong, 404 no such file in this run, 409 the
                run is closed and has other content under this name, 410 the peer is lost, 413 too
                large, 422 the content isn't what the name says.
        """
        index, kind = self._file_of(run_id, name)
        expected = _parse_digest(digest)
        path = self._store.run_folder(run_id) / name
        max_bytes = MAX_JSON_BYTES if kind == "json" else MAX_NPZ_BYTES
        temporary, found = await self._receive(path, body, max_bytes)
        try:
            if found != expected:
                raise RefusedError(
                    400, f"{name}: expected SHA-256 {expected.hex()}, found {found.hex()}"
                )
            result = await asyncio.to_thread(self._check, temporary, run_id, index, kind)
            async with self._locks.setdefault(path, asyncio.Lock()):
                if path.exists():
                    if await asyncio.to_thread(file_sha256, path) == found.hex():
                        return 200
                    if not self._conductor.is_open(run_id) and not _is_substitute(path):
                        raise RefusedError(
                            409, f"{name}: run {run_id} is closed and has other content there"
                        )
                size = temporary.stat().st_size
                await asyncio.to_thread(atomic.commit, temporary, path)
                self._store.hashes.add(f"runs/{run_id}/{name}", found.hex(), size)
                if result is not None and doubles.is_double(result.system):
                    self._store.mark_double(result.entrant)
                self._conductor.file_received(run_id)
                if result is not None:
                    self._accepted(result)
                return 201
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()

    def _file_of(self, run_id: str, name: str) -> tuple[int, str]:
        """Return the peer and the suffix of a file, if the run can have it."""
        run, match = self._conductor.run(run_id), _NAME.fullmatch(name)
        if match is None or match["entrant"] != run.entrant:
            raise RefusedError(
                404,
                f"{name!r}: expected {run.entrant}-PEER. and one of {', '.join(RESULT_SUFFIXES)}",
            )
        roster = self._conductor.roster
        peer = roster.known(run.entrant, int(match["peer"]))
        refuse_lost(peer)
        if peer.info is not None:  # a peer that uploads lost files again says hello after that
            roster.contact(peer.entrant, peer.index)
        return int(match["peer"]), match["suffix"]

    async def _receive(
        self, path: Path, body: AsyncIterator[bytes], max_bytes: int
    ) -> tuple[Path, bytes]:
        self._store.trouble.require()
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=atomic.TEMPORARY_PREFIX, dir=path.parent)
        hasher, size = hashlib.sha256(), 0
        try:
            with open(handle, "wb") as file:  # noqa: PTH123 (a descriptor, not a path)
                async for chunk in body:
                    size += len(chunk)
                    if size > max_bytes:
                        raise RefusedError(413, f"{path.name}: expected at most {max_bytes} bytes")
                    hasher.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fchmod(handle, 0o644)
                await asyncio.to_thread(os.fsync, handle)
        except BaseException:
            Path(name).unlink()
            raise
        return Path(name), hasher.digest()

    def _check(self, file: Path, run_id: str, index: int, kind: str) -> PeerResult | None:
        if kind != "json":
            with file.open("rb") as opened:
                if opened.read(len(_ZIP)) != _ZIP:
                    raise RefusedError(422, "expected an npz file, found something else")
            return None
        try:
            result = PeerResult.model_validate_json(file.read_bytes())
        except ValueError as error:
            faults = "; ".join(map(str, faults_of(error, PeerResult)[:3]))
            raise RefusedError(422, f"expected a peer's result, found: {faults}") from error
        run = self._conductor.run(run_id)
        found = (result.race_id, result.run_id, result.entrant, result.peer, result.role)
        expected = (self._store.info.race_id, run.id, run.entrant, index, run.role(index))
        if found != expected:
            raise RefusedError(422, f"expected a result of {expected}, found one of {found}")
        return result


class Listing:
    """The results folder as clients see it: every finished file except the rendezvous' own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._hashes: dict[Path, tuple[tuple[int, int], str]] = {}

    def files(self) -> list[dict[str, str | int]]:
        """Return `path`, `size_bytes` and `sha256` of each file, in order of path."""
        return [
            {
                "path": path.relative_to(self._folder).as_posix(),
                "size_bytes": path.stat().st_size,
                "sha256": self._sha256(path),
            }
            for path in sorted(self._folder.rglob("*"))
            if self._listed(path)
        ]

    def find(self, name: str) -> Path:
        """Return the file of that path in the listing.

        Raises:
            RefusedError: 404 no such file there.
        """
        path = self._folder / name
        plain = "\0" not in name and path.parts == (*self._folder.parts, *name.split("/"))
        if not (plain and ".." not in path.parts and self._listed(path)):
            raise RefusedError(404, f"no file {name[:200]!r} in the results")
        return path

    def _listed(self, path: Path) -> bool:
        try:
            inside = path.resolve(strict=True) == path
        except OSError:
            return False
        return (
            inside
            and path.is_file()
            and path not in (self._folder / STATE_FILE, self._folder / RESERVE_FILE)
            and not path.name.startswith(atomic.TEMPORARY_PREFIX)
        )

    def _sha256(self, path: Path) -> str:
        stat = path.stat()
        key = (stat.st_mtime_ns, stat.st_ino)
        known = self._hashes.get(path)
        if known is None or known[0] != key:
            known = self._hashes[path] = (key, file_sha256(path))
        return known[1]


def _parse_digest(header: str | None) -> bytes:
    match: re.Match[str] | None = _DIGEST.search(header or "")
    with contextlib.suppress(binascii.Error):
        digest = base64.b64decode(match[1], validate=True) if match else b""
        if len(digest) == 32:
            return digest
    raise RefusedError(400, f"Content-Digest: expected sha-256=:BASE64:, found {header!r}")


def _is_substitute(path: Path) -> bool:
    if path.suffix != ".json":
        return False
    try:
        return BY_RENDEZVOUS in PeerResult.model_validate_json(path.read_bytes()).notes
    except ValueError:
        return False
