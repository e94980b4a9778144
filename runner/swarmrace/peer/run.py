"""One peer's part in one run: prepare, publish, settle, race, serve, verify, remove, upload."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from typing import Any

from swarmrace.clock import Offset
from swarmrace.errors import Reason
from swarmrace.host import limits
from swarmrace.host.load import LoadMeter
from swarmrace.host.priority import lower_priority, raise_priority
from swarmrace.host.usage import UsageMeter
from swarmrace.host.wall_clock import WallClock
from swarmrace.network.counters import WireMeter
from swarmrace.network.wire_recorder import WireRecorder
from swarmrace.peer import transfer
from swarmrace.peer.blame import DeclaredNeeds
from swarmrace.peer.parts import PeerParts
from swarmrace.peer.stages import Stages
from swarmrace.peer.transfer import failure_of
from swarmrace.recording.arrivals import Curve, Origin
from swarmrace.recording.connections import ConnectionSeries
from swarmrace.recording.payload import Payload
from swarmrace.recording.records import Failure, PeerResult, Publish, Waiting
from swarmrace.rendezvous.client.client import Release
from swarmrace.systems.abc import Record, Reference
from swarmrace.systems.run import Run

_BASE_SECONDS = 0.05
"""Counters are read this long before the start, plus a millisecond for each peer: reading them
later would delay it. The figures include what an idle peer's wire carries until the start."""


class PeerRun:
    """One peer's part in one run."""

    def __init__(self, peer: PeerParts, run: Run, waiting: Waiting) -> None:
        self.peer = peer
        self.run = run
        self.client = peer.client
        self.clock = peer.clock
        self.state = peer.state
        self.timeouts = peer.config.scenario.race.timeouts
        self.options = peer.config.scenario.entrants[run.entrant]
        self.role = run.role(peer.config.peer)
        self.rank = run.seeders.index(peer.config.peer) if self.role == "seeder" else None
        self.waiting = waiting
        self.prepared_recorder: WireRecorder | None = None
        self.wire_recorder: WireRecorder | None = None
        self.stamps = (0, 0, 0)
        self.notes: list[str] = []
        self.aborted: Failure | None = None
        self.missing_references: Failure | None = None
        """Set when the board lacks references, as only a restarted rendezvous does."""
        self.publish: Publish | None = None
        self.sha256: str | None = None
        self.curves: dict[str, Curve] = {}
        self.facts: dict[str, Any] = {}
        self.record: Record | None = None
        self.references: list[Reference] = []
        self.work_dir = peer.config.work_dir / run.id
        self.file = self.work_dir / "payload.bin"
        self.wall_clock = WallClock()
        seeder, work = self.role == "seeder", peer.config.work_dir
        self.blame = DeclaredNeeds(
            peer.config.scenario, run.entrant, work, seeder, self.wall_clock
        ).blame
        self.stages = Stages(peer.state, peer.clock, self.blame)

    async def participate(self) -> None:
        """Take part, from prepare to cleared."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        heartbeats = asyncio.create_task(self._send_heartbeats())
        try:
            release = await self._until_ready()
            if release is None or not release.go:
                lower_priority()
            if release is not None and release.go:
                await self._race(release)
            await self._clear_up()
            if self.stages.failure is not None:  # its state is unknown: the next run gets a new one
                await self.peer.slot.close()
        finally:
            lower_priority()
            heartbeats.cancel()
            if self.prepared_recorder is not None:
                self.prepared_recorder.close()
            self.state.record = self.state.wire = self.state.usage = None
        self.state.stage = "wait"
        # A failure of the machine after the transfer (no room to verify, say) ends the run.
        await self.client.arrive(self.run.id, "cleared", self._infrastructure_failure())

    def _infrastructure_failure(self) -> Failure | None:
        failure = self.stages.failure
        return failure if failure and failure.reason is Reason.INFRASTRUCTURE else None

    async def _until_ready(self) -> Release | None:
        """Prepare, publish and settle; return the release of `ready`, or None if it never came."""
        if self.role == "seeder":
            self.sha256 = await self.stages.run("make", self.timeouts.prepare_seconds, self._make)
        await self.stages.run("prepare", self.timeouts.prepare_seconds, self._prepare)
        if not await self._meet("prepared"):
            return None
        for barrier, publishes in (("first", self.rank == 0), ("published", bool(self.rank))):
            if publishes:
                await self._publish()
            if not await self._meet(barrier):
                return None
        references = await self._posted_references("settle", len(self.run.seeders))
        if references:
            self.references = [dict(entry["reference"]) for entry in references]
            self.sha256 = references[0]["sha256"]
            await self._settle()
        self.offset: Offset = await self.client.estimate_offset()
        self.prepared_recorder = self.peer.wire_recorder()  # now, because it may start a thread
        raise_priority()  # until the start stamp, or until it is known that none will come
        return await self._meet("ready")

    async def _race(self, release: Release) -> None:
        """Take part from the start signal until the run's last leecher has ended."""
        assert release.start_ns is not None
        usage, start_ns = UsageMeter(self.system.processes), self.offset.to_ours(release.start_ns)
        connected = ConnectionSeries(
            self.clock, start_ns, lambda: self.system.counters().connections
        )
        following = asyncio.create_task(connected.follow())
        # After the start, because beginning a thread can delay it.
        until_ns = start_ns - self.clock.now_ns() + round(usage.sample_seconds * 1e9)
        watching = asyncio.get_running_loop().call_later(until_ns / 1e9, usage.watch)
        self.wire_recorder = recorder = self.prepared_recorder
        if recorder is not None:
            recorder.start()  # early, so that it is sampling by the start
        try:
            async with recorder.reading() if recorder is not None else contextlib.nullcontext():
                await self._measured(start_ns, usage)
        finally:
            following.cancel()
            watching.cancel()
            self.facts["connected"] = connected.changes
            usage.close()

    async def _measured(self, start_ns: int, usage: UsageMeter) -> None:
        wire = (
            WireMeter(self.peer.control_bytes, self.peer.config.address)
            if self.peer.config.isolated
            else None
        )
        peers = self.peer.config.scenario.race.swarm_size
        await self.clock.sleep_until(start_ns - round((_BASE_SECONDS + peers / 1000) * 1e9))
        load = LoadMeter()
        for meter in (usage, wire, self.wire_recorder):
            if meter is not None:
                meter.start()
        connections = self.system.counters().connections
        if self.role == "seeder":
            lower_priority()
        self.stamps = start_ns, start_ns, start_ns
        self.state.usage, self.state.wire = usage.so_far, wire.stop if wire else None
        if self.role == "leecher":
            await self._fetch(start_ns, connections)
        self.state.stage, began_ns = "serve", self.clock.now_ns()
        # Not `_meet`: a transfer that has ended keeps its outcome, however the run ends.
        release = await self.client.arrive(self.run.id, "raced", self.stages.failure)
        self.stages.record("serve", began_ns, self.clock.now_ns())
        if not release.go and self.role == "seeder":
            self.stages.failure = self.stages.failure or release.failure
        if self.wire_recorder is not None:
            self.wire_recorder.finish()
        if wire is not None:
            recorder = self.wire_recorder
            dropped = None if recorder is None else recorder.dropped_packets
            self.facts["wire"] = measured = wire.stop(dropped)
            self.state.wire = lambda: measured
        figures = usage.stop()
        self.state.usage = lambda: figures
        self.facts["usage"], self.facts["load"] = figures, load.stop()
        self.facts["limits"] = limits.read(self.system.processes())
        with contextlib.suppress(Exception):
            async with asyncio.timeout(1):
                await self.system.refresh()
        self.facts["counters"] = self.system.counters().named(connections_at_start=connections)

    async def _fetch(self, start_ns: int, connections: int | None) -> None:
        record = Record(self.clock, self.run.size_bytes)
        record.connections_at_start = connections
        self.state.record, self.state.stage = record, "race"
        began_ns = self.clock.now_ns()
        stamp_ns, self.stages.failure = await transfer.race(
            self.system,
            self.references,
            record,
            self.timeouts,
            start_ns,
            lambda: self.aborted,
            self.blame,
            self.wire_recorder.read if self.wire_recorder is not None else None,
        )
        ended_ns = self.clock.now_ns()
        self.stages.record("race", began_ns, ended_ns)
        self.state.start_ns = stamp_ns
        self.record, self.stamps = record, (start_ns, stamp_ns, ended_ns)

    async def _clear_up(self) -> None:
        """Verify, remove, and have the result accepted."""
        if self.record is not None:
            await self._summarize(self.record)
        self._summarize_wire()
        await self._remove()
        self.state.stage, began_ns = "upload", self.clock.now_ns()
        origin = Origin(
            self.peer.config.race_id, self.run.id, self.run.entrant, self.peer.config.peer
        )
        files = await asyncio.to_thread(
            lambda: {self._file_name(n): curve.to_npz(origin) for n, curve in self.curves.items()}
        )
        await self.client.put_files(self.run.id, files)
        self.stages.record("upload", began_ns, self.clock.now_ns())
        result = self._result()  # last, so that it records every stage before it
        await self.client.put_result(result)
        await self.peer.sink.finished(self.state, result, self.curves)

    async def _remove(self) -> None:
        """Remove the content. A failed removal is only noted: the transfer's figures are kept."""
        outcome = self.stages.failure
        system = self.state.system
        if system is not None:
            with contextlib.suppress(Exception):
                self.facts["system"] = dict(system.describe())
            await self.stages.run(
                "remove", self.timeouts.verify_seconds, system.remove, always=True
            )
            if outcome is None and self.stages.node_died and self.role == "seeder":
                outcome = self.stages.failure  # it died while serving: the seeder has failed
            elif outcome is None and self.stages.failure is not None:
                self.notes.append(
                    f"remove: {self.stages.failure.reason}: {self.stages.failure.detail}"
                )
                await self.peer.slot.close()
            self.stages.failure = outcome
        await asyncio.to_thread(shutil.rmtree, self.work_dir, ignore_errors=True)

    async def _summarize(self, record: Record) -> None:
        start_ns, stamp_ns, ended_ns = self.stamps
        observes = self.peer.slot.spec.observes(self.options)
        self.notes.extend(record.notes)
        counted = self.wire_recorder.counted() if self.wire_recorder is not None else None
        try:
            figures, self.curves = await asyncio.to_thread(
                transfer.summarize, record, observes, start_ns, stamp_ns, ended_ns, counted
            )
        except ValueError as error:  # an impossible log is the system's defect, not ours
            self.stages.failure = self.stages.failure or failure_of(error, "race")
            return
        verified = None
        if self.stages.failure is None:
            verified = await self._verify()
        self.facts["transfer"] = figures.model_copy(
            update={
                "verified": verified,
                "start_error_seconds": self.offset.error_ns / 1e9,
                **{f"{name}_file": self._file_name(name) for name in self.curves},
            }
        )

    def _summarize_wire(self) -> None:
        if self.wire_recorder is None:
            return
        done_ns = (
            self.record.done_ns if self.record is not None and not self.stages.failure else None
        )
        found = self.wire_recorder.curve(self.stamps[1], done_ns, self._file_name("wire"))
        if found is not None:
            self.facts["wire_curve"], self.curves["wire"] = found
        else:
            self.notes.append("the wire curve was not recorded: no samples were taken")

    async def _verify(self) -> bool | None:
        """Return whether the stored content is the payload; None if it could not be checked."""
        digest = await self.stages.run("verify", self.timeouts.verify_seconds, self.system.digest)
        if digest is None:
            return None
        if (digest.size_bytes, digest.sha256) == (self.run.size_bytes, self.sha256):
            return True
        self.stages.failure = Failure(
            reason=Reason.WRONG_BYTES,
            stage="verify",
            detail=(
                f"expected {self.run.size_bytes} bytes with SHA-256 {self.sha256}, "
                f"found {digest.size_bytes} with {digest.sha256}"
            ),
        )
        return False

    async def _prepare(self) -> None:
        self.facts["started"] = "warm" if self.peer.slot.warm else "cold"
        self.system = self.peer.slot.system()
        await self.system.prepare(self.run)
        self.peer.slot.prepared = True

    async def _make(self) -> str:
        payload = Payload(self.run.payload_seed, self.run.size_bytes)
        return await asyncio.to_thread(payload.write, self.file)

    async def _publish(self) -> None:
        assert self.rank is not None
        system, first = self.system, None
        if self.rank > 0:
            references = await self._posted_references("publish", 1)
            if not references:
                return
            first = references[0]["reference"]
        began_ns = self.clock.now_ns()
        published = await self.stages.run(
            "publish", self.timeouts.publish_seconds, lambda: system.publish(self.file, first)
        )
        if published is None:
            return
        seconds = (self.clock.now_ns() - began_ns) / 1e9
        self.publish = Publish(seconds=seconds, rank=self.rank, steps=dict(published.steps))
        await self.client.put_reference(
            self.run.id, self.rank, {"reference": published.reference, "sha256": self.sha256}
        )

    async def _posted_references(self, stage: str, count: int) -> list[Reference]:
        """Return the references posted so far; if fewer than `count`, none, and record that."""
        references = await self.client.references(self.run.id)
        if len(references) >= count:
            return references
        detail = f"expected {count} references on the board, found {len(references)}"
        self.missing_references = Failure(reason=Reason.INTERNAL, stage=stage, detail=detail)
        return []

    async def _settle(self) -> None:
        """Settle. Reaching the time limit is only noted; a refusal is a failure."""
        await self.stages.run("settle", self.timeouts.settle_seconds, self.system.settle)
        if self.stages.failure is not None and self.stages.failure.reason is Reason.TIMEOUT:
            self.notes.append(f"settle ended at its limit of {self.timeouts.settle_seconds:g} s")
            self.stages.failure = None

    async def _meet(self, barrier: str) -> Release | None:
        """Meet the other peers; return the release, or None if the run goes no further."""
        release = await self.client.arrive(
            self.run.id, barrier, self.stages.failure or self.missing_references
        )
        if not release.go:
            reported = release.failure
            not_run = reported is not None and reported.reason is Reason.NOT_RUN
            own = self.missing_references if not_run else None
            self.stages.failure = self.stages.failure or own or reported
            return None
        return release

    async def _send_heartbeats(self) -> None:
        """Report this peer's stage at intervals, and learn whether the run was aborted."""
        # Rare enough that a large swarm's heartbeats cost no measurable CPU.
        interval = max(0.5, self.peer.config.scenario.race.swarm_size / 16)
        interval = min(interval, self.timeouts.heartbeat_seconds / 4)
        while True:
            await asyncio.sleep(interval)
            self.wall_clock.check()
            with contextlib.suppress(Exception):
                answer = await self.client.heartbeat(
                    self.run.id, self.state.stage, self.state.progress_bytes
                )
                self.aborted = self.aborted or answer.aborted

    def _result(self) -> PeerResult:
        failure = self.stages.failure
        return PeerResult(
            race_id=self.peer.config.race_id,
            run_id=self.run.id,
            entrant=self.run.entrant,
            peer=self.peer.config.peer,
            role=self.role,
            repetition=self.run.repetition,
            seed=self.peer.config.scenario.race.seed,
            payload_seed=self.run.payload_seed,
            size_bytes=self.run.size_bytes,
            sha256=self.sha256,
            outcome="completed" if failure is None else "failed",
            failure=failure,
            stages=self.stages.records,
            publish=self.publish,
            waiting=self.waiting,
            versions=self.peer.versions,
            notes=self.notes,
            **self.facts,
        )

    def _file_name(self, name: str) -> str:
        return f"{self.run.entrant}-{self.peer.config.peer}.{name}.npz"
