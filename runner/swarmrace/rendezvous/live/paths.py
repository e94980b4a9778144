"""The paths of the live page on the tracker, by Starlette. All of them only read."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from swarmrace.rendezvous.live.live import Live
from swarmrace.rendezvous.live.page import headers, page


def routes(race_id: str, live: Live) -> list[Route]:
    """Return the page's paths: `/live` leads to `/{race_id}/live/`, which reads `events` below.

    The addresses are relative, so that they hold below a release's hash too.
    """

    async def to_race(_: Request) -> Response:
        return RedirectResponse(f"{race_id}/live/")

    async def to_page(_: Request) -> Response:
        return RedirectResponse("live/")

    async def events(_: Request) -> Response:
        return Events(live.watch)

    return [
        Route("/live", to_race, methods=["GET"]),
        Route(f"/{race_id}/live", to_page, methods=["GET"]),
        Route(f"/{race_id}/live/", html, methods=["GET"]),
        Route(f"/{race_id}/live/events", events, methods=["GET"]),
    ]


async def html(_: Request) -> Response:
    """Answer with the page."""
    return Response(page(), headers=headers())


class Events(Response):
    """Streams events.

    Args:
        watch: answers the request.
    """

    def __init__(self, watch: ASGIApp) -> None:
        super().__init__()
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the client goes or the events end."""
        await self._watch(scope, receive, send)
