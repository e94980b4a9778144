"""Reads the JSON files of a results folder, of the current format and of older ones.

An older file is migrated step by step (`MIGRATIONS`).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from swarmrace import systems
from swarmrace.errors import ResultsError
from swarmrace.faults import faults_of
from swarmrace.model import Model
from swarmrace.recording.records import FORMAT

FileKind = Literal["race", "run", "peer", "verdict"]
_IS_CURRENT = re.compile(rb'\s*\{\s*"format"\s*:\s*' + str(FORMAT).encode() + rb"\s*[,}]")


Record = TypeVar("Record", bound=Model)


class BrokenFileError(ResultsError):
    """A file can't be used. The message is one line and begins with the file's path."""


def read(path: Path, model: type[Record], kind: FileKind) -> Record:
    """Read one JSON file of a results folder and migrate it to the current format.

    Raises:
        BrokenFileError: the file is missing, truncated or invalid.
        ResultsError: its format is newer than this program, or older than any known migration.
    """
    if kind == "peer" and (found := _read_current(path, model)) is not None:
        return found
    data = migrate(path, kind, read_json(path))
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = faults_of(error, model)
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        raise BrokenFileError(f"{path}: {lines[0]}{more}") from error


def _read_current(path: Path, model: type[Record]) -> Record | None:
    """Return a record that is of the current format and valid, otherwise None, so that the caller
    reads it step by step. A report reads tens of thousands of them."""
    try:
        data = path.read_bytes()
        if _IS_CURRENT.match(data):
            return model.model_validate_json(data)
    except (OSError, ValueError):
        pass
    return None


def migrate(path: Path, kind: FileKind, data: dict[str, Any]) -> dict[str, Any]:
    """Return `data` in the current format.

    Raises:
        BrokenFileError: it has no format number.
        ResultsError: its format is newer than this program, or older than any known migration.
    """
    number = data.get("format")
    if not isinstance(number, int) or isinstance(number, bool):
        raise BrokenFileError(f"{path}: format: found {number!r}, expected a number")
    if number > FORMAT:
        raise ResultsError(
            f"{path}: found results format {number}, expected at most {FORMAT}; "
            "read it with the newer swarmrace that wrote it"
        )
    while number < FORMAT:
        step = MIGRATIONS.get(number)
        if step is None:
            raise ResultsError(
                f"{path}: found results format {number}, expected "
                f"{min(MIGRATIONS, default=FORMAT)} to {FORMAT}"
            )
        number += 1
        data = {**step(kind, data), "format": number}
    return _without_system(_with_former_options(_with_queue(data))) if kind == "race" else data


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        BrokenFileError: the file is missing, truncated or something else.
    """
    try:
        data = from_json(path.read_bytes())  # three times as fast as json.loads
    except FileNotFoundError as error:
        raise BrokenFileError(f"{path}: missing") from error
    except OSError as error:
        raise BrokenFileError(f"{path}: can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        what = "empty" if path.stat().st_size == 0 else f"not complete JSON ({error})"
        raise BrokenFileError(f"{path}: {what}") from error
    if not isinstance(data, dict):
        raise BrokenFileError(f"{path}: found {type(data).__name__}, expected a JSON object")
    return data


def _from_1(kind: FileKind, data: dict[str, Any]) -> dict[str, Any]:
    """Migrate format 1. It had one variation for whatever was observed. It also reported duplicate
    bytes for every system, although none had been observed."""
    if kind != "peer" or not isinstance(data.get("transfer"), dict):
        return data
    transfer = dict(data["transfer"])
    arrived = transfer.get("arrivalsFile") is not None
    if "variation" in transfer:
        key = "arrivalVariation" if arrived else "deliveryVariation"
        transfer[key] = transfer.pop("variation")
    if not arrived or str(transfer.get("unit")).startswith(("poll", "block")):
        transfer["duplicateBytes"] = None
    return data | {"transfer": transfer}


def _from_2(kind: FileKind, data: dict[str, Any]) -> dict[str, Any]:
    """Migrate format 2. It called the write of a block its arrival, and reported the longest stall
    of reads if arrival was not observed. The order of runs was drawn for each block independently.
    Its scenarios set the path of a node's API, which is no longer an option."""
    if kind == "race":
        return {"draw": 1} | _without_api_paths(data)
    if kind != "peer" or not isinstance(data.get("transfer"), dict):
        return data
    transfer = dict(data["transfer"])
    if str(transfer.get("unit")).startswith("block"):
        for old, new in (
            ("arrival", "written"),
            ("arrivalVariation", "writtenVariation"),
            ("arrivalsFile", "writtenFile"),
            ("longestStallSeconds", "longestWrittenStallSeconds"),
        ):
            if old in transfer:
                transfer[new] = transfer.pop(old)
    elif transfer.get("arrivalsFile") is None:
        transfer["longestStallSeconds"] = None
    return data | {"transfer": transfer}


def _without_api_paths(race: dict[str, Any]) -> dict[str, Any]:
    race = copy.deepcopy(race)
    shared = (race.get("scenario") or {}).get("global") or {}
    for section in shared.values():
        families = section.get("families") if isinstance(section, dict) else None
        for family in (families or {}).values():
            family.pop("apiPath", None)
    return race


OLD_QUEUE_MILLISECONDS = 50.0
"""Queue length of a rate limiter before scenarios could set it."""


def _with_queue(data: dict[str, Any]) -> dict[str, Any]:
    """Set the queue length that was raced if race.json's scenario names none."""
    network = _inside(data, "scenario", "global", "race", "network")
    if network is None or "queueMilliseconds" in network:
        return data
    scenario = copy.deepcopy(data["scenario"])
    scenario["global"]["race"]["network"]["queueMilliseconds"] = OLD_QUEUE_MILLISECONDS
    return data | {"scenario": scenario}


def _with_former_options(data: dict[str, Any]) -> dict[str, Any]:
    """Set the options that were raced if race.json's scenario doesn't name them yet."""
    missing = {}
    for name, options in (_inside(data, "scenario", "global", "entrants") or {}).items():
        kind = options.get("kind") if isinstance(options, dict) else None
        spec = systems.find(kind) if isinstance(kind, str) else None
        former = {} if spec is None else spec.options.FORMER
        missing[name] = {key: value for key, value in former.items() if key not in options}
    if not any(missing.values()):
        return data
    scenario = copy.deepcopy(data["scenario"])
    for name, options in missing.items():
        scenario["global"]["entrants"][name] |= options
    return data | {"scenario": scenario}


def _inside(data: dict[str, Any], *keys: str) -> dict[str, Any] | None:
    """Return the object at a path of keys, or None if there is none."""
    found: Any = data
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _without_system(data: dict[str, Any]) -> dict[str, Any]:
    """Remove a peer's `system`, which was always empty in race.json."""
    peers = data.get("peers")
    if not isinstance(peers, list):
        return data
    return data | {
        "peers": [
            {key: value for key, value in peer.items() if key != "system"}
            if isinstance(peer, dict)
            else peer
            for peer in peers
        ]
    }


MIGRATIONS: dict[int, Callable[[FileKind, dict[str, Any]], dict[str, Any]]] = {
    1: _from_1,
    2: _from_2,
}
"""The step from format n to n + 1, by n. A step gets the file's kind and content and returns the
new content; the caller raises `format`."""
