"""Known answers: on virtual clocks a whole race gives exact figures, from curve to verdict.

The peers' clocks are years apart, so code that subtracts stamps of two hosts anywhere in the chain
(arrivals, files, rendezvous, verdict) would give absurd figures.
"""

from __future__ import annotations

import pytest

import racing_peers
from swarmrace.results import folder as results
from swarmrace.scenario.loading import parse
from swarmrace.verdict.compute import compute

YEAR_NS = 31_557_600_000_000_000


def scenario(entrants, **race):
    race = {"swarmSize": 4, "seeders": 1, "fileSize": 100_000, "repetitions": 3, **race}
    named = {name: {"kind": "synthetic", **options} for name, options in entrants.items()}
    return parse({"global": {"race": race, "entrants": named}})


def race(scenario, folder):
    """Race on clocks that are years apart; return the results folder."""
    _, ends = racing_peers.raced(scenario, folder, started_ns=lambda number: number * (YEAR_NS + 1))
    assert set(ends) == {None}, ends
    return folder / "race"


def transfers(loaded, entrant):
    return [
        (record.run.repetition, index, peer.transfer)
        for record in loaded.runs
        if record.run.entrant == entrant
        for index, peer in record.peers.items()
        if peer.role == "leecher"
    ]


def test_a_straight_line_gives_exact_marks(tmp_path):
    folder = race(
        scenario({"a": {"curve": [[0, 0], [2, 1]], "recordSize": 1000, "discoverySeconds": 0.01}}),
        tmp_path,
    )
    loaded = results.load(folder)
    assert loaded.faults == ()
    found = transfers(loaded, "a")
    assert len(found) == 9
    for _, _, transfer in found:
        assert transfer.start_lag_seconds == 0.0
        assert transfer.discovery_seconds == 0.01
        marks = {mark.percent: mark.seconds for mark in transfer.arrival}
        # Record k of 100 ends at 0.02 k s; the first byte comes with the first record.
        assert marks == {0: 0.02, 1: 0.02, 10: 0.2, 50: 1.0, 90: 1.8, 100: 2.0}
        assert {m.resolution_seconds for m in transfer.arrival} == {0.02}
        assert transfer.done_seconds == 2.0
        assert transfer.longest_stall_seconds == 0.02
        assert transfer.received_bytes == 100_000
        assert transfer.verified
    curve = loaded.curve(loaded.runs[0].run.id, found[0][1])
    assert curve.t_ns.tolist() == [20_000_000 * k for k in range(1, 101)]


def test_ratios_over_blocks_are_exact(tmp_path):
    folder = race(
        scenario(
            {
                "a": {"curve": [[0, 0], [1, 1]], "runFactor": [1, 2, 4]},
                "b": {"curve": [[0, 0], [2, 1]], "runFactor": [1, 2, 4]},
            },
            acceptance=[{"entrant": "b", "within": 2.01, "of": "a"}],
        ),
        tmp_path,
    )
    verdict = compute(results.load(folder))
    (pair,) = verdict.comparisons
    expected = 2.0 if pair.entrant == "b" else 0.5
    assert pair.paired
    assert pair.t100.estimate == pytest.approx(expected, rel=1e-12)
    # The blocks differ by factors of two, the ratios within them don't: pairing removes it.
    assert pair.t100.low == pytest.approx(expected, rel=1e-9)
    assert pair.t100.high == pytest.approx(expected, rel=1e-9)
    numbers = {(run.entrant, run.repetition): run.t100 for run in verdict.runs}
    for repetition, factor in enumerate([1, 2, 4]):
        assert numbers["a", repetition] == pytest.approx(factor)
        assert numbers["b", repetition] == pytest.approx(2 * factor)
    assert [item.verdict for item in verdict.acceptance] == ["met"]


def test_the_median_leecher_and_the_last_one(tmp_path):
    factors = {index: index + 1 for index in range(4)}
    folder = race(
        scenario({"a": {"curve": [[0, 0], [1, 1]], "peerFactor": factors}}, rotateSeeders=False),
        tmp_path,
    )
    verdict = compute(results.load(folder))
    for run in verdict.runs:
        assert (run.t100, run.last) == (3.0, 4.0)


def test_a_stalled_leecher_ranks_behind_all_that_completed(tmp_path):
    folder = race(
        scenario({"a": {"faults": {1: "stall", 2: "stall"}}}, rotateSeeders=False, repetitions=1),
        tmp_path,
    )
    loaded = results.load(folder)
    reasons = [p.failure and p.failure.reason for p in loaded.runs[0].peers.values()]
    assert sorted(str(reason) for reason in reasons) == ["None", "None", "stall", "stall"]
    partial = loaded.runs[0].peers[1].transfer
    assert partial.received_bytes < 100_000
    assert partial.done_seconds is None
    (run,) = compute(loaded).runs
    assert run.t100 == "failed"


def test_seeders_rotate_and_are_the_same_for_all_entrants(tmp_path):
    folder = race(scenario({"a": {}, "b": {}}, seeders=2, repetitions=2), tmp_path)
    loaded = results.load(folder)
    by_block = {}
    for record in loaded.runs:
        seeding = {index for index, peer in record.peers.items() if peer.role == "seeder"}
        assert seeding == set(record.run.seeders)
        by_block.setdefault(record.run.repetition, []).append(seeding)
    assert all(first == second for first, second in by_block.values())
    assert by_block[0][0] != by_block[1][0]
