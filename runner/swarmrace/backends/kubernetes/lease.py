"""One driver for each sweep on a cluster: a Lease, renewed while a driver lives.

Like client-go's leader election (kubernetes/client-go, tools/leaderelection) no clocks are
compared: a lease is stale when a whole duration has passed here without its being renewed.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from swarmrace.backends.kubernetes.tools import Tools
from swarmrace.errors import InfrastructureError, SweepError, UnavailableError

DURATION_SECONDS = 60
_RENEW_SECONDS = 15.0
_LOOK_SECONDS = 2.0


class Lease:
    """A Lease of the namespace.

    Args:
        tools: how the cluster is asked.
        name: of the Lease.
        holder: who asks for it; the same holder takes its own over at once.
        say: called with a line when it has to be waited for.
    """

    def __init__(self, tools: Tools, name: str, holder: str, say: Callable[[str], None]) -> None:
        self._tools, self._name, self._holder, self._say = tools, name, holder, say
        self._lost = ""
        self._ended = threading.Event()

    @contextlib.contextmanager
    def held(self, patience_seconds: float = 120.0) -> Iterator[Callable[[], None]]:
        """Hold the lease within the block; yield what raises once it is lost.

        Raises:
            SweepError: another driver renews it.
        """
        self._acquire(patience_seconds)
        renewing = threading.Thread(target=self._renew, daemon=True)
        renewing.start()
        try:
            yield self._still
        finally:
            self._ended.set()
            renewing.join()
            with contextlib.suppress(UnavailableError, InfrastructureError):
                if not self._lost:
                    self._tools.kubectl("delete", "lease", self._name, patience_seconds=0)

    def _still(self) -> None:
        """Raise when another driver has taken the sweep over.

        Raises:
            SweepError: it names it.
        """
        if self._lost:
            raise SweepError(f"lease {self._name}: was taken over by {self._lost}")

    def _acquire(self, patience_seconds: float) -> None:
        deadline = time.monotonic() + patience_seconds
        seen, since, said = "", time.monotonic(), False
        while True:
            found = self._read()
            if found is None:
                if self._write("create", self._made()):
                    return
                continue
            spec = found["spec"]
            if spec.get("renewTime") != seen:
                seen, since = spec.get("renewTime") or "", time.monotonic()
            stale = time.monotonic() - since > (spec.get("leaseDurationSeconds") or 0)
            if (stale or spec.get("holderIdentity") in (self._holder, "", None)) and self._write(
                "replace", self._made(found)
            ):
                return
            if time.monotonic() > deadline:
                raise SweepError(
                    f"lease {self._name}: is held by {spec.get('holderIdentity')}, which renews "
                    "it; wait for its end, or end it first"
                )
            if not said:
                said = True
                self._say(
                    f"lease {self._name} is held by {spec.get('holderIdentity')}: waiting whether "
                    f"it is still renewed (up to {patience_seconds:.0f} s)"
                )
            time.sleep(_LOOK_SECONDS)

    def _renew(self) -> None:
        while not self._ended.wait(_RENEW_SECONDS):
            with contextlib.suppress(UnavailableError, InfrastructureError):
                found = self._read()
                holder = (found or {}).get("spec", {}).get("holderIdentity")
                if found is not None and holder != self._holder:
                    self._lost = holder or "somebody"
                    return
                self._write("create" if found is None else "replace", self._made(found))

    def _read(self) -> dict[str, Any] | None:
        found = self._tools.kubectl(
            "get", "lease", self._name, "--ignore-not-found", "-o", "json", patience_seconds=600
        )
        return json.loads(found) if found.strip() else None

    def _made(self, found: dict[str, Any] | None = None) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        metadata: dict[str, Any] = {"name": self._name}
        if found is not None:  # so that only one of two that write at once is taken
            metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": self._holder,
                "leaseDurationSeconds": DURATION_SECONDS,
                "renewTime": now,
            },
        }

    def _write(self, verb: str, lease: dict[str, Any]) -> bool:
        """Write it; return False where another was faster."""
        try:
            self._tools.kubectl(verb, "-f", "-", given=json.dumps(lease), patience_seconds=600)
        except UnavailableError as error:
            if any(word in str(error) for word in ("AlreadyExists", "Conflict", "modified")):
                return False
            raise
        return True
