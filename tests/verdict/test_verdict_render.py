from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import pytest

from made_results import build, scenario_of
from swarmrace.definitions import DEFINITIONS
from swarmrace.errors import Reason
from swarmrace.recording.records import Failure, Waiting, Wire
from swarmrace.results import folder as results
from swarmrace.systems.bittorrent.recording_cost import RECORDING_CPU
from swarmrace.verdict import compute, render

INF = math.inf
ENTRANTS = {
    "codex": {"kind": "codex"},
    "bittorrent": {"kind": "bittorrent"},
    "bt-tuned": {"kind": "bittorrent", "profile": "tuned"},
    "http": {"kind": "http"},
}
TIMES = {
    "codex": [[6.2, 6.3, INF], [INF, 6, INF], [5.1, 5.2, 5.6]],
    "bittorrent": [[1.2, 1.3, 1.5], [1.25, 1.31, 1.4], [1.1, 1.2, 1.6]],
    "bt-tuned": [[1, 1.1, 1.5], [1.05, 1.1, 1.4], None],
    "http": [[0.6, 0.61, 0.7], [0.65, 0.7, 0.71], [0.6, 0.66, 0.7]],
}


def verdict_of(tmp_path, names, *, race=None, **folder):
    scenario = scenario_of({name: ENTRANTS[name] for name in names}, **(race or {}))
    return compute(results.load(build(tmp_path, scenario, TIMES, **folder)))


@pytest.fixture
def two(tmp_path):
    return verdict_of(tmp_path, ["bittorrent", "http"])


@pytest.fixture
def four(tmp_path):
    acceptance = [{"entrant": "codex", "within": 1.2, "of": "bittorrent"}]
    race = {"acceptance": acceptance, "network": {"upload": "100Mbit", "lossPercent": 0.5}}
    return verdict_of(tmp_path, list(ENTRANTS), race=race)


def test_the_headline_comes_first(two):
    lines = render.text(two).splitlines()
    head = next(n for n, line in enumerate(lines) if "took" in line)
    assert head <= 3
    assert (
        lines[head]
        .strip()
        .startswith("bittorrent (stock) took 1.94 × http's (stock) time [1.57, 2.39]")
    )
    assert head < next(n for n, line in enumerate(lines) if "done (t100)" in line)


@pytest.mark.parametrize("which", ["two", "four"])
def test_it_fits_100_columns_and_cuts_nothing(which, request):
    text = render.text(request.getfixturevalue(which))
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text.replace("[…]", "")
    assert "\x1b" not in text
    assert not re.search(r"[ \t]$", text, re.MULTILINE)


def row(text, label):
    [line] = [line for line in text.splitlines() if line.strip().startswith(label)]
    return re.split(r"\s{2,}", line.strip())


def test_rows_of_the_table(two):
    text = render.text(two)
    assert row(text, "done (t100), median leecher") == [
        "done (t100), median leecher",
        "1.30 s (1.20–1.31)",
        "660 ms (610–700)",
        "1.94 [1.57, 2.39]",
    ]
    assert row(text, "transfers completed")[1:] == ["9 of 9 started", "9 of 9 started"]
    assert row(text, "wire sent")[1:] == ["wire not measured", "wire not measured"]
    assert row(text, "block 1")[1:] == ["#1 1.31 s (1.40 s)", "#2 700 ms (710 ms)"]
    assert "¹ delivery side by side, not compared: bittorrent doesn't fetch in order" in text


def test_stability_has_ratios_within_a_kind_and_otherwise_a_footnote(two, tmp_path):
    text = render.text(two)
    assert row(text, "longest stall (arrival)")[-1] == "no difference"
    assert row(text, "longest stall (delivery) ¹")[-1] == "200 ms"
    assert row(text, "variation (arrival)")[1:] == ["0.300", "0.300", "no difference"]
    assert row(text, "variation (delivery) ¹")[1:] == ["0.400", "0.400"]
    three = render.text(verdict_of(tmp_path / "3", ["codex", "bittorrent", "http"]))
    ratios = three.split("Ratios of times")[1].split("\n\n")[0]
    assert ratios.splitlines()[0].split() == [
        "codex",
        "/",
        "bittorrent",
        "codex",
        "/",
        "http",
        "bittorrent",
        "/",
        "http",
    ]
    stalls = row(ratios, "longest stall (delivery)")
    assert re.fullmatch(r"slower in \d, faster in \d", stalls[2])
    assert stalls[1] == stalls[3] == "–"
    why = "bittorrent / http, delivery not compared: bittorrent doesn't fetch in order"
    assert why in " ".join(three.split())
    stream = verdict_of(tmp_path / "2", ["codex", "http"])
    text = render.text(stream)
    assert row(text, "variation (delivery)")[1:3] == ["0.400", "0.400"]
    assert row(text, "variation (arrival) ¹")[1:] == ["not observed", "0.300"]
    assert "¹ arrival side by side, not compared: codex doesn't observe arrival" in text


def test_an_entrant_without_counted_runs_prints_no_rows_of_dashes(tmp_path):
    lost = Failure(reason=Reason.TRACKER_LOST, stage="race", detail="gone")

    def aborted(run):
        return run.model_copy(update={"status": "aborted", "failure": lost})

    text = render.text(verdict_of(tmp_path, ["http"], run=aborted))
    table = text.split("median over runs")[1].split("Runs: ")[0]
    assert "–" not in table.partition("\n")[2]
    assert "wire not measured" not in table
    assert row(text, "runs counted")[1:] == ["0 of 3 (3 missing)"]


def test_meanings_are_printed_for_the_raced_entrants(tmp_path):
    entrants = {"stream": ENTRANTS["codex"], "back": ENTRANTS["codex"] | {"download": "background"}}
    scenario = scenario_of(entrants)
    times = dict.fromkeys(entrants, TIMES["http"])
    found = compute(results.load(build(tmp_path, scenario, times)))
    part = (
        render.text(found, width=300)
        .split("What each system can observe")[1]
        .split("Definitions (")[0]
    )
    assert row(part, "done when")[1:] == [
        "the last byte is written to the leecher's file; the node keeps a copy of its own",
        "progress says total; on a node without progress, its space does",
    ]
    assert row(part, "leechers hold at the start")[1:] == ["CID, bootstrap address"] * 2
    assert row(part, "discovery ends when")[2] == "the manifest has been answered"
    assert row(part, "verified by")[1:] == [
        "SHA-256 of the file on disk",
        "SHA-256 of what is read back from the node",
    ]
    assert row(part, "resolution")[1:] == [
        "what one record takes; of done: 1 ms",
        "the gap between samples; of done: 1 ms",
    ]


def test_the_cost_of_recording_is_printed_with_bittorrents_cpu(two):
    text = " ".join(render.text(two).split())
    assert (
        f"recording takes {RECORDING_CPU.factor:.2f} ± {RECORDING_CPU.standard_error:.2f}" in text
    )


def test_rates_and_offload_are_printed(tmp_path):
    def wired(result):
        offload = {"gso": True, "gro": result.peer != 2}
        wire = Wire(
            sent_bytes=1, received_bytes=1, sent_packets=1, received_packets=1, offload=offload
        )
        return result.model_copy(update={"wire": wire})

    found = verdict_of(
        tmp_path,
        ["http", "bittorrent"],
        race={"network": {"upload": "8Mbit"}},
        rates={"upload": 950_000.0},
        peer=wired,
    )
    text = render.text(found, width=200)
    assert "measured by the preflight, http: upload 950 kB/s" in text
    assert "offload of the interfaces, http, bittorrent: gro=mixed, gso=on" in text


def test_failures_missing_runs_and_their_reasons_are_listed(four):
    text = " ".join(render.text(four).split())
    assert re.search(r"\d{3}-bt-tuned: missing: no record of the run", text)
    assert re.search(r"\d{3}-codex: failed: peer \d: stall in race \(no byte for 120 s\)", text)
    assert re.search(r"\d{3}-codex: counted: peer \d: stall in race", text)
    assert "failure: stall in race" in text
    assert "Acceptance missed: codex (stock) within 1.2 ×" in text
    assert "not observed" in text
    assert "network: upload 100 Mbit/s (12.5 MB/s), queue 200 ms, loss 0.5 %" in text


@pytest.mark.parametrize(
    ("network", "backend", "said"),
    [
        ({"upload": "20Mbit", "queueMilliseconds": 50}, "local", "queue 50 ms"),
        ({"upload": "20Mbit", "download": "1Mbit"}, "local",
         "queue 200 ms (388 ms at 1 Mbit/s (125 kB/s))"),
        ({"seeders": {"upload": "20Mbit"}}, "kubernetes",
         "queue 200 ms (if tc sets the rates; a policer has no queue)"),
        ({"delayMilliseconds": 5, "queueMilliseconds": 50}, "local", None),
    ],
)  # fmt: skip
def test_the_queue_of_a_limited_link_is_printed(tmp_path, network, backend, said):
    race = {"network": network, "rotateSeeders": False}
    scenario = scenario_of({"x": {"kind": "http"}}, **race)
    found = compute(results.load(build(tmp_path / "results", scenario, {"x": [[1, 2, 3]] * 3})))
    text = render.text(found.model_copy(update={"backend": backend}), width=200)
    (line,) = (line.strip() for line in text.splitlines() if "network: " in line)
    assert line.endswith(said) if said else "queue" not in line


def test_every_definition_seed_version_and_setting_is_printed(four):
    text = " ".join(render.text(four).split())
    for word in DEFINITIONS:
        assert re.search(rf"(^|\s){re.escape(word)} ", text), word
    for part in ("master seed 1", "swarmrace 0.1.0", "a CPU", four.race_id, "a=1"):
        assert part in text
    assert "codex: codex, profile stock; made up 1" in text


def test_infrastructure_is_distinguished_from_slowness(tmp_path):
    failure = Failure(reason=Reason.TRACKER_LOST, stage="race", detail="gone at 3 s")

    def lost(run):
        if run.repetition != 1:
            return run
        return run.model_copy(update={"status": "aborted", "failure": failure})

    text = render.text(verdict_of(tmp_path, ["http", "bittorrent"], run=lost))
    assert row(text, "block 1")[1:] == ["#2 missing (3 of 3 done)", "#1 missing (3 of 3 done)"]
    assert "missing: tracker lost in race (gone at 3 s)" in text
    assert "over 2 blocks" in text


def test_broken_files_are_named(tmp_path):
    scenario = scenario_of({"http": ENTRANTS["http"]})
    folder = build(tmp_path, scenario, TIMES)
    (folder / "runs" / "000-http" / "http-0.json").write_text("{")
    text = render.text(compute(results.load(folder)))
    assert "Broken or foreign files in the folder" in text
    assert "runs/000-http/http-0.json: not complete JSON" in text


def test_of_many_blocks_only_those_with_problems_are_listed(tmp_path):
    times = {"http": [[1, 1, 1]] * 29 + [[INF, INF, INF]]}
    scenario = scenario_of({"http": ENTRANTS["http"]}, repetitions=30)
    text = render.text(compute(results.load(build(tmp_path, scenario, times))))
    assert row(text, "block 29")[1:] == ["#1 failed"]
    assert "block 3 " not in text
    assert "29 more blocks in verdict.json" in text


def test_the_picture_is_complete_svg_without_urls(two):
    picture = render.svg(two)
    root = ET.fromstring(picture)
    shown = "".join(root.itertext()).replace("\xa0", " ")
    assert "took 1.94 × http's (stock) time" in shown
    assert "Definitions" not in shown
    assert set(re.findall(r"https?://[^\s\"']+", picture)) == {"http://www.w3.org/2000/svg"}
    assert render.svg(two) == picture


def test_markup_in_names_and_reasons_is_printed_literally(tmp_path):
    def note(result):
        return result.model_copy(update={"notes": ["[bold]x[/bold] [red"]})

    text = render.text(verdict_of(tmp_path, ["http"], peer=note))
    assert "[bold]x[/bold] [red" in text


def test_footnotes_explain_publish_and_cpu_if_systems_differ(tmp_path, two):
    text = render.text(two)
    flat = " ".join(text.split())
    assert row(text.split("Definitions")[0], "upload speed")[0].endswith(" ²")
    assert "² not the same work: bittorrent is published when the tracker has answered" in flat
    assert "; http is published when the server listens" in flat
    assert row(text, "CPU, all peers")[0].endswith(" ³")
    assert (
        "³ not measured alike: bittorrent's is of the whole process, runner and recording" in flat
    )
    alone = render.text(verdict_of(tmp_path / "1", ["bittorrent"]))
    assert "not the same work" not in alone
    assert row(alone.split("Definitions")[0], "upload speed")[0] == "upload speed"


def test_missing_figures_are_explained_once(tmp_path, two):
    way = "`swarmrace run --namespaces` gives them some"
    assert " ".join(render.text(two).split()).count(way) == 1
    assert "– no run has" not in render.text(two)
    failed = render.text(verdict_of(tmp_path / "3", ["codex", "http"]))
    assert failed.count("– no run has this figure") == ("–" in row(failed, "spread"))


@pytest.mark.parametrize(("repetitions", "label"), [(33, "maximum"), (34, "p99")])
def test_fewer_than_100_stamps_give_a_maximum_instead_of_a_percentile(tmp_path, repetitions, label):
    scenario = scenario_of({"http": ENTRANTS["http"]}, repetitions=repetitions)
    times = {"http": [[1, 1, 1]] * repetitions}
    text = render.text(compute(results.load(build(tmp_path, scenario, times))))
    assert row(text, "start lag")[0] == f"start lag, {label}"


def test_waiting_is_shown_in_milliseconds_per_second(tmp_path):
    waiting = Waiting(seconds=10, cpu_seconds=0.0363)

    def waited(result):
        return result.model_copy(update={"waiting": waiting})

    text = render.text(verdict_of(tmp_path, ["http"], peer=waited))
    assert row(text, "waiting: CPU") == ["waiting: CPU", "3.63 ms/s"]


def test_states_among_the_own_counters_are_not_summed(tmp_path):
    def counted(result):
        counters = {
            "connections": 3.0 + result.peer,
            "connections_at_start": 1.0,
            "process_resident_memory_bytes": 5e6,
            "accepted_connections": 2.0,
        }
        return result.model_copy(update={"counters": counters})

    for kind, memory in (("codex", "5 MB"), ("http", "20 MB")):  # only Codex calls it a state
        found = verdict_of(tmp_path / kind, [kind], peer=counted)
        text = " ".join(render.text(found).split())
        assert (
            f"{kind}: accepted_connections 8, connections 6, connections_at_start 1, "
            f"process_resident_memory_bytes {memory}"
        ) in text


def test_settings_show_no_peers_address_or_path(tmp_path):
    system = {
        "version": "libtorrent 2.1",
        "protocol": "v1",
        "reference": "magnet",
        "settings": {
            "listen_interfaces": "127.0.0.2:0",
            "command": ["/opt/codex", "--data-dir=/tmp/x", "--block-ttl=9"],
            "aio_threads": 4,
        },
    }

    def told(result):
        return result.model_copy(update={"system": system})

    found = verdict_of(tmp_path, ["bittorrent"], peer=told)
    [line] = [
        line
        for line in render.text(found, width=200).splitlines()
        if line.startswith("  bittorrent: bitt")
    ]
    assert line.endswith("libtorrent 2.1; settings command=--block-ttl=9, aio_threads=4")
    assert found.entrants["bittorrent"].settings == system["settings"]
