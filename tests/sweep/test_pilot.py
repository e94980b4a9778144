"""How many blocks an acceptance needs, estimated from a pilot."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import yaml

from made_results import HTTP, build, flat, scenario_of
from swarmrace.errors import ResultsError
from swarmrace.scenario.scenario import Acceptance
from swarmrace.sweep import pilot

ENTRANTS = {"web": HTTP, "bt": {"kind": "bittorrent"}}


def wanted(within=1.2):
    return Acceptance(entrant="web", within=within, of="bt")


def blocks(ratio, spread, count=6):
    """Return log ratios with exactly this median and this spread."""
    found = np.linspace(-1, 1, count)
    return (math.log(ratio) + spread * found / found.std(ddof=1)).tolist()


def test_a_ratio_nearer_to_the_bound_needs_more_blocks():
    found = [
        pilot.need(blocks(ratio, 0.1), wanted(), stopping=False).blocks
        for ratio in (0.8, 1.0, 1.08, 1.15)
    ]
    assert found[0] == 6
    assert all(a <= b for a, b in itertools.pairwise(found[:3]))
    assert found[3] is None or found[3] > found[1]


def test_a_wider_spread_needs_more_blocks():
    narrow, wide = (
        pilot.need(blocks(1.0, spread), wanted(), stopping=False) for spread in (0.05, 0.3)
    )
    assert narrow.blocks == 6
    assert wide.blocks is None or wide.blocks > 6


def test_a_ratio_at_the_bound_is_never_decided():
    found = pilot.need(blocks(1.2, 0.1), wanted(), stopping=False)
    assert found.blocks is None
    assert "more than 50 blocks" in found.line()
    assert found.decided < 0.3


def test_races_of_the_estimated_length_are_mostly_decided():
    """Checked with races of new log-normal noise that has the pilot's spread."""
    rng = np.random.default_rng(3)
    found = pilot.need(rng.normal(math.log(1.05), 0.12, 30).tolist(), wanted(), stopping=False)
    fresh = rng.normal(math.log(1.05), 0.12, (2000, found.blocks))
    share = pilot._decided(fresh, wanted(), 0.95).mean()
    assert 0.6 < share < 0.99


def test_a_race_that_stops_early_is_decided_at_one_of_its_looks():
    found = pilot.need(blocks(1.0, 0.08), wanted(), stopping=True)
    assert found.blocks in (6, 10, 20)


def test_a_side_that_failed_in_every_block_is_decided_at_once():
    assert pilot.need([math.inf] * 4, wanted(), stopping=False).blocks == 6


def test_the_command_reads_a_results_folder(tmp_path, run_cli):
    race = {"acceptance": [{"entrant": "web", "within": 1.5, "of": "bt"}], "repetitions": 4}
    what = scenario_of(ENTRANTS, **race)
    folder = build(
        tmp_path / "pilot", what, {"web": flat(1, 1.1, 1.05, 1.0), "bt": flat(1, 1, 1, 1.02)}
    )
    file = tmp_path / "scenario.yaml"
    file.write_text(yaml.safe_dump({"global": what.canonical()}))
    done = run_cli("plan", str(file), "--pilot", str(folder))
    assert done.exit_code == 0, done.output
    assert done.output.startswith("web within 1.5 of bt: about 6 blocks decide it in ")
    assert "(pilot: 4 blocks, ratio 1.0" in done.output


def test_too_few_blocks_or_other_entrants_are_refused(tmp_path):
    what = scenario_of(ENTRANTS, acceptance=[{"entrant": "web", "within": 2, "of": "bt"}])
    few = build(tmp_path / "few", what, {"web": [*flat(1, 1), None], "bt": flat(1, 1, 1)})
    with pytest.raises(ResultsError, match=r"found 2 blocks .*, expected at least 3"):
        pilot.needs(what, few)
    other = build(tmp_path / "other", scenario_of({"z": HTTP}), {"z": flat(1, 1, 1)})
    with pytest.raises(ResultsError, match="found no results of bt, web"):
        pilot.needs(what, other)
