"""A client of the cluster's API for use in a pod, with the pod's service account.

The runner's image has no kubectl, and a sweep under Argo CD needs only a few calls.
"""

from __future__ import annotations

import base64
import os
import secrets
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import tenacity

from swarmrace.errors import UnavailableError
from swarmrace.host.sockets import url_host

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""A pod's folder with its account's token, the API's certificate and the namespace."""
_MERGE = {"content-type": "application/merge-patch+json"}
_PATIENCE_SECONDS = 60.0
_TOKEN_BYTES = 30


class PodApi:
    """The API of this pod's cluster.

    Args:
        account: the folder with `token`, `ca.crt` and `namespace`.
        base: the API's address; from the pod's environment by default.
        patience_seconds: how long to retry while the API is unreachable.

    All calls raise:
        UnavailableError: the API can't be reached, or refuses.
    """

    def __init__(
        self,
        account: Path = ACCOUNT,
        base: str | None = None,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        try:
            self.namespace = (account / "namespace").read_text().strip()
            self._token_file, certificate = account / "token", account / "ca.crt"
            self._token_file.read_text()
            trusted = ssl.create_default_context(cafile=certificate) if base is None else True
        except OSError as error:
            raise UnavailableError(
                f"{account}: found no service account ({error.strerror}), expected a pod's; the "
                "chart app-of-apps mounts it"
            ) from error
        self._base = base or _address()
        self._client = httpx.Client(
            base_url=self._base, verify=trusted, trust_env=False, auth=self._authorize
        )
        self._patience_seconds = patience_seconds

    def label_job(self, name: str, labels: Mapping[str, str]) -> None:
        """Add labels to a Job."""
        self._patch(f"{self._jobs}/{name}", {"metadata": {"labels": dict(labels)}})

    def labels_of_job(self, name: str) -> dict[str, str]:
        """Return the labels of a Job."""
        head = self._ask("GET", f"{self._jobs}/{name}")["metadata"]
        return dict(head.get("labels") or {})

    def scale(self, deployment: str, replicas: int) -> None:
        """Set a Deployment's number of pods."""
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{deployment}/scale"
        self._patch(path, {"spec": {"replicas": replicas}})

    def pods(self, labels: str) -> list[dict[str, Any]]:
        """Return the pods that match a label selector."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        items: list[dict[str, Any]] = self._ask("GET", path, params={"labelSelector": labels})[
            "items"
        ]
        return items

    def config_map(self, namespace: str, name: str) -> dict[str, str]:
        """Return the data of a ConfigMap."""
        found = self._ask("GET", f"/api/v1/namespaces/{namespace}/configmaps/{name}")
        return dict(found.get("data") or {})

    def fill_secret(self, name: str, key: str) -> bool:
        """Put a random token under `key` into a Secret unless it has one; return whether it did.

        The Secret exists already, without data: its manifest needs no random function, so Argo CD
        finds no difference between the manifest and the Secret.
        """
        path = f"/api/v1/namespaces/{self.namespace}/secrets/{name}"
        if (self._ask("GET", path).get("data") or {}).get(key):
            return False
        token = base64.b64encode(secrets.token_urlsafe(_TOKEN_BYTES).encode()).decode()
        self._patch(path, {"data": {key: token}})
        return True

    @property
    def _jobs(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.namespace}/jobs"

    def _patch(self, path: str, body: Mapping[str, Any]) -> None:
        self._ask("PATCH", path, json=body, headers=_MERGE)

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_delay(self._patience_seconds),
            wait=tenacity.wait_exponential(0.2, max=5),
            retry=tenacity.retry_if_exception(_is_temporary),
            reraise=True,
        )
        try:
            return retrying(self._ask_once, method, path, **options)
        except httpx.HTTPStatusError as error:
            raise UnavailableError(
                f"{method} {path}: found {error.response.status_code} "
                f"({_message(error.response)}), expected the cluster's API to allow it"
            ) from error
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"{self._base}: found {error}, expected an answer of the cluster's API; a "
                "NetworkPolicy may block this pod (networkPolicy.apiPorts)"
            ) from error

    def _ask_once(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = self._client.request(method, path, **options)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _authorize(self, request: httpx.Request) -> httpx.Request:
        token = self._token_file.read_text().strip()  # kubelet renews it
        request.headers["authorization"] = f"Bearer {token}"
        return request


def _is_temporary(error: BaseException) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500 or error.response.status_code == 429
    return isinstance(error, httpx.TransportError)


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase


def _address() -> str:
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
    if not host:
        raise UnavailableError(
            "KUBERNETES_SERVICE_HOST: found none, expected the address of the cluster's API; this "
            "command only works in a pod"
        )
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    return f"https://{url_host(host)}:{port}"
