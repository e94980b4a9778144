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


def test_what_is_right_is_kept_and_what_is_wrong_is_named():
    race, unsound = part(Race, {"swarmSize": 8, "seeders": "x", "order": "no", "sed": 3})
    assert (race.swarm_size, race.seeders, race.order) == (8, 1, "interleaved")
    assert unsound == {"seeders", "order", "sed", "seed"}, "the key meant is no more certain"


def test_of_a_list_of_maps_the_item_alone_is_left_out():
    network = {"network": [{"upload": 5}, {"uplaod": 5, "download": 7}, 3]}
    race, unsound = part(Race, {"matrix": network})
    assert [(n.upload, n.download) for n in race.matrix.network] == [
        (5, None),
        (None, 7),
        (None,) * 2,
    ]
    assert {"matrix.network.1.uplaod", "matrix.network.2"} <= unsound


def test_of_a_list_of_values_nothing_is_kept():
    race, unsound = part(Race, {"matrix": {"swarmSize": [2, "x"], "seeders": [1]}})
    assert (race.matrix.swarm_size, race.matrix.seeders) == ([], [1])
    assert unsound == {"matrix.swarmSize"}


def test_what_is_needed_and_missing_is_empty():
    scenario, unsound = part(Scenario, {"monitoring": {"enabled": True}})
    assert (scenario.entrants, scenario.monitoring.enabled) == ({}, True)
    assert unsound == {"global", "global.entrants"}
    race, unsound = part(Race, {"acceptance": [{"entrant": "a", "of": "b"}]})
    assert (race.acceptance[0].entrant, race.acceptance[0].of) == ("a", "b")
    assert unsound == {"acceptance.0.within"}


def test_what_is_missing_from_a_list_in_a_list_takes_the_key_with_it():
    options, unsound = part(SyntheticOptions, {"curve": [None, []], "recordSize": 5})
    assert (options.curve[-1], options.record_size) == ((1.0, 1.0), 5)
    assert unsound == {"curve"}


def test_of_no_map_nothing_can_be_said():
    assert part(Race, [1]) == (None, frozenset())
