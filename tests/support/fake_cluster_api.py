"""The part of a cluster's API that a sweep's pods ask, over HTTP, with what it was told."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TOKEN = "the-pods-own"


@dataclass
class ClusterApi:
    """What it holds, by path; a path that isn't in it is refused as RBAC refuses."""

    address: str = ""
    account: Path = Path()
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    away: int = 0
    """So many further requests are answered with 503."""

    def answer(self, method: str, target: str, body: Any, bearer: str) -> tuple[int, Any]:
        parts = urlsplit(target)
        self.asked.append((method, target))
        if self.away:
            self.away -= 1
            return 503, {"message": "etcd is away"}
        if bearer != f"Bearer {TOKEN}":
            return 401, {"message": "Unauthorized"}
        if parts.path not in self.objects:
            return 403, {"message": f"{parts.path} is forbidden"}
        if method == "PATCH":
            merge(self.objects[parts.path], body)
        return 200, self.objects[parts.path]


def merge(into: dict[str, Any], patch: dict[str, Any]) -> None:
    """RFC 7396, without removals."""
    for key, value in patch.items():
        if isinstance(value, dict):
            merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


@contextlib.contextmanager
def cluster_api(folder: Path) -> Iterator[ClusterApi]:
    """Serve it, with a pod's account in `folder`."""
    api = ClusterApi(account=folder)
    for name, text in {"token": TOKEN, "namespace": "races", "ca.crt": ""}.items():
        (folder / name).write_text(f"{text}\n")

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            bearer = self.headers.get("authorization", "")
            status, answer = api.answer(self.command, self.path, body, bearer)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PATCH = handle_any  # noqa: N815 (http.server's names)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    api.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
