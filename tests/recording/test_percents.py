"""A curve at every whole percent: stored, read back and compared with its npz."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_arrivals import SIZE, curve_of, record_lists
from racing_peers import raced
from swarmrace.integrity.verify import verify
from swarmrace.recording.arrivals import Curve
from swarmrace.recording.percents import percents_of, wire_percents
from swarmrace.scenario.loading import parse

SECOND = 1_000_000_000
ENTRANT = {"kind": "synthetic", "curve": [[0, 0], [0.5, 0.4], [2, 1]]}


@given(rows=record_lists(), poll=st.sampled_from([0.0, 0.25]))
def test_each_percent_agrees_with_the_curve(rows, poll):
    curve = curve_of(rows)
    found = percents_of(curve, poll)
    wanted = [curve.mark(percent) for percent in range(101)]
    reached = [mark for mark in wanted if mark is not None]
    assert found.seconds == [t_ns / 1e9 for t_ns, _ in reached]
    assert found.resolution_seconds == [unknown / 1e9 + poll for _, unknown in reached]
    assert wanted[: len(reached)] == reached, "only the end can be missing"


def test_percents_computed_by_hand():
    """100 bytes: 10 at 1 s, 40 at 2 s, 50 at 5 s. The mean gap excluding the longest is 1 s."""
    curve = Curve(np.array([0, 10, 50]), np.array([10, 40, 50]), np.array([1, 2, 5]) * SECOND, 100)
    found = percents_of(curve, 0.0)
    assert found.seconds[:12] == [1.0] * 11 + [2.0]
    assert (found.seconds[50], found.seconds[51], found.seconds[100]) == (2.0, 5.0, 5.0)
    assert (found.stall_began_seconds, found.stall_seconds) == (2.0, 3.0)
    assert set(found.resolution_seconds) == {1.0}


def test_a_transfer_that_ended_early_has_only_the_percents_it_reached():
    curve = Curve(np.array([0]), np.array([30]), np.array([SECOND]), 100)
    found = percents_of(curve, 0.0, 11 * SECOND)
    assert len(found.seconds) == len(found.resolution_seconds) == 31
    assert (found.stall_began_seconds, found.stall_seconds) == (1.0, 10.0)
    assert percents_of(curve_of([], SIZE), 0.0).seconds == []


def test_wire_percents_computed_by_hand():
    """Sampled at 0, 1, 2, 3, 7 s: 0, 0, 50, 50, 100 bytes."""
    t_ns = np.array([0, 1, 2, 3, 7]) * SECOND
    found = wire_percents(t_ns, np.array([0, 0, 50, 50, 100]), 100)
    assert (found.seconds[0], found.seconds[50], found.seconds[51]) == (2.0, 2.0, 7.0)
    assert (found.resolution_seconds[50], found.resolution_seconds[100]) == (1.0, 4.0)
    assert (found.stall_began_seconds, found.stall_seconds) == (2.0, 5.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    race = {"swarmSize": 3, "seeders": 1, "repetitions": 1, "fileSize": "1MB"}
    scenario = parse({"global": {"race": race, "entrants": {"a": ENTRANT}}})
    loaded, _ = raced(scenario, tmp_path_factory.mktemp("percents"))
    return loaded.folder


def _leecher(folder: Path) -> tuple[Path, dict]:
    for path in sorted(folder.glob("runs/*/*-*.json")):
        data = json.loads(path.read_text())
        if data["role"] == "leecher":
            return path, data
    raise AssertionError


def test_a_race_stores_percents_for_each_observed_curve(made):
    _, data = _leecher(made)
    transfer = data["transfer"]
    kinds = {kind for kind in ("arrival", "written", "delivery") if transfer[kind]}
    assert kinds
    assert set(transfer["percents"]) == kinds
    for kind in kinds:
        stored = transfer["percents"][kind]
        assert len(stored["seconds"]) == 101
        for mark in transfer[kind]:
            at = int(mark["percent"])
            assert stored["seconds"][at] == mark["seconds"]
            assert stored["resolutionSeconds"][at] == mark["resolutionSeconds"]
    assert verify(made).sound


@pytest.mark.parametrize(
    ("key", "change", "named"),
    [
        ("seconds", lambda found: [found[0], *found[2:], found[-1]], "at 1 %"),
        ("seconds", lambda found: found[:-1], "100 percents"),
        ("resolutionSeconds", lambda found: [0.0] * len(found), "resolution"),
        ("stallSeconds", lambda found: found + 1, "stallSeconds"),
    ],
)
def test_verify_names_an_edited_percent(made, tmp_path, key, change, named):
    folder = shutil.copytree(made, tmp_path / "copy")
    path, data = _leecher(folder)
    [kind, *_] = data["transfer"]["percents"]
    stored = data["transfer"]["percents"][kind]
    stored[key] = change(stored[key])
    path.write_text(json.dumps(data))
    lines = [line for line in verify(folder).changed if f"percents.{kind}" in line]
    assert lines
    assert named in lines[0]
