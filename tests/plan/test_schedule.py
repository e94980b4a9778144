from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from swarmrace.plan.schedule import schedule, seeders
from swarmrace.scenario.loading import parse

FIRST_DRAW_IDS = [
    "000-bittorrent",
    "001-http",
    "002-codex",
    "003-http",
    "004-bittorrent",
    "005-codex",
    "006-codex",
    "007-http",
    "008-bittorrent",
    "009-bittorrent",
    "010-http",
    "011-codex",
]
FIRST_DRAW_SEEDERS = [(0,), (1,), (2,), (3,)]


def runs(entrants=("a", "b", "c"), **race):
    return schedule(
        parse({"global": {"race": race, "entrants": {name: {"kind": "http"} for name in entrants}}})
    )


def blocks(of):
    found = {}
    for run in of:
        found.setdefault(run.repetition, []).append(run)
    return found


@given(st.integers(0, 2**53 - 1), st.integers(1, 12), st.integers(1, 5))
def test_every_block_holds_every_entrant_once_and_blocks_follow_each_other(
    seed, repetitions, kinds
):
    names = [f"e{number}" for number in range(kinds)]
    found = runs(names, seed=seed, repetitions=repetitions)
    assert [run.repetition for run in found] == sorted(run.repetition for run in found)
    assert len(blocks(found)) == repetitions
    for block in blocks(found).values():
        assert sorted(run.entrant for run in block) == names


@given(st.integers(0, 2**53 - 1), st.booleans(), st.sampled_from(["interleaved", "sequential"]))
def test_all_runs_of_a_block_have_the_same_seeders(seed, rotate, order):
    found = runs(
        seed=seed, repetitions=6, swarmSize=8, seeders=3, rotateSeeders=rotate, order=order
    )
    for block in blocks(found).values():
        assert len({run.seeders for run in block}) == 1
        assert len(set(block[0].seeders)) == 3


def places(found):
    """Return how often each entrant ran in each position of a block."""
    times = Counter()
    for block in blocks(found).values():
        times.update((place, run.entrant) for place, run in enumerate(block))
    return times


@given(st.integers(0, 2**53 - 1), st.integers(1, 5), st.integers(1, 13), st.integers(1, 3))
def test_each_entrant_runs_in_each_position_equally_often(seed, kinds, repetitions, attempt):
    names = [f"e{number}" for number in range(kinds)]
    found = runs(names, seed=seed, repetitions=repetitions, attempt=attempt)
    for ended in range(1, repetitions + 1):  # also after any number of blocks
        times = places([run for run in found if run.repetition < ended])
        counts = [times[place, name] for place in range(kinds) for name in names]
        assert max(counts) - min(counts) <= 1
        assert kinds == 1 or ended < kinds or min(counts) >= ended // kinds


@given(st.integers(0, 2**53 - 1), st.integers(1, 12), st.integers(1, 12))
def test_more_repetitions_continue_the_same_race(seed, few, more):
    short, whole = runs(seed=seed, repetitions=few), runs(seed=seed, repetitions=few + more)
    assert whole[: len(short)] == short


def test_the_order_within_blocks_is_drawn():
    found = blocks(runs(repetitions=300))
    orders = Counter(tuple(run.entrant for run in block) for block in found.values())
    # by chance alone each of 6 comes 50 times; 4 standard deviations are 26
    assert len(orders) == 6
    assert all(24 <= times <= 76 for times in orders.values())


def test_with_an_even_number_each_entrant_follows_each_other_equally_often():
    found = blocks(runs("abcd", repetitions=40))
    pairs = Counter(
        (one.entrant, other.entrant) for block in found.values() for one, other in pairwise(block)
    )
    assert set(pairs.values()) == {10}
    assert len(pairs) == 12


def test_sequential_order_is_by_entrant_name():
    found = runs(("b", "a"), repetitions=3, order="sequential")
    order = [(run.entrant, run.repetition) for run in found]
    assert order == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2)]


def test_a_seed_has_one_order_on_every_python():
    # Drawn once and written down: a change here would make old races unrepeatable.
    found = runs(("bittorrent", "codex", "http"), seed=42, repetitions=4, swarmSize=4)
    orders = [[run.entrant[0] for run in block] for block in blocks(found).values()]
    assert ["".join(order) for order in orders] == ["bch", "hbc", "chb", "bhc"]
    found = runs(seed=47, repetitions=4, swarmSize=4)
    assert [run.seeders[0] for run in found][::3] == [3, 2, 1, 0]


def test_another_seed_has_another_order():
    orders = {tuple(run.entrant for run in runs(seed=seed, repetitions=8)) for seed in range(20)}
    assert len(orders) == 20


@given(st.integers(2, 20), st.data())
def test_rotation_lets_all_peers_seed_equally_often(size, data):
    count = data.draw(st.integers(1, size - 1))
    seed = data.draw(st.integers(0, 1000))
    times = Counter(
        peer for block in range(size) for peer in seeders(seed, block, size, count, True)
    )
    assert times == dict.fromkeys(range(size), count)


@given(st.integers(2, 20), st.integers(0, 50), st.data())
def test_rotation_never_differs_by_more_than_one(size, repetitions, data):
    count = data.draw(st.integers(1, size - 1))
    times = Counter(dict.fromkeys(range(size), 0))
    for block in range(repetitions):
        times.update(seeders(7, block, size, count, True))
    assert max(times.values()) - min(times.values()) <= 1


def test_without_rotation_the_first_peers_seed():
    assert all(run.seeders == (0, 1) for run in runs(seeders=2, rotateSeeders=False))


def test_roles_follow_the_seeders():
    run = runs(swarmSize=5, seeders=2)[0]
    roles = [run.role(peer) for peer in range(5)]
    assert roles.count("seeder") == 2
    assert all((roles[peer] == "seeder") == (peer in run.seeders) for peer in range(5))


def test_every_run_has_fresh_content():
    found = runs(repetitions=20) + runs(repetitions=20, seed=2) + runs(repetitions=20, attempt=2)
    found += runs(repetitions=20, fileSize="1MB") + runs(repetitions=20, swarmSize=8, seeders=2)
    assert len({run.payload_seed for run in found}) == len(found)


def test_the_order_of_a_maps_keys_does_not_matter():
    # Helm hands maps on in the order of their keys
    for order in ("interleaved", "sequential"):
        assert runs(("c", "a", "b"), order=order) == runs(("a", "b", "c"), order=order)


def test_ids_and_indexes_are_positions():
    found = runs(repetitions=5)
    assert [run.index for run in found] == list(range(15))
    assert [run.id for run in found] == [f"{n:03d}-{run.entrant}" for n, run in enumerate(found)]


def test_another_attempt_draws_another_order():
    """Order, seeders and content differ; with 20 blocks of 3, even the order is surely another."""
    first, again, found = (runs(repetitions=20, attempt=attempt) for attempt in (1, 1, 2))
    assert first == again
    assert [run.id for run in first] != [run.id for run in found]
    assert [run.seeders for run in first] != [run.seeders for run in found]
    assert not {run.payload_seed for run in first} & {run.payload_seed for run in found}


def test_draw_version_1_is_kept_for_older_folders():
    scenario = parse(
        {
            "global": {
                "race": {"seed": 42, "repetitions": 4, "swarmSize": 4},
                "entrants": {name: {"kind": "http"} for name in ("bittorrent", "codex", "http")},
            }
        }
    )
    found = schedule(scenario, draw=1)
    assert [run.id for run in found] == FIRST_DRAW_IDS
    assert [run.seeders for run in found][::3] == FIRST_DRAW_SEEDERS
