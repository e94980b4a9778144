"""docs/methodology.md and docs/results-format.md agree with the code."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from pydantic.alias_generators import to_camel

from made_results import build, curve, scenario_of
from paths import ROOT
from swarmrace.definitions import DEFINITIONS, STAGES
from swarmrace.errors import Reason
from swarmrace.model import Model
from swarmrace.recording import records
from swarmrace.results import folder as results
from swarmrace.scenario.scenario import MARGIN, PRESETS
from swarmrace.statistics import intervals
from swarmrace.systems import built_in
from swarmrace.systems import load as load_system
from swarmrace.systems.bittorrent.options import BitTorrentOptions
from swarmrace.systems.bittorrent.recording_cost import RECORDING_CPU
from swarmrace.systems.codex.options import CodexOptions
from swarmrace.systems.exec.options import ExecOptions
from swarmrace.systems.http.options import HttpOptions
from swarmrace.systems.ipfs.options import IpfsOptions
from swarmrace.systems.transmission.options import TransmissionOptions
from swarmrace.verdict import flags
from swarmrace.verdict.registry import FIGURES
from swarmrace.verdict.runs import INFRASTRUCTURE

TOP = ROOT
METHODOLOGY = (TOP / "docs" / "methodology.md").read_text()
FORMAT = (TOP / "docs" / "results-format.md").read_text()
MODELS = [
    each
    for each in vars(records).values()
    if isinstance(each, type) and issubclass(each, Model) and each is not Model
]


@pytest.mark.parametrize("word", DEFINITIONS)
def test_every_definition_is_in_the_methodology_word_for_word(word):
    assert f"| **{word}** | {DEFINITIONS[word]} |" in METHODOLOGY


def test_the_methodology_defines_nothing_else():
    table = METHODOLOGY.split("## Definitions")[1].split("\n\n")[1]
    assert re.findall(r"^\| \*\*(.+?)\*\* \|", table, re.MULTILINE) == list(DEFINITIONS)


def test_the_methodology_has_the_rules_of_the_code():
    assert f"fewer than {intervals.MIN_BLOCKS} complete blocks" in METHODOLOGY
    assert f"Nominal is {intervals.CONFIDENCE:.0%}".replace("%", " %") in METHODOLOGY
    assert f"| {intervals.MIN_RANKED_BLOCKS} and more |" in METHODOLOGY
    assert f"from {intervals.MIN_RANKED_RUNS} + {intervals.MIN_RANKED_RUNS} runs" in METHODOLOGY
    for preset, bound in PRESETS.items():
        assert f"| `{preset}` | {bound}" in METHODOLOGY
    assert f"`margin` ({MARGIN} by default)" in METHODOLOGY
    assert f"above {flags.WAITING_SHARE:.0%} of a core".replace("%", " %") in METHODOLOGY
    assert f"above {flags.START_LAG_SECONDS * 1000:g} ms" in METHODOLOGY
    assert {str(reason) for reason in INFRASTRUCTURE} == {
        "tracker lost",
        "interrupted",
        "not run",
        "internal error",
        "infrastructure",
    }


COLUMNS = {
    "BitTorrent": BitTorrentOptions(),
    "HTTP": HttpOptions(),
    "Codex, stream": CodexOptions(),
    "Codex, background": CodexOptions(download="background"),
    "any program": ExecOptions(command=["any"]),
    "Transmission": TransmissionOptions(),
    "IPFS, stream": IpfsOptions(),
    "IPFS, background": IpfsOptions(download="background"),
}
ROWS = {
    "leechers hold at the start": "holds",
    "published when": "published",
    "discovery ends when": "discovered",
    "arrival": "arrival",
    "delivery": "delivery",
    "done when": "done",
    "CPU and memory are of": "usage",
    "verified by": "verified",
}


def test_the_table_of_observations_agrees_with_the_systems():
    head = [line for line in METHODOLOGY.splitlines() if line.startswith("| | BitTorrent")]
    assert head == [f"| | {' | '.join(COLUMNS)} |"]
    means = [load_system(options.kind).means(options) for options in COLUMNS.values()]
    for label, name in ROWS.items():
        cells = [getattr(each, name) or "not observed" for each in means]
        assert f"| {label} | {' | '.join(cells)} |" in METHODOLOGY


def test_limits_of_waiting_and_the_cost_of_recording_agree_with_the_code():
    share, rate = flags.WAITING_WIRE_SHARE, flags.WAITING_RATE
    assert f"above {share:.0%} of what".replace("%", " %") in METHODOLOGY
    assert f"{rate // 1000} kB/s a peer are free" in METHODOLOGY
    figure = f"{RECORDING_CPU.factor:.2f} ± {RECORDING_CPU.standard_error:.2f}"
    assert f"| the same, CPU of the leecher | {figure} |" in (TOP / "README.md").read_text()
    assert f"BitTorrent's holds the recording: {RECORDING_CPU}" in METHODOLOGY


def test_options_that_change_a_profile_are_named():
    for kind in built_in():
        for name in load_system(kind).settings.options:
            assert f"`{to_camel(name)}`" in METHODOLOGY


def test_figures_from_other_sources_name_their_source():
    for figure in ("8.8 MB/s", "21 to 36 ms", "364 to 384 MB", "4.6 to 5.0 s"):
        assert figure in METHODOLOGY
    assert METHODOLOGY.count("(evidence/libtorrent.md)") >= 3
    assert METHODOLOGY.count("(evidence/codex-node.md)") >= 2


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_of_every_file_is_explained(model):
    for name, field in model.model_fields.items():
        rows = re.findall(rf"^\| `{field.alias or name}` \| .+ \| (.+) \|$", FORMAT, re.MULTILINE)
        assert rows, f"{model.__name__}.{name} is missing in docs/results-format.md"
        assert "–" not in rows


def test_every_figure_reason_and_stage_is_listed():
    for name, figure in FIGURES.items():
        label = figure.label[:1].upper() + figure.label[1:]
        assert f"| `{name}` | {figure.unit} | {label}: {figure.text}. |" in FORMAT
    assert ", ".join(f"`{reason}`" for reason in Reason) in FORMAT
    assert ", ".join(f"`{stage}`" for stage in STAGES) in FORMAT
    assert f"| {records.FORMAT} | " in FORMAT


def test_the_documented_five_lines_read_an_npz(tmp_path):
    [code] = re.findall(r"```python\n(.+?)```", FORMAT, re.DOTALL)
    assert len(list(filter(None, code.splitlines()))) == 5
    scenario = scenario_of({"bittorrent": {"kind": "bittorrent"}}, repetitions=1)
    loaded = results.load(build(tmp_path, scenario, {"bittorrent": [[2, 2, 2]]}))
    [record] = loaded.runs
    file = record.peers[record.leechers[0]].transfer.arrivals_file
    ran = subprocess.run(
        [sys.executable, "-c", code.replace("bittorrent-1.arrivals.npz", file)],
        cwd=tmp_path / "runs" / record.run.id,
        capture_output=True,
        text=True,
        check=True,
    )
    half = curve(2, 10_000_000).time_to_percent(50) / 1e9
    assert ran.stdout.strip() == f"half of it after {half} s"
