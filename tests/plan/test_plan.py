from __future__ import annotations

import json
import resource
from collections import namedtuple

import pytest
from rich.console import Console

from paths import SCENARIOS
from swarmrace.errors import Exit
from swarmrace.network import conditions
from swarmrace.plan import checks, needs, plan
from swarmrace.plan.schedule import schedule
from swarmrace.scenario.loading import load, parse
from swarmrace.scenario.scenario import Network

Disk = namedtuple("Disk", "total used free")


def scenario(race=None, **kinds):
    entrants = {name: {"kind": kind} for name, kind in (kinds or {"web": "http"}).items()}
    return parse({"global": {"race": race or {}, "entrants": entrants}})


def text(planned, width=200) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(plan.render(planned))
    return console.export_text()


def test_the_full_matrix_has_39_cells_per_system():
    matrix = load(SCENARIOS / "matrix.yaml")
    cells = plan.expand(matrix)
    assert len(cells) == len({cell.name for cell in cells}) == 39
    assert {options.kind for options in matrix.entrants.values()} >= {"bittorrent", "codex"}
    sizes = {cell.scenario.race.swarm_size for cell in cells}
    assert sizes == {2, 8, 16, 32}
    assert all(cell.scenario.race.seeders < cell.scenario.race.swarm_size for cell in cells)
    # nothing of the default timeouts may cut the largest cell short on two cores
    assert plan.plan(matrix, cores=2).warnings == []


def test_the_small_matrix_has_the_full_ones_shape():
    full, small = (load(SCENARIOS / f"{name}.yaml") for name in ("matrix", "matrix-small"))
    shape = [
        [(c.scenario.race.swarm_size, c.scenario.race.seeders) for c in plan.expand(of)]
        for of in (full, small)
    ]
    assert shape[0] == shape[1]
    assert set(small.race.matrix.file_size) == {1_000_000, 4_000_000, 16_000_000}
    assert (full.race.repetitions, small.race.repetitions) == (10, 3)
    assert plan.plan(small, cores=2).warnings == []


def test_a_cell_is_a_separate_scenario():
    cells = plan.expand(scenario({"matrix": {"swarmSize": [2, 4], "fileSize": ["1MB"]}}))
    assert [cell.name for cell in cells] == ["2x1-1MB", "4x1-1MB"]
    assert len({cell.scenario.race_id() for cell in cells}) == 2
    for cell in cells:
        assert cell.scenario.race.matrix is None
        again = parse(cell.scenario.model_dump(mode="json"))
        assert again.race_id() == cell.scenario.race_id()
        assert len(schedule(again)) == 3


def test_without_a_matrix_the_scenario_is_its_own_cell():
    (cell,) = plan.expand(scenario({"swarmSize": 6, "seeders": 2}))
    assert cell.name == "6x2-100MB"
    assert cell.scenario.race_id() == scenario({"swarmSize": 6, "seeders": 2}).race_id()


def test_networks_and_repeated_values_have_distinct_names():
    axes = {"network": [{}, {"upload": "8Mbit"}], "swarmSize": [4, 4]}
    names = [cell.name for cell in plan.expand(scenario({"matrix": axes}))]
    assert names == [
        "4x1-100MB-net0",
        "4x1-100MB-net1",
        "4x1-100MB-net0-again1",
        "4x1-100MB-net1-again1",
    ]


def test_the_figures_of_a_cell():
    planned = plan.plan(
        scenario(
            {"swarmSize": 8, "seeders": 2, "fileSize": 10**9, "repetitions": 5},
            a="bittorrent",
            b="codex",
        )
    )
    (cell,) = planned.cells
    assert cell.runs == planned.runs == 10
    assert cell.moved_bytes == 10 * 6 * 10**9
    assert cell.pods == 2 * 8 + 2
    # a Codex seeder holds the file and the node's copy of it
    assert cell.disk_bytes >= (2 * 2 + 6) * 10**9
    assert cell.memory_bytes >= 8 * (90_000_000 + 180_000_000)


def test_cells_add_up_in_time_but_not_in_space():
    planned = plan.plan(scenario({"matrix": {"swarmSize": [2, 16], "fileSize": ["1MB", "1GB"]}}))
    for name in ("moved_bytes", "runs"):
        assert getattr(planned, name) == sum(getattr(cell, name) for cell in planned.cells)
    for name in ("memory_bytes", "pods"):
        assert getattr(planned, name) == max(getattr(cell, name) for cell in planned.cells)
    assert planned.expected_seconds == pytest.approx(
        sum(cell.expected_seconds for cell in planned.cells)
    )


def test_results_of_earlier_cells_stay_on_the_disk():
    small, large = ({"fileSize": size, "swarmSize": 10} for size in ("1MB", "1GB"))
    alone = plan.plan(scenario(large)).disk_bytes
    matrix = {"swarmSize": 10, "matrix": {"fileSize": ["1GB"] * 4}}
    cells = [cell.scenario for cell in plan.expand(scenario(matrix))]
    assert plan.plan(scenario(matrix)).disk_bytes == alone + 3 * needs.results_bytes(cells[0])
    assert plan.plan(scenario(matrix)).disk_bytes == needs.disk_bytes(cells)
    # the largest cell first: what it needs is the most there ever is
    falling = {"swarmSize": 10, "matrix": {"fileSize": ["1GB", "1MB"]}}
    assert plan.plan(scenario(falling)).disk_bytes == alone
    assert plan.plan(scenario(small)).disk_bytes < alone


def test_a_leechers_buffer_takes_memory():
    def memory(read_size):
        entrants = {"web": {"kind": "http", "readSize": read_size}}
        return needs.memory_bytes(parse({"global": {"entrants": entrants}}))

    assert memory("64MiB") - memory("1MiB") == 4 * 63 * 2**20


def test_the_rings_of_a_relay_take_memory():
    def memory(**network):
        entrants = {"web": {"kind": "http"}}
        return needs.memory_bytes(
            parse({"global": {"race": {"network": network}, "entrants": entrants}})
        )

    usual = memory(upload="100Mbit")
    assert memory(delayMilliseconds=20) - usual == (32_768 + 4096) * 2048
    assert memory(delayMilliseconds=5000) - usual == (131_072 + 4096) * 2048
    assert memory(lossPercent=1) > usual


@pytest.mark.parametrize(("repetitions", "said"), [(3, True), (9, True), (10, False)])
def test_a_matrix_with_too_few_repetitions_to_name_a_cell_says_so(repetitions, said):
    """39 cells need 10 complete blocks: 39 / 2**9 is above 5 %, 39 / 2**10 below."""
    axes = {"swarmSize": [2, 8, 16, 32], "seeders": [1, 2, 4, 8, 16], "fileSize": [1, 2, 3]}
    matrix = {"repetitions": repetitions, "matrix": axes}
    text = "among 39 cells no single one can be called met or missed by its times, which takes at"
    without = plan.plan(scenario(matrix, a="http", b="http"))
    assert any(text in line for line in without.assumptions) == said
    assert without.warnings == []
    acceptance = [{"entrant": "a", "within": 2, "of": "b"}]
    judged = plan.plan(scenario({**matrix, "acceptance": acceptance}, a="http", b="http"))
    assert any(f"{text} least 10 complete blocks" in line for line in judged.warnings) == said
    assert not plan.few_to_name(scenario({"repetitions": 1}), 1)


@pytest.mark.parametrize(("repetitions", "warned"), [(1, True), (2, True), (3, False)])
def test_too_few_repetitions_for_an_acceptance_give_a_warning(repetitions, warned):
    acceptance = [{"entrant": "a", "within": 2, "of": "b"}]
    of = scenario({"repetitions": repetitions, "acceptance": acceptance}, a="http", b="http")
    lines = [line for line in plan.plan(of).warnings if "repetitions" in line]
    assert len(lines) == warned
    assert all("can only be undecided" in line for line in lines)
    without = plan.plan(scenario({"repetitions": repetitions}))
    assert not any("repetitions" in line for line in without.warnings)


def test_json_and_table_agree():
    planned = plan.plan(load(SCENARIOS / "matrix.yaml"), cores=2)
    data = json.loads(json.dumps(planned.model_dump(mode="json")))
    assert plan.Plan.model_validate(data) == planned
    shown = text(planned)
    assert "39 cells" in shown
    for cell in data["cells"]:
        assert cell["name"] in shown
    assert "estimate" in shown


def test_each_cell_of_a_matrix_has_its_own_race_id():
    matrix = load(SCENARIOS / "matrix.yaml")
    planned = plan.plan(matrix, cores=2)
    assert planned.race_id is None
    expected = [cell.scenario.race_id() for cell in plan.expand(matrix)]
    assert [cell.race_id for cell in planned.cells] == expected
    assert len(set(expected)) == len(expected)


def test_set_rates_bound_the_estimated_time():
    network = {"upload": "8Mbit"}
    free = needs.run_seconds(scenario().race, scenario().entrants["web"], 2)
    shaped = scenario({"network": network})
    # plain HTTP: three copies of 100 MB leave a seeder at 1 MB/s; a swarm shares the uploads
    web = needs.run_seconds(shaped.race, shaped.entrants["web"], 2)
    swarm = scenario({"network": network}, bt="bittorrent")
    bittorrent = needs.run_seconds(swarm.race, swarm.entrants["bt"], 2)
    assert free < 20 < 100 <= bittorrent < 300 <= web < 400
    assert "theoretical minimum" in text(plan.plan(shaped))


def test_more_cores_take_less_time_and_more_bytes_more():
    race = {"swarmSize": 16, "fileSize": "1GB"}
    bt = scenario(race, bt="bittorrent")
    assert needs.expected_seconds(bt, 8) < needs.expected_seconds(bt, 2)
    larger = scenario({**race, "fileSize": "2GB"}, bt="bittorrent")
    assert needs.expected_seconds(larger, 2) > 1.5 * needs.expected_seconds(bt, 2)


def test_a_programs_own_timers_take_time_on_any_machine_and_link():
    def seconds(file_size, cores, **network):
        race = {"swarmSize": 2, "fileSize": file_size, "network": network}
        made = scenario(race, own="transmission")
        return needs.run_seconds(made.race, made.entrants["own"], cores)

    waits = needs.needs_of(scenario(own="transmission").entrants["own"]).wait_seconds
    assert waits > 10
    assert waits < seconds("1kB", 64) < waits + 10
    assert seconds("100MB", 64, upload="8Mbit") > waits + 100


def test_the_estimate_follows_the_profiles_utp():
    def rate(**options):
        bt = {"kind": "bittorrent", **options}
        made = parse({"global": {"entrants": {"bt": bt}}})
        return needs.needs_of(made.entrants["bt"]).rate

    assert rate(profile="stock") == rate(profile="tuned", utp=True)
    assert rate(profile="tuned") == rate(profile="stock", utp=False) > 10 * rate(profile="stock")


def test_a_transfer_longer_than_its_timeout_gives_a_warning():
    slow = scenario(
        {"network": {"upload": "1Mbit"}, "matrix": {"fileSize": ["1GB", "1MB"]}}, web="http"
    )
    impossible, line = plan.plan(slow).warnings
    assert "with any protocol" in impossible
    assert line.startswith("web: 1 of 2 cells (4x1-1GB) may take longer than global.race.timeouts.")
    assert line in text(plan.plan(slow)).replace("\n", " ") or "! web: 1 of 2" in text(
        plan.plan(slow)
    )


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (Network(), ""),
        (Network(upload=12_500_000), "up 100 Mbit/s (12.5 MB/s)"),
        (
            Network.model_validate(
                {"download": "8Mbit", "delayMilliseconds": 20, "seeders": {"upload": "80Mbit"}}
            ),
            "down 8 Mbit/s (1 MB/s), seeders up 80 Mbit/s (10 MB/s), delay 20 ms",
        ),
        (
            Network(upload=12_500_000, queue_milliseconds=50),
            "up 100 Mbit/s (12.5 MB/s), queue 50 ms",
        ),
    ],
)
def test_a_network_is_described(network, said):
    assert plan.describe(network) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1 s"), (25.4, "25 s"), (240, "4 min"), (9000, "2.5 h")]
)
def test_an_estimate_has_few_digits(seconds, said):
    assert plan.format_duration(seconds) == said


def test_the_command_prints_json(run_cli):
    done = run_cli("plan", str(SCENARIOS / "shaped.yaml"), "--format", "json")
    assert done.exit_code == 0
    planned = json.loads(done.output)
    (cell,) = planned["cells"]
    assert planned["raceId"] == cell["raceId"] == load(SCENARIOS / "shaped.yaml").race_id()
    assert cell["fileSizeBytes"] == 30_000_000
    assert cell["network"] == "up 50 Mbit/s (6.25 MB/s), down 200 Mbit/s (25 MB/s)"


@pytest.mark.parametrize("width", [50, 80, 100])
@pytest.mark.parametrize("networks", [[{}], [{}, {"upload": "8Mbit", "delayMilliseconds": 20}]])
def test_a_narrow_terminal_truncates_nothing(width, networks):
    axes = {"swarmSize": [2, 32, 32], "fileSize": ["100MB", "5GB"], "network": networks}
    planned = plan.plan(scenario({"matrix": axes}), cores=2)
    shown = text(planned, width)
    assert "…" not in shown.replace(", …)", "")
    for cell in planned.cells:
        assert any(line.split()[:1] == [cell.name] for line in shown.splitlines())
    if width == 80 and len(networks) == 1:
        heads = "cell peers seeders file runs moved disk memory pods about"
        assert heads.split() in [line.split() for line in shown.splitlines()]
        assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80


def test_a_rate_too_low_for_the_timeout_is_reported():
    for upload, warned in ((50, True), ("20Mbit", False)):
        scenario = parse(
            {
                "global": {
                    "race": {
                        "swarmSize": 4,
                        "seeders": 1,
                        "fileSize": "10MB",
                        "network": {"upload": upload},
                    },
                    "entrants": {"bt": {"kind": "bittorrent"}},
                }
            }
        )
        lines = [line for line in plan.plan(scenario).warnings if "with any protocol" in line]
        assert bool(lines) is warned


def test_reasons_why_run_would_refuse_are_notes_below_the_table(run_cli, tmp_path, monkeypatch):
    """The plan doesn't fail: it may be for another machine."""
    path = tmp_path / "x.yaml"
    race = {"swarmSize": 2, "fileSize": "1MB", "network": {"upload": "1kB"}}
    path.write_text(json.dumps({"global": {"race": race, "entrants": {"c": {"kind": "codex"}}}}))
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: Disk(1, 1, 0))
    monkeypatch.setattr(checks, "available_memory_bytes", lambda: 1)
    monkeypatch.setattr(checks, "loopback_fault", lambda: "down")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (32, 32))
    monkeypatch.setattr(conditions, "refusals", list)
    lacks = dict.fromkeys(("tbf", "netem", "relay", "ifb", "police"), "needs CONFIG_X")
    monkeypatch.setattr(conditions, "probe", lambda: lacks)
    monkeypatch.setenv("PATH", str(tmp_path))
    planned = run_cli("plan", str(path), "--format", "json")
    assert planned.exit_code == 0
    notes = json.loads(planned.stdout)["warnings"]
    head = "this machine can't race it: "
    refused = run_cli("run", str(path), "--results", str(tmp_path / "results"))
    assert refused.exit_code == Exit.UNAVAILABLE
    assert not (tmp_path / "results").exists()
    lines = [line.strip() for line in refused.stderr.splitlines()[1:]]
    keys = {line.split(": ")[0] for line in lines}
    assert {"global.entrants.c", "disk", "memory", "open files", "processes"} <= keys
    assert {"global.race.network.upload", "global.race.network"} <= keys
    assert set(lines) == {note.removeprefix(head) for note in notes if note.startswith(head)} | {
        note for note in notes if "with any protocol" in note
    }
    shown = " ".join(run_cli("plan", str(path)).stdout.split())
    assert shown.index("2x1-1MB") < shown.index(f"! {head}")


def test_a_rate_too_low_for_the_timeout_is_refused_before_the_race(run_cli, tmp_path):
    path = tmp_path / "x.yaml"
    race = {"fileSize": "1GB", "network": {"upload": "1Mbit"}}
    path.write_text(json.dumps({"global": {"race": race, "entrants": {"w": {"kind": "http"}}}}))
    refused = run_cli("run", str(path), "--results", str(tmp_path / "results"))
    assert refused.exit_code == Exit.UNAVAILABLE
    assert "with any protocol, but global.race.timeouts.transferSeconds ends it" in refused.stderr
    assert "in 1 of 1 cells (4x1-1GB)" in refused.stderr
    assert not (tmp_path / "results").exists()
