"""A peer's side of the rendezvous: every call waits out a rendezvous that is away for a while."""

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
    """One peer's connection to the rendezvous. All calls are repeated and fail as a `Caller`'s.

    Args:
        url: `http://host:port`, or `unix:/path` for a unix socket.
        race_id: the race this peer belongs to.
        entrant: its entrant's name.
        peer: its index.
        clock: this peer's clock.
        token: bearer token, where the rendezvous demands one.
        transport: instead of a network, for tests (`httpx.ASGITransport`).
        patience_seconds: how long the rendezvous may be away.
        first_patience_seconds: how long it may take to answer at all, where that is longer: its
            pod may come last.
        keep_dir: where results are kept until `forget`, for a rendezvous that returns without them.
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
        self._returning, self._returns = asyncio.Lock(), 0

    async def hello(self, info: PeerInfo) -> None:
        """Report for the race. Repeating it is harmless."""
        self._info = info
        await self._call("PUT", self._me, json=info.model_dump(mode="json"))

    async def estimate_offset(self) -> Offset:
        """Return the rendezvous' clock relative to ours (`theirs` is the rendezvous).

        Where both read the very same clock (CLOCK_MONOTONIC of one kernel, in one time
        namespace), the offset is 0 and exact.
        """
        identity = None

        async def ask() -> int:
            nonlocal identity
            answer = await self._json("GET", "clock")
            identity = answer.get("identity")
            return int(answer["now_ns"])

        offset = await estimate_offset(self._clock, ask)
        same = identity is not None and isinstance(self._clock, SystemClock)
        if same and identity == clock_identity() and abs(offset.offset_ns) <= offset.error_ns + 1:
            return Offset(0, 0)
        return offset

    async def arrive(self, run_id: str, barrier: str, failure: Failure | None = None) -> Release:
        """Arrive at a barrier and wait, however long, until it is released.

        Args:
            run_id: the run.
            barrier: one of `definitions.BARRIERS`.
            failure: why this peer arrives without having done its stage; None when it has.
        """
        body: dict[str, Any] = {"run_id": run_id, "barrier": barrier}
        if failure is not None:
            body["failure"] = failure.model_dump(mode="json")
        while True:
            answer = await self._json("POST", f"{self._me}/arrive", json=body)
            if "go" in answer:
                release = Release.from_json(answer)
                self._keeper.heard(run_id, release)
                return release

    async def heartbeat(self, run_id: str | None, stage: str, progress_bytes: int) -> Heartbeat:
        """Say what this peer is at; hear whether its run goes on."""
        body = {"run_id": run_id, "stage": stage, "progress_bytes": progress_bytes}
        answer = await self._json("POST", f"{self._me}/heartbeat", json=body)
        return Heartbeat.from_json(answer)

    async def put_reference(self, run_id: str, rank: int, reference: Mapping[str, Any]) -> None:
        """Post a seeder's content reference. Post before arriving at the barrier after it."""
        await self._call("PUT", f"runs/{run_id}/references/{rank}", json=dict(reference))

    async def references(self, run_id: str) -> list[Reference]:
        """Return the references posted so far, in rank order: the first seeder's once `first` is
        released, all of them once `published` is."""
        found = await self._json("GET", f"runs/{run_id}/references")
        return list(found["references"])

    def board(self, run_id: str) -> Board:
        """Return the board of a run, for the system's own arrangements."""
        return _Board(self, run_id)

    async def put_files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Hand in files by name (`result_name`); on return they are on the rendezvous' disk."""
        await asyncio.to_thread(self._keeper.keep, run_id, files)
        for name, data in files.items():
            await self._call("PUT", f"results/{run_id}/{name}", **upload_of(data))

    async def put_result(self, result: PeerResult, files: Mapping[str, bytes] = _NONE) -> None:
        """Hand in this peer's part in a run, after those of its files that are not there yet."""
        name = result_name(result.entrant, result.peer)
        text = result.model_dump_json(indent=1).encode()
        await self.put_files(result.run_id, {**files, name: text})

    async def goodbye(self, reason: str | None = None) -> None:
        """Take leave: without a reason when done, with one when ended early (then it is lost).

        A rendezvous that is gone already is no error here.
        """
        with contextlib.suppress(RendezvousError):
            await self._call(
                "POST",
                f"{self._me}/goodbye",
                json={"reason": reason},
                patience_seconds=min(_GOODBYE_SECONDS, self._patience_seconds),
            )

    async def report_lost(self, entrant: str, peer: int, detail: str) -> None:
        """Report that another peer's process is gone."""
        await self._call("POST", f"peers/{entrant}/{peer}/lost", json={"detail": detail})

    async def status(self) -> dict[str, Any]:
        """Return the state of the race, for a display (docs/rendezvous.md)."""
        return await self._json("GET", "status")

    async def interrupt(self) -> None:
        """End the race: the run in flight is aborted, later ones are not raced."""
        await self._call("POST", "interrupt")

    @contextlib.asynccontextmanager
    async def preflight_lease(self) -> AsyncIterator[None]:
        """Hold one of the few places for measuring rates, so that few measure at a time."""
        while not (await self._json("POST", f"{self._me}/preflight-lease"))["granted"]:
            pass
        try:
            yield
        finally:
            await self._call("DELETE", f"{self._me}/preflight-lease")

    async def preflight_upload(self, size_bytes: int, skip_bytes: int = 0) -> float:
        """Send `size_bytes` and return bytes per second as the rendezvous received them, the
        first `skip_bytes` (a shaper's burst) left out."""

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
        """Receive `size_bytes` and return bytes per second as received here, the first
        `skip_bytes` left out."""
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
        """Remove what was kept of the results."""
        self._keeper.forget()

    async def _told_again(self) -> bool:
        if self._info is None:
            return False
        await self._return(self._returns)
        return True

    async def _return(self, returns: int) -> None:
        """Hand a rendezvous that knows nothing of this peer what it lacks, then report again."""
        async with self._returning:
            if returns != self._returns:
                return  # another call has done it meanwhile
            assert self._info is not None
            there = (await self._checked(await self._http.get(self._me))).json()["results"]
            for name, file in self._keeper.lacking(there):
                upload = upload_of(await asyncio.to_thread(file.read_bytes))
                await self._checked(await self._http.put(f"results/{name}", **upload))
            runs = {run_id: claim.model_dump() for run_id, claim in self._keeper.claims.items()}
            body = {**self._info.model_dump(mode="json"), "runs": runs}
            await self._checked(await self._http.put(self._me, json=body))
            self._returns += 1


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
