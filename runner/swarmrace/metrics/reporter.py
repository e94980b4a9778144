"""Connects metrics to a peer: gets every finished run, serves it and pushes it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from swarmrace.metrics import push
from swarmrace.metrics.sampler import Sampler, observed_curves
from swarmrace.peer.state import PeerState, ResultSink
from swarmrace.recording.arrivals import Curve
from swarmrace.recording.records import PeerResult

log = logging.getLogger(__name__)


class Reporter(ResultSink):
    """Keeps finished runs for the exporter and pushes them, outside the measured window.

    Errors here never affect the race: they are logged and counted.

    Args:
        pusher: pushes the runs; None to push nothing.
    """

    def __init__(self, pusher: push.Pusher | None = None) -> None:
        self.pusher = pusher
        self.sampler: Sampler | None = None

    async def finished(
        self, state: PeerState, result: PeerResult, curves: Mapping[str, Curve]
    ) -> None:
        """Serve the finished run's values from now on, and push it."""
        log.info("%s", summary(result))
        try:
            await self._report(result, curves)
        except Exception:
            log.exception("metrics: a finished run could not be reported (this is a bug)")

    async def flush(self, seconds: float) -> None:
        """Push the runs that could not be pushed before, within `seconds`."""
        if self.pusher is not None and self.pusher.pending:
            self._count(await self.pusher.flush(seconds))

    async def aclose(self) -> None:
        """Close the connection of the push."""
        if self.pusher is not None:
            await self.pusher.aclose()

    async def _report(self, result: PeerResult, curves: Mapping[str, Curve]) -> None:
        sampler = self.sampler
        if sampler is None:
            return
        observed = await asyncio.to_thread(observed_curves, result, curves)
        ended = sampler.add_ended(result, observed)
        if self.pusher is not None:
            data = await asyncio.to_thread(
                lambda: push.text(push.run_samples(sampler, ended, observed))
            )
            self._count(await self.pusher.send(result.run_id, data))

    def _count(self, sent: int) -> None:
        assert self.sampler is not None
        assert self.pusher is not None
        self.sampler.pushes["sent"] += sent
        self.sampler.pushes["failed"] += len(self.pusher.pending)


def summary(result: PeerResult) -> str:
    """Return one line about a peer's part in a run."""
    text = f"run {result.run_id}: {result.role} {result.peer} {result.outcome}"
    if result.failure is not None:
        failure = result.failure
        text += f" in {failure.stage}: {failure.reason}"
        return f"{text}: {failure.detail}" if failure.detail else text
    if result.transfer is not None and result.transfer.done_seconds is not None:
        text += f", done in {result.transfer.done_seconds:.3f} s"
    if result.publish is not None:
        text += f", published in {result.publish.seconds:.3f} s"
    return text
