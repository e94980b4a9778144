from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmrace.errors import ScenarioError
from swarmrace.scenario import Network, Race, Scenario, load, parse

SCENARIOS = Path(__file__).parent.parent / "scenarios"


def make(race=None, entrants=None, **more):
    return {
        "global": {
            "race": race or {},
            "entrants": {"bt": {"kind": "bittorrent"}} if entrants is None else entrants,
        },
        **more,
    }


def faults(data) -> tuple[str, ...]:
    with pytest.raises(ScenarioError) as caught:
        parse(data)
    return caught.value.faults


def only_fault(data) -> str:
    (line,) = faults(data)
    return line


@pytest.mark.parametrize("file", sorted(SCENARIOS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_scenario_that_ships_loads_and_says_what_it_answers(file):
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
    ("race", "line"),
    [
        (
            {"swarmSize": 4, "seeders": 4},
            "global.race.seeders: found 4, expected less than global.race.swarmSize (4), so that "
            "somebody leeches",
        ),
        ({"swarmSize": 1, "seeders": 1}, "global.race.swarmSize: found 1, expected greater than "),
        ({"fileSize": "100 Mb"}, "global.race.fileSize: found '100 Mb', expected a size such as "),
        ({"fileSize": 0}, "global.race.fileSize: found 0, expected greater than or equal to 1"),
        ({"fileSize": True}, "global.race.fileSize: found True, expected a size such as "),
        ({"order": "random"}, "global.race.order: found 'random', expected 'interleaved' or "),
        ({"repetitions": "3"}, "global.race.repetitions: found '3', expected a number"),
        ({"repetitions": True}, "global.race.repetitions: found True, expected a number"),
        ({"coldStart": "yes"}, "global.race.coldStart: found 'yes', expected a valid boolean"),
        (
            {"timeouts": {"stallSeconds": "2"}},
            "global.race.timeouts.stallSeconds: found '2', expected a number",
        ),
        ({"network": {"lossPercent": 100}}, "global.race.network.lossPercent: found 100, "),
        ({"network": {"upload": "fast"}}, "global.race.network.upload: found 'fast', expected a "),
        (
            {"network": {"seeders": {"upload": "1Mbit"}}},
            "global.race.network.seeders: needs global.race.rotateSeeders: false, because ",
        ),
        (
            {"matrix": {"network": [{"seeders": {"upload": "1Mbit"}}]}},
            "global.race.matrix.network.0.seeders: needs global.race.rotateSeeders: false, ",
        ),
        (
            {"matrix": {"swarmSize": [2, 4], "seeders": [4, 8]}},
            "global.race.matrix: found no combination with fewer seeders than swarmSize, expected ",
        ),
        (
            {"acceptance": [{"entrant": "bt", "within": 1.2, "of": "btt"}]},
            "global.race.acceptance.0.of: found 'btt' (did you mean 'bt'?), expected one of bt",
        ),
    ],
)
def test_a_fault_names_its_key_what_was_found_and_what_is_allowed(race, line):
    assert only_fault(make(race)).startswith(line)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            {"kind": "bitorrent"},
            "global.entrants.x.kind: found 'bitorrent' (did you mean 'bittorrent'?), expected one "
            "of bittorrent, codex, http, synthetic",
        ),
        ({}, "global.entrants.x.kind: found None, expected one of "),
        (
            {"kind": ["http"]},
            "global.entrants.x.kind: found ['http'] (did you mean 'http'?), expected one of ",
        ),
        (None, "global.entrants.x.kind: found None, expected one of "),
        (
            {"kind": "bittorrent", "pieceSize": "256MiB"},
            "global.entrants.x.pieceSize: found 268435456, expected at most the file size "
            "(100000000): less than one piece can't be shared",
        ),
        (
            {"kind": "bittorrent", "pieceSize": "48KiB"},
            "global.entrants.x.pieceSize: found 49152, expected a power of two of at least 16KiB",
        ),
        (
            {"kind": "bittorrent", "pieceSize": "8KiB"},
            "global.entrants.x.pieceSize: found 8192, expected a power of two of at least 16KiB",
        ),
        (
            {"kind": "bittorrent", "settings": {"aio_threads": 1.5}},
            "global.entrants.x.settings.aio_threads: found 1.5, expected true, false, a whole "
            "number or a text",
        ),
        (
            {"kind": "codex", "blockSize": "1MiB"},
            "global.entrants.x.blockSize: found 1048576, expected a power of two from 4KiB to ",
        ),
        (
            {"kind": "codex", "nodes": ["http://a:1"]},
            "global.entrants.x.nodes: found 1, expected one for each of 4 peers",
        ),
        (
            {"kind": "http", "reedSize": 4096},
            "global.entrants.x.reedSize: unknown key (did you mean 'readSize'?); known here: kind, "
            "profile, readSize",
        ),
    ],
)
def test_an_entrants_fault_is_told_by_its_own_kind(options, line):
    assert only_fault(make(entrants={"x": options})).startswith(line)


@pytest.mark.parametrize("name", ["a" * 21, "Bt", "b_t", "-b", "b-", "1b", ""])
def test_a_name_that_no_kubernetes_object_could_have_is_refused(name):
    line = only_fault(make(entrants={name: {"kind": "http"}}))
    assert line.startswith(f"global.entrants.{name}: a name is 1 to 20 of a-z")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (make({"swarmsize": 4}), "global.race.swarmsize: unknown key (did you mean 'swarmSize'?)"),
        (make({"swarm_size": 4}), "global.race.swarm_size: unknown key (did you mean 'swarmSize'?"),
        (make(montoring={}), "montoring: unknown key (did you mean 'monitoring'?); known here: "),
        (
            make({"timeouts": {"stalSeconds": 1}}),
            "global.race.timeouts.stalSeconds: unknown key (did you mean 'stallSeconds'?)",
        ),
        (
            make({"matrix": {"network": [{"uplaod": 1}]}}),
            "global.race.matrix.network.0.uplaod: unknown key (did you mean 'upload'?)",
        ),
        (make({"zzz": 1}), "global.race.zzz: unknown key; known here: acceptance, attempt, "),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(data, line):
    assert only_fault(data).startswith(line)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (None, "scenario: found None, expected a map of keys"),
        ([], "scenario: found [], expected a map of keys"),
        ({}, "global: missing, expected a value"),
        ({"global": None}, "global: found None, expected a map of keys"),
        ({"global": {}}, "global.entrants: missing, expected a value"),
        (make(entrants=[]), "global.entrants: found [], expected a map of keys"),
        (make(entrants={}), "global.entrants: found none, expected at least one"),
    ],
)
def test_what_is_no_scenario_at_all_is_said(data, line):
    assert only_fault(data) == line


def test_all_faults_come_at_once_those_between_keys_too():
    found = faults(
        make(
            {
                "swarmSize": 4,
                "seeders": 4,
                "fileSizes": "1GB",
                "order": "rand",
                "timeouts": {"stalSeconds": 3, "settleSeconds": -1},
                "network": {"upload": "x", "seeders": {"upload": 1}},
            },
            {"bt": {"kind": "bitorrent"}, "H": {"kind": "http", "readSize": 1}},
            montoring={},
        )
    )
    assert {line.split(":")[0] for line in found} == {
        "global.race.seeders",
        "global.race.fileSizes",
        "global.race.order",
        "global.race.timeouts.stalSeconds",
        "global.race.timeouts.settleSeconds",
        "global.race.network.upload",
        "global.race.network.seeders",
        "global.entrants.bt.kind",
        "global.entrants.H",
        "global.entrants.H.readSize",
        "montoring",
    }


@pytest.mark.parametrize(
    "race",
    [{"swarmSize": "x", "seeders": 9}, {"swarmSiz": 16, "seeders": 9}, {"matrx": {}, "seeders": 9}],
)
def test_nothing_is_concluded_from_a_key_that_is_wrong_itself(race):
    # with the swarm size that was meant, 9 seeders may be right
    assert "seeders" not in only_fault(make(race)).split(":")[0]


def test_an_entrant_with_a_fault_is_still_known_by_its_name():
    found = faults(
        make(
            {"acceptance": [{"entrant": "bt", "within": 1.2, "of": "web"}]},
            {"bt": {"kind": "nope"}, "web": {"kind": "http"}},
        )
    )
    assert [line.split(":")[0] for line in found] == ["global.entrants.bt.kind"]


def test_the_error_names_its_source_and_counts():
    with pytest.raises(ScenarioError, match=r"^x\.yaml: 2 faults\n  global.*\n  global.*$"):
        parse(make({"order": "no", "seed": -1}), "x.yaml")


def test_a_key_that_stands_twice_is_refused(tmp_path):
    file = tmp_path / "twice.yaml"
    file.write_text("global:\n  entrants:\n    a: {kind: http}\n    a: {kind: bittorrent}\n")
    with pytest.raises(ScenarioError, match=r"found the key 'a' twice .*line 4"):
        load(file)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"global: [", "is not YAML: "), (b"\xff\xfe\x00", "is not YAML: "), (None, "can't be read")],
)
def test_a_file_that_cannot_be_read_is_said(tmp_path, content, said):
    file = tmp_path / "bad.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ScenarioError, match=f"bad.yaml: 1 fault\n  {said}"):
        load(file)


def test_an_anchor_may_be_used_twice(tmp_path):
    file = tmp_path / "anchors.yaml"
    file.write_text(
        "global:\n  entrants:\n"
        "    a: &a {kind: bittorrent, utp: true}\n    b: {<<: *a, utp: false}\n"
    )
    assert [options.utp for options in load(file).entrants.values()] == [True, False]


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
                st.sampled_from("abc"), st.booleans() | st.integers() | st.text(max_size=3)
            ),
        ),
        "s": st.builds(
            dict,
            kind=st.just("synthetic"),
            peerFactor=st.dictionaries(st.integers(0, 9), st.floats(0.5, 2)),
        ),
        "c": st.builds(dict, kind=st.just("codex"), storageQuota=st.none() | st.just("1GiB")),
    }
)


@settings(max_examples=40)
@given(races, entrants)
def test_what_was_dumped_parses_to_the_same_race(race, raced):
    scenario = parse(make(race, raced))
    dumped = json.loads(json.dumps(scenario.model_dump(mode="json")))
    again = parse(dumped)
    assert again == scenario
    assert again.race_id() == scenario.race_id()


def test_what_was_dumped_as_yaml_is_the_same_race():
    scenario = load(SCENARIOS / "quick.yaml")
    text = yaml.safe_dump(scenario.model_dump(mode="json"))
    assert parse(yaml.safe_load(text)).race_id() == scenario.race_id()


def camel(value) -> bool:
    if isinstance(value, dict):
        return all("_" not in key and camel(item) for key, item in value.items())
    return all(map(camel, value)) if isinstance(value, list) else True


def test_keys_outside_are_camel_case():
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
        {"acceptance": [{"entrant": "bt", "within": 2, "of": "bt"}]},
    ],
)
def test_whatever_changes_the_race_changes_its_id(race):
    assert race_id(race) != race_id()


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
    assert len(race_id()) == 10
    assert int(race_id(), 16) >= 0


def test_what_only_a_cluster_needs_and_the_matrix_do_not_change_the_id():
    assert race_id(monitoring={"enabled": True}) == race_id()
    assert race_id({"matrix": {"swarmSize": [4, 8]}}) == race_id()


@given(
    st.lists(st.integers(2, 40), max_size=4),
    st.lists(st.integers(1, 40), max_size=4),
    st.lists(st.sampled_from([1, 10**6]), max_size=2),
)
def test_cells_are_all_combinations_that_leave_a_leecher(sizes, seeders, files):
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
def test_a_network_tells_whether_it_limits(network, limited, shaped):
    assert (network.limited, network.shaped) == (limited, shaped)


def test_the_race_of_a_frozen_scenario_cannot_be_changed():
    scenario = parse(make())
    assert isinstance(scenario, Scenario)
    with pytest.raises(ValueError, match="frozen"):
        scenario.race.seeders = 2
