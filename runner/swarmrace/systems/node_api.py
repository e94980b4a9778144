"""Shared by the clients of nodes' HTTP interfaces: time limits of calls, and their errors."""

from __future__ import annotations

import abc
import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from swarmrace.errors import Reason, TransferError
from swarmrace.systems.abc import Digest
from swarmrace.systems.node import BrokenError, reports_full_disk

CONNECT_SECONDS = 5.0
SHORT_SECONDS = 10.0
"""Total limit of a call with little work."""
IDLE_SECONDS = 30.0
"""Maximum silence while reading back what the node itself stores."""

_CHUNK = 1 << 20


class UnreachableError(Exception):
    """The node doesn't answer: it refused or reset the connection, or exceeded the call's limit."""


class NodeClient(abc.ABC):
    """A client of one node. Its callers bound its calls; only connecting has a limit.

    Args:
        url: `http://host:port`.
        base_path: precedes every path.
    """

    def __init__(self, url: str, base_path: str = "") -> None:
        self.url = url.rstrip("/")
        self._client = httpx.AsyncClient(
            base_url=self.url + base_path,
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            trust_env=False,
            verify=url.startswith("https:"),  # reading the certificates costs 20 ms of CPU
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    @staticmethod
    @abc.abstractmethod
    def refusal(call: str, status: int, text: str) -> TransferError:
        """Return the failure of a call that the node answered with a status other than 200."""

    def _expect(self, response: httpx.Response, call: str) -> httpx.Response:
        if response.status_code != 200:
            raise self.refusal(call, response.status_code, response.text)
        return response

    @asynccontextmanager
    async def _stored(
        self, call: str, method: str, path: str, parameters: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """Open a body that the node itself stores, with a limit on silence.

        Raises:
            TransferError: the node refused it, or the connection broke.
        """
        timeout = httpx.Timeout(IDLE_SECONDS, connect=CONNECT_SECONDS)
        answered = False
        try:
            async with self._client.stream(
                method, path, params=parameters, timeout=timeout
            ) as response:
                if response.status_code != 200:
                    await response.aread()
                    self._expect(response, call)
                answered = True
                yield response
        except httpx.RemoteProtocolError as error:
            if not answered:
                raise broken(call, error) from error
            raise BrokenError(
                Reason.WRONG_BYTES, f"{call}: expected the whole body, found {error}"
            ) from error
        except httpx.ReadTimeout as error:
            raise TransferError(
                Reason.STALL, f"{call}: expected bytes, found silence for {IDLE_SECONDS:g} s"
            ) from error
        except httpx.TransportError as error:
            raise broken(call, error) from error


def refused(call: str, status: int, words: str) -> TransferError:
    """Return the failure of a call that the node answered with a status and these words."""
    return TransferError(
        Reason.DISK_FULL if reports_full_disk(words) else Reason.REFUSED,
        f"{call}: expected 200, found {status}{': ' if words else ''}{words}",
    )


async def answer_within(
    request: Awaitable[httpx.Response], call: str, seconds: float = SHORT_SECONDS
) -> httpx.Response:
    """Return the answer to a request, with any status.

    Args:
        request: awaited for at most `seconds`.
        call: its name in errors.
        seconds: its total limit.

    Raises:
        UnreachableError: no answer.
    """
    try:
        async with asyncio.timeout(seconds):
            return await request
    except httpx.TransportError as error:
        raise UnreachableError(f"{call}: {_describe(error)}") from error
    except TimeoutError as error:
        raise UnreachableError(f"{call}: no answer in {seconds:g} s") from error


def json_object(response: httpx.Response, call: str = "") -> dict[str, Any]:
    """Return the JSON object in an answer.

    Args:
        response: the answer.
        call: its name in errors; its URL if empty.

    Raises:
        UnreachableError: there is none.
    """
    call = call or str(response.url)
    try:
        found = response.json()
    except ValueError as error:
        raise UnreachableError(f"{call}: expected JSON, found {error}") from error
    if not isinstance(found, dict):
        raise UnreachableError(f"{call}: expected a JSON object")
    return found


def broken(call: str, error: httpx.TransportError) -> BrokenError:
    """Return the failure of a call whose connection broke before its answer."""
    return BrokenError(
        Reason.REFUSED, f"{call}: expected an answer, found the connection {_describe(error)}"
    )


async def chunks(file: Path) -> AsyncIterator[bytes]:
    """Read a file for an upload."""
    with file.open("rb", buffering=0) as source:
        while data := source.read(_CHUNK):
            yield data


async def digest_of(response: httpx.Response) -> Digest:
    """Return the digest of an answer's body, read to its end."""
    sha256, size_bytes = hashlib.sha256(), 0
    async for data in response.aiter_raw():
        size_bytes += len(data)
        sha256.update(data)
    return Digest(size_bytes, sha256.hexdigest())


def _describe(error: httpx.TransportError) -> str:
    return f"broken ({type(error).__name__}{': ' if str(error) else ''}{error})"
