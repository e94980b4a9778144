"""Calls to the rendezvous: repeated while it is away, with its refusals raised as errors."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import httpx
import tenacity

from swarmrace.errors import Exit, Fault, RendezvousError, ScenarioError, WrongRaceError
from swarmrace.rendezvous.client.wire import CountingTransport
from swarmrace.rendezvous.messages import INSTANCE_HEADER

_ANSWER_SECONDS = 30.0
"""Maximum wait for one answer; long polls are answered within 10 s."""
_FIRST_PAUSE_SECONDS = 0.3
"""Maximum pause between attempts until the first answer: a race begins only when the slowest peer
has noticed that its rendezvous is up."""


class LostError(RendezvousError):
    """The rendezvous has given up on this peer as lost; it must end."""


class StoppedError(RendezvousError):
    """The infrastructure has stopped the race; no more results are accepted."""

    exit_code = Exit.INFRASTRUCTURE


class Unavailable(Exception):
    """No usable answer; the call is repeated."""


class Caller:
    """A connection to the rendezvous.

    Every call is safe to repeat, and is repeated with growing pauses until the rendezvous answers.
    A call fails only after `patience_seconds` without any answer.

    Args:
        url: `http://host:port`, or `unix:/path` for a unix socket.
        race_id: the race.
        token: bearer token, if the rendezvous requires one.
        transport: replaces the network in tests (`httpx.ASGITransport`).
        patience_seconds: how long the rendezvous may be away.
        first_patience_seconds: how long its first answer may take, if that is longer.

    All calls raise:
        RendezvousError: no answer in time, or the request was refused.
        WrongRaceError: the rendezvous belongs to another race.
        LostError: the rendezvous has given up on this peer.
    """

    def __init__(
        self,
        url: str,
        race_id: str,
        *,
        token: str | None,
        transport: httpx.AsyncBaseTransport | None,
        patience_seconds: float,
        first_patience_seconds: float,
    ) -> None:
        self.url, self.race_id = url, race_id
        self._patience_seconds = patience_seconds
        self.first_patience_seconds = max(first_patience_seconds, patience_seconds)
        self._answered = False
        socket_path = url.removeprefix("unix:") if url.startswith("unix:") else None
        self._counting = CountingTransport(uds=socket_path) if transport is None else None
        headers = {INSTANCE_HEADER: uuid.uuid4().hex}
        if token:
            headers["authorization"] = f"Bearer {token}"
        base = "http://rendezvous" if socket_path else url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=f"{base}/{race_id}/",
            headers=headers,
            transport=transport or self._counting,
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=10.0),
            trust_env=False,
        )

    def control_bytes(self) -> tuple[int, int]:
        """Return the wire bytes (sent, received) of all connections of this client so far, open or
        closed, headers included. (0, 0) with a `transport`."""
        return self._counting.wire_bytes() if self._counting is not None else (0, 0)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _report_again(self) -> bool:
        """Report again to a rendezvous that has forgotten this peer; return whether there was
        anything to report."""
        return False

    async def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer: dict[str, Any] = (await self._call(method, path, **options)).json()
        return answer

    async def _call(
        self,
        method: str,
        path: str,
        *,
        patience_seconds: float | None = None,
        content: Any = None,
        **options: Any,
    ) -> httpx.Response:
        patience = patience_seconds
        if patience is None:
            patience = self._patience_seconds if self._answered else self.first_patience_seconds
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_delay(patience),
            wait=tenacity.wait_exponential_jitter(
                multiplier=0.05, max=2.0 if self._answered else _FIRST_PAUSE_SECONDS, jitter=0.1
            ),
            retry=tenacity.retry_if_exception_type((httpx.TransportError, Unavailable)),
            sleep=asyncio.sleep,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    return await self._send_once(method, path, content, options)
        except tenacity.RetryError as error:
            cause = error.last_attempt.exception()
            found = str(cause) or type(cause).__name__
            raise RendezvousError(
                f"{self.url}: expected an answer to {method} {path} within {patience:g} s, found "
                f"{found}; see whether the rendezvous runs and can be reached from here"
            ) from cause
        raise AssertionError("unreachable")

    async def _send_once(
        self, method: str, path: str, content: Any, options: dict[str, Any]
    ) -> httpx.Response:
        body = content() if callable(content) else content
        response = await self._http.request(method, path, content=body, **options)
        self._answered = True
        if response.status_code == 428 and await self._report_again():
            raise Unavailable("the rendezvous had forgotten this peer")
        return await self._checked(response)

    async def _checked(self, response: httpx.Response) -> httpx.Response:
        self._check(response, await _error_of(response))
        return response

    def _check(self, response: httpx.Response, error: dict[str, Any]) -> None:
        """Raise the error that an answer without success means."""
        if response.is_success:
            return
        status, text = response.status_code, error.get("error", response.reason_phrase)
        if isinstance(error.get("faults"), list):
            faults = [Fault("", str(fault)) for fault in error["faults"]]
            raise ScenarioError(faults, "the release's values")
        if error.get("stopped") is True:
            raise StoppedError(f"{self.url}: the race was stopped: {text}")
        if status >= 500:
            raise Unavailable(f"status {status}: {text}")
        if status == 409 and error.get("race_id", self.race_id) != self.race_id:
            raise WrongRaceError(
                f"{self.url}: expected race {self.race_id}, found race {error['race_id']}; this "
                "peer belongs to another race and must end"
            )
        if status == 410:
            raise LostError(f"{self.url}: {text}")
        raise RendezvousError(
            f"{self.url}: {response.request.method} {response.request.url.path} was refused with "
            f"{status}: {text}"
        )


async def _error_of(response: httpx.Response) -> dict[str, Any]:
    if response.is_success:
        return {}
    await response.aread()
    try:
        data = response.json()
    except json.JSONDecodeError:
        return {}
    return data if isinstance(data, dict) else {}
