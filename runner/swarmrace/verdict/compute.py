"""Compute the verdict on a results folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import combinations
from typing import Any

from swarmrace import systems
from swarmrace.definitions import DEFINITIONS
from swarmrace.recording.records import CURVES, PeerInfo
from swarmrace.results import pod_facts
from swarmrace.results.folder import Results
from swarmrace.scenario.scenario import Acceptance
from swarmrace.statistics.intervals import CONFIDENCE
from swarmrace.statistics.looks import LIMIT, LOOKS, confidence_at
from swarmrace.systems.abc import Observes
from swarmrace.systems.doubles import MARK, is_double
from swarmrace.systems.options import EntrantOptions
from swarmrace.systems.parts import Standing
from swarmrace.systems.spec import SystemSpec
from swarmrace.verdict import figures, load, trials
from swarmrace.verdict.acceptance import accept
from swarmrace.verdict.closure import closure_flags
from swarmrace.verdict.compare import compare
from swarmrace.verdict.flags import entrant_flags, race_flags
from swarmrace.verdict.model import Comparison, EntrantVerdict, Flag, RunVerdict, Verdict, to_value
from swarmrace.verdict.positions import places, position_effects
from swarmrace.verdict.registry import FIGURES
from swarmrace.verdict.relay_flags import relay_flags
from swarmrace.verdict.run_numbers import done_resolution
from swarmrace.verdict.runs import RunView, complete_blocks, transfer_seconds, view
from swarmrace.verdict.sides import Side, orient

Accepted = Callable[[Sequence[Comparison]], Sequence[Acceptance] | None]


def compute(results: Results, accepted: Accepted = lambda _: None) -> Verdict:
    """Judge a results folder. The same folder always gives the same verdict.

    Args:
        results: the folder.
        accepted: a function of the comparisons that returns acceptances to judge instead of the
            scenario's, or None to judge the scenario's.
    """
    race, info = results.scenario.race, results.info
    views = [view(record, race) for record in results.runs]
    sides = {
        name: _side(name, options, [v for v in views if v.record.run.entrant == name], results)
        for name, options in results.scenario.entrants.items()
    }
    complete = len(complete_blocks(views))
    look = confidence_at(complete) if race.stopping else None
    comparisons = _with_headline(
        compare(
            a,
            b,
            sequential=race.order == "sequential",
            confidence=look or CONFIDENCE,
        )
        for a, b in _pairs(list(sides.values()), race.baseline)
    )
    acceptances = accepted(comparisons)
    acceptances = race.acceptance if acceptances is None else acceptances
    entrants = {name: _entrant(side, results) for name, side in sides.items()}
    interleaved = race.order == "interleaved"
    place = places(views)
    return Verdict(
        race_id=info.race_id,
        name=info.name,
        status=info.status,
        stopped_by=info.stopped_by,
        created_utc=info.created_utc,
        backend=info.backend,
        headline=_headline(comparisons, list(sides.values()), entrants),
        head_notes=[*_stopped(results, complete, look), *load.head(results)],
        confidence=look or CONFIDENCE,
        comparisons=comparisons,
        acceptance=[accept(item, sides, race, look) for item in acceptances],
        entrants=entrants,
        runs=[
            _run(each, place[each.record.run.id], load.foreign_share(results, each))
            for each in views
        ],
        flags=[
            *race_flags(results),
            *relay_flags(results),
            *closure_flags(results),
            *(Flag(entrant="", text=text) for text in load.flags(results, views)),
            *(
                Flag(entrant="", text=text)
                for text in (position_effects(list(sides.values())) if interleaved else ())
            ),
            *(
                Flag(entrant="", text=f"{c.entrant} and {c.of} are not paired: {c.why_not_paired}")
                for c in comparisons
                if c.why_not_paired and interleaved
            ),
            *(
                flag
                for name, side in sides.items()
                for flag in entrant_flags(side, entrants[name], results.scenario, views)
            ),
        ],
        faults=list(results.faults),
        race=race.model_dump(mode="json"),
        delay=info.delay,
        machine=info.machine,
        versions=info.versions,
        pods=_pods(results),
        nodes=sorted({peer.node for peer in info.peers if peer.node}),
        definitions=dict(DEFINITIONS),
        units={name: figure.unit for name, figure in FIGURES.items()},
    )


def _pairs(sides: Sequence[Side], baseline: str | None) -> list[tuple[Side, Side]]:
    """Return the pairs that are compared, as (entrant, of): every entrant with the baseline, if
    the scenario names one, otherwise every pair."""
    of = next((side for side in sides if side.name == baseline), None)
    if of is None:
        return [orient(a, b) for a, b in combinations(sides, 2)]
    return [(side, of) for side in sides if side is not of]


def _stopped(results: Results, complete: int, look: float | None) -> list[str]:
    """Return a note if the race may have stopped early: when it looked, and at which level."""
    if look is None:
        return []
    planned, ended = results.scenario.race.repetitions, results.info.decided_blocks
    what = (
        f"stopped after {ended} of {planned} blocks, because every acceptance was decided"
        if ended is not None
        else f"all {planned} blocks were raced"
    )
    return [
        f"{what}; looks were planned after {', '.join(map(str, LOOKS))} complete blocks; with "
        f"{complete}, intervals are of {100 * look:.3g} %, which limits the risk of a wrong answer "
        f"over all looks to {100 * LIMIT:g} %"
    ]


def _with_headline(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Return the comparisons. If no rivals are equal, those that are equal except for one option
    become headlines."""
    found = list(comparisons)
    if any(each.headline and not each.reference for each in found):
        return found
    return [
        each.model_copy(update={"headline": True}) if each.but_for and not each.why_not else each
        for each in found
    ]


def _headline(
    comparisons: Sequence[Comparison],
    sides: Sequence[Side],
    entrants: Mapping[str, EntrantVerdict],
) -> list[str]:
    """Return the sentences to read first: entrants that never started, comparisons of equal rivals,
    then comparisons with references."""
    absent = trials.headline(sides)
    chosen = sorted((c for c in comparisons if c.headline), key=lambda c: c.reference)
    if chosen or absent:
        return [*absent, *(comparison.text for comparison in chosen)]
    if len(sides) == 1:
        side = sides[0]
        counted = entrants[side.name].reliability.runs_counted
        return [f"{side.label} raced alone: {counted} of {len(side.views)} runs counted"]
    if any(comparison.why_not for comparison in comparisons):
        return [comparison.text for comparison in comparisons if comparison.why_not]
    mark = f" {MARK}" if any(side.test_double for side in sides) else ""
    return [f"no headline: no two entrants have equal profiles{mark}"]


def _pods(results: Results) -> list[str]:
    """Return what is known about the pods of a race on a cluster."""
    if results.info.backend != "kubernetes":
        return []
    scenario = results.scenario
    read = pod_facts.read(results.folder)
    return pod_facts.lines(read, list(scenario.entrants), scenario.race.swarm_size)


def _side(name: str, options: EntrantOptions, views: list[RunView], results: Results) -> Side:
    spec = systems.find(options.kind)
    return Side(
        name,
        options,
        _observed(views, spec.observes(options) if spec else None),
        views,
        results.peer_infos(name),
        _changed(options, spec) if spec else {},
        frozenset(_given(options, spec)) if spec else frozenset(),
        spec.means(options).comparable_by if spec else "",
        spec.standing(options) if spec else Standing(),
        spec.leechers_serve if spec else True,
        _is_double(name, views, results),
        trials.why_never_started(name, results.info),
    )


def _is_double(name: str, views: list[RunView], results: Results) -> bool:
    """Return whether an entrant's program is a test double, judging only by the folder."""
    reported = [peer.system for each in views for peer in each.record.peers.values()]
    return name in results.info.test_doubles or any(map(is_double, reported))


def _given(options: EntrantOptions, spec: SystemSpec) -> dict[str, Any]:
    """Return the options that set the program's settings and were given, with their values."""
    names = set(spec.settings.options)
    return options.model_dump(mode="json", include=names, exclude_defaults=True)


def _changed(options: EntrantOptions, spec: SystemSpec) -> dict[str, str]:
    """Return the given settings that differ from the profile's values, as strings."""
    own = spec.settings.of_profile(options)
    every = _given(options, spec).items()
    given = {name: value for name, value in every if name not in own or value != own[name]}
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
    } | {name: "" for name, value in given.items() if isinstance(value, list | dict)}


def _observed(views: Sequence[RunView], declared: Observes | None) -> Observes:
    """Return what the system recorded in its completed transfers.

    What its kind declares (`declared`) may depend on this machine, or the kind may not be installed
    here; a verdict must not depend on where it is shown. The declaration counts only if no transfer
    completed, and for facts that no record holds.
    """
    declared = declared or Observes(arrival=False, delivery=False, unit="")
    done = [p.transfer for v in views for p in v.leechers() if transfer_seconds(p) < math.inf]
    transfers = [transfer for transfer in done if transfer is not None]
    if not transfers:
        return declared
    return replace(
        declared,
        **{kind: any(getattr(transfer, kind) for transfer in transfers) for kind in CURVES},
        sampled=declared.sampled and any(transfer.arrival for transfer in transfers),
        unit=next((transfer.unit for transfer in transfers if transfer.unit), declared.unit),
    )


def _entrant(side: Side, results: Results) -> EntrantVerdict:
    spec, observes, race = systems.find(side.options.kind), side.observes, results.scenario.race
    counted = [each for each in side.views if each.status != "missing"]
    system = described(side)
    found = figures.figures(side.views, race, side.infos, observes)
    return EntrantVerdict(
        name=side.name,
        test_double=side.test_double,
        never_started=side.never_started,
        kind=side.options.kind,
        profile=side.options.profile,
        changed=dict(side.changed),
        arrival=observes.arrival,
        written=observes.written,
        delivery=observes.delivery,
        reference=side.standing.baseline,
        uploads=observes.upload,
        in_order=observes.in_order,
        unit=observes.unit,
        sampled=observes.sampled and observes.arrival,
        poll_seconds=observes.poll_seconds,
        resolution_seconds=done_resolution(side),
        meanings=_meanings(spec, side.options) if spec else {},
        options=side.options.model_dump(mode="json", exclude_defaults=True),
        settings=system.get("settings", {}),
        reasons={name: str(why) for name, why in system.get("reasons", {}).items()},
        described={k: v for k, v in system.items() if k not in ("settings", "reasons", "version")},
        versions=_versions(side.infos, system),
        figures=found,
        publish_steps=figures.publish_steps(counted),
        counters=figures.counters(counted, spec.gauges if spec else ()),
        reliability=figures.reliability(side.views, race),
        wire_measured=any(map(figures.wire_of_all, side.views)),
        wire_records=sum(
            peer.wire is not None for view in side.views for peer in view.record.peers.values()
        ),
        rates=figures.rates(side.infos, race.network, _always_seeding(side)),
        offload=figures.offload(counted),
    )


def _always_seeding(side: Side) -> tuple[int, ...]:
    """Return the seeders of the first run, which seed in every run if they have their own rates."""
    return side.views[0].record.run.seeders if side.views else ()


def _meanings(spec: SystemSpec, options: EntrantOptions) -> dict[str, str]:
    node_only = "only the node's process; the runner's separately"
    usage = node_only if spec.isolates_process else "the whole process, runner included"
    meanings = {name: text for name, text in asdict(spec.means(options)).items() if text}
    meanings.pop("comparable_by", None)
    return {"usage": usage} | meanings


def described(side: Side) -> dict[str, Any]:
    """Return the system's own description from a run, or an empty dict."""
    for each in side.views:
        for peer in each.record.peers.values():
            if peer.system:
                return peer.system
    return {}


def _versions(infos: Mapping[int, PeerInfo], system: dict[str, Any]) -> dict[str, str]:
    versions = {k: v for _, info in sorted(infos.items()) for k, v in info.versions.items()}
    if system.get("version"):
        versions["program"] = str(system["version"])
    return versions


def _run(each: RunView, place: int, foreign_cpu_share: float | None) -> RunVerdict:
    run, result = each.record.run, each.record.result
    leechers = each.leechers()
    return RunVerdict(
        run_id=run.id,
        entrant=run.entrant,
        repetition=run.repetition,
        place=place,
        seeders=list(run.seeders),
        payload_seed=run.payload_seed,
        status=each.status,
        t100=to_value(each.number),
        last=to_value(each.last),
        leechers=max(len(each.times), len(leechers)),
        completed=sum(transfer_seconds(peer) < math.inf for peer in leechers),
        reason=each.reason,
        wall_seconds=result.wall_seconds if result else None,
        foreign_cpu_share=foreign_cpu_share,
    )
