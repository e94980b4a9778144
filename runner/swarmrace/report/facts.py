"""What the report needs of one results folder: its verdict and the records that are drawn.

Each folder is read by one process and passed to another, so the facts are small and can be pickled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from swarmrace.errors import UnavailableError, UsageError
from swarmrace.export.cells import cell_name, network_label
from swarmrace.export.folders import JudgedRace, judge, read_records
from swarmrace.export.parts import Part, csv_part, parquet_part
from swarmrace.export.rows import Rows, percents, rows
from swarmrace.integrity.verify import require
from swarmrace.recording.records import CURVES, WIRE, PeerResult
from swarmrace.report.limits import Bound, bounds_of
from swarmrace.results.formats import read_json
from swarmrace.results.parts import merge
from swarmrace.scenario.scenario import Acceptance
from swarmrace.verdict.model import Comparison, Verdict
from swarmrace.verdict.runs import RunView, failure_of, transfer_seconds, view

Seconds = npt.NDArray[np.float32]
"""Times to 0, 1 … 100 %, up to the last percent that was reached."""

SEGMENTS = ("discovery", "first byte", "to 50 %", "to 90 %", "to done", "verification")
"""The segments of a transfer's time, in order."""


@dataclass(frozen=True, slots=True)
class Leecher:
    """One leecher of one run."""

    peer: int
    node: str
    outcome: str
    """`completed`, `failed`, or `missing` with its run."""
    reason: str
    done: float | None
    curves: dict[str, Seconds]
    """By kind of curve."""
    stall: float | None
    """Longest stall of its first curve."""
    stall_began: float | None
    discovery: float | None
    received: int | None
    cpu: float | None
    memory: int | None
    connections: int | None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run's leechers, and the segments of its median leecher's time."""

    run_id: str
    entrant: str
    leechers: tuple[Leecher, ...]
    segments: dict[str, float]
    """Seconds of each of `SEGMENTS`; empty if the run is not complete."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of one race."""

    folder: str
    path: Path
    cell: str
    key: str
    swarm_size: int
    seeders: int
    file_size: int
    network: str
    """In words; empty if nothing is set."""
    attempt: int
    verdict: Verdict
    commit: str
    format: int
    """Number of the results format in which it was written."""
    definitions: str
    """Version of the definitions by which it measured; empty if not recorded."""
    runs: tuple[RunFacts, ...]
    kinds: dict[str, str]
    """Kind of curve that is drawn, by entrant."""
    bounds: dict[str, Bound]
    """What bounded each entrant."""
    images: tuple[str, ...] = ()
    csv: Part = field(default_factory=dict)
    """Its lines of the exported tables."""
    parquet: Part | None = None
    """The same for Parquet; None without pyarrow."""

    @property
    def raced(self) -> int:
        """Number of runs that aren't missing."""
        return sum(run.status != "missing" for run in self.verdict.runs)


def gather(
    folders: tuple[Path, ...],
    accept: Sequence[str] = (),
    *,
    curves: bool = False,
    verdict_only: bool = False,
) -> Facts:
    """Read one race, which may have several folders.

    Args:
        folders: its folders; each holds further blocks of the one before (`folders.group_parts`).
        accept: acceptances that replace the scenario's, see `accepted`.
        curves: whether to read every npz too, and refuse marks that contradict it.
        verdict_only: leave out runs and rows, which are drawn and exported.

    Raises:
        ResultsError: a folder can't be read, or was edited after its race.
    """
    loaded = merge([require(each) if curves else read_records(each) for each in folders])
    folder = folders[0]
    race = judge(loaded, partial(accepted, accept, list(loaded.scenario.entrants)))
    kinds = {name: _kind(race, name) for name in race.verdict.entrants}
    setting = loaded.scenario.race
    views = [view(record, setting) for record in loaded.runs]
    found = None if verdict_only else rows(race)
    return Facts(
        folder=folder.name,
        path=folder,
        cell=cell_name(loaded.scenario),
        key=loaded.scenario.cell_id(),
        swarm_size=setting.swarm_size,
        seeders=setting.seeders,
        file_size=setting.file_size,
        network=network_label(setting.network),
        attempt=setting.attempt,
        verdict=race.verdict,
        commit=loaded.info.commit,
        format=read_json(folder / "race.json")["format"],
        definitions=loaded.info.definitions,
        runs=()
        if verdict_only
        else tuple(_run(race, each, kinds) for each in views if each.record.peers),
        kinds=kinds,
        bounds=bounds_of(race, views),
        images=tuple(sorted(set(race.verdict.pods))),
        csv=csv_part(found) if found else {},
        parquet=_parquet(found) if found else None,
    )


def _parquet(found: Rows) -> Part | None:
    try:
        return parquet_part(found)
    except UnavailableError:
        return None  # CSV holds the same data


def accepted(
    wanted: Sequence[str], names: Sequence[str], comparisons: Sequence[Comparison]
) -> list[Acceptance] | None:
    """Parse acceptances such as `furps`, `1.2` or `codex:furps:bittorrent`; return None, which
    keeps those of the scenario, if there are none.

    Without names an acceptance applies to every pair of rivals in the headline, or to the first two
    entrants if there are no rivals.

    Args:
        wanted: the texts of the acceptances.
        names: the race's entrants.
        comparisons: the comparisons of its verdict.

    Raises:
        UsageError: an entrant doesn't exist, or a bound is invalid.
    """
    if not wanted:
        return None
    rivals = [(c.entrant, c.of) for c in comparisons if c.headline and not c.reference]
    pairs = rivals or [(names[0], names[1])] if len(names) > 1 else []
    found = []
    for text in wanted:
        entrant, within, of = text.split(":") if text.count(":") == 2 else ("", text, "")
        try:
            bound: float | str = float(within)
        except ValueError:
            bound = within
        if not pairs:
            raise UsageError(
                f"--accept {text}: found a race of only {', '.join(names)}, expected two entrants "
                "to compare"
            )
        for one, other in [(entrant, of)] if entrant else pairs:
            unknown = sorted({one, other} - set(names))
            if unknown:
                raise UsageError(
                    f"--accept {text}: found {', '.join(unknown)}, expected two of the entrants "
                    f"{', '.join(names)}, as in codex:furps:bittorrent"
                )
            try:
                wanted_ = {"entrant": one, "within": bound, "of": other}
                found.append(Acceptance.model_validate(wanted_))
            except ValidationError as error:
                raise UsageError(
                    f"--accept {text}: found {within!r}, expected a number above 0, or one of "
                    "issue895, furps, equivalent"
                ) from error
    return found


def _kind(race: JudgedRace, entrant: str) -> str:
    """Return the kind of curve to draw for an entrant: the first one that it observes, or otherwise
    the wire curve of its interfaces."""
    found = race.verdict.entrants[entrant]
    return next((kind for kind in CURVES if getattr(found, kind)), WIRE)


def _run(race: JudgedRace, each: RunView, kinds: dict[str, str]) -> RunFacts:
    entrant = each.record.run.entrant
    infos = race.results.peer_infos(entrant)
    poll = race.verdict.entrants[entrant].poll_seconds
    leechers = []
    for index in each.record.leechers:
        result = each.record.peers[index]
        info = infos.get(index)
        found = percents(race.results, result, poll)
        failure = failure_of(result)
        first = next(iter(found.values()), None)
        transfer, usage = result.transfer, result.usage
        outcome = "completed" if math.isfinite(transfer_seconds(result)) else "failed"
        leechers.append(
            Leecher(
                peer=index,
                node=(info.node or info.host) if info else "",
                outcome="missing" if each.status == "missing" else outcome,
                reason=_words(failure.reason, failure.stage, failure.detail) if failure else "",
                done=transfer.done_seconds if transfer else None,
                curves={
                    kind: np.asarray(curve.seconds, np.float32) for kind, curve in found.items()
                },
                stall=first.stall_seconds if first else None,
                stall_began=first.stall_began_seconds if first else None,
                discovery=transfer.discovery_seconds if transfer else None,
                received=transfer.received_bytes if transfer else None,
                cpu=usage.cpu_seconds if usage else None,
                memory=usage.peak_memory_bytes if usage else None,
                connections=transfer.connections_at_start if transfer else None,
            )
        )
    return RunFacts(each.record.run.id, entrant, tuple(leechers), _segments(each, kinds[entrant]))


def _words(reason: object, stage: str, detail: str) -> str:
    text = f"{reason} in {stage}" if stage else str(reason)
    return f"{text}: {detail}" if detail else text


def _segments(each: RunView, kind: str) -> dict[str, float]:
    """Return the segments of the median leecher's time; of an even number of leechers, the faster
    of the middle two."""
    if each.status != "counted" or not all(map(math.isfinite, each.times)):
        return {}
    ordered = sorted(each.leechers(), key=transfer_seconds)
    return segments_of(ordered[(len(ordered) - 1) // 2], kind)


def segments_of(peer: PeerResult, kind: str) -> dict[str, float]:
    """Return the seconds of each of `SEGMENTS` in a completed transfer.

    If a mark isn't observed, its segment is part of the next one. So the segments add up to the
    time of the transfer and its verification.
    """
    transfer = peer.transfer
    assert transfer is not None
    done = transfer_seconds(peer)
    marks = {mark.percent: mark.seconds for mark in getattr(transfer, kind, ())}
    ends = (transfer.discovery_seconds, marks.get(0), marks.get(50), marks.get(90), done)
    found: dict[str, float] = {}
    before = 0.0
    for name, end in zip(SEGMENTS, ends, strict=False):
        if end is not None:
            found[name] = max(0.0, min(end, done) - before)
            before = max(before, min(end, done))
    verify = [stage.seconds for stage in peer.stages if stage.name == "verify"]
    if verify:
        found[SEGMENTS[-1]] = verify[0]
    return found
