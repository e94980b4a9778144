"""The verdict is never truncated, even in a narrow terminal or with long names."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from rich.console import Console

from made_results import BT, CODEX, HTTP, INF, verdict_between
from swarmrace.verdict import render
from swarmrace.verdict.entries import ratio_entry
from swarmrace.verdict.wording import interval, value

LONG = {"codex-newest-version": CODEX, "bittorrent-utp-off-x": BT | {"utp": False}}
ENTRANTS = {
    "two": {"bittorrent": BT, "http": HTTP},
    "long": LONG,
    "three": {"codex": CODEX, "bittorrent": BT, "http": HTTP},
    "three long": {**LONG, "plain-http-reference": HTTP},
    "sequential": {"codex": CODEX, "bittorrent": BT | {"pieceOrder": "sequential"}},
}
TIMES = {
    "spread": [[1, 1.4, 1.9], [3, 3.9, 5.1], [2.2, 2.2, 2.3], [0.8, 0.9, 1]],
    "quick": [[0.3, 0.31, 0.33], [0.5, 0.6, 0.7], [0.35, 0.36, 0.4], [0.2, 0.2, 0.22]],
    "failing": [[6.2, 6.3, INF], [INF, 6, INF], [5.1, 5.2, 5.6], [1, 1, 1]],
    "failed": [[INF, INF, INF]] * 4,
    "still": [[0.3, 0.3, 0.3]] * 4,
}


def ratios(verdict):
    for each in verdict.comparisons:
        figures = [*each.marks, *each.stability.values()]
        found = [each.t100, each.last, *(figure.ratio for figure in figures)]
        yield from (ratio for ratio in found if ratio is not None)


def made(tmp_path, which, times):
    entrants = ENTRANTS[which]
    kinds = [times, "quick", "still"]
    of = {name: TIMES[kinds[at % 3]] for at, name in enumerate(entrants)}
    return verdict_between(tmp_path, entrants, of, repetitions=4)


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("which", ENTRANTS)
def test_ratios_and_intervals_stay_whole_at_any_width(tmp_path, which, times):
    verdict = made(tmp_path, which, times)
    wanted = {ratio_entry(ratio) for ratio in ratios(verdict)}
    wanted |= {
        f"{value(ratio.estimate)} {interval(ratio)}"
        for ratio in ratios(verdict)
        if ratio.has_interval and ratio.claim != "no difference"
    }
    assert wanted
    pages = [render.text(verdict, width=width, wide=False) for width in (60, 72, 80, 100, 200)]
    for page in [render.text(verdict), *pages]:
        assert [text for text in wanted if text not in page] == []


@pytest.mark.parametrize("which", ENTRANTS)
@pytest.mark.parametrize("width", [60, 80, 100])
def test_words_stay_whole_at_any_width(tmp_path, which, width):
    verdict = made(tmp_path, which, "failing")
    pages = (render.text(verdict, width=600), render.text(verdict, width=width, wide=False))
    (figures, words), (narrow, narrow_words) = (
        page.split("What each system can") for page in pages
    )
    assert [word for word in set(figures.split()) if word not in narrow] == []
    # A cell of words may fold a long one: every letter of it is there.
    assert Counter("".join(words.split())) == Counter("".join(narrow_words.split()))


@pytest.mark.parametrize("which", ["two", "three"])
def test_a_terminal_of_80_columns_is_not_exceeded(tmp_path, which):
    page = render.text(made(tmp_path, which, "spread"), width=80, wide=False)
    assert max(map(len, page.splitlines())) <= 80


def test_a_file_and_a_pipe_are_as_wide_as_they_need(tmp_path):
    verdict = made(tmp_path, "long", "spread")
    pipe = Console(file=io.StringIO(), width=80)
    render.show(verdict, pipe)
    for page in (pipe.file.getvalue(), render.text(verdict)):
        [line] = [line for line in page.splitlines() if "done (t100), median leecher" in line]
        assert line.rstrip().endswith(ratio_entry(verdict.comparisons[0].t100))


def test_a_folded_table_keeps_only_headings_with_rows(tmp_path):
    page = render.text(made(tmp_path, "long", "spread"), width=60, wide=False)
    ratio = page.split("\n\n")
    [moved] = [part for part in ratio if part.splitlines()[0].rstrip().endswith("  ratio")]
    assert moved.splitlines()[1] == "Time"
    assert "Upload" not in moved
    assert "Reliability" not in moved
