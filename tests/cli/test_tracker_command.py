"""`swarmrace tracker` for other BitTorrent clients, such as qBittorrent."""

from __future__ import annotations

import json

import pytest

from swarmrace.backends.local import processes
from swarmrace.errors import Exit

SCENARIO = {"global": {"race": {"swarmSize": 2}, "entrants": {"a": {"kind": "http"}}}}


@pytest.mark.parametrize("opened", [False, True])
def test_an_option_also_serves_announce_without_a_race_id(tmp_path, run_cli, monkeypatch, opened):
    started = []

    def run_tracker(config):
        started.append(config)
        return 0

    monkeypatch.setattr(processes, "run_tracker", run_tracker)
    (tmp_path / "scenario.json").write_text(json.dumps(SCENARIO))
    arguments = ["--scenario", str(tmp_path / "scenario.json"), "--data-dir", str(tmp_path / "r")]
    result = run_cli("tracker", *arguments, *(["--open-announce"] if opened else []))
    assert result.exit_code == Exit.OK, result.output
    assert [config.open_announce for config in started] == [opened]
