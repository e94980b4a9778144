from __future__ import annotations

import json
import resource
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from paths import SCENARIOS
from swarmrace import systems
from swarmrace.errors import ConditionError, Exit, ScenarioError, UnavailableError
from swarmrace.host import machine
from swarmrace.network import conditions, namespaces
from swarmrace.plan import checks, needs, plan
from swarmrace.plan.plan import Cell
from swarmrace.scenario.loading import load, parse
from swarmrace.systems.parts import NetworkRules

Disk = namedtuple("Disk", "total used free")


def cells_of(path, site, attempt=None):
    """Return a file's cells, all of which this machine can race."""
    expanded = plan.expand(checks.load_here(path, site, attempt))
    checks.require_cells(expanded, site)
    return expanded


def require(scenario, *, work_dir=None, namespaces=None):
    """Check a scenario without a matrix as `run` checks a file."""
    lacking = checks._lacking([Cell("", scenario)], checks.Site(work_dir, namespaces=namespaces))
    if lacking is not None:
        raise lacking


def scenario(race=None, **entrants):
    return parse(
        {"global": {"race": race or {}, "entrants": entrants or {"web": {"kind": "http"}}}}
    )


@pytest.fixture
def room(monkeypatch):
    """Set the reported free disk space and memory; plenty by default."""

    def pretend(disk=10**13, memory=10**13, filesystem="ext4"):
        monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: Disk(disk, 0, disk))
        monkeypatch.setattr(checks, "available_memory_bytes", lambda: memory)
        monkeypatch.setattr(machine, "filesystem_of", lambda _: filesystem)

    pretend()
    return pretend


def test_the_quick_scenario_can_be_raced_here(tmp_path):
    require(load(SCENARIOS / "quick.yaml"), work_dir=tmp_path)


def test_a_missing_program_is_named_with_how_to_get_it(room, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError) as caught:
        require(scenario(c={"kind": "codex"}), work_dir=tmp_path)
    assert "global.entrants.c: codex: expected codex or storage on PATH" in str(caught.value)
    assert "build it" in str(caught.value)
    assert caught.value.exit_code == Exit.UNAVAILABLE


def codex_at(program: Path) -> str:
    program.write_text("#!/bin/sh\necho 'Codex version:  v0.2.5'\n")
    program.chmod(0o755)
    return str(program)


def test_a_program_named_in_the_scenario_is_found(room, monkeypatch, tmp_path):
    program = tmp_path / "codex"
    codex = {"kind": "codex", "program": codex_at(program)}
    require(scenario(c=codex), work_dir=tmp_path)
    program.unlink()
    with pytest.raises(UnavailableError, match=r"expected a program at program: .*codex"):
        require(scenario(c=codex), work_dir=tmp_path)


def test_too_little_disk_is_reported_with_the_figures(room, tmp_path):
    of = scenario({"fileSize": "1GB", "swarmSize": 10})
    room(disk=needs.disk_bytes([of]))
    require(of, work_dir=tmp_path)
    room(disk=needs.disk_bytes([of]) - 1)
    with pytest.raises(UnavailableError, match=r"disk: 10 peers of 1GB need 10.* GB in .*, found"):
        require(of, work_dir=tmp_path)


def test_too_little_memory_is_reported_with_the_figures(room, tmp_path):
    of = scenario({"swarmSize": 10}, a={"kind": "bittorrent"}, b={"kind": "http"})
    room(memory=needs.memory_bytes(of))
    require(of, work_dir=tmp_path)
    room(memory=needs.memory_bytes(of) - 1)
    with pytest.raises(UnavailableError, match=r"memory: 2 x 10 peers of 100MB need 1\.\d+ GB"):
        require(of, work_dir=tmp_path)


def test_a_folder_in_memory_takes_memory(room, tmp_path):
    of = scenario({"fileSize": "1GB"})
    enough = needs.memory_bytes(of)
    room(memory=enough, filesystem="tmpfs")
    with pytest.raises(UnavailableError, match=r"payloads are in memory \(.* is on tmpfs\)"):
        require(of, work_dir=tmp_path)
    room(memory=enough + needs.disk_bytes([of]), filesystem="tmpfs")
    require(of, work_dir=tmp_path)


def test_conditions_without_namespaces_are_refused(room, tmp_path):
    shaped = load(SCENARIOS / "shaped.yaml")
    with pytest.raises(ConditionError, match=r"global\.race\.network: .*--no-namespaces"):
        require(shaped, work_dir=tmp_path, namespaces=False)


def test_forbidden_namespaces_are_reported_without_conditions_too(room, tmp_path, monkeypatch):
    monkeypatch.setattr(namespaces, "refusals", lambda: ["network namespaces: not permitted"])
    monkeypatch.setattr(conditions, "refusals", lambda: ["network namespaces: not permitted"])
    for of in (scenario(), load(SCENARIOS / "shaped.yaml")):
        with pytest.raises(ConditionError, match=r"network namespaces: not permitted"):
            require(of, work_dir=tmp_path, namespaces=True)
    require(scenario(), work_dir=tmp_path)


NODES = {"kind": "codex", "nodes": [f"http://192.0.2.{peer}:8080" for peer in (1, 2)]}


def test_nodes_that_run_elsewhere_need_no_namespaces_and_can_have_none(room, tmp_path):
    warm = scenario({"coldStart": False, "swarmSize": 2}, a=NODES, w={"kind": "http"})
    assert not site(tmp_path).isolates(warm)
    require(warm, work_dir=tmp_path)
    with pytest.raises(ConditionError, match=r"global\.entrants\.a: can't be raced with network"):
        require(warm, work_dir=tmp_path, namespaces=True)
    program = codex_at(tmp_path / "codex")
    both = scenario(
        {"coldStart": False, "swarmSize": 2}, a=NODES, c={"kind": "codex", "program": program}
    )
    assert site(tmp_path).isolates(both)
    with pytest.raises(
        ConditionError, match=r"namespaces \(which c needs\): its nodes run outside"
    ):
        require(both, work_dir=tmp_path)


def test_a_third_partys_system_may_need_source_addresses_too(room, tmp_path, monkeypatch):
    """The kind's name doesn't matter."""
    spec = replace(systems.load("http"), network=NetworkRules(lambda options: "it is like that"))
    known = systems.load
    monkeypatch.setattr(systems, "load", lambda kind: spec if kind == "http" else known(kind))
    of = scenario({}, w={"kind": "http"}, b={"kind": "bittorrent"})
    assert site(tmp_path).isolates(of)
    require(of, work_dir=tmp_path)
    with pytest.raises(ConditionError, match=r"entrants\.w: needs .* it is like that; leave out"):
        require(of, work_dir=tmp_path, namespaces=False)


def test_missing_kernel_features_are_reported(room, tmp_path, monkeypatch):
    monkeypatch.setattr(conditions, "refusals", list)
    lacks = dict.fromkeys(("tbf", "netem", "relay", "ifb", "police"), "needs CONFIG_X")
    monkeypatch.setattr(conditions, "probe", lambda: lacks)
    delayed = scenario({"network": {"upload": "8Mbit", "delayMilliseconds": 5, "lossPercent": 1}})
    with pytest.raises(ConditionError) as caught:
        require(delayed, work_dir=tmp_path, namespaces=True)
    assert [line.split(": ")[0].strip() for line in str(caught.value).splitlines()[1:]] == [
        "global.race.network",
        "global.race.network.delayMilliseconds",
        "global.race.network.lossPercent",
    ]


def test_a_low_limit_of_open_files_is_reported(room, tmp_path, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    with pytest.raises(UnavailableError) as caught:
        require(scenario(), work_dir=tmp_path)
    assert "open files: a process of this race needs" in str(caught.value)
    assert "found a limit of 64; raise it: `ulimit -Hn" in str(caught.value)
    assert "processes: this race needs about" in str(caught.value)


def test_an_unlimited_number_of_open_files_is_accepted(room, tmp_path, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    require(scenario({"swarmSize": 1000}), work_dir=tmp_path)


def test_more_peers_than_namespaces_are_refused(room, tmp_path):
    faults = checks.limit_faults(scenario({"swarmSize": 1000}), with_namespaces=True)
    assert not any("swarmSize" in fault.key for fault in faults)
    two = scenario({"swarmSize": 501}, a={"kind": "http"}, b={"kind": "http"})
    found = map(str, checks.limit_faults(two, with_namespaces=True))
    assert any(line.startswith("global.race.swarmSize: found 501 peers of 2") for line in found)


def test_everything_that_is_missing_is_reported_at_once(room, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    room(disk=1, memory=1)
    of = scenario({"network": {"upload": "8Mbit"}}, c={"kind": "codex"})
    with pytest.raises(UnavailableError) as caught:
        require(of, work_dir=tmp_path)
    head, *lines = str(caught.value).splitlines()
    assert head == "this machine can't race the scenario: 3 things missing"
    assert [line.split(": ")[0].strip() for line in lines] == [
        "global.entrants.c",
        "disk",
        "memory",
    ]
    assert not isinstance(caught.value, ConditionError)


def site(tmp_path, **changes):
    return checks.Site(**{"work_dir": tmp_path, "results": tmp_path / "results", **changes})


def file_of(tmp_path, race, **entrants):
    path = tmp_path / "x.yaml"
    entrants = entrants or {"web": {"kind": "http"}}
    path.write_text(json.dumps({"global": {"race": race, "entrants": entrants}}))
    return path


def lines_of(caught) -> list[str]:
    return [line.strip() for line in str(caught.value).splitlines()]


def test_all_cells_of_a_matrix_are_checked_before_any_is_raced(room, tmp_path, monkeypatch):
    monkeypatch.setattr(conditions, "refusals", lambda: ["network namespaces: not permitted"])
    networks = [{}, {"upload": "8Mbit"}]
    matrix = {"swarmSize": [2, 16, 8], "fileSize": ["1MB", "1GB"], "network": networks}
    free = file_of(tmp_path, {"matrix": matrix | {"network": []}})
    assert len(cells_of(free, site(tmp_path))) == 6
    room(disk=1, memory=1)
    with pytest.raises(UnavailableError) as caught:
        cells_of(file_of(tmp_path, {"matrix": matrix}), site(tmp_path))
    head, disk, memory, network = lines_of(caught)
    assert head.endswith("3 things missing")
    assert disk.startswith("disk: 16 peers of 1GB (cell 16x1-1GB-net1 of 12, after 7 cells) need ")
    assert memory.startswith("memory: 1 x 16 peers of 1GB (cell 16x1-1GB-net0 of 12, after 6 cel")
    assert network == "global.race.network: network namespaces: not permitted"


def test_results_on_another_disk_need_their_own_space(room, tmp_path, monkeypatch):
    race = {"fileSize": "1GB", "swarmSize": 10, "matrix": {"swarmSize": [10, 4, 10]}}
    path = file_of(tmp_path, race)
    of = [cell.scenario for cell in plan.expand(load(path))]
    kept = sum(map(needs.results_bytes, of)) + needs.DISK_SLACK_BYTES
    payload = max(map(needs.payload_bytes, of)) + needs.DISK_SLACK_BYTES

    def pretend(work_bytes, results_bytes):
        free = {"work": work_bytes, "other": results_bytes}
        monkeypatch.setattr(
            checks.shutil, "disk_usage", lambda folder: Disk(0, 0, free[folder.name])
        )

    work, other = tmp_path / "work", tmp_path / "other"
    work.mkdir()
    other.mkdir()
    apart = site(tmp_path, work_dir=work, results=other / "not" / "yet")
    devices = {work: 1, other: 2}
    monkeypatch.setattr(checks, "_device", devices.__getitem__)
    pretend(payload, kept)
    cells_of(path, apart)
    pretend(payload - 1, kept - 1)
    with pytest.raises(UnavailableError) as caught:
        cells_of(path, apart)
    _, first, second = lines_of(caught)
    assert first.startswith("disk: 10 peers of 1GB (cell 10x1-1GB of 3) need ")
    assert second.startswith("disk: the results of 10 peers of 1GB (cell 10x1-1GB-again1 of 3, ")
    assert f"in {other}, found" in second
    assert "--results" in second
    devices[other] = 1
    pretend(needs.disk_bytes(of), 0)
    cells_of(path, apart)
    pretend(needs.disk_bytes(of) - 1, 0)
    with pytest.raises(
        UnavailableError, match=r"disk: 10 peers of 1GB \(cell 10x1-1GB-again1 of 3"
    ):
        cells_of(path, apart)


def test_a_faulty_scenario_is_reported_with_what_is_missing_for_the_rest(
    room, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    room(disk=1, memory=1)
    race = {"fileSize": "1MB", "sed": 3, "order": "rand"}
    path = file_of(tmp_path, race, c={"kind": "codex"}, w={"kind": "http", "readSise": 1})
    with pytest.raises(ScenarioError) as caught:
        cells_of(path, site(tmp_path))
    assert [line.split(": ")[0] for line in lines_of(caught)] == [
        str(path),
        "global.entrants.w.readSise",
        "global.race.order",
        "global.race.sed",
        "this machine can't race the scenario",
        "global.entrants.c",
        "disk",
        "memory",
    ]


@pytest.mark.parametrize(
    ("race", "entrant"),
    [
        ({"fileSize": "1XB"}, {"programm": "/x"}),
        ({"swarmSize": 4, "seeders": 4}, {"program": 3}),
        ({"matrix": {"swarmSize": ["x"]}}, {"kind": "codexx"}),
        ({"network": {"upload": "8Mbits"}, "fileSzie": 1}, {"node": []}),
    ],
)
def test_nothing_is_reported_missing_for_a_faulty_key(room, tmp_path, monkeypatch, race, entrant):
    monkeypatch.setenv("PATH", str(tmp_path))
    room(disk=1, memory=1)
    with pytest.raises(ScenarioError) as caught:
        cells_of(
            file_of(tmp_path, race, c={"kind": "codex", **entrant}),
            site(tmp_path, namespaces=False),
        )
    assert "can't race" not in str(caught.value)


def test_another_attempt_has_another_race_id(room, tmp_path):
    path = file_of(tmp_path, {"matrix": {"swarmSize": [2, 4]}})
    first, second = (cells_of(path, site(tmp_path), attempt) for attempt in (None, 2))
    assert [cell.scenario.race.attempt for cell in second] == [2, 2]
    assert {c.scenario.race_id() for c in first}.isdisjoint(c.scenario.race_id() for c in second)


def test_a_cgroups_limit_counts_as_memory(monkeypatch):
    monkeypatch.setattr(machine, "memory_limit_bytes", lambda: 3_000_000)
    monkeypatch.setattr(machine, "memory_used_bytes", lambda: 1_000_000)
    assert checks.available_memory_bytes() == 2_000_000
    monkeypatch.setattr(machine, "memory_used_bytes", lambda: 4_000_000)
    assert checks.available_memory_bytes() == 0
    monkeypatch.setattr(machine, "memory_limit_bytes", lambda: None)
    assert checks.available_memory_bytes() > 4_000_000
