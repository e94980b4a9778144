"""A faulty scenario: all faults at once, each with its key, what was found, what was expected."""

from __future__ import annotations

import pytest

from made_scenarios import faults, make, only_fault
from swarmrace import systems
from swarmrace.errors import ScenarioError
from swarmrace.scenario.loading import load, parse, read


@pytest.mark.parametrize(
    ("race", "line"),
    [
        ({"swarmSize": 1, "seeders": 1}, "global.race.swarmSize: found 1, expected greater than "),
        ({"fileSize": "100 Mb"}, "global.race.fileSize: found '100 Mb', expected a size such as "),
        ({"fileSize": 0}, "global.race.fileSize: found 0, expected greater than or equal to 1"),
        ({"fileSize": True}, "global.race.fileSize: found true, expected a size such as "),
        ({"order": "random"}, "global.race.order: found 'random', expected 'interleaved' or "),
        ({"repetitions": "3"}, "global.race.repetitions: found '3', expected a number"),
        ({"repetitions": True}, "global.race.repetitions: found true, expected a number"),
        ({"coldStart": "yes"}, "global.race.coldStart: found 'yes', expected true or false"),
        (
            {"timeouts": {"stallSeconds": "2"}},
            "global.race.timeouts.stallSeconds: found '2', expected a number",
        ),
        ({"network": {"lossPercent": 100}}, "global.race.network.lossPercent: found 100, "),
        ({"network": {"upload": "fast"}}, "global.race.network.upload: found 'fast', expected a "),
    ],
)
def test_a_fault_names_its_key_what_was_found_and_what_was_expected(race, line):
    assert only_fault(make(race)).startswith(line)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            {"kind": "bitorrent"},
            "global.entrants.x.kind: found 'bitorrent' (did you mean 'bittorrent'?), expected one "
            f"of {', '.join(systems.names())}",
        ),
        ({}, "global.entrants.x.kind: missing, expected one of bittorrent, "),
        (
            {"kind": ["http"]},
            "global.entrants.x.kind: found ['http'] (did you mean 'http'?), expected one of ",
        ),
        (7, "global.entrants.x: found 7, expected a map such as {kind: http}"),
        ("http", "global.entrants.x: found 'http', expected a map such as {kind: http}"),
        (
            {"kind": "bittorrent", "settings": {"aio_threads": 1.5}},
            "global.entrants.x.settings.aio_threads: found 1.5, expected true, false, a whole "
            "number of 32 bits or a string",
        ),
        (
            {"kind": "http", "reedSize": 4096},
            "global.entrants.x.reedSize: unknown key (did you mean 'readSize'?); known here: kind, "
            "profile, readSize",
        ),
    ],
)
def test_an_entrants_faults_are_those_of_its_kind(options, line):
    assert only_fault(make(entrants={"x": options})).startswith(line)


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
        (None, "scenario: found null, expected a map of keys with global"),
        ([], "scenario: found [], expected a map of keys with global"),
        ({}, "global: missing, expected a value"),
        ({"global": None}, "global: found null, expected a map of keys with entrants"),
        ({"global": {}}, "global.entrants: missing, expected a value"),
        (make(entrants=[]), "global.entrants: found [], expected a map of keys"),
        (make(entrants={}), "global.entrants: found none, expected at least one"),
    ],
)
def test_data_that_is_no_scenario_gives_one_fault(data, line):
    assert only_fault(data) == line


def test_all_faults_are_reported_at_once_including_those_between_keys():
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


def keys(data) -> list[str]:
    return sorted(line.split(": ")[0] for line in faults(data))


def test_a_faulty_entrant_is_still_checked_against_the_race():
    race = {"fileSize": "1kB"}
    entrants = {"bt": {"kind": "bittorrent", "pieceSize": "16KiB", "profil": "tuned"}}
    assert keys(make(race, entrants)) == [
        "global.entrants.bt.pieceSize",
        "global.entrants.bt.profil",
    ]


def test_one_faulty_acceptance_hides_no_other():
    acceptance = [
        {"entrant": "bt", "within": "x", "of": "nobody"},
        {"entrant": "nobody"},
        "bt",
        {"entrant": "bt", "within": 1, "of": "bt"},
    ]
    key = "global.race.acceptance"
    assert keys(make({"acceptance": acceptance})) == [
        f"{key}.0.of",
        f"{key}.0.within",
        f"{key}.1.entrant",
        f"{key}.1.of",
        f"{key}.1.within",
        f"{key}.2",
        f"{key}.3.of",
    ]


@pytest.mark.parametrize("entrants", [None, [], "bt"])
def test_without_entrants_the_race_is_still_checked(entrants):
    data = make({"swarmSize": 4, "seeders": 4})
    data["global"]["entrants"] = entrants
    assert keys(data) == ["global.entrants", "global.race.seeders"]
    del data["global"]["entrants"]
    assert keys(data) == ["global.entrants", "global.race.seeders"]


def test_an_entrant_of_a_misspelt_kind_is_checked_as_the_closest_kind():
    race = {"fileSize": "1kB"}
    entrant = {"kind": "bitorrent", "utpp": True, "pieceSize": "16KiB"}
    assert keys(make(race, {"x": entrant})) == [
        "global.entrants.x.kind",
        "global.entrants.x.utpp",
    ]


def test_an_empty_global_is_one_fault():
    assert keys({"global": None, "monitoring": {"enabled": "yes"}}) == [
        "global",
        "monitoring.enabled",
    ]


@pytest.mark.parametrize("key", ["race", "entrants"])
def test_a_key_that_belongs_under_global_gets_a_hint(key):
    line = only_fault(make() | {key: {}})
    assert line.startswith(f"{key}: unknown key (did you mean 'global.{key}'?); known here: glob")


def test_a_key_of_another_map_gets_a_hint():
    line = only_fault(make({"upload": "1Mbit"}))
    assert line.startswith("global.race.upload: unknown key (did you mean 'global.race.network.up")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (make({"coldStart": 1}), "global.race.coldStart: found 1, expected true or false"),
        (make({"acceptance": {}}), "global.race.acceptance: found {}, expected a list"),
        (make({"timeouts": [True]}), "global.race.timeouts: found [true], expected a map of keys"),
        (make({"repetitions": 1.5}), "global.race.repetitions: found 1.5, expected a whole number"),
        (make({"seed": True}), "global.race.seed: found true, expected a number"),
        (make({"fileSize": True}), "global.race.fileSize: found true, expected a size such as "),
        (make(swarm={"annotations": {"a": 1}}), "swarm.annotations.a: found 1, expected a string"),
        (make(swarm={"annotations": 1}), "swarm.annotations: found 1, expected a map of keys"),
        (make({1: 2}), "global.race.1: "),
        (
            make(entrants={"s": {"kind": "synthetic", "curve": [[0, 0, 1]]}}),
            "global.entrants.s.curve.0: found [0, 0, 1], expected at most 2 items",
        ),
        (
            make(entrants={"c": {"kind": "codex", "image": ""}}),
            "global.entrants.c.image: found '', expected a string that isn't empty",
        ),
        (
            make(monitoring={"push": {"url": "x"}}),
            "monitoring.push.url: found 'x', expected a string that matches '^(https?://",
        ),
        (
            make(entrants={"s": {"kind": "synthetic", "peerFactor": {"x": 1}}}),
            "global.entrants.s.peerFactor.x: found the key 'x', expected the index of a peer",
        ),
    ],
)
def test_faults_use_the_words_of_yaml(data, line):
    found = only_fault(data)
    assert found.startswith(line)
    assert not any(word in found for word in ("None", "True", "boolean", "dictionary"))


@pytest.mark.parametrize(
    "value", [float("inf"), 1e300, 10**4999, -1], ids=["inf", "float", "int", "less"]
)
def test_an_impossible_amount_of_cpu_is_refused(value):
    data = make()
    data["global"]["peers"] = {"resources": {"limits": {"cpu": value}}}
    assert only_fault(data).startswith("global.peers.resources.limits.cpu: found ")


@pytest.mark.parametrize("read", ["1TB", 65 * 1024**2, 100])
def test_an_impossible_read_size_is_refused(read):
    line = only_fault(make(entrants={"x": {"kind": "http", "readSize": read}}))
    assert line.startswith("global.entrants.x.readSize: found ")


def test_faults_of_the_yaml_and_of_the_scenario_are_reported_at_once(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text(
        "global:\n"
        "  race: {swarmSize: 010, seeders: 9, seed: 1, seed: 2, order: rand}\n"
        "  entrants:\n"
        "    on: {kind: http}\n"
        "    web: {kind: http, profile: y}\n"
        "    web2: {kind: http}\n"
        "    web2: {kind: codex}\n"
    )
    with pytest.raises(ScenarioError) as caught:
        load(file)
    assert sorted(fault.key for fault in caught.value.faults) == [
        "global.entrants.on",
        "global.entrants.web.profile",
        "global.entrants.web2",
        "global.race.order",
        "global.race.seed",
        "global.race.swarmSize",
    ]
    sound = read(file).scenario
    assert sound.race.seeders == 9
    assert set(sound.entrants) == {"web"}


def test_an_entrant_with_an_unquoted_name_still_counts_as_an_entrant(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text("global: {entrants: {y: {kind: http}}}\n")
    with pytest.raises(ScenarioError) as caught:
        load(file)
    (line,) = map(str, caught.value.faults)
    assert line.startswith("global.entrants.y: YAML parsers disagree on this key")
