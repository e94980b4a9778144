"""Faults between keys: each is reported once, and none that depends on a faulty key."""

from __future__ import annotations

from dataclasses import replace

import pytest

from made_scenarios import faults, make, only_fault
from swarmrace import systems
from swarmrace.errors import Fault
from swarmrace.scenario.loading import parse
from swarmrace.systems.parts import CrossFault, RaceShape


@pytest.mark.parametrize(
    ("race", "line"),
    [
        (
            {"swarmSize": 4, "seeders": 4},
            "global.race.seeders: found 4, expected less than global.race.swarmSize (4), so that "
            "at least one peer leeches",
        ),
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
        (
            {"acceptance": [{"entrant": "bt", "within": 1.2, "of": "bt"}]},
            "global.race.acceptance.0.of: found 'bt', expected another entrant, because an entrant "
            "always meets a bound against itself",
        ),
    ],
)
def test_a_race_with_contradicting_keys_is_refused(race, line):
    assert only_fault(make(race)).startswith(line)


@pytest.mark.parametrize("within", [1.2, "furps", "equivalent"])
def test_a_margin_belongs_to_equivalence(within):
    acceptance = [{"entrant": "a", "within": within, "of": "b", "margin": 1.5}]
    data = make({"acceptance": acceptance}, {"a": {"kind": "http"}, "b": {"kind": "http"}})
    if within == "equivalent":
        assert parse(data).race.acceptance[0].bound == 1.5
    else:
        line = "global.race.acceptance.0.margin: found a margin, expected none unless "
        assert only_fault(data).startswith(line)


NODES = [f"http://10.0.0.{k}:8080" for k in range(4)]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            {"kind": "bittorrent", "pieceSize": "128MiB"},
            "global.entrants.x.pieceSize: found 134217728, expected at most the file size "
            "(100000000): peers can't share less than one piece",
        ),
        (
            {"kind": "bittorrent", "pieceSize": "48KiB"},
            "global.entrants.x.pieceSize: found 49152, expected a power of two from 16KiB to "
            "128MiB",
        ),
        (
            {"kind": "bittorrent", "pieceSize": "8KiB"},
            "global.entrants.x.pieceSize: found 8192, expected a power of two from 16KiB to 128MiB",
        ),
        (
            {"kind": "bittorrent", "pieceSize": "256MiB"},
            "global.entrants.x.pieceSize: found 268435456, expected a power of two from 16KiB to "
            "128MiB",
        ),
        (
            {"kind": "bittorrent", "pieceSize": "4GiB"},
            "global.entrants.x.pieceSize: found 4294967296, expected a power of two from 16KiB to "
            "128MiB",
        ),
        (
            {"kind": "codex", "blockSize": "1MiB"},
            "global.entrants.x.blockSize: found 1048576, expected a power of two from 4KiB to ",
        ),
        (
            {"kind": "codex", "family": "codex", "blockSize": "64KiB"},
            "global.entrants.x.blockSize: found 65536, expected none with family:"
            " codex; only Logos Storage accepts one",
        ),
        (
            {"kind": "codex", "storageQuota": "100MB"},
            "global.entrants.x.storageQuota: found 100000000, expected more than the file size "
            "(100000000): a node stores all of it and its manifest",
        ),
        (
            {"kind": "codex", "nodes": NODES},
            "global.entrants.x.nodes: needs global.race.coldStart: false, because nodes that "
            "already run can't be started cold",
        ),
    ],
)
def test_an_entrant_with_contradicting_options_is_refused(options, line):
    assert only_fault(make(entrants={"x": options})).startswith(line)


def test_each_peer_needs_its_own_node():
    def found(nodes, **race):
        codex = {"kind": "codex", "nodes": nodes}
        return only_fault(make({"coldStart": False, **race}, {"x": codex}))

    assert found(NODES[:1]) == "global.entrants.x.nodes: found 1, expected one for each of 4 peers"
    assert "each of 8 peers" in found(NODES, matrix={"swarmSize": [2, 8]})
    assert found([*NODES[:3], NODES[0]]) == (
        f"global.entrants.x.nodes: found '{NODES[0]}' twice, expected a different node for each "
        "peer"
    )
    assert found([*NODES[:3], f"{NODES[0]}/"]).startswith("global.entrants.x.nodes: found ")


@pytest.mark.parametrize("url", ["a:8080", "ftp://a", "http://", "http:/a:1", "http://a:1?x", ""])
def test_a_node_is_named_by_a_url(url):
    codex = {"kind": "codex", "nodes": [*NODES[:3], url]}
    line = only_fault(make({"coldStart": False}, {"x": codex}))
    assert line.startswith(f"global.entrants.x.nodes.3: found '{url}', expected ")


@pytest.mark.parametrize("name", ["a" * 21, "Bt", "b_t", "-b", "b-", "1b", ""])
def test_a_name_that_kubernetes_objects_cannot_have_is_refused(name):
    line = only_fault(make(entrants={name: {"kind": "http"}}))
    assert line.startswith(f"global.entrants.{name}: a name has 1 to 20 characters of a-z")


def test_the_smallest_and_the_largest_cell_count():
    race = {"matrix": {"fileSize": ["1MB", "1GB"]}}
    entrants = {
        "bt": {"kind": "bittorrent", "pieceSize": "1MiB"},
        "c": {"kind": "codex", "storageQuota": "500MB"},
    }
    piece, quota = faults(make(race, entrants))
    assert "at most the file size (1000000)" in piece
    assert "more than the file size (1000000000)" in quota


@pytest.mark.parametrize(
    "race",
    [{"swarmSize": "x", "seeders": 9}, {"swarmSiz": 16, "seeders": 9}, {"matrx": {}, "seeders": 9}],
)
def test_no_fault_depends_on_a_faulty_key(race):
    # With the swarm size that was meant, 9 seeders may be valid.
    assert "seeders" not in only_fault(make(race)).split(":")[0]


def test_a_kind_checks_its_options_against_the_race(monkeypatch):
    """It checks all cells of a matrix, and reports no fault that depends on a faulty key."""
    seen = []

    def cross_faults(options, race):
        seen.append(race)
        return [CrossFault(Fault("readSize", "is odd"), race=("fileSize",), options=("profile",))]

    known = systems.load
    odd = replace(known("http"), cross_faults=cross_faults)
    monkeypatch.setattr(systems, "load", lambda kind: odd if kind == "http" else known(kind))
    race = {"coldStart": False, "matrix": {"fileSize": ["1MB", "2MB"], "swarmSize": [2, 8]}}
    assert only_fault(make(race, {"x": {"kind": "http"}})) == "global.entrants.x.readSize: is odd"
    assert seen == [RaceShape((1_000_000, 2_000_000), (2, 8), cold_start=False)]
    (wrong,) = faults(make({"fileSize": "none"}, {"x": {"kind": "http"}}))
    assert "fileSize" in str(wrong)
    (wrong,) = faults(make({}, {"x": {"kind": "http", "profile": "none"}}))
    assert "profile" in str(wrong)
