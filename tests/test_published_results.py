"""The pages of published results agree with their raw results folders."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from statistics import median

import pytest

from paths import ROOT
from swarmrace.recording.records import FORMAT
from swarmrace.report import command
from swarmrace.results.folder import load

TOP = ROOT
PUBLISHED = TOP / "docs" / "results"
PAGES = sorted(PUBLISHED.glob("*/README.md"))
REAL_CODEX = PUBLISHED / "2026-11-real-codex" / "README.md"
RAW = sorted(PUBLISHED.glob("*/raw/*"))


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("published_tables", PUBLISHED / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_every_table_agrees_with_the_raw_results(tables, page):
    assert page.read_text() == tables.written(page), "run `make results`"


@pytest.mark.parametrize("folder", RAW, ids=lambda folder: folder.name)
def test_raw_folders_load_without_faults(folder):
    loaded = load(folder)
    assert loaded.faults == ()
    assert json.loads((folder / "race.json").read_text())["format"] == 2
    assert (folder.parents[1] / "README.md").read_text().count(f"`{folder.name}`") >= 4
    for record in loaded.runs:
        for peer in record.leechers:
            transfer = record.peers[peer].transfer
            if record.peers[peer].outcome == "completed" and transfer.deliveries_file:
                assert loaded.curve(record.run.id, peer, "deliveries").complete


def seconds(folder, entrant):
    """Return the time of each run's median leecher, computed only from the files."""
    found = []
    for run in sorted((folder / "runs").glob(f"[0-9]*-{entrant}")):
        peers = [json.loads(file.read_text()) for file in run.glob(f"{entrant}-*.json")]
        leechers = [peer for peer in peers if peer["role"] == "leecher"]
        if leechers and all(peer["outcome"] == "completed" for peer in leechers):
            found.append(median(peer["transfer"]["doneSeconds"] for peer in leechers))
    return found


@pytest.mark.parametrize("entrant", ["codex", "bittorrent", "bittorrent-tcp", "codex-background"])
def test_times_agree_with_an_independent_computation(entrant):
    page = REAL_CODEX
    text = page.read_text().split("<!-- t100 -->")[1].split("<!-- end -->")[0]
    head, _, *lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.strip().splitlines()
    ]
    compared = 0
    for line in lines:
        shown = line[head.index(entrant)]
        number = re.match(r"([\d.]+) (s|ms) \(", shown)
        if number:
            scale = {"s": 1, "ms": 0.001}[number[2]]
            found = median(seconds(page.parent / "raw" / line[0].strip("`"), entrant))
            assert float(number[1]) * scale == pytest.approx(found, rel=0.005)
            compared += 1
    assert compared >= 1


def test_a_changed_figure_is_noticed(tables, tmp_path, capsys, monkeypatch):
    page = REAL_CODEX
    copy = tmp_path / page.parent.name
    shutil.copytree(page.parent, copy, ignore=shutil.ignore_patterns("*.npz"))
    monkeypatch.setattr(tables, "HERE", tmp_path)
    changed = copy / page.name
    changed.write_text(page.read_text().replace("| 13.8 s (", "| 12.8 s (", 1))
    assert tables.main("--check") == 1
    assert "run `make results`" in capsys.readouterr().err
    tables.main()
    assert tables.main("--check") == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_the_report_agrees_with_the_raw_results(tables, tmp_path, page):
    """Except for the times at which files were written, which depend on the checkout."""
    made_folder, stored = tmp_path / "report", page.parent / "report"
    with tables.raw_results(page) as raw:
        found, facts = command.make_report([raw], title=tables.title(page))
        command.write(found, facts, made_folder)
    for made in [made_folder / "report.md", *sorted((made_folder / "cells").iterdir())]:
        wanted = (stored / made.relative_to(made_folder)).read_text()
        stamps = [tables.STAMP.sub("…", text) for text in (made.read_text(), wanted)]
        assert stamps[0] == stamps[1], "run `make results`"
    assert {p.name for p in (stored / "cells").iterdir()} == {
        p.name for p in (made_folder / "cells").iterdir()
    }
    assert (stored / "report.html").stat().st_size < 10_000_000


def test_the_readme_shows_times_of_the_published_page():
    first = "\n".join((TOP / "README.md").read_text().splitlines()[:20])
    page = (PUBLISHED / "2026-11-real-codex" / "README.md").read_text()
    table = page.partition("<!-- t100 -->")[2].partition("<!-- end -->")[0]
    rows = [line for line in table.splitlines() if line.startswith(("| `4x1-100MB`", "| `shaped`"))]
    shown = re.findall(r"[\d.]+ m?s\b", first)
    assert len(rows) == 2
    assert len(shown) == 7
    assert set(shown) <= set(re.findall(r"([\d.]+ m?s) \(", "".join(rows)))


def test_the_readme_names_them_in_its_first_lines():
    first = (TOP / "README.md").read_text().splitlines()[:12]
    assert any("docs/results/2026-11-real-codex/" in line for line in first)
    assert FORMAT >= 2
