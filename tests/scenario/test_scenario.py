from __future__ import annotations

import json
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from made_scenarios import make
from paths import SCENARIOS
from swarmrace.errors import ScenarioError
from swarmrace.scenario.loading import load, parse
from swarmrace.scenario.scenario import Network, Race, Scenario


@pytest.mark.parametrize("file", sorted(SCENARIOS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_shipped_scenario_loads_and_begins_with_its_question(file):
    assert load(file).race_id()
    assert file.read_text().startswith("# ")


def test_the_quick_scenario_is_what_the_readme_promises():
    race = load(SCENARIOS / "quick.yaml").race
    assert (race.swarm_size, race.seeders, race.file_size) == (4, 1, 100_000_000)
    assert (race.repetitions, race.order) == (3, "interleaved")


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("100MB", 10**8), ("100MiB", 104_857_600), ("1.5GiB", 3 * 2**29), (12345, 12345)],
)
def test_sizes_have_units_and_bare_numbers_are_bytes(text, size_bytes):
    assert parse(make({"fileSize": text})).race.file_size == size_bytes


@pytest.mark.parametrize(
    ("text", "rate"), [("100Mbit", 12_500_000), ("12.5MB", 12_500_000), (8000, 8000)]
)
def test_rates_have_units_and_bare_numbers_are_bytes_a_second(text, rate):
    assert parse(make({"network": {"upload": text}})).race.network.upload == rate


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"global: [", "is not YAML: "),
        (b"\xff\xfe\x00", "is not YAML: "),
        (None, "can't be read"),
        (b"[" * 3000, "is nested too deeply"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path, content, message):
    file = tmp_path / "bad.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ScenarioError, match=f"bad.yaml: 1 fault\n  {message}"):
        load(file)


races = st.builds(
    dict,
    swarmSize=st.integers(9, 40),
    seeders=st.integers(1, 8),
    fileSize=st.sampled_from(["1MB", "1.5GiB", 77_777, "100MB"]),
    seed=st.integers(0, 2**53 - 1),
    rotateSeeders=st.just(False),
    order=st.sampled_from(["interleaved", "sequential"]),
    timeouts=st.builds(dict, stallSeconds=st.floats(0.1, 1e5), transferSeconds=st.integers(1, 99)),
    network=st.builds(
        dict,
        upload=st.sampled_from(["1Mbit", 5000, None]),
        delayMilliseconds=st.floats(0, 500),
        queueMilliseconds=st.floats(10, 2000),
        seeders=st.none() | st.just({"download": "8Mbit"}),
    ),
    acceptance=st.lists(st.just({"entrant": "bt", "within": 1.25, "of": "s"}), max_size=2),
)
entrants = st.fixed_dictionaries(
    {
        "bt": st.builds(
            dict,
            kind=st.just("bittorrent"),
            utp=st.none() | st.booleans(),
            settings=st.dictionaries(
                st.sampled_from("abc"),
                st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.text(max_size=3),
            ),
        ),
        "s": st.builds(
            dict,
            kind=st.just("synthetic"),
            peerFactor=st.dictionaries(st.integers(0, 9), st.floats(0.5, 2)),
        ),
        "c": st.builds(dict, kind=st.just("codex"), storageQuota=st.none() | st.just("2GiB")),
    }
)


@settings(max_examples=40)
@given(races, entrants)
def test_a_dumped_scenario_parses_to_the_same_race(race, raced):
    scenario = parse(make(race, raced))
    dumped = json.loads(json.dumps(scenario.model_dump(mode="json")))
    again = parse(dumped)
    assert again == scenario
    assert again.race_id() == scenario.race_id()


def test_a_scenario_dumped_as_yaml_is_the_same_race():
    scenario = load(SCENARIOS / "quick.yaml")
    text = yaml.safe_dump(scenario.model_dump(mode="json"))
    assert parse(yaml.safe_load(text)).race_id() == scenario.race_id()


def camel(value) -> bool:
    if isinstance(value, dict):
        variables = {"env"}  # their names are the program's
        return all(
            "_" not in key and (key in variables or camel(item)) for key, item in value.items()
        )
    return all(map(camel, value)) if isinstance(value, list) else True


def test_keys_in_files_are_camel_case():
    dumped = parse(make()).model_dump(mode="json")
    assert camel(dumped["global"])
    assert dumped["global"]["race"]["swarmSize"] == 4


def race_id(race=None, entrants=None, **more) -> str:
    return parse(make(race, entrants, **more)).race_id()


@pytest.mark.parametrize(
    "race",
    [
        {"attempt": 2},
        {"seed": 2},
        {"swarmSize": 5},
        {"fileSize": 100_000_001},
        {"coldStart": False},
        {"timeouts": {"stallSeconds": 7}},
        {"network": {"upload": "1Mbit"}},
        {"acceptance": [{"entrant": "bt", "within": 2, "of": "web"}]},
    ],
)
def test_any_change_of_the_race_changes_its_id(race):
    both = {"bt": {"kind": "bittorrent"}, "web": {"kind": "http"}}
    assert race_id(race, both) != race_id(entrants=both)


def test_an_entrants_options_change_the_id():
    ids = {
        race_id(entrants={"bt": {"kind": "bittorrent", **options}})
        for options in ({}, {"utp": True}, {"profile": "tuned"}, {"settings": {"a": 1}})
    }
    assert len(ids | {race_id(entrants={"tb": {"kind": "bittorrent"}})}) == 5


def test_spelling_and_order_do_not_change_the_id():
    both = {"bt": {"kind": "bittorrent"}, "web": {"kind": "http"}}
    assert race_id({"fileSize": "1GB", "seed": 1}) == race_id({"seed": 1, "fileSize": 10**9})
    assert race_id(entrants=both) == race_id(entrants=dict(reversed(both.items())))


def test_the_id_is_ten_hex_digits_of_what_is_raced():
    data = parse(make({"fileSize": "1MB"})).canonical()
    assert set(data) == {"race", "entrants"}
    assert re.fullmatch("[0-9a-f]{10}", race_id())


def test_cluster_values_and_the_matrix_do_not_change_the_id():
    assert race_id(monitoring={"enabled": True}) == race_id()
    assert race_id({"matrix": {"swarmSize": [4, 8]}}) == race_id()


@given(
    st.lists(st.integers(2, 40), max_size=4),
    st.lists(st.integers(1, 40), max_size=4),
    st.lists(st.sampled_from([1, 10**6]), max_size=2),
)
def test_cells_are_all_combinations_with_a_leecher(sizes, seeders, files):
    race = Race.model_validate(
        {"matrix": {"swarmSize": sizes, "seeders": seeders, "fileSize": files}}
    )
    found = [(cell["swarm_size"], cell["seeders"], cell["file_size"]) for cell in race.cells()]
    expected = [
        (size, count, file)
        for size in sizes or [4]
        for count in seeders or [1]
        for file in files or [100_000_000]
        if count < size
    ]
    assert found == expected


def test_without_a_matrix_there_is_one_cell_that_changes_nothing():
    assert Race().cells() == [{}]


@pytest.mark.parametrize(
    ("network", "limited", "shaped"),
    [
        (Network(), False, False),
        (Network(upload=1), True, True),
        (Network(delay_milliseconds=1), False, True),
        (Network.model_validate({"seeders": {"download": 1}}), True, True),
        (Network.model_validate({"seeders": {}}), False, False),
    ],
)
def test_a_network_knows_whether_it_limits_rates(network, limited, shaped):
    assert (network.limited, network.shaped) == (limited, shaped)


def test_the_race_of_a_frozen_scenario_cannot_be_changed():
    scenario = parse(make())
    assert isinstance(scenario, Scenario)
    with pytest.raises(ValueError, match="frozen"):
        scenario.race.seeders = 2
