"""Archived races judged again: every run has the same figures, and changed verdicts are listed."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paths import ROOT
from swarmrace.results.folder import load
from swarmrace.verdict import compute
from swarmrace.verdict.wording import value

RESULTS = ROOT / "docs" / "results"
CODEX = sorted((RESULTS / "2026-11-real-codex" / "raw").iterdir())
"""Races of format 2, with the verdicts of the swarmrace that raced them."""
RULES = {"ranks", "failed runs"}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> list[Path]:
    """The races of format 3: 39 cells."""
    folder = tmp_path_factory.mktemp("sweep")
    with tarfile.open(RESULTS / "2026-11-matrix-small" / "raw.tar.xz") as archive:
        archive.extractall(
            folder, [m for m in archive if not m.name.endswith(".npz")], filter="data"
        )
    return sorted(path.parent for path in folder.rglob("race.json"))


def judged_again(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a race's stored verdict, and its verdict now."""
    stored = json.loads((folder / "verdict.json").read_text())
    found = compute(load(folder, curves=False))
    return stored, json.loads(found.model_dump_json(by_alias=True))


def runs(verdict: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of every run."""
    keys = ("status", "t100", "last", "completed", "leechers")
    return {run["runId"]: {key: run[key] for key in keys} for run in verdict["runs"]}


def shown(ratio: dict[str, Any] | None) -> str:
    """Return a ratio with its interval, in three digits."""
    if ratio is None or ratio["estimate"] is None:
        return "no ratio"
    text = value(ratio["estimate"])
    return (
        text if ratio["low"] is None else f"{text} [{value(ratio['low'])}, {value(ratio['high'])}]"
    )


def ratios(verdict: dict[str, Any]) -> dict[str, str]:
    """Return the ratio of t100 of each pair."""
    return {f"{one['entrant']} / {one['of']}": shown(one["t100"]) for one in verdict["comparisons"]}


def changed(stored: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the pair, its old and its new ratio of each changed verdict."""
    assert runs(now) == runs(stored)
    before, after = ratios(stored), ratios(now)
    assert set(after) == set(before)
    for pair, ratio in after.items():
        if ratio != before[pair]:
            yield pair, before[pair], ratio


def listed() -> dict[tuple[str, str, str, str], str]:
    """Return the rule of each changed verdict that the CHANGELOG lists."""
    text = (ROOT / "CHANGELOG.md").read_text()
    table = text.partition("| race | pair | was | is | rule |")[2].partition("\n\n")[0]
    rows = [
        [cell.strip(" `") for cell in line.strip("| ").split("|")] for line in table.splitlines()
    ]
    found = {(race, pair, was, now): rule for race, pair, was, now, rule in rows[2:]}
    assert len(found) == len(rows) - 2
    return found


def test_changed_verdicts_of_archived_races_are_listed_with_their_rule():
    found = [(folder.name, *each) for folder in CODEX for each in changed(*judged_again(folder))]
    assert len(CODEX) == 8
    assert sorted(found) == sorted(listed())
    assert set(listed().values()) == RULES


def test_archived_races_of_the_current_format_have_the_same_verdicts(sweep):
    assert len(sweep) == 39
    for folder in sweep:
        stored, now = judged_again(folder)
        assert list(changed(stored, now)) == []
        assert now["headline"] == stored["headline"]
        assert now["acceptance"] == stored["acceptance"]
