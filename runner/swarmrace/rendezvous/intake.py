"""The intake: results come in, checked by hash and content, and lie on disk before it answers."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterator
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

MOST_JSON_BYTES = 8_000_000
MOST_NPZ_BYTES = 1_000_000_000
_NAME = re.compile(
    rf"(?P<entrant>{NAME_PATTERN})-(?P<peer>0|[1-9][0-9]{{0,3}})"
    rf"\.(?P<suffix>{'|'.join(map(re.escape, RESULT_SUFFIXES))})"
)
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/=]+):")
_ZIP = b"PK\x03\x04"


class Intake:
    """Takes results in.

    Args:
        store: where they go.
        conductor: says which runs there are and whether one is open.
    """

    def __init__(self, store: Store, conductor: Conductor) -> None:
        self._store, self._conductor = store, conductor
        self._busy: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()

    async def put(
        self, run_id: str, name: str, digest: str | None, body: AsyncIterator[bytes]
    ) -> int:
        """Take one file; return 201 when it is new, 200 when it was there already.

        Args:
            run_id: the run.
            name: `{entrant}-{peer}.` and one of `RESULT_SUFFIXES`.
            digest: `Content-Digest` (RFC 9530) with `sha-256`.
            body: the content, in chunks of any size.

        Raises:
            RefusedError: 400 no or a wrong digest, 404 a name that is none of this run's, 409 other
                content under this name and the run is closed, 410 the peer is lost, 413 too
                large, 422 not what the name says.
        """
        index, kind = self._place(run_id, name)
        wanted = _sha256_of(digest)
        path = self._store.run_folder(run_id) / name
        most = MOST_JSON_BYTES if kind == "json" else MOST_NPZ_BYTES
        temporary, found = await self._receive(path, body, most)
        try:
            if found != wanted:
                raise RefusedError(
                    400, f"{name}: expected SHA-256 {wanted.hex()}, found {found.hex()}"
                )
            result = await asyncio.to_thread(self._check, temporary, run_id, index, kind)
            async with self._busy.setdefault(path, asyncio.Lock()):
                if path.exists():
                    if await asyncio.to_thread(file_sha256, path) == found.hex():
                        return 200
                    if not self._conductor.is_open(run_id) and not _by_rendezvous(path):
                        raise RefusedError(
                            409, f"{name}: run {run_id} is closed and has other content there"
                        )
                size = temporary.stat().st_size
                await asyncio.to_thread(atomic.commit, temporary, path)
                self._store.hashes.note(f"runs/{run_id}/{name}", found.hex(), size)
                if result is not None and doubles.is_double(result.system):
                    self._store.note_double(result.entrant)
                self._conductor.handed_in(run_id)
                return 201
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()

    def _place(self, run_id: str, name: str) -> tuple[int, str]:
        run, match = self._conductor.run(run_id), _NAME.fullmatch(name)
        if match is None or match["entrant"] != run.entrant:
            raise RefusedError(
                404,
                f"{name!r}: expected {run.entrant}-PEER. and one of {', '.join(RESULT_SUFFIXES)}",
            )
        roster = self._conductor.roster
        peer = roster.known(run.entrant, int(match["peer"]))
        refuse_lost(peer)
        if peer.info is not None:  # who sends again what was lost says hello after that
            roster.heard(peer.entrant, peer.index)
        return int(match["peer"]), match["suffix"]

    async def _receive(
        self, path: Path, body: AsyncIterator[bytes], most: int
    ) -> tuple[Path, bytes]:
        self._store.trouble.require()
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=atomic.TEMPORARY_PREFIX, dir=path.parent)
        hasher, size = hashlib.sha256(), 0
        try:
            with open(handle, "wb") as file:  # noqa: PTH123 (a descriptor, not a path)
                async for chunk in body:
                    size += len(chunk)
                    if size > most:
                        raise RefusedError(413, f"{path.name}: expected at most {most} bytes")
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
        said = (result.race_id, result.run_id, result.entrant, result.peer, result.role)
        meant = (self._store.info.race_id, run.id, run.entrant, index, run.role(index))
        if said != meant:
            raise RefusedError(422, f"expected a result of {meant}, found one of {said}")
        return result


class Listing:
    """The results folder for those who fetch it: every finished file, not the rendezvous' own."""

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


def _sha256_of(header: str | None) -> bytes:
    match: re.Match[str] | None = _DIGEST.search(header or "")
    with contextlib.suppress(binascii.Error):
        digest = base64.b64decode(match[1], validate=True) if match else b""
        if len(digest) == 32:
            return digest
    raise RefusedError(400, f"Content-Digest: expected sha-256=:BASE64:, found {header!r}")


def _by_rendezvous(path: Path) -> bool:
    if path.suffix != ".json":
        return False
    try:
        return BY_RENDEZVOUS in PeerResult.model_validate_json(path.read_bytes()).notes
    except ValueError:
        return False
