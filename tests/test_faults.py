from __future__ import annotations

import pytest
from pydantic import ValidationError

from swarmrace.errors import Fault
from swarmrace.faults import closest, faults_of, keys_at, nearest
from swarmrace.model import in_yaml
from swarmrace.scenario.scenario import Race, Scenario
from swarmrace.systems.bittorrent.options import BitTorrentOptions
from swarmrace.systems.synthetic.options import SyntheticOptions


def lines(model, data, prefix=""):
    with pytest.raises(ValidationError) as caught:
        model.model_validate(data)
    return list(map(str, faults_of(caught.value, model, prefix)))


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("fileSzie", ["fileSize", "seed"], "fileSize"),
        ("FILESIZE", ["fileSize"], "fileSize"),
        ("file_size", ["fileSize"], "fileSize"),
        ("xyz", ["fileSize"], None),
        ("", ["a"], None),
        ("a", [], None),
    ],
)
def test_the_closest_known_word(word, known, expected):
    assert closest(word, known) == expected
    assert nearest(word, known) == (f" (did you mean {expected!r}?)" if expected else "")


def test_keys_are_listed_through_maps_lists_and_alternatives():
    assert keys_at(Scenario, ["global", "race", "network", "seeders"]) == ["download", "upload"]
    assert "uplaod" not in keys_at(Scenario, ["global", "race", "matrix", "network", "0"])
    assert "upload" in keys_at(Scenario, ["global", "race", "matrix", "network", "0"])
    assert keys_at(Scenario, ["global", "race", "seed"]) == []
    assert keys_at(Scenario, ["nowhere", "at", "all"]) == []


def test_a_union_of_scalars_gives_one_fault():
    assert lines(BitTorrentOptions, {"settings": {"a": None, "b": 1.5, "c": 2**31}}) == [
        "settings.a: found null, expected true, false, a whole number of 32 bits or a string",
        "settings.b: found 1.5, expected true, false, a whole number of 32 bits or a string",
        "settings.c: found 2147483648, expected true, false, a whole number of 32 bits or a string",
    ]


def test_the_prefix_comes_before_every_key():
    (line,) = lines(Race, {"seed": -1}, "global.race")
    assert line == "global.race.seed: found -1, expected greater than or equal to 0"


def test_a_long_value_is_cut():
    (line,) = lines(Race, {"order": "x" * 500})
    assert len(line) < 150
    assert "..." in line


def test_the_message_of_a_models_own_check_is_unchanged():
    (line,) = lines(SyntheticOptions, {"curve": [[0, 1], [1, 0]]})
    assert line.startswith("curve: found the curve")


def test_the_message_of_another_value_error_is_unchanged():
    assert faults_of(ValueError("odd"), Race) == [Fault("scenario", "odd")]
    assert faults_of(ValueError("odd"), Race, "global.race") == [Fault("global.race", "odd")]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        ([True, {"a": False}], "[true, {a: false}]"),
        ("it's", '"it\'s"'),
        ((1, 2.5), "[1, 2.5]"),
        ({}, "{}"),
        (10**5000, "a number with very many digits"),
        ([[[[[1]]]]], "[[[...]]]"),
    ],
    ids=["null", "list", "string", "tuple", "map", "huge", "deep"],
)
def test_a_value_is_shown_as_yaml_writes_it(value, shown):
    assert in_yaml(value) == shown


def test_a_value_with_a_billion_items_is_cut():
    value = ["lol"]
    for _ in range(30):
        value = [value] * 10
    assert len(in_yaml(value)) <= 60
