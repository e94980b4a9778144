"""`swarmrace plan SCENARIO... --format argocd`: the list of cells for the chart `app-of-apps`.

Each scenario file is a sweep with its own folder on the claim; a file without a matrix is a sweep
of one cell.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from swarmrace.backends.kubernetes import cell_files, yaml_text
from swarmrace.errors import Fault, ScenarioError
from swarmrace.host.output import printable
from swarmrace.plan import checks
from swarmrace.plan.plan import Cell, expand
from swarmrace.scenario import yaml_file
from swarmrace.scenario.scenario import Scenario
from swarmrace.sweep import book, state
from swarmrace.sweep.order import sequence
from swarmrace.sweep.parts import part_scenario

_MAX_NAME_CHARACTERS = 40
"""Limit for a sweep's and a cell's name; the chart prepends the release's name."""


def listing(files: Sequence[Path], folder: Path | None = None) -> str:
    """Return values for the chart `app-of-apps`, as YAML: the cells in the order to race them.

    Args:
        files: scenario files, with or without a matrix.
        folder: with one file, the folder of its sweep: then only the missing cells are listed, each
            with its next attempt.

    Raises:
        ScenarioError: a file is invalid, or two files have the same name.
        SweepError: the folder belongs to another scenario.
        ResultsError: the folder's plan can't be read.
    """
    names = [sweep_name(file) for file in files]
    for name in names:
        if names.count(name) > 1:
            same = ", ".join(str(file) for file in files if sweep_name(file) == name)
            text = f"found the same name {name} for {same}, expected different names; rename one"
            raise ScenarioError([Fault("", text)])
    sweeps = [_sweep(file, folder, is_only=len(files) == 1) for file in files]
    names_given = " ".join(printable(file.name) for file in files)
    command = f"swarmrace plan {names_given} --format argocd"
    head = f"# Values of the chart app-of-apps, by `{command}`.\n"
    return head + yaml_text.document({"sweeps": sweeps})


def sweep_name(file: Path) -> str:
    """Return the name of a scenario file's sweep: lowercase letters, digits and dashes."""
    return _label(printable(file.stem)) or "sweep"


def _sweep(file: Path, folder: Path | None, *, is_only: bool) -> dict[str, Any]:
    scenario, data = checks.load(file), yaml_file.read(file).data
    cells = {cell.scenario.cell_id(): cell for cell in expand(scenario)}
    prefix = "" if is_only else sweep_name(file)
    needs_cell_name = len(cells) > 1 or is_only
    listed = []
    for cell_id, attempt, cell in _parts(scenario, cells, folder):
        name = "-".join(part for part in (prefix, cell.name if needs_cell_name else "") if part)
        listed.append(
            {
                "id": cell_id,
                "name": _label(name),
                "attempt": attempt,
                "values": cell_files.cell_data(data, scenario, cell),
            }
        )
    return {
        "name": sweep_name(file),
        "scenario": data,
        "cells": listed,
    }


def _parts(
    scenario: Scenario, cells: dict[str, Cell], folder: Path | None
) -> Iterator[tuple[str, int, Cell]]:
    """Yield the cells to race in order: id, attempt, and the cell as the first attempt races it."""
    if folder is None or not book.exists(folder):
        order = sequence(dict.fromkeys(cells, 0.0), "shuffled", scenario.race.seed)
        yield from ((cell_id, 1, cells[cell_id]) for cell_id in order)
        return
    found = state.read(folder)
    book.refuse_other_scenario(folder, found.sweep, scenario)
    states = {each.cell.id: each for each in found.cells}
    for part in found.next_parts:
        cell = cells[part.cell.id]
        raced = part_scenario(cell.scenario, states[part.cell.id], part, 1)
        yield part.cell.id, part.next_number, Cell(cell.name, raced)


def _label(text: str) -> str:
    """Return a string as part of a name in a cluster.

    If more than its case changes, 6 digits of its hash are appended.
    """
    lowercase = text.lower()
    name = re.sub(r"[^a-z0-9]+", "-", lowercase).strip("-")
    if len(name) > _MAX_NAME_CHARACTERS or name != lowercase:
        digits = hashlib.sha256(text.encode()).hexdigest()[:6]
        name = f"{name[: _MAX_NAME_CHARACTERS - 7].strip('-')}-{digits}".strip("-")
    return name
