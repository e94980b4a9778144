"""The short page: at most 80 columns and 40 rows, always with the answer and a table."""

from __future__ import annotations

import pytest

from made_results import BT, CODEX, HTTP, INF, build, flat, scenario_of, verdict_between
from swarmrace.errors import Reason
from swarmrace.recording.records import Failure
from swarmrace.results import folder as results
from swarmrace.verdict import compute, short

LONG = {
    "a-name-of-20-letters": BT | {"utp": False, "encryption": False, "pieceSize": "64KiB"},
    "b-name-of-20-letters": CODEX | {"blockSize": "128KiB", "storageQuota": "100MB"},
}
MANY = {f"entrant-number-{n:04}": BT | {"profile": "tuned"} for n in range(12)}
RACES = {
    "two": ({"bt": BT, "web": HTTP}, {}),
    "long": (
        LONG | {"web": HTTP},
        {"acceptance": [{"entrant": next(iter(LONG)), "within": 1.2, "of": "web"}]},
    ),
    "many": (MANY, {}),
    "alone": ({"bt": BT}, {}),
}
NOTES = [
    "a note " + "that goes on " * 40,
    "[/ip4/1.2.3.4] " + "x" * 200,
    *(f"note {n}" for n in range(30)),
]


def rows(verdict):
    return short.text(verdict).splitlines()


@pytest.mark.parametrize("which", RACES)
@pytest.mark.parametrize("numbers", [(2, 4, 8), (INF, 1, 2), (INF, INF, INF)])
@pytest.mark.parametrize("noted", [False, True])
def test_the_short_page_always_fits(tmp_path, which, numbers, noted):
    entrants, race = RACES[which]
    times = {name: flat(*(n * (1 + k) for n in numbers)) for k, name in enumerate(entrants)}
    folder = {}
    if noted:
        folder["peer"] = lambda result: result.model_copy(update={"notes": NOTES})
    found = verdict_between(tmp_path, entrants, times, folder=folder, **race)
    found = found.model_copy(update={"name": "n" * 240})
    page = rows(found)
    assert len(page) <= 38
    wide = [line for line in page if len(line) > 80 and "x" * 200 not in line]
    assert wide == []
    text = "\n".join(page)
    for name in list(entrants)[:8]:
        assert any(line.startswith(name) and line.endswith(" runs") for line in page), name
    assert "--full" in page[-1]
    assert "--explain" in page[-1]
    if noted:
        assert "Read before believing" in text
        assert "more: --full" in text or which == "alone"


def test_the_answer_the_warnings_and_the_table(tmp_path):
    acceptance = [{"entrant": "codex", "within": 1.2, "of": "bt"}]
    times = {"codex": [[2, 2, INF], *flat(2, 2)], "bt": flat(1, 1, 1)}
    found = verdict_between(tmp_path, {"codex": CODEX, "bt": BT}, times, acceptance=acceptance)
    page = rows(found)
    text = " ".join(" ".join(page).split())
    assert found.headline[0] in text
    assert f"Acceptance {found.acceptance[0].text}" in text
    head = next(line for line in page if line.startswith("median over runs"))
    assert head.split("  ")[-1].strip() == "complete"
    assert [line.split()[-4:] for line in page if line.startswith("codex  ")] == [
        ["2", "of", "3", "runs"]
    ]


def test_failed_and_missing_runs_come_first_in_the_warnings(tmp_path):
    lost = Failure(reason=Reason.TRACKER_LOST, stage="race", detail="gone")

    def run(result):
        if result.repetition:
            return result
        return result.model_copy(update={"status": "aborted", "failure": lost})

    scenario = scenario_of({"x": HTTP, "y": HTTP})
    times = {"x": flat(1, INF, 1), "y": flat(1, 1, 1)}
    page = rows(compute(results.load(build(tmp_path, scenario, times, run=run))))
    start = page.index("Read before believing")
    text = " ".join(" ".join(page[start:]).split())
    assert "1 of 6 runs failed, the first " in text
    assert "2 of 6 runs missing, the first " in text
    assert "tracker lost in race (gone)" in text
