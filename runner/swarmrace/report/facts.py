"""What the report takes from one results folder: its verdict, and what of its records is drawn.

One folder is read by one process, which hands this on; so it is small and can be pickled. Nothing
is judged here.
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

from swarmrace.errors import UsageError
from swarmrace.export.cells import cell_key, cell_name, network_label
from swarmrace.export.folders import Race, judged
from swarmrace.export.rows import Rows, percents, rows
from swarmrace.integrity.verify import require, require_records
from swarmrace.recording.records import CURVES, WIRE, PeerResult
from swarmrace.report.limits import Bound, bounds_of
from swarmrace.results import folder as results
from swarmrace.results.parts import merged
from swarmrace.scenario.scenario import Acceptance
from swarmrace.verdict.model import Comparison, Verdict
from swarmrace.verdict.runs import RunView, failure_of, transfer_seconds, view

Seconds = npt.NDArray[np.float32]
"""Times to 0, 1 … 100 % as far as reached."""

SEGMENTS = ("discovery", "first byte", "to 50 %", "to 90 %", "to done", "verification")
"""Where a transfer's time goes, in order."""


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
    """By kind."""
    stall: float | None
    """Longest stall of the first kind it has."""
    stall_began: float | None
    discovery: float | None
    received: int | None
    cpu: float | None
    memory: int | None
    connections: int | None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run's leechers, and where its median leecher's time went."""

    run_id: str
    entrant: str
    leechers: tuple[Leecher, ...]
    segments: dict[str, float]
    """Of `SEGMENTS`, in seconds; empty where the run is not complete."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One results folder."""

    folder: str
    path: Path
    cell: str
    key: str
    swarm_size: int
    seeders: int
    file_size: int
    network: str
    """In words; empty where nothing is set."""
    attempt: int
    verdict: Verdict
    commit: str
    runs: tuple[RunFacts, ...]
    kinds: dict[str, str]
    """By entrant: the kind of curve that is drawn of it."""
    bounds: dict[str, Bound]
    """By entrant: what bounded it."""
    images: tuple[str, ...] = ()
    rows: Rows = field(default_factory=dict)
    """Of the exported tables."""

    @property
    def raced(self) -> int:
        """Runs that aren't missing."""
        return sum(run.status != "missing" for run in self.verdict.runs)


def gather(
    folders: tuple[Path, ...],
    accept: Sequence[str] = (),
    *,
    curves: bool = False,
    whole: bool = True,
) -> Facts:
    """Read one race, which may lie in several folders.

    Args:
        folders: its folders: each holds further blocks of the one before (`folders.grouped`).
        accept: acceptances that take the place of the scenario's, see `accepted`.
        curves: read every npz too, and refuse marks that it contradicts.
        whole: also what is drawn and exported, not the verdict only.

    Raises:
        ResultsError: it can't be read, or was edited after its race.
    """
    for each in folders:
        (require if curves else require_records)(each)
    loaded = merged([results.load(each, curves=curves) for each in folders])
    folder = folders[0]
    race = judged(loaded, partial(accepted, accept, list(loaded.scenario.entrants)))
    kinds = {name: _kind(race, name) for name in race.verdict.entrants}
    setting = loaded.scenario.race
    views = [view(record, setting) for record in loaded.runs]
    return Facts(
        folder=folder.name,
        path=folder,
        cell=cell_name(loaded.scenario),
        key=cell_key(loaded.scenario),
        swarm_size=setting.swarm_size,
        seeders=setting.seeders,
        file_size=setting.file_size,
        network=network_label(setting.network),
        attempt=setting.attempt,
        verdict=race.verdict,
        commit=loaded.info.commit,
        runs=tuple(_run(race, each, kinds) for each in views if whole and each.record.peers),
        kinds=kinds,
        bounds=bounds_of(race, views),
        images=tuple(sorted(set(race.verdict.pods))),
        rows=rows(race) if whole else {},
    )


def accepted(
    wanted: Sequence[str], names: Sequence[str], comparisons: Sequence[Comparison]
) -> list[Acceptance] | None:
    """Return the acceptances that texts such as `furps`, `1.2` or `codex:furps:bittorrent` ask for;
    None, which leaves those of the scenario, where nothing is asked for.

    Without names every pair of rivals in the headline is meant, or else the first two entrants.

    Args:
        wanted: the texts.
        names: the race's entrants.
        comparisons: of its verdict.

    Raises:
        UsageError: an entrant isn't there, or a bound is none.
    """
    if not wanted:
        return None
    rivals = [(c.entrant, c.of) for c in comparisons if c.headline and not c.reference]
    found = []
    for text in wanted:
        entrant, within, of = text.split(":") if text.count(":") == 2 else ("", text, "")
        try:
            bound: float | str = float(within)
        except ValueError:
            bound = within
        for one, other in [(entrant, of)] if entrant else rivals or [(names[0], names[1])]:
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


def _kind(race: Race, entrant: str) -> str:
    """Return the kind of curve that is drawn of an entrant: the first that it observes, else what
    its interfaces received."""
    found = race.verdict.entrants[entrant]
    return next((kind for kind in CURVES if getattr(found, kind)), WIRE)


def _run(race: Race, each: RunView, kinds: dict[str, str]) -> RunFacts:
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
                    kind: np.asarray(each_kind.seconds, np.float32)
                    for kind, each_kind in found.items()
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
    """Return where the time of a run's median leecher went; of an even number the faster of the
    middle two."""
    if each.status != "counted" or not all(map(math.isfinite, each.times)):
        return {}
    ordered = sorted(each.leechers(), key=transfer_seconds)
    return segments_of(ordered[(len(ordered) - 1) // 2], kind)


def segments_of(peer: PeerResult, kind: str) -> dict[str, float]:
    """Return the seconds of each of `SEGMENTS` of a completed transfer.

    A mark that isn't observed belongs to the segment after it, so that all of them come to the
    transfer's time and its verification's.
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
