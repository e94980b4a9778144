"""Only one driver at a time for a sweep on a cluster: a Lease that the driver renews.

As in client-go's leader election (kubernetes/client-go, tools/leaderelection), no clocks are
compared. A lease is stale if it isn't renewed for its whole duration, on the local clock. That
clock also counts the time in which this machine was suspended.
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
_POLL_SECONDS = 2.0


class Lease:
    """A Lease of the namespace.

    Args:
        tools: runs kubectl.
        name: name of the Lease.
        holder: identity of this holder, which may take over its own lease at once.
        report: called with a line if it has to wait for the lease.
    """

    def __init__(self, tools: Tools, name: str, holder: str, report: Callable[[str], None]) -> None:
        self._tools, self._name, self._holder, self._report = tools, name, holder, report
        self._lost = ""
        self._renewed_at = 0.0
        self._renewing = threading.Lock()
        self._ended = threading.Event()

    @contextlib.contextmanager
    def held(self, patience_seconds: float = 120.0) -> Iterator[Callable[[], None]]:
        """Hold the lease within the block; yield a function that raises once the lease is lost.

        Raises:
            SweepError: another driver renews it.
        """
        self._acquire(patience_seconds)
        self._renewed_at = _now()
        thread = threading.Thread(target=self._renew_until_ended, daemon=True)
        thread.start()
        try:
            yield self._raise_if_lost
        finally:
            self._ended.set()
            thread.join()
            with contextlib.suppress(UnavailableError, InfrastructureError):
                if not self._lost:
                    self._tools.kubectl("delete", "lease", self._name, patience_seconds=0)

    def _raise_if_lost(self) -> None:
        """Raise if another driver has taken over the lease.

        If it wasn't renewed for its whole duration, because this process or this machine was
        suspended or the cluster was away, the cluster is asked first.

        Raises:
            SweepError: it has; the message names it.
            InfrastructureError: the cluster can't be asked.
        """
        if not self._lost and _now() - self._renewed_at > DURATION_SECONDS:
            self._renew()
        if self._lost:
            raise SweepError(
                f"lease {self._name}: was taken over by {self._lost}, because it wasn't renewed "
                f"for {DURATION_SECONDS} s; this driver ends, and the other one goes on"
            )

    def _acquire(self, patience_seconds: float) -> None:
        deadline = _now() + patience_seconds
        seen, since, reported = "", _now(), False
        if self._write("create", self._manifest()):
            return
        while True:
            found = self._read()
            if found is None:
                if self._write("create", self._manifest()):
                    return
                continue
            spec = found["spec"]
            if spec.get("renewTime") != seen:
                seen, since = spec.get("renewTime") or "", _now()
            stale = _now() - since > (spec.get("leaseDurationSeconds") or 0)
            if (stale or spec.get("holderIdentity") in (self._holder, "", None)) and self._write(
                "replace", self._manifest(found)
            ):
                return
            if _now() > deadline:
                raise SweepError(
                    f"lease {self._name}: is held by {spec.get('holderIdentity')}, which renews "
                    "it; wait until it ends, or end it"
                )
            if not reported:
                reported = True
                self._report(
                    f"lease {self._name} is held by {spec.get('holderIdentity')}: waiting up to "
                    f"{patience_seconds:.0f} s to see if it is still renewed"
                )
            time.sleep(_POLL_SECONDS)

    def _renew_until_ended(self) -> None:
        while not self._lost and not self._ended.wait(_RENEW_SECONDS):
            with contextlib.suppress(UnavailableError, InfrastructureError):
                self._renew()

    def _renew(self) -> None:
        with self._renewing:
            found = self._read()
            holder = (found or {}).get("spec", {}).get("holderIdentity")
            if found is not None and holder != self._holder:
                self._lost = holder or "an unknown holder"
            elif self._write("create" if found is None else "replace", self._manifest(found)):
                self._renewed_at = _now()

    def _read(self) -> dict[str, Any] | None:
        found = self._tools.kubectl(
            "get", "lease", self._name, "--ignore-not-found", "-o", "json", patience_seconds=600
        )
        return json.loads(found) if found.strip() else None

    def _manifest(self, found: dict[str, Any] | None = None) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        metadata: dict[str, Any] = {"name": self._name}
        if found is not None:  # so that only one of two concurrent writes is accepted
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
        """Write the lease; return False if another driver was faster."""
        try:
            self._tools.kubectl(verb, "-f", "-", stdin=json.dumps(lease), patience_seconds=600)
        except UnavailableError as error:
            if any(word in str(error) for word in ("AlreadyExists", "Conflict", "modified")):
                return False
            raise
        return True


def _now() -> float:
    """Return seconds of a clock that no one sets and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
