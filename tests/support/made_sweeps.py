"""Sweeps whose attempts are written without a race, as a rendezvous leaves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swarmrace.errors import Reason
from swarmrace.plan.schedule import schedule
from swarmrace.recording.records import Failure, PeerResult, RaceInfo, RunResult, Trial
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Scenario
from swarmrace.sweep import book, state
from swarmrace.sweep.parts import part_scenario
from swarmrace.sweep.pins import Pins
from swarmrace.systems.run import Run

PINS = Pins(
    swarmrace="0.1.0 (commit 123)",
    definitions="0123456789",
    backend="local",
    programs={"web": "", "bt": "libtorrent 2.1.1"},
)
LOST = Failure(reason=Reason.INFRASTRUCTURE, stage="race", detail="/work: no space left")


def scenario(matrix: dict[str, Any] | None = None, **race: Any) -> Scenario:
    """Return a matrix of 2 x 2 cells, each with two entrants and two blocks."""
    axes = {"swarmSize": [2, 3], "fileSize": ["1kB", "2kB"]} if matrix is None else matrix
    race = {"seeders": 1, "repetitions": 2, "matrix": axes} | race
    entrants = {"web": {"kind": "http"}, "bt": {"kind": "bittorrent"}}
    return parse({"global": {"race": race, "entrants": entrants}})


def begin(folder: Path, what: Scenario | None = None, **changes: Any) -> book.Sweep:
    """Write a new sweep's plan."""
    what = what or scenario()
    count = len(book.expand(what))
    given = {
        "order": "shuffled",
        "seed": None,
        "pins": PINS,
        "expected": [10.0 * (n + 1) for n in range(count)],
        "created_utc": "2026-11-28T08:00:00+00:00",
    }
    sweep = book.plan_sweep(what, "made", **(given | changes))
    folder.mkdir(parents=True, exist_ok=True)
    book.write(folder, sweep)
    return sweep


def attempt(
    folder: Path,
    name: str,
    number: int = 1,
    *,
    part: int = 0,
    status: str = "finished",
    runs: int | None = None,
    failure: Failure | None = None,
    versions: dict[str, str] | None = None,
    started: tuple[str, ...] = (),
    **info: Any,
) -> Path:
    """Write an attempt of a cell and return its folder.

    Args:
        folder: the sweep's folder.
        name: name of the cell.
        number: number of the attempt.
        part: index of the cell's part.
        status: `status` in race.json.
        runs: how many runs have a record; None for all.
        failure: why no run was raced; None if all were.
        versions: program versions that peers reported, by entrant.
        started: entrants whose program a trial of this race started.
        info: further fields of race.json.
    """
    found = state.read(folder)
    cell = next(each for each in found.cells if each.cell.name == name)
    raced = part_scenario(
        found.sweep.expanded()[cell.cell.id].scenario, cell, cell.parts[part], number
    )
    where = cell.parts[part].folder / f"attempt-{number}"
    write_results(
        where,
        raced,
        status=status,
        runs=runs,
        failure=failure,
        versions=versions,
        started=started,
        **info,
    )
    return where


def write_results(
    where: Path,
    raced: Scenario,
    *,
    status: str = "finished",
    runs: int | None = None,
    failure: Failure | None = None,
    versions: dict[str, str] | None = None,
    started: tuple[str, ...] = (),
    **info: Any,
) -> None:
    """Write the results of a race to `where`; the other arguments are those of `attempt`."""
    planned = schedule(raced)
    for run in planned[: len(planned) if runs is None else runs]:
        home = where / "runs" / run.id
        _write(home / "run.json", _run(run, raced, failure))
        if version := (versions or {}).get(run.entrant):
            _write(home / f"{run.entrant}-0.json", _peer(run, raced, version))
    given: dict[str, Any] = {
        "race_id": raced.race_id(),
        "name": "made",
        "scenario": {"global": raced.canonical()},
        "backend": "local",
        "created_utc": "2026-11-28T08:00:00+00:00",
        "versions": {},
        "machine": {},
        "status": status,
        "trials": {
            name: Trial(outcome="started", tried=name, program=f"program of {name}")
            for name in started
        },
    }
    _write(where / "race.json", RaceInfo(**(given | info)))


def _run(run: Run, raced: Scenario, failure: Failure | None) -> RunResult:
    return RunResult(
        race_id=raced.race_id(),
        run_id=run.id,
        index=run.index,
        entrant=run.entrant,
        repetition=run.repetition,
        seeders=list(run.seeders),
        status="not raced" if failure else "raced",
        failure=failure,
        wall_seconds=2.0,
    )


def _peer(run: Run, raced: Scenario, version: str) -> PeerResult:
    return PeerResult(
        race_id=raced.race_id(),
        run_id=run.id,
        entrant=run.entrant,
        peer=0,
        role=run.role(0),
        repetition=run.repetition,
        seed=raced.race.seed,
        payload_seed=run.payload_seed,
        size_bytes=run.size_bytes,
        outcome="completed",
        system={"version": version},
    )


def _write(path: Path, record: RaceInfo | RunResult | PeerResult) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(record.model_dump_json(indent=1))


def finish(folder: Path, but: tuple[str, ...] = ()) -> None:
    """Write a finished first attempt of every cell except those in `but`."""
    for cell in book.read(folder).cells:
        if cell.name not in but:
            attempt(folder, cell.name)
