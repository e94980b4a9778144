"""`swarmrace plan --write`: each cell of a matrix as a scenario file of its own.

That is how a matrix is swept on a cluster, where one release is one scenario.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import yaml

from swarmrace.backends.kubernetes import pods
from swarmrace.host.output import printable, shortened
from swarmrace.plan import checks
from swarmrace.plan.plan import Cell, expand
from swarmrace.scenario import yaml_file
from swarmrace.scenario.cluster import MIB
from swarmrace.scenario.scenario import Scenario
from swarmrace.units import canonical_size

_WORD = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]+")


class _Dumper(yaml.SafeDumper):
    """Quotes every text that some reader of YAML might take for anything else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    node = yaml.SafeDumper.represent_str(dumper, text)
    node.style = node.style or (None if _WORD.fullmatch(text) else '"')
    return node


_Dumper.add_representer(str, _text)


def write(path: Path, folder: Path) -> list[Path]:
    """Write every cell of a scenario file into a folder, which is made; return the new files.

    Each holds what `path` holds, with the cell's values in the axes' place, and is raced as it is
    by `swarmrace run` and `helm install`. One that is there already is replaced.

    Raises:
        ScenarioError: the file can't be read or is wrong; nothing is written then.
    """
    scenario = checks.load(path)
    data = yaml_file.read(path).data
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for cell in expand(scenario):
        stem = shortened(printable(path.stem), 250 - len(f"-{cell.name}.yaml"))
        file = folder / f"{stem}-{cell.name}.yaml"
        head = f"# Cell {cell.name} of {printable(path.name)}, by `swarmrace plan --write`.\n"
        text = yaml.dump(
            _data(data, scenario, cell), Dumper=_Dumper, sort_keys=False, allow_unicode=True
        )
        file.write_text(head + text, encoding="utf-8")
        written.append(file)
    return written


def cell_values(path: Path, scenario: Scenario, cell: Cell) -> str:
    """Return the values file of a cell, its attempt and blocks included.

    Args:
        path: the scenario file.
        scenario: as read from it.
        cell: of it; what is raced besides the axes may be another attempt, or further blocks.
    """
    data = _data(yaml_file.read(path).data, scenario, cell)
    of, race = cell.scenario.race, data["global"]["race"]
    race |= {"attempt": of.attempt, "repetitions": of.repetitions}
    if of.continues is not None:
        race["continues"] = of.continues.model_dump(mode="json")
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _data(data: Any, scenario: Scenario, cell: Cell) -> Any:
    """Return a cell's file: the whole one's, changed where the cell differs."""
    data, of = copy.deepcopy(data), cell.scenario.race
    race = data["global"]["race"] = data["global"].get("race") or {}
    given = race.pop("matrix", None) or {}
    if given.get("swarmSize"):
        race["swarmSize"] = of.swarm_size
    if given.get("seeders"):
        race["seeders"] = of.seeders
    if given.get("fileSize"):
        race["fileSize"] = canonical_size(of.file_size)
    if given.get("network"):
        assert scenario.race.matrix is not None
        race["network"] = given["network"][scenario.race.matrix.network.index(of.network)]
    needed = pods.results_bytes(cell.scenario)
    if needed > scenario.tracker.storage.size:
        tracker = data["tracker"] = data.get("tracker") or {}
        tracker["storage"] = (tracker.get("storage") or {}) | {
            "size": canonical_size(-(-needed // (1024 * MIB)) * 1024 * MIB)
        }
    return data
