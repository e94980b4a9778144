"""What is wrong with a release's values, as Helm has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from swarmrace.backends.kubernetes import judge

ENTRANTS = {"a": {"kind": "http"}, "b": {"kind": "bittorrent"}}


def values(race: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Values with what Helm, or a chart that depends on ours, adds to them."""
    shared = {"race": race or {}, "entrants": ENTRANTS, "postgresql": {"auth": {}}}
    added = {"global": shared, "common": {"global": shared}}
    charts = {
        chart: {**added, **more.pop(chart, {})} for chart in ("tracker", "swarm", "monitoring")
    }
    return {"global": shared, "enabled": True, "common": {"global": shared}, **charts, **more}


def test_what_helm_adds_is_no_fault() -> None:
    assert judge.faults_of(values()) == []


def test_every_kind_of_fault_is_found() -> None:
    found = judge.faults_of(values({"seeders": 9}, tracker={"annotation": {}}))
    assert [fault.key for fault in found] == ["tracker.annotation", "global.race.seeders"]
    (small,) = judge.faults_of(values(tracker={"storage": {"size": "1MB"}}))
    assert small.key == "tracker.storage.size"


def test_values_that_are_no_map_are_refused() -> None:
    for wrong in (None, [], "x", {"global": 1}, {**values(), "tracker": 3}):
        assert judge.faults_of(wrong)


def test_values_are_read_from_the_file_that_the_chart_mounts(tmp_path: Path) -> None:
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values()))
    assert judge.read(file) == values()
