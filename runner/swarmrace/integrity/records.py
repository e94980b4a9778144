"""Check records against each other and against the curves they were computed from.

This needs no hashes, so it works for folders of every format. Whatever the peer computed from a
curve is computed again from the stored curve, by the same code. What was stamped separately (done,
publish) is checked against its bounds.
"""

from __future__ import annotations

import math
import os
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from swarmrace.errors import ResultsError
from swarmrace.integrity import percent_records, wire_records
from swarmrace.integrity.by_cpu import each
from swarmrace.recording.arrivals import Curve, Int64s
from swarmrace.recording.records import (
    CURVES,
    MARK_PERCENTS,
    WIRE,
    CurveName,
    Mark,
    PeerResult,
    Transfer,
)
from swarmrace.results.folder import (
    Results,
    RunRecord,
    curve_faults,
    curve_files,
    missing_curve,
)

_ROUNDING = 2e-9
"""Marks are whole nanoseconds, stored as decimal seconds."""
_STAGE_SLACK_SECONDS = 0.05
"""How much longer than its stage a part of it may seem, as the clock is read twice."""
_PUBLISH_SLACK_SECONDS = 2.0
"""What the event loop of a busy machine may add to a publish stage, beyond the publish itself."""


class FolderFault(NamedTuple):
    """One fault of a results folder."""

    text: str
    """One line that names the file and, in a record, the key."""
    broken: bool
    """Whether a curve is missing, torn or another transfer's; otherwise it is a contradiction."""


def faults(results: Results) -> list[FolderFault]:
    """Return every contradiction in a folder and every unusable curve. It reads each curve once,
    so the folder may be loaded without curves."""
    return each(lambda record: _record_faults(results, record), results.runs)


def _record_faults(results: Results, record: RunRecord) -> list[FolderFault]:
    found = [FolderFault(f"runs/{record.run.id}/run.json: {text}", False) for text in _run(record)]
    present = _names(results.folder / "runs" / record.run.id)
    for number, peer in record.peers.items():
        curves, broken = _read(results, peer, present)
        name = f"runs/{record.run.id}/{peer.entrant}-{number}.json"
        found += [FolderFault(f"{name}: {text}", False) for text in _peer(record, peer, curves)]
        found += [FolderFault(text, True) for text in broken]
    return found


def _names(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except FileNotFoundError:
        return set()


def _read(
    results: Results, peer: PeerResult, present: Container[str]
) -> tuple[dict[CurveName, Curve], list[str]]:
    """Return a peer's curves by name, and the faults of its unusable ones.

    Args:
        results: the folder.
        peer: the peer's record.
        present: names of the files in its run's folder.
    """
    curves: dict[CurveName, Curve] = {}
    faults: list[str] = []
    for kind, file in curve_files(peer).items():
        if file.rpartition("/")[2] not in present:
            faults.append(missing_curve(peer, file))
            continue
        try:
            curves[kind] = curve = results.curve_of(peer, kind)
        except ResultsError:
            faults += curve_faults(results.folder, peer, [file])
        else:
            if curve.origin is None:
                faults += curve_faults(results.folder, peer, [file])
    return curves, faults


def _run(record: RunRecord) -> Iterator[str]:
    run, result = record.run, record.result
    if result is not None:
        for key, found, expected in (
            ("index", result.index, run.index),
            ("repetition", result.repetition, run.repetition),
            ("seeders", tuple(result.seeders), run.seeders),
        ):
            if found != expected:
                yield f"{key}: found {found}, the scenario's seed gives {expected}"
    digests = {peer.sha256 for peer in record.peers.values() if peer.sha256}
    if len(digests) > 1:
        yield f"its peers have {len(digests)} different SHA-256 values for one payload"


def _peer(record: RunRecord, peer: PeerResult, curves: Mapping[CurveName, Curve]) -> Iterator[str]:
    run = record.run
    if (peer.size_bytes, peer.payload_seed) != (run.size_bytes, run.payload_seed):
        yield "sizeBytes, payloadSeed: differ from the scenario's"
    if (peer.outcome == "completed") != (peer.failure is None):
        how = "without" if peer.failure is None else "with"
        yield f"outcome: found {peer.outcome}, {how} a failure"
    if peer.publish is not None:
        yield from _publish(peer)
    if peer.wire_curve is not None and WIRE in curves:
        done_seconds = peer.transfer.done_seconds if peer.transfer is not None else None
        yield from wire_records.faults(peer.wire_curve, curves[WIRE], done_seconds)
    if peer.transfer is None:
        if peer.role == "leecher" and peer.outcome == "completed":
            yield "outcome: found completed, without a transfer"
        return
    yield from _outcome(peer, peer.transfer)
    yield from _done(record, peer, peer.transfer)
    if curve_files(peer).keys() - {WIRE} <= curves.keys():  # otherwise one is broken
        yield from _curves(peer, peer.transfer, curves)


def _publish(peer: PeerResult) -> Iterator[str]:
    assert peer.publish is not None
    stage = _stage(peer, "publish")
    seconds = peer.publish.seconds
    if stage is not None and not stage - _ROUNDING <= seconds <= stage + _PUBLISH_SLACK_SECONDS:
        yield f"publish.seconds: found {seconds:.6g}, its stage took {stage:.6g}"


def _outcome(peer: PeerResult, transfer: Transfer) -> Iterator[str]:
    completed = peer.outcome == "completed"
    if completed and transfer.verified is not True:
        found = str(transfer.verified).lower()
        yield f"transfer.verified: found {found}, but the transfer completed"
    if transfer.verified and not completed:
        yield "outcome: found failed, but the bytes were verified"
    if completed and transfer.done_seconds is None:
        yield "transfer.doneSeconds: found none, but the transfer completed"


def _done(record: RunRecord, peer: PeerResult, transfer: Transfer) -> Iterator[str]:
    """Done comes after the last byte, and within its stage and its run."""
    done = transfer.done_seconds
    if done is None:
        return
    for kind in CURVES:
        last = [mark.seconds for mark in getattr(transfer, kind) if mark.percent == 100]
        if last and done < last[0] - _ROUNDING:
            yield f"transfer.doneSeconds: found {done:.6g}, before its last byte at {last[0]:.6g}"
    stage = _stage(peer, "race")
    if stage is not None and done > stage + _STAGE_SLACK_SECONDS:
        yield f"transfer.doneSeconds: found {done:.6g}, its stage took {stage:.6g}"
    # An aborted run ends before its peers do.
    result = record.result
    wall = result.wall_seconds if result is not None and result.status == "raced" else 0.0
    if wall and done > wall + _STAGE_SLACK_SECONDS:
        yield f"transfer.doneSeconds: found {done:.6g}, its run took {wall:.6g}"


def _curves(peer: PeerResult, transfer: Transfer, read: Mapping[CurveName, Curve]) -> Iterator[str]:
    curves = {kind: read[name] for kind, name in CURVES.items() if name in read}
    if not curves:
        if any(getattr(transfer, kind) for kind in CURVES) or transfer.received_bytes:
            yield "transfer: found marks, but no curve"
        return
    main = next(iter(curves.values()))
    for kind in CURVES:
        curve = curves.get(kind)
        if kind == "delivery":
            curve = _prefix(curve, curves, transfer)
        if curve is None:
            if getattr(transfer, kind):
                yield f"transfer.{kind}: found marks, but no curve"
            continue
        yield from _marks(f"transfer.{kind}", getattr(transfer, kind), curve)
        yield from percent_records.faults(kind, transfer, curve)
        yield from _derived(kind, transfer, curve)
    yield from _order(curves)
    for key, found, expected in (
        ("receivedBytes", transfer.received_bytes, main.total_bytes),
        ("records", transfer.records, main.records),
        ("sizeBytes", peer.size_bytes, main.size_bytes),
    ):
        if found != expected:
            yield f"transfer.{key}: found {found}, its curve gives {expected}"
    if peer.outcome == "completed" and transfer.records_complete and not main.complete:
        held = f"{main.total_bytes} of {main.size_bytes} bytes"
        yield f"outcome: found completed, but its curve has only {held}"


def _prefix(
    deliveries: Curve | None, curves: Mapping[str, Curve], transfer: Transfer
) -> Curve | None:
    """Return the curve of the deliverable prefix, which is empty until the first byte is there.

    If delivery was observed without a curve of its own, derive it from another curve.
    """
    curve = deliveries
    if curve is None and transfer.delivery:
        curve = curves.get("arrival") or curves.get("written")
    return curve.prefix() if curve is not None else None


def _order(curves: Mapping[str, Curve]) -> Iterator[str]:
    """Nothing is written before it has arrived, where arrival was sampled and writes were not."""
    arrival, written = curves.get("arrival"), curves.get("written")
    if arrival is None or written is None or arrival.since_ns is None:
        return
    written_bytes = np.cumsum(written.length)
    lead = written_bytes - _held_at(arrival, written.t_ns)
    if len(lead) and int(lead.max()) > 0:
        at = int(np.argmax(lead))
        yield (
            f"transfer.written: found {written_bytes[at]} bytes written after "
            f"{written.t_ns[at] / 1e9:.6g} s, but only {written_bytes[at] - lead[at]} had arrived"
        )


def _held_at(curve: Curve, t_ns: Int64s) -> Int64s:
    counts = np.concatenate(([0], np.cumsum(curve.length)))
    return counts[np.searchsorted(curve.t_ns, t_ns, side="right")]


def _marks(key: str, marks: list[Mark], curve: Curve) -> Iterator[str]:
    stored = {mark.percent: mark for mark in marks}
    for percent in sorted({*stored, *MARK_PERCENTS}):
        found, expected = stored.get(percent), curve.time_to_percent(percent)
        if found is None and expected is None:
            continue
        if found is None or expected is None or abs(found.seconds - expected / 1e9) > _ROUNDING:
            shown = "none" if found is None else f"{found.seconds:.6g}"
            gives = "none" if expected is None else f"{expected / 1e9:.6g}"
            yield f"{key} at {percent:g} %: found {shown}, its curve gives {gives}"
        elif not math.isfinite(found.resolution_seconds) or found.resolution_seconds < 0:
            yield (
                f"{key} at {percent:g} %: found a resolution of {found.resolution_seconds}, "
                "expected at least 0"
            )


def _derived(kind: str, transfer: Transfer, curve: Curve) -> Iterator[str]:
    """Check variation and stall; an unfinished transfer may have stalled longer than its curve."""
    found = getattr(transfer, f"{kind}_variation")
    expected = curve.variation()
    if found is not None and (expected is None or not math.isclose(found, expected, rel_tol=1e-9)):
        yield f"transfer.{kind}Variation: found {found}, its curve gives {expected}"
    name = "longest_stall_seconds" if kind == "arrival" else f"longest_{kind}_stall_seconds"
    stall, minimum = getattr(transfer, name), curve.longest_stall()[0] / 1e9
    below = stall is not None and stall < minimum - _ROUNDING
    above = stall is not None and curve.complete and stall > minimum + _ROUNDING
    if below or above:
        key = "longestStall" if kind == "arrival" else f"longest{kind.capitalize()}Stall"
        yield f"transfer.{key}Seconds: found {stall:.6g}, its curve gives {minimum:.6g}"


def _stage(peer: PeerResult, name: str) -> float | None:
    return next((stage.seconds for stage in peer.stages if stage.name == name), None)
