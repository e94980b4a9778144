"""The daemon's RPC: `torrent-add`, `torrent-get`, `torrent-remove`, `session-get`.

Source: extras/rpc-spec.txt of Transmission 3.00 (RPC version 16).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import httpx

from swarmrace.errors import Reason, TransferError

_HEADER = "X-Transmission-Session-Id"
_TIMEOUT_SECONDS = 30.0
_RETRY_SECONDS = 0.02


class DaemonUnreachableError(TransferError):
    """The daemon gave no readable answer: retry, or check whether it is alive."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.REFUSED, detail)


class TransmissionRpc:
    """A daemon's RPC.

    Args:
        url: `http://host:port`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = ""
        self._client = httpx.AsyncClient(
            base_url=url,
            trust_env=False,
            timeout=_TIMEOUT_SECONDS,
            limits=httpx.Limits(max_connections=4),
        )

    async def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Return the arguments of the answer.

        Args:
            method: `torrent-get`.
            arguments: by their RPC names, with `_` in place of `-`.

        Raises:
            UnreachableError: no answer, or an unreadable one.
            TransferError: the daemon refused.
        """
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        body = {"method": method, "arguments": named}
        try:
            response = await self._post(body)
            if response.status_code == httpx.codes.CONFLICT:  # the session's id is needed
                self._session = response.headers.get(_HEADER, "")
                response = await self._post(body)
            answer = response.raise_for_status().json()
            result, found = answer["result"], answer.get("arguments", {})
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            text = f"{type(error).__name__}: {error}".rstrip(": ")
            raise DaemonUnreachableError(f"transmission: {method} at {self.url}: {text}") from error
        if result != "success":
            raise TransferError(Reason.REFUSED, f"transmission: {method}: {result}")
        return dict(found)

    async def torrent(self, info_hash: str, fields: Sequence[str]) -> dict[str, Any]:
        """Return fields of one torrent.

        Raises:
            UnreachableError: no answer.
            TransferError: the daemon doesn't have it.
        """
        found = await self.call("torrent-get", ids=[info_hash], fields=list(fields))
        torrents = found.get("torrents")
        if not torrents:
            raise TransferError(
                Reason.REFUSED, f"transmission: expected torrent {info_hash}, found none"
            )
        return dict(torrents[0])

    async def answering(self) -> str:
        """Return the daemon's version once it answers. The caller sets a time limit."""
        while True:
            with contextlib.suppress(DaemonUnreachableError):
                return str((await self.call("session-get"))["version"])
            await asyncio.sleep(_RETRY_SECONDS)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _post(self, body: dict[str, Any]) -> httpx.Response:
        headers = {_HEADER: self._session}
        return await self._client.post("/transmission/rpc", json=body, headers=headers)
