from __future__ import annotations

import pytest
from pydantic import ValidationError

from swarmrace.scenario.scenario import Race, Scenario
from swarmrace.scenario.soundness import sound_part
from swarmrace.systems.synthetic.options import SyntheticOptions


def part(model, data):
    with pytest.raises(ValidationError) as caught:
        model.model_validate(data, by_alias=True, by_name=False)
    before = repr(data)
    found = sound_part(model, data, caught.value)
    assert repr(data) == before
    return found


def test_valid_keys_are_kept_and_faulty_ones_named():
    race, unsound = part(Race, {"swarmSize": 8, "seeders": "x", "order": "no", "sed": 3})
    assert (race.swarm_size, race.seeders, race.order) == (8, 1, "interleaved")
    assert unsound == {"seeders", "order", "sed", "seed"}, "the key that was meant is unknown too"


def test_only_the_faulty_item_of_a_list_of_maps_is_left_out():
    network = {"network": [{"upload": 5}, {"uplaod": 5, "download": 7}, 3]}
    race, unsound = part(Race, {"matrix": network})
    assert [(n.upload, n.download) for n in race.matrix.network] == [
        (5, None),
        (None, 7),
        (None,) * 2,
    ]
    assert {"matrix.network.1.uplaod", "matrix.network.2"} <= unsound


def test_a_list_of_values_with_a_faulty_one_is_left_out():
    race, unsound = part(Race, {"matrix": {"swarmSize": [2, "x"], "seeders": [1]}})
    assert (race.matrix.swarm_size, race.matrix.seeders) == ([], [1])
    assert unsound == {"matrix.swarmSize"}


def test_a_missing_required_key_is_added_empty():
    scenario, unsound = part(Scenario, {"monitoring": {"enabled": True}})
    assert (scenario.entrants, scenario.monitoring.enabled) == ({}, True)
    assert unsound == {"global", "global.entrants"}
    race, unsound = part(Race, {"acceptance": [{"entrant": "a", "of": "b"}]})
    assert (race.acceptance[0].entrant, race.acceptance[0].of) == ("a", "b")
    assert unsound == {"acceptance.0.within"}


def test_a_faulty_list_in_a_list_removes_the_key():
    options, unsound = part(SyntheticOptions, {"curve": [None, []], "recordSize": 5})
    assert (options.curve[-1], options.record_size) == ((1.0, 1.0), 5)
    assert unsound == {"curve"}


def test_data_that_is_no_map_has_no_valid_part():
    assert part(Race, [1]) == (None, frozenset())
