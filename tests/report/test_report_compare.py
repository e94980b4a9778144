"""Comparing two races of one scenario: the ratio of ratios decides, raw times never."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from made_matrices import cell
from made_results import INF
from swarmrace.cli.main import main
from swarmrace.errors import Exit, ResultsError
from swarmrace.report.comparing import compare
from swarmrace.verdict.across import change

NOISE = [1.0, 1.03, 0.97, 1.01, 0.99, 1.02, 0.98, 1.0]


def race(folder: Path, a: float, b: float, edit=lambda data: None, **race) -> Path:
    made = cell(
        folder, {"a": [a * n for n in NOISE], "b": [b * n for n in reversed(NOISE)]}, **race
    )
    data = json.loads((made / "race.json").read_text())
    edit(data)
    (made / "race.json").write_text(json.dumps(data))
    return made


def test_a_slower_release_is_found_on_a_slower_machine(tmp_path):
    """The machine takes twice as long for everything, and the entrant another 1.5 times."""
    old = race(tmp_path / "old", 1.0, 1.0)
    new = race(tmp_path / "new", 3.0, 2.0, attempt=2)
    text, code = compare([old], [new])
    assert code is Exit.ACCEPTANCE_MISSED
    assert text.startswith("a is slower in 1 of 1 cells")
    assert "1.50 [" in text
    assert "! b itself changed in 4x1-10MB" in text


def test_a_slower_machine_decides_nothing(tmp_path):
    old, new = race(tmp_path / "old", 1.0, 1.0), race(tmp_path / "new", 2.0, 2.0, attempt=2)
    text, code = compare([old], [new])
    assert code is Exit.OK
    assert "2.00 [" in text, "raw times are printed"
    assert "not shown to differ" in text
    ran = CliRunner().invoke(main, ["compare", str(old), str(new)])
    assert (ran.exit_code, ran.stdout) == (0, text + "\n")


def test_without_a_baseline_it_is_undecided(tmp_path):
    alone = {"a": {"kind": "synthetic"}}
    for name, factor in (("old", 1.0), ("new", 3.0)):
        cell(tmp_path / name, {"a": [factor * n for n in NOISE]}, entrants=alone)
    text, code = compare([tmp_path / "old"], [tmp_path / "new"], entrant="a")
    assert code is Exit.ACCEPTANCE_UNDECIDED
    assert "3.00 [" in text
    assert "undecided (no baseline)" in text


def test_a_single_entrant_needs_no_name(tmp_path):
    alone = {"a": {"kind": "synthetic"}}
    folder = cell(tmp_path / "r", {"a": NOISE}, entrants=alone)
    text, code = compare([folder], [folder])
    assert code is Exit.ACCEPTANCE_UNDECIDED
    assert "undecided (no baseline)" in text


def test_an_entrant_is_not_its_own_baseline(tmp_path):
    folder = race(tmp_path / "r", 1.0, 1.0)
    text, code = compare([folder], [folder], entrant="a", baseline="a")
    assert code is Exit.ACCEPTANCE_UNDECIDED
    assert "undecided (a can't be its own baseline)" in text


def test_a_release_that_fails_is_slower(tmp_path):
    """The baseline still completes, so it isn't the machine."""
    old = race(tmp_path / "old", 1.0, 1.0)
    new = cell(tmp_path / "new", {"a": [INF] * 8, "b": NOISE})
    text, code = compare([old], [new])
    assert code is Exit.ACCEPTANCE_MISSED
    assert "failed" in text


def test_what_was_not_raced_has_not_failed(tmp_path):
    folder = cell(tmp_path / "r", {"a": [None] * 3, "b": [None] * 3})
    text, code = compare([folder], [folder])
    assert code is Exit.ACCEPTANCE_UNDECIDED
    assert "failed" not in text


def test_another_version_is_no_baseline(tmp_path):
    def newer(data):
        for peer in data["peers"]:
            if peer["entrant"] == "b":
                peer["versions"]["libtorrent"] = "2.2"

    old, new = race(tmp_path / "old", 1.0, 1.0), race(tmp_path / "new", 3.0, 1.0, newer)
    text, code = compare([old], [new])
    assert code is Exit.ACCEPTANCE_UNDECIDED
    assert "b changed its version: libtorrent was none, is 2.2" in text


def test_few_blocks_are_undecided(tmp_path):
    for name, factor in (("old", 1.0), ("new", 3.0)):
        cell(tmp_path / name, {"a": [factor] * 2, "b": [1.0] * 2})
    assert compare([tmp_path / "old"], [tmp_path / "new"])[1] is Exit.ACCEPTANCE_UNDECIDED


def machine(data):
    data["machine"]["cpu"] = "another CPU"


def format_2(data):
    data["format"] = 2


def network(data):
    data["scenario"]["global"]["race"]["network"]["upload"] = 1_000_000


def options(data):
    data["scenario"]["global"]["entrants"]["b"]["utp"] = False


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (machine, "different machines"),
        (format_2, "results formats 3 and 2"),
        (options, "another scenario: options of b were"),
    ],
)
def test_races_that_can_not_be_compared_are_refused(tmp_path, edit, why):
    old, new = race(tmp_path / "old", 1.0, 1.0), race(tmp_path / "new", 1.0, 1.0, edit)
    with pytest.raises(ResultsError, match=why):
        compare([old], [new])


def test_other_definitions_are_refused(tmp_path):
    def measured_by(version):
        return lambda data: data.update(definitions=version)

    old = race(tmp_path / "old", 1.0, 1.0, measured_by("0a"))
    new = race(tmp_path / "new", 1.0, 1.0, measured_by("0b"))
    with pytest.raises(ResultsError, match=r"different definitions \(0a and 0b\): race both with"):
        compare([old], [new])
    assert compare([old], [race(tmp_path / "same", 1.0, 1.0, measured_by("0a"))])[1] is Exit.OK


def test_other_machines_are_compared_on_request(tmp_path):
    old, new = race(tmp_path / "old", 1.0, 1.0), race(tmp_path / "new", 1.0, 1.0, machine)
    assert compare([old], [new], across_machines=True)[1] is Exit.OK


def test_another_scenario_has_no_cell_in_common(tmp_path):
    old, new = race(tmp_path / "old", 1.0, 1.0), race(tmp_path / "new", 1.0, 1.0, network)
    with pytest.raises(ResultsError, match="no common cell: OLD has 4x1-10MB, NEW has 4x1-10MB-up"):
        compare([old], [new])
    with pytest.raises(ResultsError, match="expected entrant c in both"):
        compare([old], [old], entrant="c")


def test_many_cells_are_adjusted_by_holm(tmp_path):
    """The smallest p of a rank-sum test is 1/924 for 6 + 6 blocks and 1/12870 for 8 + 8."""
    for size in (4, 8, 16):
        race(tmp_path / "old" / str(size), 1.0, 1.0, swarmSize=size)
        race(tmp_path / "new" / str(size), 3.0 if size == 8 else 1.0, 1.0, swarmSize=size)
    text, code = compare([tmp_path / "old"], [tmp_path / "new"])
    assert code is Exit.ACCEPTANCE_MISSED
    assert "a is slower in 1 of 3 cells" in text
    assert text.count("slower (Holm)") == 1


def test_a_change_by_hand():
    found = change([2.0] * 5, [1.0] * 5)
    assert (found.estimate, found.low, found.high) == (2.0, 2.0, 2.0)
    assert found.p_slower == 1 / 252
    assert found.differs
    assert change([], [1.0]).estimate is None
