"""Each drawn figure, from a small data set computed by hand."""

from __future__ import annotations

import re

import pytest

from made_matrices import cell, report_of, times
from made_results import BT, HTTP, INF, updated
from swarmrace.recording.records import Wire
from swarmrace.report import curve_figures, matrix_figures

LEFT, RIGHT = 44, 348
"""The figures are 356 pixels wide and have axes from here to here."""


def paths(drawing, kind: str) -> list[list[tuple[float, float]]]:
    """Return the corners of the paths of a class."""
    found = re.findall(rf'<path d="M([^"]+)" class="{re.escape(kind)}"', drawing.inline())
    return [
        [(float(x), float(y)) for x, y in (corner.split(",") for corner in path.split())]
        for path in found
    ]


def labelled(drawing, shape: str, where: str) -> list[tuple[float, str]]:
    """Return the place and tooltip of each shape."""
    found = re.findall(
        rf'<{shape} {where}="M?([\d.]+)[^>]*><title>([^<]+)</title>', drawing.inline()
    )
    return [(float(place), text) for place, text in found]


def test_completion_ends_below_one_for_unfinished_leechers(tmp_path):
    """Entrant a: one leecher is done after 1 s, one after 2 s, one never. The axis of shares goes
    from 184 (0) up to 22 (1), that of times from 0 to 2 s."""
    report = report_of(cell(tmp_path / "r", {"a": [[1.0, 2.0, INF]], "b": [[2.0] * 3]}))
    drawing = curve_figures.completion(report.cells[0], report)
    one = LEFT + (RIGHT - LEFT) / 2
    assert paths(drawing, "w l0") == [
        [(one, 184), (one, 184), (one, 130), (RIGHT, 130), (RIGHT, 76)]
    ]
    [whole] = paths(drawing, "w l1")
    assert whole[-1] == (RIGHT, 22)
    assert labelled(drawing, "circle", "cx") == [(RIGHT, "000-a: 2 of 3 done")] or labelled(
        drawing, "circle", "cx"
    ) == [(RIGHT, "001-a: 2 of 3 done")]


def test_runs_are_in_the_order_they_were_raced(tmp_path):
    """A failed run has a cross, a missing one a dash, each at its place."""
    report = report_of(cell(tmp_path / "r", {"a": [1.0, [INF] * 3, 4.0], "b": [2.0, None, 2.0]}))
    [only] = report.cells
    drawing = curve_figures.in_order(only, report)
    dots, crosses = labelled(drawing, "circle", "cx"), labelled(drawing, "path", "d")
    ids = [run.run_id for run in only.facts.verdict.runs]
    shown = sorted([*dots, *((x + 3.5, text) for x, text in crosses)])
    assert [text.split(":")[0] for _, text in shown] == [
        run.run_id for run in only.facts.verdict.runs if run.status != "missing"
    ]
    assert [text for _, text in crosses] == [
        f"{run.run_id}: failed" for run in only.facts.verdict.runs if run.status == "failed"
    ]
    width = (RIGHT - LEFT) / (len(ids) + 0.4)
    for x, text in shown:
        assert x == pytest.approx(LEFT + (ids.index(text.split(":")[0]) + 0.7) * width, abs=0.1)
    assert drawing.inline().count(">–</text>") == 1


def test_curves_of_all_leechers_of_the_median_run(tmp_path):
    """Made curves rise in ten even steps: half of the bytes are there after half of the time. The
    axis of shares goes from 160 up to 22."""
    report = report_of(cell(tmp_path / "r", {"a": [[1.0, 2.0, 4.0]], "b": [1.0]}))
    drawing = curve_figures.leecher_curves(report.cells[0], report)[0]
    curves = paths(drawing, "w l0")
    assert [curve[-1] for curve in curves] == [
        (LEFT + 304 / 4, 22),
        (LEFT + 304 / 2, 22),
        (RIGHT, 22),
    ]
    assert [curve[50] for curve in curves] == [(82, 91), (120, 91), (196, 91)]


def test_growth_has_a_dot_for_every_run(tmp_path):
    for size in (2, 4, 8):
        failed = [[INF] * (size - 1)] if size == 8 else [1.0]
        cell(tmp_path / "m" / str(size), {"a": [1.0, *failed], "b": [2.0] * 2}, swarmSize=size)
    report = report_of(tmp_path / "m")
    drawing = curve_figures.growth(report.growth[0], report)
    found = [text for _, text in labelled(drawing, "circle", "cx")]
    assert found.count("a, 8 peers: 1 s") == 1
    assert found.count("b, 8 peers: 2 s") == 2
    assert len(found) == 11
    [(_, failure)] = labelled(drawing, "path", "d")
    assert failure == "a, 8 peers: 1 run failed"


def test_growth_is_drawn_on_logarithmic_axes(tmp_path):
    """Swarms of 2 and 8 peers. Entrant a takes 2 and 8 s, HTTP 4 s, and nobody can be faster than
    1 s: 10 MB at the seeder's 10 MB/s. The axis of peers goes from 2 / 1.15 to 8 x 1.15 over 188
    pixels, that of times from 1 / 1.2 to 8 x 1.2 s over 144:
    44 + 188 x ln 1.15 / ln 5.29 = 59.8, and 166 - 144 x ln 1.2 / ln 11.52 = 155.3."""
    for size in (2, 8):
        cell(
            tmp_path / "m" / str(size), {"a": [float(size)] * 3, "h": [4.0] * 3}, swarmSize=size,
            entrants={"a": BT, "h": HTTP}, network={"upload": "10MB", "download": "20MB"},
            rotateSeeders=False,
        )  # fmt: skip
    report = report_of(tmp_path / "m")
    drawing = curve_figures.growth(report.growth[0], report)
    assert paths(drawing, "c l0") == [[(59.8, 114.4), (216.2, 32.7)]]
    assert paths(drawing, "c lr k") == [[(59.8, 73.6), (216.2, 73.6)]]
    assert paths(drawing, "u") == [[(59.8, 155.3), (216.2, 155.3)]]
    dots = labelled(drawing, "circle", "cx")
    assert sorted(set(dots)) == [
        (59.8, "a, 2 peers: 2 s"),
        (59.8, "h, 2 peers: 4 s"),
        (216.2, "a, 8 peers: 8 s"),
        (216.2, "h, 8 peers: 4 s"),
    ]


def test_uploads_are_shown_by_their_steps(tmp_path):
    """Made seeders publish 10 MB in 0.5 s, of which hashing takes 0.2 s."""
    report = report_of(cell(tmp_path / "r", {"a": [1.0] * 3, "b": [2.0] * 3}))
    assert report.uploads is not None
    assert [[entry.text for entry in row] for row in report.uploads.rows] == [
        ["4x1-10MB", name, "500 ms", "20 MB/s", "hash 200 ms"] for name in ("a", "b")
    ]


def test_shares_are_as_wide_as_their_part(tmp_path):
    """Of 2 s, 0.99 s pass until half of the bytes are there (`test_report_model`)."""
    report = report_of(cell(tmp_path / "m", {"a": [[1.0, 2.0, 9.0]], "b": [1.0]}))
    drawing = matrix_figures.share_bars(report.shares[0], report)
    bars = re.findall(r'width="([\d.]+)" height="13" class="s2"><title>([^<]+)<', drawing.inline())
    assert float(bars[0][0]) == pytest.approx((356 - 92 - 54) * 0.495, abs=0.1)
    assert bars[0][1] == "4x1-10MB, a, to 50 %: 49.5 %"


def test_every_panel_has_its_figures_ratio(tmp_path):
    """Entrant a: twice the time, 4 times the publish time, and 2 bytes sent for each of payload."""

    def measured(result):
        sent = 15_000_000 if result.entrant == "a" else 7_500_000
        wire = Wire(
            sent_bytes=sent, received_bytes=sent, sent_packets=1, received_packets=1, interface="e"
        )
        publish = result.publish
        if publish is not None and result.entrant == "a":
            publish = updated(seconds=4 * publish.seconds)(publish)
        return updated(wire=wire, publish=publish)(result)

    for size in (4, 5):
        cell(
            tmp_path / "m" / str(size), {"a": times(2), "b": times(1)}, swarmSize=size,
            peer=measured,
        )  # fmt: skip
    report = report_of(tmp_path / "m")
    found = {
        row.key: {square.swarm_size: square.text for square in row.panels[0].squares}
        for row in report.panels
    }
    assert list(found) == ["t100", "t50", "first-byte", "upload", "wire", "completion"]
    assert {key: texts[4] for key, texts in found.items()} == {
        "t100": "2.00 ×",
        "t50": "2.00 ×",
        "first-byte": "1.00 ×",  # 1 ms, the shortest time that made transfers have
        "upload": "4.00 ×",
        "wire": "2.00 ×",
        "completion": "6 / 6",
    }
    bandwidth = next(table for table in report.tables if table.slug == "bandwidth")
    at = bandwidth.head.index("wire sent / payload")
    sent = {(row[0].text, row[1].text): row[at].value for row in bandwidth.rows}
    assert sent["4x1-10MB", "a"] == pytest.approx(4 * 15 / 30)
    assert sent["5x1-10MB", "b"] == pytest.approx(5 * 7.5 / 40)
