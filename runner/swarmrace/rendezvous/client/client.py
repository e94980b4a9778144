"""A peer's side of the rendezvous. Every call waits for a rendezvous that is away for a while."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from swarmrace.clock import Clock, Offset, SystemClock, estimate_offset
from swarmrace.errors import RendezvousError, TransferError
from swarmrace.recording.records import Failure, PeerInfo, PeerResult
from swarmrace.rendezvous.client.calls import Caller, LostError, Unavailable
from swarmrace.rendezvous.client.keeping import Keeper, upload_of
from swarmrace.rendezvous.messages import Heartbeat, Release, clock_identity, result_name
from swarmrace.systems.abc import Board, Reference

__all__ = ["Heartbeat", "LostError", "Release", "RendezvousClient", "result_name"]

_GOODBYE_SECONDS = 3.0
_NONE: Mapping[str, bytes] = {}


class RendezvousClient(Caller):
    """One peer's connection to the rendezvous. Calls are repeated and fail as described in
    `Caller`.

    Args:
        url: `http://host:port`, or `unix:/path` for a unix socket.
        race_id: the race this peer belongs to.
        entrant: its entrant's name.
        peer: its index.
        clock: this peer's clock.
        token: bearer token, if the rendezvous requires one.
        transport: replaces the network in tests (`httpx.ASGITransport`).
        patience_seconds: how long the rendezvous may be away.
        first_patience_seconds: how long its first answer may take, if that is longer: its pod may
            start last.
        keep_dir: where uploads are kept until `forget`, for a rendezvous that returns without them.
    """

    def __init__(
        self,
        url: str,
        race_id: str,
        entrant: str,
        peer: int,
        clock: Clock,
        *,
        token: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        patience_seconds: float = 120.0,
        first_patience_seconds: float = 0.0,
        keep_dir: Path | None = None,
    ) -> None:
        super().__init__(
            url,
            race_id,
            token=token,
            transport=transport,
            patience_seconds=patience_seconds,
            first_patience_seconds=first_patience_seconds,
        )
        self.entrant, self.peer = entrant, peer
        self._clock = clock
        self._me = f"peers/{entrant}/{peer}"
        self._info: PeerInfo | None = None
        self._keeper = Keeper(keep_dir)
        self._restoring, self._restored = asyncio.Lock(), 0

    async def hello(self, info: PeerInfo) -> None:
        """Report for the race. Repeating it is harmless."""
        self._info = info
        await self._call("PUT", self._me, json=info.model_dump(mode="json"))

    async def estimate_offset(self) -> Offset:
        """Return the rendezvous' clock relative to ours (`theirs` is the rendezvous).

        If both read the same clock (CLOCK_MONOTONIC of one kernel in one time namespace), the
        offset is exactly 0, as one exchange shows.
        """
        identity = None

        async def ask() -> int:
            nonlocal identity
            answer = await self._json("GET", "clock")
            identity = answer.get("identity")
            return int(answer["now_ns"])

        if isinstance(self._clock, SystemClock):
            offset = await estimate_offset(self._clock, ask, samples=1)
            same = identity is not None and identity == clock_identity()
            if same and abs(offset.offset_ns) <= offset.error_ns + 1:
                return Offset(0, 0)
        return await estimate_offset(self._clock, ask)

    async def arrive(self, run_id: str, barrier: str, failure: Failure | None = None) -> Release:
        """Arrive at a barrier and wait until it is released, however long that takes.

        Args:
            run_id: the run.
            barrier: one of `definitions.BARRIERS`.
            failure: why this peer's stage failed, or None if it succeeded.
        """
        body: dict[str, Any] = {"run_id": run_id, "barrier": barrier}
        if failure is not None:
            body["failure"] = failure.model_dump(mode="json")
        while True:
            answer = await self._json("POST", f"{self._me}/arrive", json=body)
            if "go" in answer:
                release = Release.from_json(answer)
                self._keeper.note_release(run_id, release)
                return release

    async def heartbeat(self, run_id: str | None, stage: str, progress_bytes: int) -> Heartbeat:
        """Report this peer's stage and progress; return whether its run continues."""
        body = {"run_id": run_id, "stage": stage, "progress_bytes": progress_bytes}
        answer = await self._json("POST", f"{self._me}/heartbeat", json=body)
        return Heartbeat.from_json(answer)

    async def put_reference(self, run_id: str, rank: int, reference: Mapping[str, Any]) -> None:
        """Post a seeder's content reference. Post before arriving at the barrier after it."""
        await self._call("PUT", f"runs/{run_id}/references/{rank}", json=dict(reference))

    async def references(self, run_id: str) -> list[Reference]:
        """Return the references posted so far, in rank order: the first seeder's after the release
        of `first`, all of them after that of `published`."""
        found = await self._json("GET", f"runs/{run_id}/references")
        return list(found["references"])

    def board(self, run_id: str) -> Board:
        """Return the board of a run, for the system's own arrangements."""
        return _Board(self, run_id)

    async def put_files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Upload files by name (`result_name`); on return they are on the rendezvous' disk."""
        await asyncio.to_thread(self._keeper.keep, run_id, files)
        for name, data in files.items():
            await self._call("PUT", f"results/{run_id}/{name}", **upload_of(data))

    async def put_result(self, result: PeerResult, files: Mapping[str, bytes] = _NONE) -> None:
        """Upload this peer's result of a run, after its files that aren't uploaded yet."""
        name = result_name(result.entrant, result.peer)
        text = result.model_dump_json(indent=1).encode()
        await self.put_files(result.run_id, {**files, name: text})

    async def goodbye(self, reason: str | None = None) -> None:
        """Leave the race: without a reason when done, with one when ended early (then as lost).

        A rendezvous that no longer answers is no error here.
        """
        with contextlib.suppress(RendezvousError):
            await self._call(
                "POST",
                f"{self._me}/goodbye",
                json={"reason": reason},
                patience_seconds=min(_GOODBYE_SECONDS, self._patience_seconds),
            )

    async def report_lost(self, entrant: str, peer: int, detail: str) -> None:
        """Report that another peer's process has ended."""
        await self._call("POST", f"peers/{entrant}/{peer}/lost", json={"detail": detail})

    async def status(self) -> dict[str, Any]:
        """Return the state of the race, for display (docs/rendezvous.md)."""
        return await self._json("GET", "status")

    async def interrupt(self) -> None:
        """End the race: the run in flight is aborted, later ones are not raced."""
        await self._call("POST", "interrupt")

    @contextlib.asynccontextmanager
    async def preflight_lease(self) -> AsyncIterator[None]:
        """Hold one of a few leases, so that only a few peers measure their rates at a time."""
        while not (await self._json("POST", f"{self._me}/preflight-lease"))["granted"]:
            pass
        try:
            yield
        finally:
            await self._call("DELETE", f"{self._me}/preflight-lease")

    async def preflight_upload(self, size_bytes: int, skip_bytes: int = 0) -> float:
        """Send `size_bytes` and return the rate at which the rendezvous received them, in bytes
        per second, excluding the first `skip_bytes` (a rate limiter's burst)."""

        async def body() -> AsyncIterator[bytes]:
            left, chunk = size_bytes, bytes(65_536)
            while left > 0:
                yield chunk[:left]
                left -= len(chunk)

        response = await self._call(
            "POST",
            "preflight",
            params={"skip": skip_bytes},
            content=body,
            headers={"content-length": str(size_bytes)},
            timeout=None,
        )
        return float(response.json()["bytes_per_second"])

    async def preflight_download(self, size_bytes: int, skip_bytes: int = 0) -> float:
        """Receive `size_bytes` and return the rate at which they arrived here, in bytes per
        second, excluding the first `skip_bytes`."""
        try:
            async with self._http.stream(
                "GET", "preflight", params={"bytes": size_bytes}, timeout=httpx.Timeout(60.0)
            ) as response:
                await self._checked(response)
                received, began = 0, (0, self._clock.now_ns())
                async for chunk in response.aiter_raw():
                    received += len(chunk)
                    if began[0] == 0 and received > skip_bytes > 0:
                        began = received, self._clock.now_ns()
        except (httpx.TransportError, Unavailable) as error:
            raise RendezvousError(
                f"{self.url}: expected {size_bytes} bytes to measure the download by, found "
                f"{str(error) or type(error).__name__}; see whether the rendezvous runs"
            ) from error
        elapsed_ns = self._clock.now_ns() - began[1]
        return (received - began[0]) / max(elapsed_ns, 1) * 1e9

    async def files(self) -> list[dict[str, Any]]:
        """Return the results folder's files: `path`, `size_bytes`, `sha256`."""
        return list((await self._json("GET", "files", timeout=600.0))["files"])

    async def download(self, path: str) -> bytes:
        """Return one file of the results folder."""
        return (await self._call("GET", f"files/{quote(path)}")).content

    def forget(self) -> None:
        """Remove the uploads that were kept."""
        self._keeper.forget()

    async def _report_again(self) -> bool:
        if self._info is None:
            return False
        await self._restore(self._restored)
        return True

    async def _restore(self, restored: int) -> None:
        """Upload what a rendezvous that has forgotten this peer lacks, then say hello again."""
        async with self._restoring:
            if restored != self._restored:
                return  # another call has done it meanwhile
            assert self._info is not None
            stored = (await self._checked(await self._http.get(self._me))).json()["results"]
            for name, file in self._keeper.missing_files(stored):
                upload = upload_of(await asyncio.to_thread(file.read_bytes))
                await self._checked(await self._http.put(f"results/{name}", **upload))
            runs = {run_id: claim.model_dump() for run_id, claim in self._keeper.claims.items()}
            body = {**self._info.model_dump(mode="json"), "runs": runs}
            await self._checked(await self._http.put(self._me, json=body))
            self._restored += 1


class _Board:
    """`systems.abc.Board` over HTTP."""

    def __init__(self, client: RendezvousClient, run_id: str) -> None:
        self._client, self._run_id = client, run_id

    async def put(self, key: str, value: Any) -> None:
        await self._client._call("PUT", self._path(key), json=value)

    async def get(self, key: str) -> Any:
        while True:
            answer = await self._client._json("GET", self._path(key))
            if "value" in answer:
                return answer["value"]
            if "ended" in answer:
                failure = Failure.model_validate(answer["ended"])
                raise TransferError(failure.reason, failure.detail)

    def _path(self, key: str) -> str:
        return f"runs/{self._run_id}/board/{quote(key, safe='')}"
