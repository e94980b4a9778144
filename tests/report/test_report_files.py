"""The files of a report: links, agreement between page and Markdown, escaping, contrast."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from made_matrices import SIX, cell
from made_results import INF, updated
from swarmrace.cli.main import main
from swarmrace.report import markdown
from swarmrace.report.command import make_report
from swarmrace.report.markdown import MAX_CHARACTERS, escaped, short
from swarmrace.report.page import pack, unpack
from swarmrace.report.style import _DARK, _HEAT_DARK, _HEAT_LIGHT, _LIGHT


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    top = tmp_path_factory.mktemp("report")
    for size, seeders, factor in ((2, 1, 0.5), (4, 1, 2.0), (8, 1, 3.0), (8, 4, 1.0)):
        slow = [factor * value for value in SIX]
        failing = [*slow[:5], [*([factor] * (size - seeders - 1)), INF]] if size == 8 else slow
        cell(
            top / "results" / f"{size}x{seeders}", {"a": failing, "b": SIX},
            swarmSize=size, seeders=seeders,
        )  # fmt: skip
    ran = CliRunner().invoke(
        main, ["report", str(top / "results"), "-o", str(top / "out"), "--accept", "furps"]
    )
    assert ran.exit_code == 0, ran.output
    assert ran.stdout.split() == [str(top / "out" / "report.html"), str(top / "out" / "report.md")]
    return top / "out"


def test_every_link_has_a_target(written):
    pages = [written / "report.md", *sorted((written / "cells").glob("*.md"))]
    assert len(pages) == 5
    for page in pages:
        links = re.findall(r"!?\[[^]]*\]\(([^)#]+)\)", page.read_text())
        assert links
        for link in links:
            assert (page.parent / link).exists(), f"{page.name}: {link}"
    shown = "".join(page.read_text() for page in pages)
    for figure in (written / "figures").iterdir():
        assert f"figures/{figure.name}" in shown


def test_every_figure_is_a_self_contained_svg(written):
    figures = list((written / "figures").glob("*.svg"))
    assert len(figures) >= 20
    for path in figures:
        root = ET.fromstring(path.read_text())
        assert root.get("aria-label")
        assert "prefers-color-scheme:dark" in path.read_text()
        assert "http" not in re.sub(r'xmlns="[^"]+"', "", path.read_text())
        numbers = [float(n) for n in re.findall(r'(?:x|y|cx|cy)="([-\d.]+)"', path.read_text())]
        assert all(np.isfinite(numbers))


def test_page_and_markdown_agree(written):
    page, text = (written / "report.html").read_text(), (written / "report.md").read_text()
    plain = text.replace("\\", "")
    [answer] = re.findall(r"a against b, over 4 cells: [^(]+", plain)
    assert answer in page
    for name in ("2x1-10MB", "4x1-10MB", "8x1-10MB", "8x4-10MB"):
        assert f'id="cell-{name}"' in page
        assert f"(cells/{name}.md)" in text
    assert "no single cell can be called met or missed" in page


def test_the_page_loads_nothing(written):
    page = (written / "report.html").read_text()
    assert not re.findall(r"(?:src|href)=[\"'](?!#)", page)
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert "url(" not in re.sub(r"url\(#", "", page)


def test_the_data_is_written_beside_the_page(written):
    names = {path.name for path in (written / "data").iterdir()}
    assert names >= {
        "transfers.csv", "runs.csv", "marks.csv", "transfers.parquet", "dictionary.md",
    }  # fmt: skip


def test_peers_are_stored_compressed_in_the_page(written):
    page = (written / "report.html").read_text()
    [stored] = re.findall(r'id="data-4x1-10MB">([^<]+)<', page)
    data = json.loads(gzip.decompress(b64decode(stored)))
    assert len(data["runs"]) == 12
    [peer, *_] = data["runs"][0]["leechers"]
    times = unpack(peer["c"]["arrival"])
    assert len(times) == 101
    assert times[-1] == pytest.approx(peer["d"], rel=1e-3)


@given(st.lists(st.floats(0, 1e5, width=32), min_size=1, max_size=101))
def test_a_packed_curve_is_exact_to_a_thousandth(values):
    curve = np.sort(np.array(values, np.float32))
    found = unpack(pack(curve))
    assert len(found) == len(curve)
    assert found == pytest.approx(curve.tolist(), abs=float(curve[-1]) * 0.00056 + 1e-9)


def test_text_from_a_node_is_escaped(tmp_path):
    """A reason may hold anything, but none of its markup survives in the page or in Markdown."""
    evil = "<script>alert(1)</script> | **x** [y](javascript:z) `\n# head \x1b[31m\x00\x07\u202e"

    def failed(peer):
        if peer.role == "seeder" or peer.entrant != "a":
            return peer
        failure = {"reason": "refused", "stage": "race", "detail": evil}
        data = peer.model_dump() | {"failure": failure, "outcome": "failed"}
        return type(peer).model_validate(data)

    folder = cell(tmp_path / "r", {"a": [1.0] * 3, "b": [1.0] * 3}, peer=failed)
    out = tmp_path / "out"
    assert CliRunner().invoke(main, ["report", str(folder), "-o", str(out)]).exit_code == 0
    page = (out / "report.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    text = next((out / "cells").glob("*.md")).read_text()
    assert "\\<script\\>alert" in text
    assert not re.search(r"(?<!\\)<script", text)
    assert "\n# head" not in text
    for file in (*out.rglob("*.md"), *out.rglob("*.svg"), *out.rglob("*.csv"), out / "report.html"):
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\u202e]", file.read_text()), file
    assert "\\x1b[31m" in page
    assert "[y](javascript" not in text
    assert escaped("a|b\n<c>") == "a\\|b \\<c\\>"


def test_a_folder_whose_name_is_no_text_is_reported(tmp_path):
    """A path may have bytes that are not UTF-8."""
    folder = cell(tmp_path / os.fsdecode(b"caf\xe9"), {"a": [1.0] * 3, "b": [1.0] * 3})
    out = tmp_path / "out"
    ran = CliRunner().invoke(main, ["report", str(folder), "-o", str(out)])
    assert ran.exit_code == 0, ran.output
    assert "folder caf\\xdce9" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("# head", "\\# head"), ("12. one", "12\\. one"), ("- one", "\\- one"), ("===", "\\==="),
        ("0.500 × b", "0.500 × b"), ("-12", "-12"), ("#1", "#1"), ("a # b", "a # b"), ("", ""),
    ],
)  # fmt: skip
def test_no_text_begins_a_heading_or_a_list(text, wanted):
    assert escaped(text) == wanted


@pytest.mark.parametrize("name", ["data", "cells", "figures", "report.html"])
def test_what_can_not_be_written_is_one_error(tmp_path, name):
    """Also if it is written by another process."""
    folder = cell(tmp_path / "r", {"a": [1.0] * 3, "b": [1.0] * 3})
    out = tmp_path / "out"
    if name == "report.html":
        (out / name / "x").mkdir(parents=True)
    else:
        out.mkdir()
        (out / name).write_text("a file")
    ran = subprocess.run(
        [sys.executable, "-m", "swarmrace", "report", folder, "-o", out],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 8
    assert ran.stderr.count("\n") == 1
    assert f"{name}" in ran.stderr
    assert "can't be written" in ran.stderr


def test_a_users_own_files_are_kept(tmp_path):
    """A report written into a folder with figures and cells of somebody else."""
    folder = cell(tmp_path / "r", {"a": [1.0], "b": [1.0]})
    kept = [tmp_path / "out" / "figures" / "mine.svg", tmp_path / "out" / "cells" / "mine.md"]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    assert (
        CliRunner().invoke(main, ["report", str(folder), "-o", str(tmp_path / "out")]).exit_code
        == 0
    )
    assert [path.read_text() for path in kept] == ["mine", "mine"]


def test_a_summary_fits_a_comment(tmp_path):
    for size in range(1, 40):
        cell(
            tmp_path / "m" / str(size), {"a": [1.0], "b": [1.1]},
            swarmSize=2, fileSize=f"{size}MB",
        )  # fmt: skip
    report, _ = make_report([tmp_path / "m"])
    text = short(report)
    assert len(text) < MAX_CHARACTERS
    assert text.count("\n| ") == 41, "39 cells, the head and the ruler"
    ran = CliRunner().invoke(main, ["report", str(tmp_path / "m"), "--summary"])
    assert ran.exit_code == 0
    assert ran.stdout.strip() == text.strip()


def test_a_long_summary_is_cut_to_fit(tmp_path, monkeypatch):
    """Warnings are counted when they don't fit, and a cut closes what it cuts."""
    for size in (4, 8):
        slow = [[1.0] * (size - 2) + [INF]] * 3
        cell(tmp_path / "m" / str(size), {"a": slow, "b": [1.0, 2.0, 4.0]}, swarmSize=size)
    report, _ = make_report([tmp_path / "m"])
    whole = short(report)
    assert len(report.warnings) >= 3
    assert "more (report.md)" not in whole
    monkeypatch.setattr(markdown, "MAX_CHARACTERS", len(whole) - 1)
    fewer = short(report)
    assert len(fewer) < len(whole) - 1
    assert re.search(r"\n- … and \d+ more \(report\.md\)\n", fewer)
    monkeypatch.setattr(markdown, "MAX_CHARACTERS", whole.index("<details>") + 200)
    cut = short(report)
    assert len(cut) < whole.index("<details>") + 200
    assert cut.endswith("</details>\n\n… cut here; report.md has all of it\n")


def test_a_new_report_removes_the_cells_of_an_older_one(tmp_path):
    out = tmp_path / "out"
    for size in (4, 8):
        folder = cell(tmp_path / str(size), {"a": [1.0], "b": [1.0]}, swarmSize=size)
        (out / "cells").mkdir(parents=True, exist_ok=True)
        (out / "cells" / "notes.txt").write_text("mine")
        assert CliRunner().invoke(main, ["report", str(folder), "-o", str(out)]).exit_code == 0
    assert {path.name for path in (out / "cells").iterdir()} == {"8x1-10MB.md", "notes.txt"}
    assert not list((out / "figures").glob("*4x1*"))


def test_older_folders_can_be_reported(tmp_path):
    data = Path(__file__).parents[1] / "data"
    for name in ("results-format-1", "results-format-2"):
        out = tmp_path / name
        ran = CliRunner().invoke(main, ["report", str(data / name), "-o", str(out)])
        assert ran.exit_code == 0, ran.output
        assert "curves-" in " ".join(path.name for path in (out / "figures").iterdir())


def test_curves_are_read_only_on_request(tmp_path):
    """The marks of made results aren't those of their curves, and a torn curve is only named."""
    folder, out = cell(tmp_path / "r", {"a": [1.0] * 3, "b": [1.0] * 3}), str(tmp_path / "out")
    assert CliRunner().invoke(main, ["report", str(folder), "-o", out]).exit_code == 0
    ran = CliRunner().invoke(main, ["report", str(folder), "-o", out, "--curves"])
    assert ran.exit_code == 8
    assert "its curve gives" in ran.stderr
    for file in folder.rglob("*.npz"):
        file.write_bytes(file.read_bytes()[:100])
    ran = CliRunner().invoke(main, ["report", str(folder), "-o", out, "--curves"])
    assert ran.exit_code == 0
    assert "18 broken, missing or foreign files" in (tmp_path / "out" / "report.md").read_text()


def test_a_removed_curve_is_noticed_by_curves(tmp_path):
    from racing_peers import raced, scenario

    loaded, _ = raced(scenario(), tmp_path)
    arguments = ["report", str(loaded.folder), "-o", str(tmp_path / "out")]
    assert CliRunner().invoke(main, [*arguments, "--curves"]).exit_code == 0
    curve = next(loaded.folder.glob("runs/*/*.npz"))
    curve.unlink()
    assert CliRunner().invoke(main, arguments).exit_code == 0
    ran = CliRunner().invoke(main, [*arguments, "--curves"])
    assert ran.exit_code == 8
    assert f"{curve.name}: removed after the race" in ran.stderr


def test_a_running_race_can_be_reported(tmp_path):
    """Half of the runs and all curves are missing; the head reports that the race is running."""

    def none(peer):
        if peer.transfer is None:
            return peer
        nothing = {"arrival": [], "delivery": [], "done_seconds": None, "verified": None}
        stall = {"reason": "stall", "stage": "race", "detail": ""}
        data = peer.model_dump() | {"failure": stall, "outcome": "failed"}
        failed = type(peer).model_validate(data)
        return updated(transfer=updated(**nothing)(failed.transfer))(failed)

    folder = cell(tmp_path / "r", {"a": [1.0, None], "b": [1.0, None]}, peer=none)
    text = (folder / "race.json").read_text()
    (folder / "race.json").write_text(text.replace('"finished"', '"running"'))
    ran = CliRunner().invoke(main, ["report", str(folder), "-o", str(tmp_path / "out")])
    assert ran.exit_code == 0, ran.output
    assert "2 of 4 runs raced, running" in ran.stderr
    assert "2 of 4 runs raced, running" in (tmp_path / "out" / "report.html").read_text()


def test_a_missing_extra_is_named_with_its_installation(tmp_path, monkeypatch):
    """A verdict over a matrix and CSV work without it."""
    folder = cell(tmp_path / "r", {"a": [1.0] * 3, "b": [1.0] * 3})
    for name in ("jinja2", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)
    ran = CliRunner().invoke(main, ["report", str(folder), "-o", str(tmp_path / "out")])
    assert ran.exit_code == 4
    assert (
        'needs Jinja2, which isn\'t installed here: pip install "swarmrace[report]"' in ran.stderr
    )
    assert CliRunner().invoke(main, ["verdict", str(folder)]).exit_code == 0
    ran = CliRunner().invoke(main, ["export", str(folder), "-o", str(tmp_path / "e")])
    assert ran.exit_code == 0
    ran = CliRunner().invoke(main, ["export", str(folder), "--format", "parquet"])
    assert ran.exit_code == 4
    assert "Parquet needs pyarrow" in ran.stderr


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    a, b = sorted((_luminance(one), _luminance(other)))
    return (b + 0.05) / (a + 0.05)


@pytest.mark.parametrize("heat", [_HEAT_LIGHT, _HEAT_DARK], ids=["light", "dark"])
def test_text_in_squares_has_enough_contrast(heat):
    """WCAG 2.1 requires 4.5 for text of this size."""
    for back, ink in heat.values():
        assert _contrast(back, ink) >= 4.5


@pytest.mark.parametrize("colours", [_LIGHT, _DARK], ids=["light", "dark"])
def test_text_and_lines_have_enough_contrast(colours):
    surface = colours["surface"]
    for name in ("ink", "muted", "accent", "good", "bad", "open"):
        assert _contrast(colours[name], surface) >= 4.5
        assert _contrast(colours[name], colours["raised"]) >= 4.5
    for name in ("ref", *(f"e{at}" for at in range(6))):
        assert _contrast(colours[name], surface) >= 3
