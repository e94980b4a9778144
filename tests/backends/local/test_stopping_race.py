"""A real race that stops once its acceptance is decided."""

from __future__ import annotations

import json

from racing import race, scenario_file
from swarmrace.errors import Exit
from swarmrace.integrity import verify
from swarmrace.results.folder import load

QUICK = {"kind": "synthetic", "curve": [[0, 0], [0.05, 1]]}
SLOW = {"kind": "synthetic", "curve": [[0, 0], [1, 1]]}
ACCEPTANCE = [{"entrant": "a", "within": 1.2, "of": "b"}]


def test_no_block_is_raced_after_the_decision(tmp_path):
    file = scenario_file(
        tmp_path,
        {"a": QUICK, "b": SLOW},
        swarmSize=2,
        repetitions=20,
        acceptance=ACCEPTANCE,
        stopping=True,
    )
    with race(tmp_path, file) as running:
        assert running.end() == Exit.OK
        folder = running.folder
    info = json.loads((folder / "race.json").read_text())
    blocks = info["decidedBlocks"]
    assert info["status"] == "finished"
    assert 6 <= blocks < 20, "6, unless a stall of the machine made a run of the faster one slow"
    assert len(list((folder / "runs").iterdir())) == 2 * blocks
    found = load(folder)
    assert [record.run.repetition for record in found.runs] == [n // 2 for n in range(2 * blocks)]
    assert all(record.result.status == "raced" for record in found.runs)
    assert not found.faults
    assert verify.verify(folder).sound
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["acceptance"][0]["verdict"] == "met"
    assert verdict["confidence"] == 0.968
