"""What must not change while a sweep goes on."""

from __future__ import annotations

import pytest

from made_sweeps import PINS, attempt, begin, scenario
from swarmrace import __version__, definitions
from swarmrace.errors import SweepError
from swarmrace.sweep import pins, state
from swarmrace.sweep.driver import refuse_mixed, refuse_other_pins


def test_this_machines_versions_are_named():
    found = pins.local(scenario())
    assert found.swarmrace.startswith(f"{__version__} (commit ")
    assert found.definitions == definitions.version()
    assert found.backend == "local"
    assert found.programs["bt"].startswith("libtorrent 2.")
    assert found.programs["web"] == ""
    assert pins.differences(found, pins.local(scenario())) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"swarmrace": "0.2.0 (commit 9)"}, "began with 0.1.0 (commit 123), found 0.2.0"),
        ({"definitions": "ff"}, "definitions: began with 0123456789, found ff"),
        ({"backend": "kubernetes"}, "backend: began with local, found kubernetes"),
        (
            {"programs": {"bt": "libtorrent 2.1.2"}},
            "entrant bt: began with libtorrent 2.1.1, found libtorrent 2.1.2",
        ),
    ],
)
def test_going_on_with_others_is_refused_and_both_are_named(tmp_path, change, line):
    begin(tmp_path)
    found = state.look(tmp_path)
    with pytest.raises(SweepError) as caught:
        refuse_other_pins(tmp_path, found, PINS.model_copy(update=change))
    assert line in str(caught.value)
    refuse_other_pins(tmp_path, found, PINS)


def test_what_is_not_known_differs_from_nothing():
    unknown = PINS.model_copy(update={"programs": {"bt": ""}})
    assert pins.differences(PINS, unknown) == []
    assert pins.differences(unknown, PINS) == []


def test_a_programs_file_is_pinned_by_its_bytes(tmp_path):
    """A node that was built again has the same version and is another program."""
    from swarmrace.systems import load

    program = tmp_path / "codex"
    script = "#!/bin/sh\necho 'version: v0.2.5'; echo 'revision: bd360322'; echo '--data-dir'\n"
    program.write_text(script)
    program.chmod(0o755)
    spec = load("codex")
    options = spec.options(kind="codex", program=str(program))
    first = spec.identity.program(options)
    assert first.startswith("codex v0.2.5 (revision bd360322, sha256 ")
    program.write_text(script + "# built again\n")
    assert spec.identity.program(options) != first
    assert spec.identity.program(spec.options(kind="codex", program=str(tmp_path / "none"))) == ""


def test_cells_that_were_raced_with_several_versions_are_refused(tmp_path):
    begin(tmp_path)
    attempt(tmp_path, "2x1-1kB", versions={"bt": "2.1.1"})
    attempt(tmp_path, "2x1-2kB", versions={"bt": "2.1.1"})
    refuse_mixed(state.look(tmp_path))
    attempt(tmp_path, "3x1-1kB", versions={"bt": "2.1.2"})
    with pytest.raises(SweepError, match=r"found bt at 2\.1\.\d in cell .* and at 2\.1\.\d in"):
        refuse_mixed(state.look(tmp_path))
