"""The page: one HTML file that holds its style and script, and the headers it is sent with."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

_STYLE, _SCRIPT = "/*STYLE*/", "/*SCRIPT*/"


@cache
def page() -> bytes:
    """Return the page. It holds nothing of a race: that arrives by events, as text."""
    style, script = _text("page.css"), _text("page.js")
    return _text("page.html").replace(_STYLE, style).replace(_SCRIPT, script).encode()


@cache
def headers() -> dict[str, str]:
    """Return its headers: the page may load nothing, and may connect only to its own server."""
    rules = {
        "default-src": "'none'",
        "style-src": _hash(_text("page.css")),
        "script-src": _hash(_text("page.js")),
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": "; ".join(f"{key} {value}" for key, value in rules.items()),
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }


def _text(name: str) -> str:
    return (files("swarmrace.rendezvous.live") / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
