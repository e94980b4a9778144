"""A sweep as text: its progress lines, its table, its JSON."""

from __future__ import annotations

import json
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from swarmrace.errors import Exit, ResultsError
from swarmrace.plan import needs
from swarmrace.plan.plan import format_duration
from swarmrace.sweep.estimate import Pace, TimeLeft
from swarmrace.sweep.lock import Holder
from swarmrace.sweep.parts import planned_seconds
from swarmrace.sweep.state import Attempt, CellState, Part, SweepState
from swarmrace.units import format_seconds
from swarmrace.verdict.compute import compute
from swarmrace.verdict.model import Verdict


def start_line(found: SweepState, part: Part, number: int) -> str:
    """Return the line that is printed before an attempt."""
    done = sum(cell.done for cell in found.cells)
    attempt = f", attempt {number}" if number > 1 else ""
    return (
        f"cell {part.cell.name}{_blocks(part)}{attempt}: {done} of {len(found.cells)} cells done; "
        f"{time_left_text(time_left(found))} left"
    )


def end_line(part: Part, attempt: Attempt | None, took: float) -> str:
    """Return the line that is printed after an attempt that took `took` seconds."""
    name = f"cell {part.cell.name}{_blocks(part)}"
    if attempt is None:
        return f"{name}: nothing was recorded; the sweep retries it when it is resumed"
    if attempt.state == "done":
        beyond = max(0.0, took - attempt.run_seconds)
        return f"{name}: done in {format_seconds(took)} ({format_seconds(beyond)} beyond its runs)"
    return f"{name}: attempt {attempt.number} was ended by the infrastructure: {attempt.why}"


def _blocks(part: Part) -> str:
    return f" (blocks {part.blocks.start} to {part.blocks.stop - 1})" if part.blocks.start else ""


def pace(found: SweepState) -> Pace:
    """Return the pace of the parts that are done, relative to the plan."""
    return Pace.from_durations(
        [
            (planned_seconds(part), part.counted.run_seconds + needs.START_SECONDS)
            for cell in found.cells
            for part in cell.parts
            if part.counted is not None
        ]
    )


def time_left(found: SweepState) -> TimeLeft:
    """Return an estimate of how long the rest takes."""
    return pace(found).left([planned_seconds(part) for part in found.missing])


def time_left_text(left: TimeLeft) -> str:
    """Return the time left, human-readable."""
    about = f"about {format_duration(left.seconds)}"
    if left.low is None or left.high is None:
        return f"{about} (by the plan)"
    low, high = format_duration(left.low), format_duration(left.high)
    return f"{about} ({low} to {high})" if low != high else about


def summary(found: SweepState) -> str:
    """Return one line: done, failed attempts, to do, time left."""
    done = sum(cell.done for cell in found.cells)
    parts = [f"{done} of {len(found.cells)} cells done"]
    failed = len(found.failed)
    if failed:
        parts.append(f"{failed} attempt{'' if failed == 1 else 's'} ended by the infrastructure")
    missing = len(found.next_parts)
    if missing:
        parts.append(f"{missing} to do, {time_left_text(time_left(found))}")
    return "; ".join(parts)


def verdict_of(cell: CellState) -> tuple[Verdict | None, str]:
    """Return a cell's verdict, or None and why there is none."""
    try:
        return stored_verdict(cell) or compute(cell.results()), ""
    except ResultsError as error:
        return None, " ".join(str(error).split())


def stored_verdict(cell: CellState) -> Verdict | None:
    """Return the verdict that a cell's race stored; None if it has several parts or can't be
    read."""
    if len(cell.parts) > 1 or cell.parts[0].counted is None:
        return None
    path = cell.parts[0].counted.folder / "verdict.json"
    try:
        return Verdict.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def exit_code(cell: CellState) -> int:
    """Return the exit code of a cell that is done."""
    verdict, _ = verdict_of(cell)
    return int(verdict.exit) if verdict is not None else int(Exit.RESULTS)


def answer(cell: CellState) -> str:
    """Return the first sentence of a cell's verdict, or an empty string if it has none yet."""
    if not cell.begun:
        return ""
    verdict, why = verdict_of(cell)
    if verdict is None:
        return why
    judged = [item.text for item in verdict.acceptance]
    return (judged or verdict.headline or [""])[0]


def cell_state(cell: CellState, driver: Holder | None) -> str:
    """Return `done`, `running`, `blocks to do`, `failed` (ended by the infrastructure so far) or
    `to do`. On a cluster, an attempt has no folder until its results are fetched."""
    if cell.done:
        return "done"
    if driver is not None and driver.cell == cell.cell.name:
        return "running"
    attempts = [each for part in cell.parts for each in part.attempts]
    if cell.begun:
        return "blocks to do"
    return "failed" if attempts else "to do"


def as_data(found: SweepState) -> dict[str, Any]:
    """Return a sweep's state for programs."""
    left = time_left(found)
    done = sum(cell.done for cell in found.cells)
    return {
        "name": found.sweep.name,
        "folder": str(found.folder),
        "order": found.sweep.order,
        "seed": found.sweep.seed,
        "pins": found.sweep.pins.model_dump(mode="json"),
        "driver": None if found.driver is None else found.driver.describe(),
        "currentCell": found.driver.cell if found.driver else "",
        "cellsTotal": len(found.cells),
        "cellsDone": done,
        "cellsToDo": len(found.cells) - done,
        "failedAttempts": len(found.failed),
        "secondsLeft": round(left.seconds, 1),
        "secondsLeftLow": left.low and round(left.low, 1),
        "secondsLeftHigh": left.high and round(left.high, 1),
        "strays": list(found.strays),
        "cells": [_cell_data(cell, found) for cell in found.cells],
    }


def _cell_data(cell: CellState, found: SweepState) -> dict[str, Any]:
    return {
        "id": cell.cell.id,
        "name": cell.cell.name,
        "state": cell_state(cell, found.driver),
        "blocks": cell.cell.blocks[-1],
        "attempts": [
            {
                "number": each.number,
                "firstBlock": part.blocks.start,
                "folder": each.folder.relative_to(found.folder).as_posix(),
                "state": each.state,
                "counts": part.counted is each,
                "why": each.why,
                "raceId": each.info.race_id if each.info else None,
                "runSeconds": round(each.run_seconds, 3),
            }
            for part in cell.parts
            for each in part.attempts
        ],
    }


def to_json(found: SweepState) -> str:
    """Return a sweep's state as JSON."""
    return json.dumps(as_data(found), indent=2)


def render(found: SweepState) -> Group:
    """Return a sweep's human-readable table."""
    table = Table(
        title=Text(f"{found.sweep.name}: {summary(found)}"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("cell", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("tries", justify="right")
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("answer", overflow="fold")
    speed = pace(found)
    for cell in found.cells:
        tries = sum(len(part.attempts) for part in cell.parts)
        table.add_row(
            cell.cell.name,
            cell_state(cell, found.driver),
            str(tries or ""),
            _time(cell, speed),
            answer(cell),
        )
    driver = f"driven by {found.driver.describe()}" if found.driver else "not running"
    lines = [Text(f"* {driver}; order {found.sweep.order}, seed {found.sweep.seed}")]
    for cell in found.cells:
        lines += [
            Text(f"! cell {cell.cell.name}{_blocks(part)}, attempt {each.number}: {each.why}")
            for part in cell.parts
            for each in part.failed
        ]
    lines += [Text(f"! {name}: belongs to no cell; ignored") for name in found.strays]
    return Group(table, *lines)


def _time(cell: CellState, speed: Pace) -> str:
    taken = sum(part.counted.run_seconds for part in cell.parts if part.counted)
    if cell.done:
        return format_seconds(taken)
    planned = sum(speed.expect(planned_seconds(p)) for p in cell.parts if p.counted is None)
    return f"about {format_duration(planned)}"
