"""What a sweep's live page is given, and that its failure is no sweep's."""

from __future__ import annotations

import json

from made_sweeps import attempt, begin, finish
from swarmrace.sweep import state
from swarmrace.sweep.live import SweepPage


def test_how_far_it_is_with_each_cells_state_and_answer(tmp_path):
    shown = []
    page = SweepPage(shown.append)
    begin(tmp_path)
    finish(tmp_path, but=("2x1-1kB", "3x1-2kB"))
    attempt(tmp_path, "2x1-1kB", status="running", runs=1)
    page.update(state.read(tmp_path), "2x1-1kB", 2)
    (data,) = shown
    assert (data["name"], data["done"], data["total"], data["failed"]) == ("made", 2, 4, 1)
    assert (data["cell"], data["attempt"]) == ("2x1-1kB", 2)
    assert data["left"] > 0
    cells = {each["name"]: each for each in data["cells"]}
    assert len(cells) == 4
    assert {name for name, each in cells.items() if each["state"] == "done"} == {
        "2x1-2kB",
        "3x1-1kB",
    }
    assert all(bool(each["answer"]) == (each["state"] == "done") for each in cells.values())
    assert str(tmp_path) not in json.dumps(data)


def test_the_answer_of_a_cell_is_read_once(tmp_path, monkeypatch):
    from swarmrace.sweep import live

    read = []
    monkeypatch.setattr(live.text, "answer", lambda cell: read.append(cell.cell.name) or "yes")
    begin(tmp_path)
    finish(tmp_path)
    page = SweepPage(lambda data: None)
    for _ in range(3):
        page.update(state.read(tmp_path))
    assert sorted(read) == sorted(set(read))
    assert len(read) == 4


def test_what_goes_wrong_never_ends_a_sweep(tmp_path, caplog):
    def broken(data):
        raise OSError("no page")

    begin(tmp_path)
    SweepPage(broken).update(state.read(tmp_path))
    assert "the sweep continues" in caplog.text
